"""Slots, queue and reuse."""

import asyncio

import pytest

from gateway.core.errors import Overloaded, UpstreamUnreachable

from .raw import OK, Body, Server, always_ok, eventually, get, once, post, serving, talking_to, upstream_of, whole


def held(answering: asyncio.Event):
    async def handler(peer):
        while True:
            await peer.request()
            await answering.wait()
            await peer.send(OK)

    return handler


async def test_the_connection_used_last_is_used_next():
    async with talking_to(always_ok) as (server, upstream):
        await asyncio.gather(*(upstream.send(get()) for _ in range(5)))
        assert (server.connections, upstream.idle) == (5, 5)
        last = next(reversed(upstream._pool._idle))
        for _ in range(10):
            await upstream.send(get())
            assert next(reversed(upstream._pool._idle)) is last
        assert server.connections == 5


async def test_connections_are_limited_and_the_queue_is_served_in_order():
    """D5"""
    answering, order = asyncio.Event(), []

    async def ask(upstream, number):
        await upstream.send(get())
        order.append(number)

    async with talking_to(held(answering), max_connections=2) as (server, upstream):
        tasks = [asyncio.create_task(ask(upstream, n)) for n in range(8)]
        await eventually(lambda: upstream.waiting == 6 and server.connections == 2)
        assert (upstream.active, upstream.idle) == (2, 0)
        answering.set()
        await asyncio.gather(*tasks)
        assert order[2:] == [2, 3, 4, 5, 6, 7]
        assert (server.connections, upstream.active, upstream.idle, upstream.waiting) == (2, 0, 2, 0)


async def test_one_waiter_too_many_is_refused_at_once():
    """D5: 503 overloaded."""
    answering = asyncio.Event()
    async with talking_to(held(answering), max_connections=1, max_waiting=2) as (_, upstream):
        tasks = [asyncio.create_task(upstream.send(get())) for _ in range(3)]
        await eventually(lambda: upstream.waiting == 2)
        with pytest.raises(Overloaded):
            await upstream.send(get())
        answering.set()
        assert [r.status for r in await asyncio.gather(*tasks)] == [200] * 3


async def test_nobody_waits_for_a_connection_for_ever():
    """D5"""
    async with talking_to(once(b""), max_connections=1, response_timeout=0.05) as (_, upstream):
        holder = asyncio.create_task(upstream.send(get(response_timeout=60)))
        await eventually(lambda: upstream.active == 1)
        with pytest.raises(Overloaded):
            await upstream.send(get())
        assert upstream.waiting == 0
        holder.cancel()
        await asyncio.wait([holder])


async def test_a_cancelled_waiter_leaves_the_queue():
    """D5, B22"""
    answering = asyncio.Event()
    async with talking_to(held(answering), max_connections=1) as (_, upstream):
        tasks = [asyncio.create_task(upstream.send(get())) for _ in range(4)]
        await eventually(lambda: upstream.waiting == 3)
        tasks[1].cancel()
        tasks[2].cancel()
        await asyncio.wait(tasks[1:3])
        assert upstream.waiting == 1
        answering.set()
        await asyncio.gather(tasks[0], tasks[3])
        assert (upstream.active, upstream.idle) == (0, 1)


@pytest.mark.parametrize("dies", [False, True], ids=["a connection", "a slot"])
async def test_a_waiter_cancelled_in_the_moment_of_its_turn_passes_it_on(dies):
    """D5, B22: whether a connection or the right to open one is handed over."""
    answering = asyncio.Event()
    async with talking_to(held(answering), max_connections=1) as (server, upstream):
        response = asyncio.create_task(upstream.send(get()))
        await eventually(lambda: server.connections == 1)
        waiters = [asyncio.create_task(upstream.send(get())) for _ in range(2)]
        await eventually(lambda: upstream.waiting == 2)
        if dies:
            response.cancel()
        answering.set()
        await asyncio.wait([response])
        await eventually(lambda: upstream.waiting < 2)
        assert not waiters[0].done()
        waiters[0].cancel()  # the hand-over has happened, the task has not run yet or is connecting
        await waiters[1]
        assert (upstream.active, upstream.idle, upstream.waiting) == (0, 1, 0)


