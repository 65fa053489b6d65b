"""Endpoints of the API with short answers."""

import hashlib

from upstream_stub.asgi import Exchange
from upstream_stub.pattern import pattern

SHOWN_BODY = 65536
"""Bytes up to which ``/echo`` shows a body."""
_LOWEST, _HIGHEST = 200, 599
_ETAG = b'"v1"'
_RANGE_SIZE = 1000


async def health(exchange: Exchange) -> None:
    """Who asks need not say."""
    await exchange.json(200, {"status": "ok"})


async def refuse(exchange: Exchange, error: str | None) -> None:
    """401 as RFC 6750 §3: no error code where no token was presented."""
    challenge = b'Bearer realm="api"'
    if error is not None:
        challenge += b', error="%s", error_description="The access token is refused"' % error.encode("latin-1")
    await exchange.json(401, {"error": error or "no access token"}, [(b"www-authenticate", challenge)])


async def deny(exchange: Exchange) -> None:
    """401 ``invalid_token`` for every token."""
    await refuse(exchange, "invalid_token")


async def unauthorized(exchange: Exchange) -> None:
    """401 with any ``error`` in its challenge, or with ``challenge=none`` without one."""
    if exchange.query.get("challenge") == "none":
        await exchange.json(401, {"error": "not here"})
    else:
        await refuse(exchange, exchange.query.get("error"))


async def echo(exchange: Exchange) -> None:
    """What arrived, as JSON: method, target, fields in order, trailers, body."""
    digest, shown = hashlib.sha256(), b""
    async for chunk in exchange.chunks():
        digest.update(chunk)
        shown += chunk if len(shown) <= SHOWN_BODY else b""
    wire = exchange.wire
    body = {"length": exchange.body_length, "sha256": digest.hexdigest()}
    if len(shown) <= SHOWN_BODY:
        body["text"] = shown.decode("latin-1")
    seen = {
        "method": exchange.method,
        "target": (wire.target if wire else exchange.path.encode()).decode("latin-1"),
        "headers": _readable(wire.headers if wire else exchange.headers),
        "trailers": _readable(wire.trailers if wire else []),
        "body": body,
    }
    await exchange.json(200, seen)


def _readable(fields: list[tuple[bytes, bytes]]) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]


async def status(exchange: Exchange) -> None:
    """Any final status."""
    code = exchange.scope["path_params"]["code"]
    if not _LOWEST <= code <= _HIGHEST:
        await exchange.json(400, {"error": "a status from 200 to 599"})
    elif code in {204, 304}:
        await exchange.answer(code)
    else:
        await exchange.json(code, {"status": code})


async def cookies(exchange: Exchange) -> None:
    """Two Set-Cookie fields."""
    fields = [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2; Path=/; HttpOnly")]
    await exchange.json(200, {"cookies": exchange.values(b"cookie")}, fields)


async def redirect(exchange: Exchange) -> None:
    """``code`` (302) to ``to`` (/echo)."""
    to = exchange.query.get("to", "/echo").encode("latin-1", "replace")
    await exchange.answer(int(exchange.number("code", 302)), b"", [(b"location", to)])


async def etag(exchange: Exchange) -> None:
    """One representation that never changes; 304 to whom has it (RFC 9110 §13.1.2)."""
    fields = [(b"etag", _ETAG), (b"cache-control", b"public, max-age=60")]
    asked = exchange.value(b"if-none-match") or ""
    if asked.strip() == "*" or _ETAG.decode() in [member.strip().removeprefix("W/") for member in asked.split(",")]:
        await exchange.answer(304, b"", fields)
    else:
        await exchange.json(200, {"version": 1}, fields)


async def byte_range(exchange: Exchange) -> None:
    """A thousand bytes, or the one range of them that is asked for (RFC 9110 §14)."""
    whole = b"".join(pattern(_RANGE_SIZE))
    fields = [(b"etag", _ETAG), (b"accept-ranges", b"bytes")]
    asked = exchange.value(b"range")
    if asked is None or exchange.value(b"if-range") not in {None, _ETAG.decode()}:
        await exchange.answer(200, whole, fields, b"application/octet-stream")
        return
    bounds = _bounds(asked)
    if bounds is None:
        await exchange.answer(416, b"", [*fields, (b"content-range", b"bytes */%d" % _RANGE_SIZE)])
        return
    first, last = bounds
    fields.append((b"content-range", b"bytes %d-%d/%d" % (first, last, _RANGE_SIZE)))
    await exchange.answer(206, whole[first : last + 1], fields, b"application/octet-stream")


def _bounds(field_value: str) -> tuple[int, int] | None:
    unit, _, span = field_value.partition("=")
    first, dash, last = span.partition("-")
    if unit != "bytes" or not dash or not (first + last).isdigit():
        return None
    if not first:
        return max(0, _RANGE_SIZE - int(last)), _RANGE_SIZE - 1
    start, end = int(first), min(int(last or _RANGE_SIZE), _RANGE_SIZE - 1)
    return (start, end) if start <= end else None
