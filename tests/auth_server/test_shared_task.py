import asyncio

import pytest

from gateway.auth_server.shared_task import SharedTask


async def test_all_who_come_wait_for_one_run():
    runs = 0
    gate = asyncio.Event()

    async def work():
        nonlocal runs
        runs += 1
        await gate.wait()

    shared = SharedTask(work)
    waiters = [asyncio.create_task(shared.join()) for _ in range(100)]
    await asyncio.sleep(0)
    assert shared.running
    gate.set()
    await asyncio.gather(*waiters)
    assert (runs, shared.running) == (1, False)
    await shared.join()
    assert runs == 2


async def test_a_waiter_that_leaves_takes_nothing_with_it():
    gate = asyncio.Event()
    done = asyncio.Event()

    async def work():
        await gate.wait()
        done.set()

    shared = SharedTask(work)
    first, second = (asyncio.create_task(shared.join()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()
    await second
    assert done.is_set()


async def test_its_end_is_not_the_end_of_those_who_wait():
    shared = SharedTask(asyncio.Event().wait)
    waiter = asyncio.create_task(shared.join())
    await asyncio.sleep(0)
    assert shared.running
    await shared.cancel()
    await waiter
    assert not shared.running
    assert not waiter.cancelled()
    never_started = SharedTask(asyncio.Event().wait)
    await never_started.cancel()
    assert not never_started.running
