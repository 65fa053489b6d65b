"""A response that calls its reader, in place of waking a task."""

import asyncio

import pytest

from gateway.core.errors import (
    BAD_REQUEST,
    GatewayError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.core.wire import request_lines

from .raw import OK, always_ok, eventually, get, once, talking_to, whole

FIELDS = request_lines([(b"Host", b"api.example")])


class Reader:
    """Takes what comes, or leaves it, and notes what it was told."""

    def __init__(self, upstream, *, greedy=True, method=b"GET", **options):
        self.upstream = upstream
        self.greedy = greedy
        self.body = b""
        self.calls = 0
        self.ended = asyncio.Event()
        self.response = upstream.begin(method, b"/", FIELDS, **options)
        self.response.on_news = self.news

    def news(self):
        self.calls += 1
        if self.response.error is not None:
            self.ended.set()
        elif self.greedy:
            self.take()

    def take(self):
        self.body += self.response.take() or b""
        if self.response.at_end:
            self.ended.set()
        else:
            self.response.expect()


async def warmed(upstream) -> None:
    await whole(await upstream.send(get()))


@pytest.mark.parametrize("body", [None, b"", b"hello"])
async def test_a_request_is_begun_on_an_idle_connection_and_its_answer_told(body):
    """P11: the same bytes as with a task."""
    seen = []

    async def handler(peer):
        while True:
            seen.append(b"".join(await peer.request()))
            await peer.send(OK)

    async with talking_to(handler) as (server, upstream):
        await warmed(upstream)
        reader = Reader(upstream, body=body)
        assert (upstream.active, upstream.idle) == (1, 0)
        await reader.ended.wait()
        assert (reader.response.status, reader.body, reader.calls) == (200, b"ok", 1)
        assert reader.response.headers == [(b"Content-Length", b"2")]
        assert (server.connections, upstream.active, upstream.idle) == (1, 0, 1)
    framed = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
    assert seen[1] == b"GET / HTTP/1.1\r\nHost: api.example\r\n" + framed + b"\r\n" + (body or b"")


async def test_without_an_idle_connection_nothing_is_begun():
    """D5: neither a place nor a connection is taken."""
    async with talking_to(always_ok, unsafe_reuse=0) as (server, upstream):
        assert upstream.begin(b"GET", b"/", FIELDS) is None
        assert (server.connections, upstream.active, upstream.idle) == (0, 0, 0)
        await warmed(upstream)
        assert upstream.begin(b"POST", b"/", FIELDS, body=b"x") is None  # B16: only on one that is sure to live
        assert (upstream.active, upstream.idle) == (0, 1)
        reader = Reader(upstream)
        assert upstream.begin(b"GET", b"/", FIELDS) is None
        await reader.ended.wait()


async def test_what_cannot_be_written_takes_no_connection():
    """P17."""
    async with talking_to(always_ok) as (_, upstream):
        await warmed(upstream)
        for method, target in ((b"GET\r\n", b"/"), (b"GET", b"/ HTTP/1.1\r\nX: y")):
            with pytest.raises(GatewayError) as refused:
                upstream.begin(method, target, FIELDS)
            assert refused.value.problem is BAD_REQUEST
        assert (upstream.active, upstream.idle) == (0, 1)


async def test_the_next_request_may_begin_while_the_end_is_being_told():
    """The connection is in its pool by then: a hundred requests need one, and no turn of the loop between them."""

    class Chain(Reader):
        left = 100
        current = None

        def news(self):
            super().news()
            Chain.left -= 1
            if self.ended.is_set() and Chain.left:
                Chain.current = Chain(self.upstream)

    async with talking_to(always_ok) as (server, upstream):
        await warmed(upstream)
        Chain.current = Chain(upstream)
        await eventually(lambda: not Chain.left)
        await Chain.current.ended.wait()
        assert (server.connections, upstream.active, upstream.idle) == (1, 0, 1)


async def test_head_and_body_are_told_as_they_come():
    async def handler(peer):
        await peer.request()
        await peer.send(OK)
        await peer.request()
        for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 10\r\n\r\n", b"hello", b"world"):
            await peer.send(piece)
            await told.wait()
            told.clear()
        await peer.gone()

    told = asyncio.Event()
    async with talking_to(handler) as (_, upstream):
        await warmed(upstream)
        reader = Reader(upstream)
        told.set()
        for calls, body in enumerate((b"", b"hello", b"helloworld"), 1):
            await eventually(lambda calls=calls: reader.calls == calls)
            assert (reader.response.status, reader.body) == (200, body)
            told.set()
        assert reader.ended.is_set()


async def test_what_is_left_holds_the_upstream_back_and_its_time_does_not_count():
    """D4: a slow client is not an idle upstream."""
    size = 8 << 20

    async def handler(peer):
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            await peer.send(b"x" * 65536)
        await peer.gone()

    async with talking_to(handler, idle_timeout=0.05) as (_, upstream):
        await warmed(upstream)
        (connection,) = upstream._pool._sockets
        reader = Reader(upstream, greedy=False)
        await eventually(lambda: reader.calls and not connection.transport.is_reading())
        assert sum(map(len, reader.response.chunks)) < 1 << 20  # the limit and one read
        await asyncio.sleep(0.15)
        assert reader.response.error is None
        reader.greedy = True
        reader.take()
        await reader.ended.wait()
        assert len(reader.body) == size


async def test_a_callee_that_takes_all_never_holds_the_upstream_back():
    """Reading is not stopped and started again for each piece."""
    size = 4 << 20

    async def handler(peer):
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        await peer.gone()

    async with talking_to(handler, max_buffered=1) as (_, upstream):
        await warmed(upstream)
        (connection,) = upstream._pool._sockets
        reader, reading = Reader(upstream), []
        reader.response.on_news = lambda: (reading.append(connection.transport.is_reading()), reader.news())
        await reader.ended.wait()
        assert (len(reader.body), all(reading)) == (size, True)


async def test_an_upstream_that_is_expected_to_go_on_has_its_time():
    """And the failure is told once."""
    async with talking_to(once(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), idle_timeout=0.05) as (
        server,
        upstream,
    ):
        await warmed(upstream)
        reader = Reader(upstream)
        await reader.ended.wait()
        assert isinstance(reader.response.error, UpstreamTimeout)
        assert (reader.body, reader.calls, upstream.active) == (b"hello", 2, 0)
        await server.closed.wait()
        assert reader.calls == 2


async def test_an_upstream_that_never_answers_has_its_time():
    """B13: the request's own patience."""
    async with talking_to(once(OK, b"")) as (_, upstream):
        await warmed(upstream)
        reader = Reader(upstream, response_timeout=0.05)
        await reader.ended.wait()
        assert isinstance(reader.response.error, UpstreamTimeout)
        assert not reader.response.stale


@pytest.mark.parametrize(
    ("word", "stale", "error"),
    [
        (b"", True, UpstreamUnreachable),
        (b"HTTP/1.1 2", False, UpstreamUnreachable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", False, UpstreamProtocolError),
        (b"SSH-2.0\r\n", False, UpstreamProtocolError),
    ],
    ids=["nothing", "half a head", "half a body", "garbage"],
)
async def test_a_failure_says_whether_the_request_may_be_sent_again(word, stale, error):
    """B16, P15: only where no byte of an answer came."""

    async def handler(peer):
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(word)

    async with talking_to(handler) as (_, upstream):
        await warmed(upstream)
        reader = Reader(upstream)
        assert not reader.response.stale
        await reader.ended.wait()
        assert (type(reader.response.error) is error) != stale
        assert isinstance(reader.response.error, error)
        assert (reader.response.stale, upstream.active, upstream.idle) == (stale, 0, 0)


async def test_a_response_that_is_closed_tells_nothing_more():
    """B22: the connection is closed at once, and the callee hears of it from nobody."""
    async with talking_to(once(OK, b"")) as (server, upstream):
        await warmed(upstream)
        reader = Reader(upstream)
        server.closed.clear()
        reader.response.close()
        assert (reader.calls, upstream.active) == (0, 0)
        await server.closed.wait()


async def test_a_callee_may_close_from_within():
    """D4, B22: a client that has left."""
    size = 1 << 20

    async def handler(peer):
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * size) + b"x" * size)
        await peer.gone()

    async with talking_to(handler) as (server, upstream):
        await warmed(upstream)
        reader = Reader(upstream)
        calls = []
        reader.response.on_news = lambda: (calls.append(1), reader.response.close())
        await server.closed.wait()
        assert (len(calls), upstream.active, upstream.idle) == (1, 0, 0)
        assert not reader.response.chunks


