"""Several routes on one upstream: what one of them may take, and what it may not."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.errors import Overloaded

from .raw import OK, always_ok, eventually, get, talking_to


def by(lane: int):
    return replace(get(b"/%d" % lane), lane=lane)


def lanes(number: int, **limits: int) -> dict[int, int | None]:
    return {lane: limits.get(f"lane{lane}") for lane in range(number)}


def slow(*targets: bytes):
    """Never answers these targets, and all others at once."""

    async def handler(peer):
        while True:
            head = await peer.head()
            if head.split()[1] in targets:
                await peer.gone()
                return
            await peer.send(OK)

    return handler


async def ended(tasks: list[asyncio.Task]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slow_route_leaves_connections_and_seats_for_the_next():
    """D5: it fills its share of both, is refused at once beyond, and the other does not notice."""
    settings = {"max_connections": 8, "max_waiting": 8, "lanes": lanes(2)}
    async with talking_to(slow(b"/1"), **settings) as (server, upstream):
        tasks = [asyncio.create_task(upstream.send(by(1))) for _ in range(12)]
        await eventually(lambda: upstream.waiting == 6 and server.connections == 6)
        for _ in range(3):
            with pytest.raises(Overloaded):
                await upstream.send(by(1))
        for _ in range(50):
            assert (await upstream.send(by(0))).status == 200
        assert (upstream.active, upstream.waiting) == (6, 6)
        crowd = await asyncio.gather(*(upstream.send(by(0)) for _ in range(4)))
        assert [r.status for r in crowd] == [200] * 4
        await ended(tasks)
        assert (upstream.active, upstream.waiting) == (0, 0)


async def test_several_slow_routes_leave_something_for_the_next():
    """D5: each lane is sure of its part of a quarter, however many of the others are slow."""
    settings = {"max_connections": 16, "max_waiting": 0, "lanes": lanes(5)}
    async with talking_to(slow(b"/1", b"/2", b"/3", b"/4"), **settings) as (server, upstream):
        tasks = []
        for lane in (1, 2, 3, 4):
            tasks += [asyncio.create_task(upstream.send(by(lane))) for _ in range(16)]
        await eventually(lambda: server.connections == 15)
        assert upstream.active == 15
        for _ in range(20):
            assert (await upstream.send(by(0))).status == 200
        await ended(tasks)


async def test_a_route_alone_has_everything():
    """D5: nothing is kept for others that are not there."""
    settings = {"max_connections": 4, "max_waiting": 0, "lanes": {3: None}}
    async with talking_to(slow(b"/3"), **settings) as (server, upstream):
        tasks = [asyncio.create_task(upstream.send(by(3))) for _ in range(5)]
        await eventually(lambda: server.connections == 4 and tasks[4].done())
        assert isinstance(tasks[4].exception(), Overloaded)
        await ended(tasks)


async def test_a_route_with_a_limit_of_its_own_stays_below_it():
    """D5: routes.max_connections"""
    settings = {"max_connections": 8, "lanes": lanes(2, lane1=2)}
    async with talking_to(slow(b"/1"), **settings) as (server, upstream):
        tasks = [asyncio.create_task(upstream.send(by(1))) for _ in range(5)]
        await eventually(lambda: server.connections == 2 and upstream.waiting == 3)
        assert upstream.active == 2
        await ended(tasks)


async def test_an_idle_connection_is_not_lent_beyond_a_share():
    """D5: what another route has just given back stays there for it, although a request waits."""
    settings = {"max_connections": 4, "lanes": lanes(2)}
    async with talking_to(slow(b"/1"), **settings) as (server, upstream):
        tasks = [asyncio.create_task(upstream.send(by(1))) for _ in range(5)]
        await eventually(lambda: server.connections == 3 and upstream.waiting == 2)
        for _ in range(3):
            assert (await upstream.send(by(0))).status == 200
        tasks.append(asyncio.create_task(upstream.send(by(1))))
        await eventually(lambda: upstream.waiting == 3)
        assert (server.connections, upstream.idle, upstream.active) == (4, 1, 3)
        await ended(tasks)


async def test_a_route_at_its_share_goes_on_as_its_own_requests_end():
    """D5: in order, over its own connections, while another's are idle."""
    settings = {"max_connections": 4, "lanes": lanes(2)}
    turns, order = asyncio.Semaphore(0), []

    async def handler(peer):
        while True:
            head = await peer.head()
            if head.startswith(b"GET /1"):
                await turns.acquire()
            await peer.send(OK)

    async def ask(upstream, number):
        await upstream.send(by(1))
        order.append(number)

    async with talking_to(handler, **settings) as (server, upstream):
        tasks = []
        for number in range(9):
            tasks.append(asyncio.create_task(ask(upstream, number)))
            await eventually(lambda: upstream.active + upstream.waiting == len(tasks))
        await upstream.send(by(0))
        assert (upstream.active, upstream.idle, upstream.waiting) == (3, 1, 6)
        for done in range(1, 10):
            turns.release()
            await eventually(lambda done=done: len(order) == done)
        assert order[3:] == [3, 4, 5, 6, 7, 8]
        await asyncio.gather(*tasks)
        assert (server.connections, upstream.active) == (4, 0)


