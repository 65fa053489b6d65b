"""Bytes of a client in, requests out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.core.heads import Limits
from gateway.edge.parser import RequestParser

HOST = b"Host: a\r\n"
HEAD = b" HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class Requests:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.seen: list[tuple] = []
        self.ended = 0

    def on_request(self, request: RequestParser) -> None:
        self.seen.append((request.method, request.target, list(request.block.headers), bytearray()))

    def on_body(self, data: bytes) -> None:
        self.seen[-1][3].extend(data)

    def on_end(self) -> None:
        self.ended += 1


def reading(**limits) -> tuple[Requests, RequestParser]:
    sink = Requests()
    return sink, RequestParser(sink, Limits(**limits))


def read(data: bytes, step: int | None = None, **limits) -> Requests:
    """All of ``data``, ``step`` bytes at a time."""
    sink, parser = reading(**limits)
    for at in range(0, len(data), step or len(data)):
        parser.feed(data[at : at + (step or len(data))])
    return sink


def refusal(data: bytes, step: int | None = None, **limits) -> str:
    with pytest.raises(GatewayError) as caught:
        read(data, step, **limits)
    return caught.value.problem.code


EITHER = pytest.mark.parametrize("step", [None, 1, 7])


@EITHER
def test_requests_come_one_after_another(step):
    """P16: heads, bodies and ends, whatever the pieces."""
    chunks = b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    sink = read(
        b"\r\nGET /1" + HEAD + b"X-A: \t1 \t\r\nx-a:2\r\n\r\n"
        b"POST /2" + HEAD + b"Content-Length: 5\r\n\r\nGET /"
        b"PUT /3" + HEAD + CHUNKED + chunks + b"HEAD /4" + HEAD + b"\r\n",
        step,
    )
    assert [(m, t, bytes(b)) for m, t, _, b in sink.seen] == [
        ("GET", b"/1", b""),
        ("POST", b"/2", b"GET /"),
        ("PUT", b"/3", b"abcde"),
        ("HEAD", b"/4", b""),
    ]
    assert sink.seen[0][2] == [(b"host", b"a"), (b"x-a", b"1"), (b"x-a", b"2")]
    assert sink.ended == 4


@EITHER
def test_trailers_are_dropped(step):
    """P5: they are in no list, neither this request's nor the next one's."""
    trailers = b"0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n"
    sink = read(b"POST /1" + HEAD + CHUNKED + trailers + b"GET /2" + HEAD + b"\r\n", step)
    assert [h for _, _, h, _ in sink.seen] == [
        [(b"host", b"a"), (b"transfer-encoding", b"chunked")],
        [(b"host", b"a")],
    ]


@EITHER
@pytest.mark.parametrize("trailer", [b"Connection: close", b"Proxy-Connection: close", b"Upgrade: h2c"])
def test_a_trailer_cannot_end_the_connection(trailer, step):
    """P5: llhttp would be deaf to the next request."""
    assert refusal(b"POST /1" + HEAD + CHUNKED + b"0\r\n" + trailer + b"\r\n\r\n", step) == "bad_request"


@EITHER
@pytest.mark.parametrize(
    "data",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / RTSP/1.0\r\n" + HOST + b"\r\n",
        b"SETUP / RTSP/1.0\r\n" + HOST + b"\r\n",
        b"SOURCE / ICE/1.0\r\n" + HOST + b"\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\xa0 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\r\n\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\rGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_what_is_not_http_1_is_refused(data, step):
    """P3, P7: llhttp also speaks RTSP, ICE, and HTTP/0.9, knows HTTP/2's preface, and forgives blanks."""
    assert refusal(data, step) == "bad_request"


