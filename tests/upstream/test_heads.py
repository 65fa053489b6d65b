"""A head that has come before means what it meant to the parser; and nothing else is taken for it."""

import asyncio
import contextlib

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamProtocolError
from gateway.upstream.connection import Connection
from gateway.upstream.heads import Heads
from gateway.upstream.settings import UpstreamSettings

from .raw import get, once, talking_to, whole

SETTINGS = UpstreamSettings(host="", port=0)
SEEN = Heads()
"""Has seen every example before the present one."""


class Memory(asyncio.Transport):
    """Keeps what is written, and nothing happens."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class Owner:
    """A pool of one."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self.fate = ""

    def release(self, connection) -> None:
        self.fate = "kept"

    def gone(self, connection) -> None:
        self.fate = "closed"


class Timeless:
    """A loop whose time stands still."""

    def time(self) -> float:
        return 0.0

    def call_at(self, when, callback):
        return self

    def cancel(self) -> None:
        pass


def outcome(heads: Heads, data: bytes, cuts: list[int], *, for_head: bool) -> tuple:
    """What one request on one connection comes to, with ``data`` in pieces and then the end of the stream."""
    owner = Owner(heads)
    connection = Connection(owner, SETTINGS, Timeless())
    connection.transport = Memory()
    response = connection.start(b"", None, for_head=for_head, timeout=1)
    start = 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        if cut > start and not connection.closed:
            connection.data_received(data[start:cut])
        start = max(start, cut)
    fate = owner.fate
    connection.eof_received()
    body = b"".join(response.chunks)
    received = response.received
    head = received and (received.status, received.version, received.headers, received.length, received.persists)
    return head, body, type(response.error), response.complete, fate


