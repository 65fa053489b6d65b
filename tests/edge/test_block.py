"""Heads that are known again: the parser with a past, and the parser without one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.core.heads import Limits
from gateway.edge.block import Block
from gateway.edge.parser import RequestParser

NAMES = st.sampled_from(
    [
        *(b"Host", b"host", b"Accept", b"accept", b"Traceparent", b"X-Request-Id", b"Authorization", b"Cookie"),
        *(
            b"Connection",
            b"Content-Length",
            b"Transfer-Encoding",
            b"Upgrade",
            b"Expect",
            b"Proxy-Connection",
            b"TE",
        ),
        *(b"X_Odd", b"Via", b"X-Forwarded-For"),
    ]
)
VALUES = st.sampled_from(
    [
        *(
            b"a",
            b"b",
            b"a b",
            b"",
            b" a",
            b"a ",
            b"\ta",
            b"0",
            b"5",
            b"chunked",
            b"close",
            b"keep-alive",
            b"upgrade",
        ),
        *(b"websocket", b"100-continue", b"\xe4", b"a\x00", b"a\rb", b"x" * 300, b"a: b"),
    ]
)
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b": ", b":", b":\t", b" :"]), VALUES), min_size=1, max_size=5)
REQUEST_LINES = st.sampled_from(
    [
        *(
            b"GET / HTTP/1.1",
            b"GET /a?b HTTP/1.1",
            b"POST /c HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
            b"GET /a#b HTTP/1.1",
        ),
        *(b"GET  / HTTP/1.1", b"GET / HTTP/1.0", b"get / HTTP/1.1", b"BREW / HTTP/1.1", b"GET http://h/ HTTP/1.1"),
        *(
            b"GET /%s HTTP/1.1" % (b"x" * 90),
            b"GET / HTTP/1.1\r\nX: y",
            b"GET /\xe4 HTTP/1.1",
            b"CONNECT / HTTP/1.1",
        ),
    ]
)


class Heard:
    """A sink: what each request was."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_request(self, request: RequestParser) -> None:
        fields = list(request.block.headers)
        self.seen.append((request.method, request.target, request.version, fields, request.persists))

    def on_body(self, data: bytes) -> None:
        self.seen.append(data)

    def on_end(self) -> None:
        self.seen.append("end")


def heard(*reads: bytes) -> list[list[object]]:
    """What came of each read, on one connection; a refusal is the last thing."""
    sink, found = Heard(), []
    parser = RequestParser(sink, Limits(target_bytes=80))
    for data in reads:
        try:
            parser.feed(data)
        except GatewayError as error:
            sink.seen.append(error.problem)
            found.append(sink.seen)
            break
        found.append(sink.seen)
        sink.seen = []
    return found


def written(line: bytes, fields: list[tuple[bytes, bytes, bytes]]) -> bytes:
    return line + b"\r\n" + b"".join(b"%b%b%b\r\n" % field for field in fields) + b"\r\n"


@st.composite
def pairs(draw) -> tuple[bytes, bytes]:
    """Two requests whose fields have much in common."""
    first = draw(LINES)
    second = list(first)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(second) - 1))
        name, colon, value = second[place]
        second[place] = draw(
            st.one_of(
                st.tuples(st.just(name), st.just(colon), VALUES),
                st.tuples(NAMES, st.just(colon), st.just(value)),
                st.tuples(st.just(name), st.sampled_from([b": ", b":", b" :"]), st.just(value)),
            )
        )
    rest = draw(st.sampled_from([b""] * 5 + [b"hello", b"GET / HTTP/1.1\r\n\r\n"]))
    return written(draw(REQUEST_LINES), first), written(draw(REQUEST_LINES), second) + rest