@EITHER
def test_connect_is_refused_as_such(step):
    """P7."""
    assert refusal(b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n", step) == "method_not_supported"


@EITHER
def test_an_old_client_is_understood(step):
    """HTTP/1.0, with and without keep-alive."""
    sink, parser = reading()
    old = b"GET / HTTP/1.0\r\n"
    data = old + b"Connection: keep-alive\r\n\r\n" + old + b"\r\n"
    seen = []
    sink.on_request = None
    parser._sink_request = lambda request: seen.append((request.version, request.persists))
    for at in range(0, len(data), step or len(data)):
        parser.feed(data[at : at + (step or len(data))])
    assert seen == [("1.0", True), ("1.0", False)]


@EITHER
def test_an_upgrade_with_a_body_is_read_on_as_http(step):
    """P8, RFC 9110 §7.8: llhttp takes what follows for the new protocol's."""
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    for framing, body in (
        (b"Content-Length: 5\r\n\r\n", b"GET /"),
        (CHUNKED, b"5\r\nGET /\r\n0\r\nX: y\r\n\r\n"),
        (b"Content-Length: 0\r\n\r\n", b""),
    ):
        sink = read(b"POST /1" + HEAD + upgrade + framing + body + b"GET /2" + HEAD + b"\r\n", step)
        assert [(m, t) for m, t, _, _ in sink.seen] == [("POST", b"/1"), ("GET", b"/2")]
        assert bytes(sink.seen[0][3]) == (b"GET /" if body else b"")
        assert sink.ended == 2


@EITHER
def test_what_stands_behind_an_upgrade_waits_until_it_is_decided(step):
    """W1: it is the new protocol's, or the next request."""
    sink, parser = reading()
    data = b"GET /1" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    more = b"GET /2" + HEAD + b"\r\n"
    for at in range(0, len(data + more), step or len(data + more)):
        parser.feed((data + more)[at : at + (step or len(data + more))])
    assert [t for _, t, _, _ in sink.seen] == [b"/1"]
    assert parser.held == more
    parser.feed(parser.proceed())
    assert [t for _, t, _, _ in sink.seen] == [b"/1", b"/2"]
    assert (parser.held, sink.ended) == (None, 2)


def test_what_was_held_may_be_an_upgrade_again():
    sink, parser = reading()
    one = b"GET /1" + HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    parser.feed(one * 3)
    for _ in range(2):
        parser.feed(parser.proceed())
    assert parser.proceed() == b""
    assert len(sink.seen) == sink.ended == 3
    assert parser.held is None


FLOODS = {
    "a target": (b"GET /", b"a" * 500, "target_too_long"),
    "field after field": (b"GET /" + HEAD, b"X: " + b"a" * 500 + b"\r\n", "headers_too_large"),
    "one value": (b"GET /" + HEAD + b"X: ", b"a" * 500, "headers_too_large"),
    "one name": (b"GET /" + HEAD, b"a" * 500, "headers_too_large"),
    "trailer after trailer": (
        b"POST /" + HEAD + CHUNKED + b"0\r\n",
        b"X: " + b"a" * 500 + b"\r\n",
        "headers_too_large",
    ),
    "one trailer": (b"POST /" + HEAD + CHUNKED + b"0\r\nX: ", b"a" * 500, "headers_too_large"),
    "a chunk's extension": (b"POST /" + HEAD + CHUNKED + b"3;", b"a" * 500, "headers_too_large"),
    "behind another request": (
        b"GET /" + HEAD + b"\r\nGET /" + HEAD,
        b"X: " + b"a" * 500 + b"\r\n",
        "headers_too_large",
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_what_never_ends_is_refused_in_time(name):
    """D1, D6: before it is complete, in small pieces, and not much beyond the limits."""
    start, more, code = FLOODS[name]
    _, parser = reading(header_bytes=2048, target_bytes=1024)

    def flood() -> None:
        parser.feed(start)
        for _ in range(20):
            parser.feed(more)

    with pytest.raises(GatewayError) as caught:
        flood()
    assert caught.value.problem.code == code


def test_a_long_conversation_is_no_flood():
    """D1: what counts is one head, not all that a client has ever sent."""
    one = b"POST /1" + HEAD + b"X: " + b"a" * 400 + b"\r\nContent-Length: 3\r\n\r\nabc"
    for step in (None, 1000, 333):
        assert read(one * 200, step, header_bytes=1024, target_bytes=64).ended == 200
    chunks = b"POST /1" + HEAD + CHUNKED + b"1;ext=1234\r\na\r\n" * 3000 + b"0\r\n\r\n"
    assert read(chunks, 100, header_bytes=1024).ended == 1


REQUESTS = st.lists(
    st.sampled_from(
        [
            b"GET /a?b" + HEAD + b"\r\n",
            b"POST /b" + HEAD + b"Content-Length: 4\r\n\r\nbody",
            b"POST /c" + HEAD + CHUNKED + b"4;x\r\nbody\r\n0\r\nT: t\r\n\r\n",
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            b"POST /d" + HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nbody",
            b"GET /e" + HEAD + b"Bad : x\r\n\r\n",
            b"POST /f" + HEAD + CHUNKED + b"zz\r\n",
        ]
    ),
    max_size=5,
).map(b"".join)


@given(REQUESTS, st.lists(st.integers(1, 60), min_size=1))
def test_the_pieces_make_no_difference(data, sizes):
    """P16: the same requests and the same refusal, however the bytes come."""
    outcomes = []
    for cuts in ([len(data) or 1], sizes):
        sink, parser = reading()
        at = turn = 0
        problem = None
        try:
            while at < len(data):
                size = cuts[turn % len(cuts)]
                parser.feed(data[at : at + size])
                at, turn = at + size, turn + 1
        except GatewayError as error:
            problem = error.problem
        outcomes.append((sink.seen, sink.ended, problem))
    assert outcomes[0] == outcomes[1]


def test_a_read_full_of_requests_is_walked_through_once():
    """D6: each line is looked for behind the one before it, wherever identical ones stand."""
    requests = [b"POST /%d" % (n % 7) + HEAD + b"Content-Length: 3\r\n\r\nabc" for n in range(3000)]
    assert read(b"".join(requests)).ended == 3000
    assert refusal(b"".join(requests) + b"GET  /1" + HEAD + b"\r\n") == "bad_request"


@pytest.mark.parametrize(
    "second",
    [
        b"POST  /a HTTP/1.1\r\n",
        b"POST /a  HTTP/1.1\r\n",
        b"POST /a HTTP/2.0\r\n",
        b"POST /a\r\n",
        b"POST /a RTSP/1.0\r\n",
    ],
)
def test_the_exact_line_of_another_request_does_not_count(second):
    """P2, P3, P7: the request before it, in the same read, has the very line that this one lacks."""
    first = b"POST /a" + HEAD + b"Content-Length: 0\r\n\r\n"
    assert refusal(first * 2 + second + HOST + b"Content-Length: 0\r\n\r\n") == "bad_request"


def test_the_version_is_each_requests_own():
    """P2: HTTP/1.0 behind HTTP/1.1, in one read and with the same target."""
    _sink, parser = reading()
    versions = []
    parser._sink_request = lambda request: versions.append(request.version)
    parser.feed(
        b"GET /a"
        + HEAD
        + b"\r\n"
        + b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        + b"GET /a"
        + HEAD
        + b"\r\n"
    )
    assert versions == ["1.1", "1.0", "1.1"]


def test_empty_lines_are_not_collected():
    """D6: some may stand before a request (RFC 9112 §2.2), not a flood of them."""
    assert read(b"\r\n\r\nGET /a" + HEAD + b"\r\n").ended == 1
    assert refusal(b"\r\n" * 1000) == "bad_request"
    assert refusal(b"\r\n" * 1000, 2) == "bad_request"


def test_a_mistake_of_ours_is_not_the_clients():
    """O2: httptools wraps whatever a callback raises."""
    _, parser = reading()
    parser._sink_request = None
    with pytest.raises(TypeError):
        parser.feed(b"GET /a" + HEAD + b"\r\n")


@pytest.mark.parametrize("blank", [b"\r\n", b"\r\n\r\n"])
def test_empty_lines_between_requests_may_be_cut_anywhere(blank):
    """RFC 9112 §2.2: old clients send one behind a body; where TCP cuts it is nobody's business."""
    first = b"POST /1" + HEAD + b"Content-Length: 5\r\n\r\nhello"
    data = first + blank + b"GET /2" + HEAD + b"\r\n" + blank + b"GET /3" + HEAD + b"\r\n"
    for at in range(len(first) - 2, len(data)):
        for size in (1, 2, 7):
            sink, parser = reading()
            for piece in (data[:at], data[at : at + size], data[at + size :]):
                if piece:
                    parser.feed(piece)
            assert sink.ended == 3


@pytest.mark.parametrize("step", [1, 3, 7, 50, None])
def test_a_body_of_known_length_ends_where_it_should(step):
    """P16: whatever the pieces; what stands behind it is the next request."""
    body = b"GET /none HTTP/1.1\r\n\r\n" * 9
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    data = (b"POST /1" + HEAD + length + body) * 3 + b"GET /2" + HEAD + b"\r\n"
    sink = read(data, step)
    assert [(target, bytes(content)) for _, target, _, content in sink.seen] == [(b"/1", body)] * 3 + [(b"/2", b"")]
    assert sink.ended == 4


@pytest.mark.parametrize("step", [3, 7, 50])
def test_what_follows_a_counted_body_is_read_as_strictly_as_ever(step):
    """P3, P16."""
    data = b"POST /1" + HEAD + b"Content-Length: 100\r\n\r\n" + b"x" * 100 + b"GET  /2" + HEAD + b"\r\n"
    assert refusal(data, step) == "bad_request"


@pytest.mark.parametrize("digits", [16, 19, 20, 5_000])
def test_a_length_without_end_is_no_mistake_of_ours(digits):
    """P2, O2: Python refuses to read a number of thousands of digits."""
    data = b"POST /" + HEAD + b"Content-Length: " + b"0" * (digits - 1) + b"3\r\n\r\nabc"
    sink, parser = reading()
    problem = None
    try:
        parser.feed(data)
    except GatewayError as error:
        problem = error.problem.code
    if problem is None:
        assert (bytes(sink.seen[0][3]), sink.ended) == (b"abc", 1)
    else:
        assert problem == "bad_request"
