"""P16: requests one behind the other are judged one by one and answered in order; nothing behind a bad one is read."""

from collections.abc import Iterator

from tests.e2e.corpus.case import AUTH, CHUNKED, HOST, Case, Seen, chunks, head, post

_BAD_TOKEN = b"Authorization: Bearer nonsense"


def _get(target: bytes, *lines: bytes, auth: bytes = AUTH) -> bytes:
    return head(*lines, line=b"GET %b HTTP/1.1" % target, auth=auth)


_ONE, _TWO = _get(b"/1"), _get(b"/2")
_SEEN_ONE, _SEEN_TWO = Seen(b"/1"), Seen(b"/2")
_POST = post(b"Content-Length: 5", body=b"hello", line=b"POST /p HTTP/1.1")
_SEEN_POST = Seen(b"/p", b"POST", b"hello")
_CHUNKS = post(CHUNKED, body=chunks(b"hel", b"lo"), line=b"POST /c HTTP/1.1")
_SEEN_CHUNKS = Seen(b"/c", b"POST", b"hello")

_BAD = {
    "two framings": (post(b"Content-Length: 6", CHUNKED, body=b"0\r\n\r\nG"), 400),
    "a bare LF": (head(b"X-A: b\nX-C: d"), 400),
    "a bad chunk": (post(CHUNKED, body=b"5\nhello\r\n0\r\n\r\n"), 400),
    "no host": (head(host=None), 400),
    "two hosts": (head(HOST), 400),
    "a space before the colon": (head(b"X-A : b"), 400),
    "HTTP/0.9": (b"GET /x\r\n", 400),
    "an odd coding": (post(b"Transfer-Encoding: xchunked", body=b"5\r\nhello\r\n0\r\n\r\n"), 400),
    "a signed length": (post(b"Content-Length: +5", body=b"hello"), 400),
    "garbage": (b"\x00\xff garbage\r\n\r\n", 400),
    "CONNECT": (head(line=b"CONNECT gateway.example:443 HTTP/1.1"), 501),
    "an unknown method": (head(line=b"COW /x HTTP/1.1"), 400),
    "a head without end": (head(b"X-A: " + b"x" * 400_000), 431),
}


def _with_a_bad_one() -> Iterator[Case]:
    for name, (bad, status) in _BAD.items():
        yield Case("P16", f"{name} first", bad + _ONE, (status,))
        yield Case("P16", f"{name} in the middle", _ONE + bad + _TWO, (200, status), (_SEEN_ONE,))
        yield Case("P16", f"{name} last", _ONE + _POST + bad, (200, 200, status), (_SEEN_ONE, _SEEN_POST))
        yield Case("P16", f"{name} behind chunks", _CHUNKS + bad, (200, status), (_SEEN_CHUNKS,))


def _with_refusals() -> Iterator[Case]:
    ask = _get(b"/no", auth=_BAD_TOKEN)
    send = head(b"Content-Length: 5", line=b"POST /no HTTP/1.1", auth=_BAD_TOKEN) + b"hello"
    inner = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    hide = head(b"Content-Length: %d" % len(inner), line=b"POST /no HTTP/1.1", auth=_BAD_TOKEN) + inner
    hide_chunked = head(CHUNKED, line=b"POST /no HTTP/1.1", auth=_BAD_TOKEN) + chunks(inner)
    for name, data in {
        "a bad token": ask,
        "a bad token with a body": send,
        "a bad token with a request for its body": hide,
        "a bad token with a request for its chunk": hide_chunked,
    }.items():
        yield Case("P16", f"{name} first", data + _ONE, (401, 200), (_SEEN_ONE,), closes=False)
        both = (_SEEN_ONE, _SEEN_TWO)
        yield Case("P16", f"{name} in the middle", _ONE + data + _TWO, (200, 401, 200), both, closes=False)
        yield Case("P16", f"{name} last", _ONE + data, (200, 401), (_SEEN_ONE,), closes=False)
    path = _get(b"/a//b")
    yield Case(
        "P16, N2",
        "an ambiguous path in the middle",
        _ONE + path + _TWO,
        (200, 400, 200),
        (_SEEN_ONE, _SEEN_TWO),
        closes=False,
    )


def _sound() -> Iterator[Case]:
    ten = b"".join(_get(b"/%d" % n) for n in range(10))
    yield Case("P16", "ten", ten, (200,) * 10, tuple(Seen(b"/%d" % n) for n in range(10)), closes=False)
    mixed = _ONE + _POST + _CHUNKS + _TWO
    seen = (_SEEN_ONE, _SEEN_POST, _SEEN_CHUNKS, _SEEN_TWO)
    yield Case("P16", "of every kind", mixed, (200,) * 4, seen, closes=False)
    for name, first, seen_first in (("between", _ONE, _SEEN_ONE), ("behind a body", _POST, _SEEN_POST)):
        data, seen = first + b"\r\n" + _TWO, (seen_first, _SEEN_TWO)
        yield Case("P16", f"an empty line {name}", data, (200, 200), seen, closes=False, unlike=("python",))
    last = _get(b"/2", b"Connection: close")
    yield Case("P16", "nothing behind close", _ONE + last, (200, 200), (_SEEN_ONE, _SEEN_TWO))
    listed = _get(b"/2", b"Connection: x, CLOSE")
    yield Case("P16", "nothing behind close in a list", _ONE + listed, (200, 200), (_SEEN_ONE, _SEEN_TWO))
    old = head(line=b"GET /2 HTTP/1.0")
    yield Case("P16", "nothing behind HTTP/1.0", _ONE + old, (200, 200), (_SEEN_ONE, _SEEN_TWO))
    both = _get(b"/2", b"Connection: keep-alive, close")
    yield Case("P16", "close wins", _ONE + both, (200, 200), (_SEEN_ONE, _SEEN_TWO))
    with_body = post(b"Connection: close", b"Content-Length: 5", body=b"hello", line=b"POST /p HTTP/1.1")
    yield Case("P16", "nothing behind a body and close", with_body, (200,), (_SEEN_POST,))
    upgrade = _get(b"/2", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    yield Case(
        "P16, P8", "behind an offer of HTTP/2", _ONE + upgrade, (200, 200), (_SEEN_ONE, _SEEN_TWO), closes=False
    )
    tls = post(
        b"Connection: Upgrade", b"Upgrade: TLS/1.0", b"Content-Length: 5", body=b"hello", line=b"POST /p HTTP/1.1"
    )
    yield Case("P16, P8", "behind an offer of TLS with a body", tls, (200,), (_SEEN_POST,), closes=False)
    asked = head(line=b"HEAD /1 HTTP/1.1")
    yield Case(
        "P16, P12", "behind a HEAD", asked + _TWO, (200, 200), (Seen(b"/1", b"HEAD"), _SEEN_TWO), closes=False
    )
    off = _get(b"/off/1", auth=b"X-Auth: none")
    yield Case(
        "P16",
        "a route without auth does not open the next",
        off + _get(b"/no", auth=b"X-Auth: none"),
        (200, 401),
        (Seen(b"/off/1"),),
        closes=False,
    )


CASES: list[Case] = [*_with_a_bad_one(), *_with_refusals(), *_sound()]
