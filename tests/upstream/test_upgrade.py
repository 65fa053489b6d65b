"""W1: a 101 that was asked for hands the connection over; any other never does."""

import asyncio

import pytest

from gateway.core.errors import UpstreamProtocolError, UpstreamTimeout
from gateway.core.wire import request_lines
from gateway.upstream import UpstreamRequest

from .certificates import client_context, server_context
from .raw import OK, eventually, get, once, serving, talking_to, upstream_of, whole

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Case: Kept\r\n\r\n"


def upgrade():
    headers = [(b"Host", b"api"), (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    return UpstreamRequest(b"GET", b"/ws", request_lines(headers), upgrade=True)


async def echo(peer):
    """Takes the upgrade and says something with it, in one segment, then what it hears."""
    await peer.head()
    await peer.send(SWITCHING + b"early")
    while data := await peer.reader.read(65536):
        await peer.send(data)


@pytest.mark.parametrize("tls", [False, True])
async def test_the_connection_is_handed_over_with_what_came_behind_the_head(tls):
    settings = {"tls": client_context("ours"), "server_hostname": "localhost"} if tls else {}
    async with (
        serving(echo, tls=server_context() if tls else None) as server,
        upstream_of(server, **settings) as upstream,
    ):
        response = await upstream.send(upgrade())
        assert response.status == 101
        assert (b"X-Case", b"Kept") in response.headers
        duplex = response.switch()
        assert await duplex.read() == b"early"
        await duplex.write(b"and late")
        assert await duplex.read() == b"and late"
        duplex.close()
        await duplex.closed()


@pytest.mark.parametrize("lost", [False, True])
async def test_an_upstream_that_has_said_all_and_closed_is_heard(lost):
    """W1: 101, words and end in one flight. TLS tells the end at once, although nothing more is read."""

    async def brief(peer):
        await peer.head()
        await peer.send(SWITCHING + b"last words")

    async with (
        serving(brief, tls=server_context()) as server,
        upstream_of(server, tls=client_context("ours"), server_hostname="localhost") as upstream,
    ):
        response = await upstream.send(upgrade())
        (connection,) = upstream._pool._sockets
        await eventually(lambda: connection._lost if lost else connection._ended)
        duplex = response.switch()
        assert await duplex.read() == b"last words"
        assert await duplex.read() == b""
        duplex.close()
        await duplex.closed()


async def test_it_leaves_the_pool_for_good():
    """A WebSocket holds no connection back from requests, and no request ever comes upon it."""

    async def handler(peer):
        if b"Upgrade" in await peer.head():
            await peer.send(SWITCHING)
            await peer.gone()
        else:
            await peer.send(OK)
            await peer.gone()

    async with talking_to(handler, max_connections=1, max_waiting=0) as (server, upstream):
        duplex = (await upstream.send(upgrade())).switch()
        assert (upstream.active, upstream.idle) == (0, 0)
        assert await whole(await upstream.send(get())) == b"ok"
        assert server.connections == 2
        duplex.close()
        await duplex.closed()
        assert upstream.idle == 1


async def test_closing_the_upstream_does_not_wait_for_it():
    async with talking_to(echo) as (_, upstream):
        duplex = (await upstream.send(upgrade())).switch()
        await upstream.close()
        assert await duplex.read() == b"early"
        duplex.abort()
        await duplex.closed()


async def test_one_that_is_not_taken_over_is_closed_with_its_response():
    async with talking_to(echo) as (server, upstream):
        response = await upstream.send(upgrade())
        response.close()
        await eventually(lambda: upstream.active == 0)
        await eventually(lambda: server.open == 0)
        with pytest.raises(UpstreamProtocolError):
            response.switch()


async def test_what_comes_before_it_is_taken_over_is_bounded():
    """D4."""

    async def handler(peer):
        await peer.head()
        await peer.send(SWITCHING)
        while True:
            await peer.send(b"x" * 65536)

    async with talking_to(handler, max_buffered=1 << 30) as (_, upstream):
        response = await upstream.send(upgrade())
        (connection,) = upstream._pool._sockets
        for _ in range(200):
            await asyncio.sleep(0)
        assert not connection.transport.is_reading()
        assert len(connection._parser.leftover) < 1 << 20
        duplex = response.switch()
        assert set(await duplex.read()) == set(b"x")
        duplex.abort()
        await duplex.closed()


async def test_time_to_answer_counts_but_not_the_time_after():
    async def handler(peer):
        if peer.number:
            await peer.gone()
        await echo(peer)

    async with talking_to(handler, response_timeout=0.2, idle_timeout=0.01, keepalive=0.01) as (_, upstream):
        duplex = (await upstream.send(upgrade())).switch()
        with pytest.raises(UpstreamTimeout):
            await upstream.send(upgrade())
        assert await duplex.read() == b"early"
        await duplex.write(b"still here")
        assert await duplex.read() == b"still here"
        duplex.abort()
        await duplex.closed()


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "403 Forbidden", "426 Upgrade Required"])
async def test_any_other_answer_is_an_ordinary_one(status):
    answer = (
        b"HTTP/1.1 %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno" % status.encode()
    )
    async with talking_to(once(answer)) as (_, upstream):
        response = await upstream.send(upgrade())
        assert response.status == int(status[:3])
        assert await whole(response) == b"no"
        with pytest.raises(UpstreamProtocolError):
            response.switch()


async def test_an_interim_answer_may_come_first():
    async with talking_to(once(b"HTTP/1.1 103 Early Hints\r\n\r\n" + SWITCHING)) as (_, upstream):
        response = await upstream.send(upgrade())
        assert response.status == 101
        response.close()


@pytest.mark.parametrize(
    ("asked", "answer"),
    {
        "not asked for": (False, SWITCHING),
        "without its fields": (True, b"HTTP/1.1 101 S\r\n\r\n"),
        "without Connection": (True, b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n"),
        "without Upgrade": (True, b"HTTP/1.1 101 S\r\nConnection: upgrade\r\n\r\n"),
        "of HTTP/1.0": (True, SWITCHING.replace(b"1.1", b"1.0", 1)),
    }.values(),
)
async def test_a_101_that_is_none_is_refused(asked, answer):
    async with talking_to(once(answer)) as (_, upstream):
        with pytest.raises(UpstreamProtocolError):
            await upstream.send(upgrade() if asked else get())
        assert (upstream.active, upstream.idle) == (0, 0)


async def test_a_length_means_nothing_to_what_follows_a_101():
    """P15: RFC 9110 §8.6 forbids it there. The end that TLS tells at once is not that of a body."""

    async def brief(peer):
        await peer.head()
        await peer.send(SWITCHING.replace(b"X-Case", b"Content-Length: 99\r\nX-Case") + b"last words")

    async with (
        serving(brief, tls=server_context()) as server,
        upstream_of(server, tls=client_context("ours"), server_hostname="localhost") as upstream,
    ):
        response = await upstream.send(upgrade())
        (connection,) = upstream._pool._sockets
        await eventually(lambda: connection._ended)
        duplex = response.switch()
        assert await duplex.read() == b"last words"
        assert await duplex.read() == b""
        duplex.close()
        await duplex.closed()
