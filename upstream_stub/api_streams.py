"""Endpoints of the API that take their time or their space. Memory stays flat whatever the size."""

import asyncio
import hashlib
import itertools

from upstream_stub.asgi import Exchange, Header
from upstream_stub.pattern import pattern

_BINARY: Header = (b"content-type", b"application/octet-stream")
_CLOSE: Header = (b"connection", b"close")
_TOO_LARGE = b'{"error": "too large"}'


async def slow(exchange: Exchange) -> None:
    """An answer after ``seconds`` (1)."""
    await asyncio.sleep(exchange.number("seconds", 1))
    await exchange.json(200, {"slept": exchange.number("seconds", 1)})


async def numbered_bytes(exchange: Exchange) -> None:
    """``size`` bytes of the pattern, with their length or ``chunked=1``."""
    size = int(exchange.number("size"))
    await exchange.start(200, [_BINARY, *_length(exchange, size)])
    for part in pattern(size):
        await exchange.write(part)
    await exchange.end()


def _length(exchange: Exchange, size: int) -> list[Header]:
    return [] if "chunked" in exchange.query else [(b"content-length", b"%d" % size)]


async def stream(exchange: Exchange) -> None:
    """``chunks`` (0: for ever) lines, one each ``interval`` (0.1) seconds."""
    await exchange.start(200, [(b"content-type", b"text/plain; charset=utf-8")])
    for number in _numbers(int(exchange.number("chunks"))):
        await exchange.write(b"line %d\n" % number)
        await asyncio.sleep(exchange.number("interval", 0.1))
    await exchange.end()


async def events(exchange: Exchange) -> None:
    """``count`` (0: for ever) server-sent events, one each ``interval`` (0.1) seconds."""
    await exchange.start(200, [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")])
    for number in _numbers(int(exchange.number("count"))):
        await exchange.write(b"id: %d\ndata: event %d\n\n" % (number, number))
        await asyncio.sleep(exchange.number("interval", 0.1))
    await exchange.end()


def _numbers(count: int) -> "itertools.count[int] | range":
    return range(count) if count else itertools.count()


async def echo_stream(exchange: Exchange) -> None:
    """The request body, sent back as it arrives."""
    length = exchange.value(b"content-length")
    await exchange.start(200, [_BINARY, *([(b"content-length", length.encode())] if length else [])])
    async for chunk in exchange.chunks():
        await exchange.write(chunk)
    await exchange.end()


async def upload(exchange: Exchange) -> None:
    """Length and digest of the request body; ``pause`` seconds after each part make a slow reader."""
    digest, pause = hashlib.sha256(), exchange.number("pause")
    async for chunk in exchange.chunks():
        digest.update(chunk)
        if pause:
            await asyncio.sleep(pause)
    await exchange.json(200, {"length": exchange.body_length, "sha256": digest.hexdigest()})


async def early_413(exchange: Exchange) -> None:
    """413 before the request body was read. ``mode`` says what becomes of the body.

    ``close`` (default): the connection closes at once. ``linger``: the rest is read and dropped. ``hold``: the rest
    is never read, and the connection stays for ``seconds`` (30).
    """
    mode = exchange.query.get("mode", "close")
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_TOO_LARGE)), _CLOSE]
    await exchange.start(413, fields)
    if mode != "close":
        await exchange.write(_TOO_LARGE)
    if mode == "linger":
        async for _chunk in exchange.chunks():
            pass
    if mode == "hold":
        await exchange.idle(exchange.number("seconds", 30))
    await exchange.end(_TOO_LARGE if mode == "close" else b"")


async def break_off(exchange: Exchange) -> None:
    """``after`` bytes of a longer body, then the end; by RST with ``reset=1``.

    The body is announced with 1000 bytes more, or ``chunked=1``. A reset may overtake bytes that were sent before
    it, as on any network.
    """
    after = int(exchange.number("after"))
    await exchange.start(200, [_BINARY, *_length(exchange, after + 1000)])
    for part in pattern(after):
        await exchange.write(part)
    if "reset" in exchange.query:
        await exchange.abort(reset=True)
    else:
        await exchange.break_off()
