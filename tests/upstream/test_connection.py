"""Back-pressure, leaving, and what is left behind."""

import asyncio
import random

import pytest

from gateway.core.errors import GatewayError, UpstreamProtocolError

from .certificates import client_context
from .raw import (
    OK,
    Body,
    Endless,
    background_tasks,
    eventually,
    for_ever,
    get,
    once,
    post,
    sockets,
    talking_to,
    whole,
)


async def test_a_slow_reader_holds_the_upstream_back():
    """D4: a bounded buffer here, then the upstream cannot write."""
    size, piece, written = 32 << 20, b"x" * 65536, 0

    async def handler(peer):
        nonlocal written
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while written < size:
            await peer.send(piece)
            written += len(piece)
        await peer.request()
        await peer.send(OK)

    async with talking_to(handler) as (server, upstream):
        response = await upstream.send(get())
        (connection,) = upstream._pool._sockets
        await eventually(lambda: not connection.transport.is_reading())
        for _ in range(100):
            await asyncio.sleep(0)
        assert sum(map(len, response.chunks)) < (1 << 20)  # the limit and one read
        held = written
        assert held < 20 << 20  # what kernels keep for two sockets
        for _ in range(100):
            await asyncio.sleep(0)
        assert written == held
        assert len(await whole(response)) == size
        await upstream.send(get())
        assert server.connections == 1


async def test_a_connection_paused_at_its_end_is_read_again():
    """D4: it goes back to the pool able to notice its own end."""

    async def handler(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 10)
        await paused.wait()
        await peer.send(b"x" * 10)
        await taken.wait()

    paused, taken = asyncio.Event(), asyncio.Event()
    async with talking_to(handler, max_buffered=5) as (_, upstream):
        response = await upstream.send(get())
        (connection,) = upstream._pool._sockets
        assert not connection.transport.is_reading()
        paused.set()
        assert await response.read() == b"x" * 10
        assert await whole(response) == b"x" * 10
        assert (upstream.idle, connection.transport.is_reading()) == (1, True)
        taken.set()
        await eventually(lambda: upstream.idle == 0)


async def test_a_connection_that_ends_while_paused_is_read_again():
    """D4: TLS may hand out more than was asked for."""

    async def handler(peer):
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 10)

    async with talking_to(handler, max_buffered=5) as (server, upstream):
        for _ in range(2):
            response = await upstream.send(get())
            (connection,) = upstream._pool._sockets
            assert not connection.transport.is_reading()
            connection.data_received(b"x" * 10)
            assert (upstream.idle, connection.transport.is_reading()) == (1, True)
            assert await whole(response) == b"x" * 20
        assert server.connections == 1


async def silent(peer):
    await peer.gone()


async def half_a_body(peer):
    await peer.head()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    await peer.gone()


async def half_a_head(peer):
    await peer.head()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-")
    await peer.gone()


async def deaf(peer):
    await peer.head()
    await asyncio.Event().wait()


async def read_all(upstream, request):
    await whole(await upstream.send(request))


async def read_none(upstream, request):
    response = await upstream.send(request)
    try:
        await for_ever()
    finally:
        response.close()


async def drained(upstream, request):
    await (await upstream.send(request)).drain(1000, within=10)


MOMENTS = {
    "connecting": (silent, read_all, get(), {"tls": client_context("ours")}),
    "waiting for the head": (silent, read_all, get(), {}),
    "in the head": (half_a_head, read_all, get(), {}),
    "reading": (half_a_body, read_all, get(), {}),
    "not reading": (half_a_body, read_none, get(), {}),
    "draining": (half_a_body, drained, get(), {}),
    "while the client is silent": (silent, read_all, post(Body(b"x", for_ever)), {}),
    "in a blocked upload": (silent, read_all, post(Endless()), {}),
    "in both directions": (half_a_body, read_all, post(Endless()), {}),
}


@pytest.mark.parametrize(("handler", "ask", "request_", "settings"), MOMENTS.values(), ids=MOMENTS)
async def test_whoever_leaves_closes_the_connection(handler, ask, request_, settings):
    """B22: at any moment; the upstream sees it, the slot is free, nothing runs on."""
    async with talking_to(handler, **settings) as (server, upstream):
        for turns in range(30):
            server.closed.clear()
            connections = server.connections
            task = asyncio.create_task(ask(upstream, request_))
            await eventually(lambda n=connections: server.connections > n)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert (upstream.active, upstream.idle, upstream.waiting) == (0, 0, 0)
            await server.closed.wait()
            await eventually(lambda: not (request_.body and request_.body.reading))
            assert not upstream._pool._uploads


