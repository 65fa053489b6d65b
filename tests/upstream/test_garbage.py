"""What a request leaves behind: nothing that only the collector finds."""

import asyncio
import contextlib
import gc
from collections import Counter

import pytest

from gateway.core.errors import GatewayError, UpstreamUnreachable
from gateway.core.wire import request_lines

from .raw import OK, Body, always_ok, eventually, get, once, serving, talking_to, upstream_of, whole

FIELDS = request_lines([(b"Host", b"api.example")])
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@contextlib.contextmanager
def collected():
    """Counts, by type, what of the gateway's own was garbage in cycles at the end."""
    garbage: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield garbage
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        garbage.update(type(thing).__name__ for thing in gc.garbage if type(thing).__module__.startswith("gateway"))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def awaited(upstream):
    await whole(await upstream.send(get()))


async def uploaded(upstream):
    await whole(await upstream.send(get(method=b"PUT", body=Body(b"hel", b"lo", length=5))))


async def called(upstream):
    ended = asyncio.Event()
    response = upstream.begin(b"GET", b"/", FIELDS)

    def news():
        response.take()
        if response.at_end:
            ended.set()

    response.on_news = news
    await ended.wait()


@pytest.mark.parametrize("ask", [awaited, uploaded, called])
@pytest.mark.parametrize("answer", [OK, CHUNKED], ids=["length", "chunks"])
async def test_a_request_leaves_no_cycle_behind(ask, answer):
    async def handler(peer):
        while True:
            await peer.request()
            await peer.send(answer)

    async with talking_to(handler) as (server, upstream):
        await awaited(upstream)
        with collected() as garbage:
            for _ in range(20):
                await ask(upstream)
        assert not garbage
        assert server.connections == 1


async def test_a_connection_that_ends_leaves_no_cycle_behind():
    """The C parser refers to the connection's, and the timer to the connection."""
    async with talking_to(once(OK)) as (server, upstream):
        with collected() as garbage:
            for number in range(1, 6):
                await awaited(upstream)
                (connection,) = upstream._pool._sockets
                connection.shut()
                del connection
                await eventually(lambda n=number: not upstream._pool._sockets and server.connections == n)
        assert not garbage


async def test_a_connection_that_was_never_made_leaves_no_cycle_behind():
    """B12: an upstream that is down is asked for again and again."""
    async with serving(always_ok) as server:
        port = server.port
    async with upstream_of(server, port=port) as upstream:
        with collected() as garbage:
            for _ in range(5):
                with pytest.raises(UpstreamUnreachable):
                    await upstream.send(get())
        assert not garbage


async def test_a_failed_request_leaves_no_cycle_behind():
    """B17: nor do the errors, told to a callee."""
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"
    async with talking_to(once(OK, broken)) as (_, upstream):
        with collected() as garbage:
            for _ in range(5):
                await awaited(upstream)
                ended = asyncio.Event()
                response = upstream.begin(b"GET", b"/", FIELDS)
                response.on_news = ended.set
                await ended.wait()
                assert isinstance(response.error, GatewayError)
                del response
                await eventually(lambda: not upstream._pool._sockets)
        assert not garbage


async def test_this_test_sees_garbage():
    class Gateway:
        """A cycle."""

    Gateway.__module__ = "gateway.x"
    async with talking_to(always_ok) as (_, upstream):
        with collected() as garbage:
            await awaited(upstream)
            cycle = Gateway()
            cycle.itself = cycle
            del cycle
        assert garbage == {"Gateway": 1}
