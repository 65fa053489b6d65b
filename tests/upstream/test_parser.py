"""Bytes in, head and body out, without a socket."""

import pytest

from gateway.core.errors import UpstreamProtocolError
from gateway.upstream.heads import Heads
from gateway.upstream.parser import ResponseParser

R = b"HTTP/1.1 200 OK\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def parse(*parts: bytes, for_head=False, max_head_bytes=65536):
    parser = ResponseParser(max_head_bytes, Heads())
    body: list[bytes] = []
    parser.begin(body, for_head=for_head)
    for part in parts:
        parser.feed(part)
    return parser, b"".join(body)


GOOD = {
    "length": (R + b"Content-Length: 2\r\n\r\nhi", 200, b"hi", True),
    "length 0": (R + b"Content-Length: 0\r\n\r\n", 200, b"", True),
    "chunks": (R + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n", 200, b"hi", True),
    "chunked, in capitals": (R + b"transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", 200, b"", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, b"", True),
    "close": (R + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi", 200, b"hi", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", False),
    "no reason": (b"HTTP/1.1 599\r\nContent-Length: 0\r\n\r\n", 599, b"", True),
    "1xx first": (
        b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\n" + R + b"Content-Length: 0\r\n\r\n",
        200,
        b"",
        True,
    ),
}


@pytest.mark.parametrize(("data", "status", "body", "keep_alive"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_response_is_the_same_however_it_arrives(data, status, body, keep_alive, size):
    """P12, P15"""
    parser, got = parse(*(data[i : i + size] for i in range(0, len(data), size)))
    assert (parser.head.status, got, parser.complete) == (status, body, True)
    assert (parser.head.persists, parser.surplus) == (keep_alive, False)
    assert all(name != b"Link" for name, _ in parser.head.headers)


def test_fields_are_kept_as_sent():
    """P10: case, order, duplicates, latin-1."""
    parser, _ = parse(R + b"Set-Cookie: a=1\r\nX: \xe9\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n")
    assert parser.head.headers == [
        (b"Set-Cookie", b"a=1"),
        (b"X", b"\xe9"),
        (b"set-cookie", b"b=2"),
        (b"Content-Length", b"0"),
    ]


def test_trailers_are_dropped():
    """P5"""
    parser, body = parse(R + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nAuthorization: x\r\n\r\n")
    assert (parser.complete, body, len(parser.head.headers)) == (True, b"a", 1)


BAD = {
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n",
    "garbage that begins well": b"HELO\r\n\r\n",
    "another protocol": b"RTSP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "status 99": b"HTTP/1.1 099 No\r\n\r\n",
    "status 600": b"HTTP/1.1 600 No\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "upgrade that nobody asked for": b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "101 without upgrade": b"HTTP/1.1 101 S\r\n\r\n",
    "length and chunks": R + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks and length": R + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
    "two lengths": R + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n",
    "list of lengths": R + b"Content-Length: 2, 2\r\n\r\n",
    "length with sign": R + b"Content-Length: +2\r\n\r\n",
    "length in hexadecimal": R + b"Content-Length: 0x2\r\n\r\n",
    "length overflow": R + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "gzip as transfer coding": R + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": R + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked not last": R + b"Transfer-Encoding: chunked, identity\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunk size": R + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "negative chunk size": R + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "chunk without end": R + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhixx0\r\n\r\n",
    "NUL in a value": R + b"X: a\0b\r\n\r\n",
    "ESC in a value": R + b"X: \x1b[2J\r\n\r\n",
    "DEL in a value": R + b"X: \x7f\r\n\r\n",
    "CR in a value": R + b"X: a\rSet-Cookie: b\r\n\r\n",
    "LF as line end": R + b"X: a\nY: b\r\n\r\n",
    "folded line": R + b"X: a\r\n b\r\n\r\n",
    "space before the colon": R + b"X : a\r\n\r\n",
    "latin-1 in a name": R + b"\xe9: a\r\n\r\n",
    "empty name": R + b": a\r\n\r\n",
    "1xx without end": CONTINUE * 17,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_not_a_response_is_refused(data):
    """P15, P17, B17"""
    with pytest.raises(UpstreamProtocolError):
        parse(data)


@pytest.mark.parametrize("size", [1000, 400_000])
@pytest.mark.parametrize(
    "data",
    [
        R + b"X: " + b"a" * 300_000 + b"\r\n\r\n",
        R + b"".join(b"X-%d: y\r\n" % i for i in range(30_000)) + b"\r\n",
        b"HTTP/1.1 200 " + b"O" * 300_000,
        R + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 300_000,
        R + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 300_000,
    ],
    ids=["field", "many fields", "reason", "trailer", "chunk extension"],
)
def test_a_head_or_trailer_without_end_is_cut(data, size):
    """B17, D1: 300 KB are refused, in one piece or in many, long before they fill memory."""
    if size > len(data) and not data.startswith(R + b"X"):
        size = 100_000  # the first pieces, all of which are silent, already exceed the limit
    with pytest.raises(UpstreamProtocolError):
        parse(*(data[i : i + size] for i in range(0, len(data), size)))


def test_a_long_body_does_not_count_as_a_head():
    parser, body = parse(R + b"Content-Length: 300000\r\n\r\n" + b"x" * 100_000, b"x" * 100_000, b"x" * 100_000)
    assert (parser.complete, len(body)) == (True, 300_000)


@pytest.mark.parametrize(
    "surplus",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"H", b"garbage", b"\0", b"0\r\n\r\n"],
    ids=["response", "one byte", "garbage", "NUL", "chunk"],
)
@pytest.mark.parametrize(
    "answer",
    [
        R + b"Content-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 204 No\r\n\r\n",
        R + b"Connection: close\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["200", "204", "close"],
)
def test_bytes_after_a_response_are_noticed_and_never_part_of_it(answer, surplus):
    """B17"""
    parser, body = parse(answer + surplus)
    assert (parser.complete, parser.surplus, body) == (True, True, b"hi" if b"hi" in answer else b"")


HEADS = {
    "length": b"Content-Length: 1000\r\n",
    "length 0": b"Content-Length: 0\r\n",
    "chunked": b"Transfer-Encoding: chunked\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("fields", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("size", [1, 4096])
def test_a_response_to_head_ends_with_its_head(fields, size):
    """P12: whatever its fields say, and the next response is read as usual."""
    data = R + fields + b"\r\n"
    parser, _ = parse(*(data[i : i + size] for i in range(0, len(data), size)), for_head=True)
    assert (parser.complete, parser.head.persists, parser.surplus) == (True, True, False)
    body: list[bytes] = []
    parser.begin(body)
    parser.feed(R + b"Content-Length: 2\r\n\r\nhi")
    assert (parser.complete, body) == (True, [b"hi"])


@pytest.mark.parametrize("fields", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize(
    "surplus", [b"x", b"5\r\n", b"0\r\n\r\n", b"2\r\nhi\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_a_body_after_head_spoils_the_connection(fields, surplus):
    """P12, B17"""
    parser, body = parse(R + fields + b"\r\n" + surplus, for_head=True)
    assert (parser.complete, parser.surplus, body) == (True, True, b"")


def test_head_of_a_closing_connection():
    assert not parse(R + b"Connection: Close\r\n\r\n", for_head=True)[0].head.persists
    assert not parse(b"HTTP/1.0 200 OK\r\n\r\n", for_head=True)[0].head.persists
    assert parse(b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", for_head=True)[0].head.persists


def test_only_a_body_without_framing_ends_with_the_connection():
    """P15"""
    assert parse(R + b"\r\nhel", b"lo")[0].eof()
    assert not parse(R + b"Content-Length: 9\r\n\r\nhel")[0].eof()
    assert not parse(R + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")[0].eof()
    assert not parse(R + b"X: a\r\n")[0].eof()
    assert not parse(CONTINUE)[0].eof()


def test_blanks_at_a_values_end_are_not_the_values():
    """P10: RFC 9112 §5.1."""
    parser, _ = parse(b"HTTP/1.1 200 OK\r\nX-A: \t1 \t\r\nX-B:\r\nX-C:  \r\nContent-Length: 0\r\n\r\n")
    assert parser.head.headers == [(b"X-A", b"1"), (b"X-B", b""), (b"X-C", b""), (b"Content-Length", b"0")]