async def test_an_upstream_that_never_reads_is_left_too():
    """B22"""
    async with talking_to(deaf) as (_, upstream):
        task = asyncio.create_task(upstream.send(post(body := Endless())))
        await eventually(lambda: body.sent > 1 << 20)
        task.cancel()
        await asyncio.wait([task])
        await eventually(lambda: not upstream._pool._sockets and not upstream._pool._uploads)
        assert upstream.active == 0


async def test_closing_a_response_twice_or_late_is_harmless():
    async with talking_to(half_a_body) as (server, upstream):
        response = await upstream.send(get())
        response.close()
        response.close()
        assert upstream.active == 0
        with pytest.raises(UpstreamProtocolError):
            await response.read()
        assert not response.chunks  # D4: what was let go costs nothing
        await server.closed.wait()


async def test_closing_a_response_ends_the_wait_of_its_reader():
    async with talking_to(half_a_body) as (_, upstream):
        response = await upstream.send(get())
        await response.read()
        reader = asyncio.create_task(response.read())
        await asyncio.sleep(0)
        response.close()
        with pytest.raises(UpstreamProtocolError):
            await reader


@pytest.mark.parametrize(("limit", "within", "connections"), [(5, 10, 1), (2, 10, 2)], ids=["enough", "too much"])
async def test_draining_saves_the_connection_up_to_a_limit(limit, within, connections):
    """R18: an answer that is dropped for a replay."""

    async def handler(peer):
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nhel")
            await asyncio.sleep(0.01)
            await peer.send(b"lo")

    async with talking_to(handler) as (server, upstream):
        for _ in range(2):
            response = await upstream.send(get())
            assert response.status == 401
            await response.drain(limit, within=within)
            assert upstream.active == 0
        assert server.connections == connections


async def test_draining_does_not_wait_for_ever():
    async with talking_to(half_a_body) as (server, upstream):
        response = await upstream.send(get())
        await response.drain(1000, within=0.05)
        assert (upstream.active, upstream.idle) == (0, 0)
        await server.closed.wait()


async def moody(peer):
    """Answers at once, late, in pieces, reads slowly, closes, or never answers."""
    while True:
        head, _, mood = (await peer.head()), None, peer.reader
        number = int(head.split(b"/")[1].split()[0])
        if b"ength: 1000" in head:
            await mood.readexactly(100_000)
        match number % 6:
            case 0:
                await peer.send(OK)
            case 1:
                await asyncio.sleep(number % 7 / 1000)
                await peer.send(OK)
            case 2:
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
                await asyncio.sleep(number % 5 / 1000)
                await peer.send(b"lo")
            case 3:
                await peer.send(OK + b"x")
            case 4:
                return
            case _:
                await peer.gone()
                return


async def test_a_storm_of_cancellations_leaves_nothing_behind():
    """D5, B22: thousands of requests cancelled at random; slots, tasks and descriptors are at their baseline."""
    chance = random.Random(22)  # noqa: S311  # the same storm each time
    tasks_before, sockets_before = background_tasks(), sockets()
    outcomes = {"done": 0, "cancelled": 0, "failed": 0}

    async def ask(upstream, number):
        body = Body(*[b"x" * 10_000] * 10, length=100_000) if number % 4 == 0 else None
        response = await upstream.send(get(b"/%d" % number, method=chance.choice((b"GET", b"POST")), body=body))
        try:
            await whole(response)
        finally:
            response.close()

    async def impatient(upstream, number):
        task = asyncio.create_task(ask(upstream, number))
        patience = chance.choice((0, 0, 0.001, 0.002, 0.004, 0.01))
        await asyncio.wait([task], timeout=patience if number % 60 else 20)  # a busy machine serves nobody in 10 ms
        task.cancel()
        try:
            await task
            outcomes["done"] += 1
        except asyncio.CancelledError:
            outcomes["cancelled"] += 1
        except GatewayError:
            outcomes["failed"] += 1

    async with talking_to(moody, max_connections=7, max_waiting=40) as (server, upstream):
        for start in range(0, 3000, 60):
            await asyncio.gather(*(impatient(upstream, n) for n in range(start, start + 60)))
            assert (upstream.active, upstream.waiting) == (0, 0)
        assert min(outcomes.values()) > 0
        assert (await upstream.send(get(b"/0"))).status == 200
        await upstream.close()
        assert not upstream._pool._sockets
        assert not upstream._pool._uploads
        await eventually(lambda: server.open == 0)
    await eventually(lambda: background_tasks() <= tasks_before and sockets() <= sockets_before)


async def test_a_response_behind_a_dead_client_never_blocks_the_pool():
    """B13, D5: the slot of a request that timed out serves the next."""
    async with talking_to(once(b""), max_connections=1, response_timeout=0.05) as (server, upstream):
        for _ in range(3):
            with pytest.raises(GatewayError):
                await upstream.send(get())
        assert (server.connections, upstream.active) == (3, 0)