LINES = st.one_of(
    st.sampled_from(
        [
            *(b"Content-Length: 5", b"content-length:5", b"CONTENT-LENGTH:  5 ", b"Content-Length: 0", b"Content-Length: 9"),
            *(b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length:", b"Transfer-Encoding: chunked"),
            *(b"Connection: keep-alive", b"Connection: close", b"connection:Close", b"Connection: Upgrade"),
            *(b"Connection: x, close", b"Upgrade: websocket"),
            *(b"Proxy-Connection: close", b"Upgrade: h2c", b"Keep-Alive: timeout=5", b"Set-Cookie: a=b", b"X-Token: t"),
            *(b'ETag: "x"', b"X:", b"X: ", b"X:\t1 \t", b"X-L: \xe9", b"x" * 600 + b": y", b"X : y", b" folded", b"no colon"),
            *(b"X: a\0b", b": empty", b"\xe9: a", b"X: \x7f", b"Trailer: x", b"Date: now"),
        ]
    ),
    st.sampled_from([b"ETag", b"etag", b"x-a"]).flatmap(
        lambda name: st.text("ab ", max_size=3).map(lambda value: name + b": " + value.encode())
    ),
)  # fmt: skip
STATUS_LINES = st.sampled_from(
    [
        *[b"HTTP/1.1 200 OK"] * 5,
        *(b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 404", b"HTTP/1.0 200 OK"),
        *(b"HTTP/1.1 101 S", b"HTTP/1.1 099 x", b"HTTP/1.1 600 x", b"HTTP/1.1  200 OK", b"http/1.1 200 OK"),
    ]
)
BEFORE = st.sampled_from([b""] * 6 + [b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n", b"\r\n"])
BODIES = st.sampled_from(
    [b"hello", b"hello", b"", b"hell", b"hello!", b"5\r\nhello\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
)


@st.composite
def responses(draw) -> bytes:
    lines = [draw(STATUS_LINES), *draw(st.lists(LINES, max_size=5))]
    return draw(BEFORE) + b"\r\n".join([*lines, b"", b""]) + draw(BODIES)


CUTS = st.lists(st.integers(0, 200), max_size=3)


@given(responses(), CUTS, CUTS, st.booleans())
def test_a_head_that_came_before_means_the_same(data, cuts, others, for_head):
    """P5, P12, P15, B17: the whole outcome, whatever was seen on other connections and however it arrives."""
    expected = outcome(Heads(), data, [], for_head=for_head)
    assert outcome(SEEN, data, cuts, for_head=not for_head) == outcome(Heads(), data, cuts, for_head=not for_head)
    for pieces in (cuts, [], others, []):
        fresh = outcome(Heads(), data, pieces, for_head=for_head)
        assert outcome(SEEN, data, pieces, for_head=for_head) == fresh
        assert fresh[0] == expected[0] or fresh[2] is not type(None)


class Aloud:
    """llhttp's own reading of the fields: the model."""

    def __init__(self) -> None:
        self.heads: list[list[tuple[bytes, bytes]]] = []
        self.fields: list[tuple[bytes, bytes]] = []

    def on_message_begin(self) -> None:
        self.fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.heads.append(self.fields)
        self.fields = []  # of the trailers


@given(responses(), CUTS)
def test_the_fields_are_those_that_the_parser_heard(data, cuts):
    """P10, P17: and each line is what would be written of its pair."""
    heads = Heads()
    for _ in range(2):
        head, *_ = outcome(heads, data, cuts, for_head=False)
        if head is None:
            continue
        aloud = Aloud()
        with contextlib.suppress(httptools.HttpParserError):
            httptools.HttpResponseParser(aloud).feed_data(data)
        assert head[2] in aloud.heads


def test_a_line_is_written_in_one_way():
    head = Heads().read(200, b"HTTP/1.1 200 OK\r\nA:1\r\nB: \t2 \r\nC:\r\nD: 4")
    assert head.lines == [b"A: 1", b"B: 2", b"C: ", b"D: 4"]
    assert head.headers == [(b"A", b"1"), (b"B", b"2"), (b"C", b""), (b"D", b"4")]


@given(responses(), responses(), CUTS)
def test_what_came_before_changes_nothing(before, data, cuts):
    """P5, P15: a head that differs from the one before in values only means what a parser says."""
    after, alone = Heads(), Heads()
    outcome(after, before, [], for_head=False)
    assert outcome(after, data, cuts, for_head=False) == outcome(alone, data, cuts, for_head=False)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"ETag: other", 200),
        (b"ETag: a b\x80", 200),
        (b"etag: x", 200),
        (b"ETag:x", 200),
        (b"ETag: ", 200),
        (b"ETag: a\x00b", 0),
        (b"ETag: a\rb", 0),
        (b"ETag : x", 0),
        (b"Content-Length: 2", 0),
        (b"Transfer-Encoding: chunked", 0),
    ],
)
def test_another_line_in_the_place_of_a_known_one(line, status):
    """P5, P17: it is read as if no head had come before."""
    known = b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 2\r\n\r\nab"
    heads = Heads()
    outcome(heads, known, [], for_head=False)
    head, *_ = outcome(heads, known.replace(b"ETag: x", line), [], for_head=False)
    assert (head[0] if head is not None else 0) == status


OTHER_VALUES = [
    *((b"ETag: x", line) for line in (b"ETag: x ", b"ETag:  x", b"ETag: x\t", b"ETag: x y")),
    *((b"Content-Length: 2", b"Content-Length: " + v) for v in (b"+2", b"2, 2", b"-1", b"x", b"0x2", b"1", b"02", b"\xb2")),
    (b"Content-Length: 2", b"Content-Length: 99999999999999999999999"),
    *((b"Connection: keep-alive", line) for line in (b"Connection: close", b"Connection: x", b"Connection: Upgrade")),
    (b"Proxy-Connection: keep-alive", b"Proxy-Connection: close"),
    (b"Proxy-Connection: close", b"Proxy-Connection: close"),
    (b"Upgrade: a", b"Upgrade: b"),
]  # fmt: skip


@pytest.mark.parametrize("for_head", [False, True])
@pytest.mark.parametrize(("line", "other"), OTHER_VALUES)
def test_another_value_is_what_it_is_to_the_parser(line, other, for_head):
    """P2, P10, P12, B17: what came before changes nothing, whatever it was asked by."""
    lines = b"ETag: x\r\nContent-Length: 2\r\n"
    fields = lines if line in lines else lines + line + b"\r\n"
    known = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n"
    data = known.replace(line, other) + (b"" if for_head else b"ab")
    heads = Heads()
    for _ in range(2):
        assert outcome(heads, known + b"ab", [], for_head=False)[0][0] == 200
        assert outcome(heads, data, [], for_head=for_head) == outcome(Heads(), data, [], for_head=for_head)


async def test_a_known_head_is_the_same_object_and_its_body_another():
    first, second = (b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 2\r\n\r\n" + body for body in (b"ab", b"cd"))
    other = first.replace(b"ETag: x", b"ETag: y")
    async with talking_to(once(first, second, other, first)) as (_, upstream):
        responses = [await upstream.send(get()) for _ in range(4)]
        assert [await whole(response) for response in responses] == [b"ab", b"cd", b"ab", b"ab"]
        heads = [response.received for response in responses]
        assert heads[0] is heads[1] is heads[3] is not heads[2]
        assert heads[2].headers == [(b"ETag", b"y"), (b"Content-Length", b"2")]


def test_answers_of_several_kinds_are_known_side_by_side():
    """An API with more than one address: none of its kinds of answer is parsed again because of another."""
    heads = Heads()
    kinds = [
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * n + b"ETag: %03d\r\nContent-Length: 2\r\n\r\n" for n in range(8)
    ]
    for data in [kind % 0 for kind in kinds]:
        start = heads.look(data)
        head = heads.read(200, start[:-4])
        heads.learn(start, head)
    for number in range(1, 20):
        for kind in kinds:
            head = heads.look(kind % number)
            assert head.base is not None
            assert head.headers[-2] == (b"ETag", b"%03d" % number)
    assert len({id(base) for base in heads._bases}) == len(kinds)


def test_more_kinds_than_are_remembered_are_parsed():
    """D6."""
    heads = Heads()
    for n in range(100):
        data = b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * n + b"ETag: 1\r\nContent-Length: 2\r\n\r\n"
        start = heads.look(data)
        assert start == data
        heads.learn(start, heads.read(200, start[:-4]))
    assert len(heads._bases) == 8


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Session-Id: a=b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 600 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 400 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["cookie", "secret", "long line", "long head", "chunks", "interim", "blank line", "until the end"],
)
def test_what_is_not_remembered(answer):
    """X9, D6, P15: somebody's secret, what is too long, and what means more than its own bytes say."""
    heads = Heads()
    for _ in range(2):
        head, *_ = outcome(heads, answer, [], for_head=False)
        assert head[0] == 200
    assert not heads._heads
    assert not any(b"cookie" in line.lower() or b"session" in line.lower() for line in heads._names)


def test_an_answer_to_head_is_not_remembered_but_may_be_known():
    """P12: the same head has a body, or none."""
    heads, answer = Heads(), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert outcome(heads, answer, [], for_head=True)[4] == "kept"
    assert not heads._heads
    for _ in range(2):
        assert outcome(heads, answer + b"hello", [], for_head=False)[1] == b"hello"
    assert len(heads._heads) == 1
    assert outcome(heads, answer, [], for_head=True)[1:] == (b"", type(None), True, "kept")
    assert outcome(heads, answer + b"hello", [], for_head=True)[1:] == (b"", type(None), True, "closed")


@pytest.mark.parametrize("rest", [b"lo", b"lo!", b"lo" + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
def test_a_body_that_is_counted_ends_where_it_ends(rest):
    """B17: what came behind it is nobody's answer. With a head that is new, and one that is known."""
    heads, answer = Heads(), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"
    for _ in range(2):
        found = outcome(heads, answer + rest, [len(answer)], for_head=False)
        assert found[1:] == (b"hello", type(None), True, "kept" if rest == b"lo" else "closed")


def test_a_body_of_single_bytes_costs_little():
    """D4: each piece costs thirty times its size."""
    owner = Owner(Heads())
    connection = Connection(owner, SETTINGS, Timeless())
    connection.transport = Memory()
    response = connection.start(b"", None, for_head=False, timeout=1)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    for number in range(1000):
        connection.data_received(b"%d" % (number % 10))
        assert len(response.chunks) < 70
    assert response.take() == b"0123456789" * 100


@pytest.mark.parametrize("line", [b"X", b": x", b"X : y", b"\xe9: x", b" x: y", b"X: a\0b", b"X: \x7f", b"X: a\rb"])
def test_a_line_that_no_parser_should_have_passed_is_not_passed_on(line):
    """P17: whatever became of the parser's own checks."""
    with pytest.raises(UpstreamProtocolError):
        Heads().read(200, b"HTTP/1.1 200 OK\r\nA: 1\r\n" + line)
    with pytest.raises(UpstreamProtocolError):
        Heads().read(200, b"HTTP/2.0 200 OK\r\nA: 1")


def test_an_api_that_makes_up_heads_fills_no_memory():
    """D6."""
    heads = Heads()
    for number in range(3000):
        for _ in range(2):
            outcome(heads, b"HTTP/1.1 200 OK\r\nX-%d: y\r\nContent-Length: 0\r\n\r\n" % number, [], for_head=False)
    assert 0 < len(heads._heads) <= 256
    assert 0 < len(heads._names) <= 1024