async def test_a_slot_handed_over_and_declined_goes_to_the_next():
    """D5: the race itself, without a loop turn between hand-over and cancellation."""
    answering = asyncio.Event()
    for hand_over in ("release", "gone"):
        async with talking_to(held(answering), max_connections=1) as (_, upstream):
            pool = upstream._pool
            connection = await pool.acquire()
            waiters = [asyncio.create_task(pool.acquire()) for _ in range(2)]
            await eventually(lambda pool=pool: pool.waiting == 2)
            if hand_over == "release":
                pool.release(connection)
            else:
                connection.abort()
            waiters[0].cancel()
            await asyncio.wait(waiters[:1])
            taken = await waiters[1]
            assert waiters[0].cancelled()
            assert (taken is connection) == (hand_over == "release")
            assert (pool.active, pool.waiting) == (1, 0)
            taken.abort()
            assert pool.active == 0


async def test_a_connection_that_dies_while_handed_over_is_replaced():
    """D5, B16"""
    async with talking_to(always_ok, max_connections=1) as (_, upstream):
        pool = upstream._pool
        connection = await pool.acquire()
        waiter = asyncio.create_task(pool.acquire())
        await eventually(lambda: pool.waiting == 1)
        pool.release(connection)
        connection.abort()
        taken = await waiter
        assert taken is not connection
        assert taken.usable()
        assert pool.active == 1
        taken.abort()


async def test_a_failed_connect_gives_its_slot_to_the_next():
    """B12, D5"""
    async with serving(always_ok) as server:
        port = server.port
    async with upstream_of(Server(always_ok), port=port, max_connections=1) as upstream:
        outcomes = await asyncio.gather(*(upstream.send(get()) for _ in range(20)), return_exceptions=True)
        assert {type(o) for o in outcomes} == {UpstreamUnreachable}
        assert not any(o.sent for o in outcomes)


async def test_an_idle_connection_is_closed_after_a_while():
    async with talking_to(always_ok, keepalive=0.05) as (server, upstream):
        await upstream.send(get())
        assert upstream.idle == 1
        await server.closed.wait()
        assert upstream.idle == 0
        assert (await upstream.send(get())).status == 200


async def test_an_idle_connection_that_the_upstream_closed_is_forgotten():
    """B16: noticed while it is idle."""
    async with talking_to(once(OK)) as (server, upstream):
        server.handler = _answer_and_close
        await upstream.send(get())
        await eventually(lambda: upstream.idle == 0)
        assert upstream.active == 0


async def _answer_and_close(peer):
    await peer.request()
    await peer.send(OK)


async def test_an_unsafe_request_takes_only_a_connection_used_just_now():
    """B16: a POST on a stale connection could not be repeated."""
    async with talking_to(always_ok, unsafe_reuse=0.05) as (server, upstream):
        await upstream.send(get())
        await upstream.send(post(Body(ready=b"", length=0)))
        assert server.connections == 1
        await asyncio.sleep(0.1)
        await upstream.send(post(Body(ready=b"", length=0)))
        assert (server.connections, upstream.idle) == (2, 2)
        await asyncio.sleep(0.1)
        await upstream.send(get())
        assert server.connections == 2


async def test_an_unsafe_request_replaces_an_idle_connection_where_no_slot_is_left():
    """B16, D5: instead of queueing behind a connection that it will not use."""
    async with talking_to(always_ok, unsafe_reuse=0, max_connections=1) as (server, upstream):
        await upstream.send(get())
        assert await whole(await upstream.send(post(Body(ready=b"", length=0)))) == b"ok"
        assert (server.connections, upstream.active, upstream.idle) == (2, 0, 1)
        await eventually(lambda: server.open == 1)


async def test_a_connection_with_bytes_behind_its_answer_is_not_pooled():
    """B17"""
    async with talking_to(once(OK + b"x")) as (_, upstream):
        await upstream.send(get())
        assert (upstream.active, upstream.idle) == (0, 0)
