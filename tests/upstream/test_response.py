"""Answers that are malformed, break off, or do not come."""

import asyncio

import pytest

from gateway.core.errors import (
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)

from .raw import (
    CONTINUE,
    Body,
    get,
    once,
    talking_to,
    whole,
)

BROKEN = {
    "garbage": b"SSH-2.0\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
    "300 KB of header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "101": b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_a_malformed_head_is_a_protocol_error(answer):
    """P15, B17: 502, connection discarded."""
    async with talking_to(once(answer)) as (server, upstream):
        with pytest.raises(UpstreamProtocolError):
            await upstream.send(get())
        assert (upstream.active, upstream.idle) == (0, 0)
        await server.closed.wait()


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BREAKS = {
    "short": (LENGTH, b""),
    "no last chunk": (CHUNKED + b"5\r\nhello\r\n", b"0\r\n"),
    "half a chunk": (CHUNKED + b"9\r\nhello", b""),
    "bad chunk": (CHUNKED + b"5\r\nhello\r\n", b"zz\r\n"),
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(("answer", "end"), BREAKS.values(), ids=BREAKS)
async def test_a_body_that_breaks_off_never_looks_complete(answer, end, reset):
    """P15, B14"""

    async def handler(peer):
        await peer.request()
        await peer.send(answer)
        await read.wait()
        await peer.send(end)
        if reset:
            peer.reset()

    read = asyncio.Event()
    async with talking_to(handler) as (_, upstream):
        response = await upstream.send(get())
        got = await response.read()
        read.set()
        assert got == b"hello"
        for _ in range(2):
            with pytest.raises(UpstreamProtocolError):
                await response.read()
        assert not response.at_end
        assert (upstream.active, upstream.idle) == (0, 0)


async def test_a_reset_does_not_complete_a_body_that_ends_with_the_connection():
    """P15, B14"""

    async def handler(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await read.wait()
        peer.reset()

    read = asyncio.Event()
    async with talking_to(handler) as (_, upstream):
        response = await upstream.send(get())
        assert await response.read() == b"hello"
        read.set()
        with pytest.raises(UpstreamProtocolError):
            await response.read()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nX: ", CONTINUE], ids=["nothing", "half a head", "100"]
)
async def test_closed_before_a_response_is_unreachable(answer):
    """B17: and bytes were sent."""

    async def handler(peer):
        await peer.request()
        await peer.send(answer)

    async with talking_to(handler) as (server, upstream):
        with pytest.raises(UpstreamUnreachable) as lost:
            await upstream.send(get())
        assert (lost.value.sent, server.connections, upstream.active) == (True, 1, 0)


async def test_an_upstream_that_never_answers_times_out():
    """B13: 504, slot freed, connection closed."""
    async with talking_to(once(b""), response_timeout=0.05) as (server, upstream):
        with pytest.raises(UpstreamTimeout):
            await upstream.send(get())
        assert upstream.active == 0
        await server.closed.wait()


async def test_a_request_may_have_a_patience_of_its_own():
    """B13"""
    async with talking_to(once(CONTINUE)) as (_, upstream):
        for body in (None, Body(ready=b"x", length=1), Body(b"x", length=1)):
            with pytest.raises(UpstreamTimeout):
                await upstream.send(get(body=body, response_timeout=0.05))


async def test_a_body_that_stands_still_times_out():
    async with talking_to(once(LENGTH), idle_timeout=0.05) as (server, upstream):
        response = await upstream.send(get())
        assert await response.read() == b"hello"
        with pytest.raises(UpstreamTimeout):
            await response.read()
        await server.closed.wait()


async def test_a_slow_reader_is_not_an_idle_upstream():
    """D4: the time runs only while somebody waits for the upstream."""

    async def handler(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await reading.wait()
        await peer.send(b"hello")
        await slow.wait()
        await peer.send(b"world")
        await peer.gone()

    reading, slow = asyncio.Event(), asyncio.Event()
    async with talking_to(handler, idle_timeout=0.1) as (_, upstream):
        response = await upstream.send(get())
        asyncio.get_running_loop().call_later(0.01, reading.set)
        assert await response.read() == b"hello"
        await asyncio.sleep(0.3)  # three times the idle timeout, of the client's making
        slow.set()
        assert await whole(response) == b"world"