async def test_the_rest_may_be_left_to_a_task():
    """The head decides that the express way ends: what follows is awaited as ever."""

    async def handler(peer):
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(b"HTTP/1.1 401 No\r\nContent-Length: 10\r\n\r\nhello")
        await told.wait()
        await peer.send(b"world")
        await peer.gone()

    told = asyncio.Event()
    async with talking_to(handler) as (_, upstream):
        await warmed(upstream)
        reader = Reader(upstream)
        handed_over = asyncio.Event()

        def hand_over():
            reader.response.on_news = None
            handed_over.set()

        reader.response.on_news = hand_over
        await handed_over.wait()
        await reader.response.head()
        assert reader.response.status == 401
        assert await reader.response.read() == b"hello"
        told.set()
        assert await whole(reader.response) == b"world"
        assert upstream.idle == 1


async def test_the_answer_to_head_has_no_body():
    """P12."""

    async def handler(peer):
        while True:
            head = await peer.head()
            await peer.send(OK if head.startswith(b"GET") else OK[:-2])

    async with talking_to(handler) as (server, upstream):
        await warmed(upstream)
        for method, body in ((b"HEAD", b""), (b"GET", b"ok")):
            reader = Reader(upstream, method=method)
            await reader.ended.wait()
            assert (reader.response.headers, reader.body) == ([(b"Content-Length", b"2")], body)
        assert server.connections == 1


async def test_going_down_is_told():
    """B23."""
    async with talking_to(once(OK, b"")) as (_, upstream):
        await warmed(upstream)
        reader = Reader(upstream)
        await upstream.close()
        assert isinstance(reader.response.error, UpstreamUnreachable)
        assert reader.calls == 1