async def test_a_freed_connection_goes_to_the_routes_in_turn():
    """D5: a hundred waiting requests of one do not hold back the single one of another."""
    settings = {"max_connections": 2, "max_waiting": 100, "lanes": lanes(3)}
    asked, answering = [], asyncio.Event()

    async def handler(peer):
        while True:
            asked.append((await peer.head()).split()[1])
            await answering.wait()
            await peer.send(OK)

    async with talking_to(handler, **settings) as (_, upstream):
        tasks = [asyncio.create_task(upstream.send(by(lane))) for lane in (1, 2)]
        await eventually(lambda: len(asked) == 2)
        tasks += [asyncio.create_task(upstream.send(by(lane))) for lane in (1,) * 20 + (2,)]
        await eventually(lambda: upstream.waiting == 21)
        tasks += [asyncio.create_task(upstream.send(by(0)))]
        await eventually(lambda: upstream.waiting == 22)
        answering.set()
        await asyncio.gather(*tasks)
        assert asked.index(b"/0") <= 5
        assert max(n for n, target in enumerate(asked) if target == b"/2") <= 5


async def test_a_storm_of_cancellations_over_all_routes_leaves_the_pool_whole():
    """D5, B22: every place and every seat is back."""
    settings = {"max_connections": 5, "max_waiting": 20, "lanes": lanes(4, lane3=1)}

    async def handler(peer):
        while True:
            await peer.request()
            await asyncio.sleep(0.001)
            await peer.send(OK)

    async with talking_to(handler, **settings) as (server, upstream):
        for turn in range(40):
            tasks = [asyncio.create_task(upstream.send(by(n % 4))) for n in range(40)]
            for _ in range(turn % 7):
                await asyncio.sleep(0.0005)
            for task in tasks[turn % 3 :: 3]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(o) for o in outcomes if isinstance(o, Exception)} <= {Overloaded}
            assert server.open - upstream.idle < 40
        await eventually(lambda: (upstream.active, upstream.waiting) == (0, 0))
        pool = upstream._pool
        assert pool._lanes._places.free == 5
        assert [pool._lanes[n].places.held + pool._lanes[n].seats.held for n in range(4)] == [0] * 4
        assert [r.status for r in await asyncio.gather(*(upstream.send(by(0)) for _ in range(3)))] == [200] * 3


async def test_a_finished_answer_that_nobody_reads_holds_no_connection():
    """D5, D4: it is in memory, and the connection serves the next request."""
    async with talking_to(always_ok, max_connections=1, max_waiting=0) as (server, upstream):
        unread = [await upstream.send(get()) for _ in range(10)]
        assert (server.connections, upstream.active, upstream.idle) == (1, 0, 1)
        assert [r.status for r in unread] == [200] * 10