@given(pairs())
@example((b"GET / HTTP/1.1\r\nHost: a\r\nAccept: a\r\n\r\n", b"GET /b HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n"))
@example((b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\r\n"))
def test_a_request_means_the_same_whatever_came_before(pair):
    """P1-P7, P16: the fields of the request before are never those of this one, unless they are the same bytes."""
    first, second = pair
    after = heard(first, second)
    if len(after) < 2 or "end" not in after[0] or not after[0] or not after[0][0][4]:  # type: ignore[index]
        return  # the first request was refused, has no end, or is the last one
    assert after[1] == heard(second)[0]


def known(*fields: tuple[bytes, bytes]) -> tuple[Block, bytes]:
    data = b"GET / HTTP/1.1\r\n" + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"
    block = Block([(name.lower(), value) for name, value in fields])
    block.remember(data, len(b"GET / HTTP/1.1\r\n"))
    return block, data


def test_equal_fields_are_the_same_block():
    block, data = known((b"Host", b"a"), (b"Accept", b"b"))
    assert block.repeated(data.replace(b"GET /", b"HEAD /x"), 100) == ("HEAD", b"/x", block)


def test_another_value_makes_another_block_of_the_same_base():
    block, data = known((b"Host", b"a"), (b"Traceparent", b"1"), (b"Accept", b"b"))
    found = block.repeated(data.replace(b"Traceparent: 1", b"Traceparent: 2"), 100)
    assert found is not None
    assert found[2].base is block
    assert found[2].headers == [(b"host", b"a"), (b"traceparent", b"2"), (b"accept", b"b")]
    lines = b"host: a\r\ntraceparent: 1\r\naccept: b\r\n"
    assert found[2].amended(lines) == b"host: a\r\ntraceparent: 2\r\naccept: b\r\n"
    assert block.headers[1] == (b"traceparent", b"1")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Accept: b", b"accept: c"),
        (b"Accept: b", b"Accept:c"),
        (b"Accept: b", b"Accept: "),
        (b"Accept: b", b"Accept:  c"),
        (b"Accept: b", b"Accept: c "),
        (b"Accept: b", b"Accept: c\x00"),
        (b"Accept: b", b"Accept: c\nX: y"),
        (b"Accept: b", b"Accept: b\r\nX: y"),
        (b"Accept: b", b"Content-Length: 5"),
        (b"Connection: keep-alive", b"Connection: close"),
        (b"X: 1\r\nX: 2", b"X: 1\r\nX: 3"),
        (b"GET / ", b"GET  / "),
        (b"GET / ", b"BREW / "),
        (b"GET / ", b"GET /" + b"x" * 200 + b" "),
    ],
)
def test_what_has_to_be_parsed(old, new):
    """P3, P8, P17: anything but a plain value in a field's own place."""
    block, data = known(
        (b"Host", b"a"), (b"Accept", b"b"), (b"Connection", b"keep-alive"), (b"X", b"1"), (b"X", b"2")
    )
    assert block.repeated(data, 100) is not None
    assert block.repeated(data.replace(old, new, 1), 100) is None


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding", b"Upgrade"])
def test_a_head_that_something_follows_is_not_remembered(name):
    block, data = known((b"Host", b"a"), (name, b"0"))
    assert block.repeated(data, 100) is None


def test_two_requests_in_one_read_are_not_remembered_as_one():
    """P16."""
    block, data = known((b"Host", b"a"))
    twice = Block(block.headers)
    twice.remember(data + data, len(b"GET / HTTP/1.1\r\n"))
    assert twice.repeated(data + data, 100) is None
    assert block.repeated(data + data, 100) is None


def test_what_is_forgotten_is_no_repetition():
    block, data = known((b"Host", b"a"))
    block.forget()
    assert block.repeated(data, 100) is None


def test_a_large_head_is_not_remembered():
    """D6: it would be kept for as long as its client stays connected."""
    block, data = known((b"Host", b"a"), (b"Cookie", b"x" * 8_000))
    assert block.repeated(data, 100) is not None
    block, data = known((b"Host", b"a"), (b"Cookie", b"x" * 9_000))
    assert block.repeated(data, 100) is None
