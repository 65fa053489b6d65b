"""A real Redis that hangs, is gone, comes back, is full, or refuses (B18-B20)."""

import asyncio
import gc
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

from gateway.core.records import Acquired, StoreUnavailable
from gateway.core.secret import Secret
from gateway.store.settings import Access
from gateway.store.wire import Server
from tests.redis_servers import redis_server
from tests.store.support import KEY, OTHER, Told, direct, eventually, opened

PASSWORD = "canary-password"


async def failing(call):
    """The reason that it gives."""
    with pytest.raises(StoreUnavailable) as failure:
        await call
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__ is True
    return str(failure.value)


async def test_a_store_that_hangs_is_given_up_and_the_loop_keeps_turning():
    """B19: SIGSTOP: the kernel still takes connections and bytes."""
    with redis_server() as redis:
        async with opened(direct(redis)) as store:
            await store.put("denied", KEY, b"kept", 60)
            redis.pause()
            store._engine._timeout = 0.25
            turns = 0

            async def turn():
                nonlocal turns
                while True:
                    await asyncio.sleep(0)
                    turns += 1

            turning = asyncio.create_task(turn())
            asked = [failing(store.get("denied", KEY)) for _ in range(200)]
            assert set(await asyncio.gather(*asked)) == {"timeout"}
            turning.cancel()
            assert turns > 50
            redis.resume()
            found = await eventually(lambda: answered(store))
            assert found.value == b"kept"


async def answered(store):
    try:
        return await store.get("denied", KEY)
    except StoreUnavailable:
        return None


async def test_an_answer_that_comes_too_late_is_nobody_elses():
    """A connection whose answer was given up is never used again."""
    with redis_server() as redis:
        async with opened(direct(redis, max_connections=1)) as store:
            await store.put("denied", KEY, b"first", 60)
            await store.put("denied", OTHER, b"other", 60)
            redis.pause()
            store._engine._timeout = 0.05
            assert await failing(store.get("denied", KEY)) == "timeout"
            redis.resume()
            store._engine._timeout = 30.0
            assert (await store.get("denied", OTHER)).value == b"other"


async def test_a_request_that_is_cancelled_leaves_nothing_to_the_next(redis):
    """B22"""
    async with opened(direct(redis, max_connections=1)) as store:
        await store.put("denied", KEY, b"first", 60)
        await store.put("denied", OTHER, b"other", 60)
        for _ in range(50):
            asked = asyncio.create_task(store.get("denied", KEY))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            asked.cancel()
            assert (await store.get("denied", OTHER)).value == b"other"


async def test_a_store_that_is_gone_and_comes_back_needs_no_restart_of_ours():
    """B18: and the connections that it closed meanwhile cost no request an error."""
    with redis_server() as redis:
        async with opened(direct(redis)) as store:
            await asyncio.gather(*(store.put("denied", KEY, b"", 60) for _ in range(10)))
            redis.stop()
            assert await failing(store.get("denied", KEY))
            redis.start()
            assert await asyncio.gather(*(store.get("denied", KEY) for _ in range(20))) == [None] * 20
            assert await store.put("denied", KEY, b"", 60)


async def test_a_store_that_is_not_there_at_the_start_is_found_later():
    """B18"""
    with redis_server() as redis:
        redis.stop()
        async with opened(direct(redis)) as store:
            assert await failing(store.acquire(KEY, "me", 60))
            redis.start()
            assert await store.acquire(KEY, "me", 60) == Acquired()


async def test_a_full_store_changes_nothing_and_says_so():
    """B20: it refuses a write whole, and still reads and deletes."""
    with redis_server(maxmemory_policy="noeviction") as redis:
        async with opened(direct(redis), told=(told := Told())) as store:
            await store.put_family(OTHER, b"first", 60, expected=None, claims=((1, 5.0),))
            await store.enrol(KEY, OTHER, 2, 60)
            before = await store.family(KEY)
            await store.acquire(KEY, "me", 60)
            redis.ask("CONFIG", "SET", "maxmemory", "1")
            refused = [
                store.put_family(OTHER, b"second", 60, expected=before.version, claims=((2, 6.0),)),
                store.claim(KEY, 6.0),
                store.intend(KEY, "me", 60),
                store.acquire(OTHER, "me", 60),
                store.enrol(OTHER, OTHER, 1, 60),
            ]
            for call in refused:
                assert await failing(call) == "OutOfMemoryError"
            assert replace(await store.family(KEY), time=before.time) == before
            await store.release(KEY, "me")
            redis.ask("CONFIG", "SET", "maxmemory", "0")
            assert await store.put_family(OTHER, b"second", 60, expected=before.version)
        assert [reason for _, reason in told.failures()] == ["OutOfMemoryError"] * 5


async def test_a_replica_that_takes_no_writes_is_unavailable():
    """B20"""
    with redis_server(tcp=True) as master, redis_server(replicaof=f"127.0.0.1 {master.port}") as replica:
        async with opened(direct(replica)) as store:
            assert await failing(store.put("denied", KEY, b"", 60)) == "ReadOnlyError"
            assert await failing(store.acquire(KEY, "me", 60)) == "ReadOnlyError"


async def test_a_password_opens_the_store_and_is_told_to_nobody(caplog):
    """X9: not by an error either, of which a wrong one makes many."""
    caplog.set_level(logging.DEBUG)
    with redis_server() as redis:
        redis.ask("ACL", "SETUSER", "gateway", "on", f">{PASSWORD}", "~evergreen:*", "&evergreen:*", "+@all")
        redis.ask("ACL", "SETUSER", "default", "off")
        right = {"username": "gateway", "password": Secret(PASSWORD)}
        wrong = {"username": "gateway", "password": Secret(f"{PASSWORD}-wrong")}
        async with opened(direct(redis, **right)) as store, opened(direct(redis, **wrong), told=Told()) as other:
            assert await store.put("denied", KEY, b"", 60)
            assert await store.acquire(KEY, "me", 60) == Acquired()
            said = await failing(other.get("denied", KEY))
            assert said == "AuthenticationError"
            shown = f"{vars(store._engine._topology)}{right}{caplog.text}{said}"
            assert PASSWORD not in shown


async def test_a_user_who_may_not_publish_loses_nothing_but_speed():
    """Redis 7 gives new users no channels."""
    with redis_server() as redis:
        redis.ask("ACL", "SETUSER", "gateway", "on", f">{PASSWORD}", "~evergreen:*", "resetchannels", "+@all")
        async with opened(direct(redis, username="gateway", password=Secret(PASSWORD))) as store:
            await store.acquire(KEY, "me", 60)
            await store.release(KEY, "me")
            assert await store.holder(KEY) is None


async def test_a_connection_whose_server_did_not_show_its_role_is_not_used(redis):
    """It may be a replica: the next command must not find it among those that were asked."""
    redis.ask("ACL", "SETUSER", "roleless", "on", f">{PASSWORD}", "~*", "+@all", "-role")
    try:
        server = Server(redis.address, Access(username="roleless", password=Secret(PASSWORD)), master=True)
        for _ in range(2):
            with pytest.raises(NoPermissionError):
                await server.call("GET", "name")
        await server.close()
    finally:
        redis.ask("ACL", "DELUSER", "roleless")


async def test_connections_are_limited(redis):
    """D5: a crowd waits for them, within the same patience."""
    async with opened(direct(redis, max_connections=3)) as store:
        before = int(redis.ask("INFO", "stats")["total_connections_received"])
        await asyncio.gather(*(store.put("denied", f"{n:064x}", b"", 60) for n in range(300)))
        assert int(redis.ask("INFO", "stats")["total_connections_received"]) - before <= 4


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_store_that_is_closed_leaves_no_descriptor_behind(redis):
    """B27"""
    before = descriptors()
    for _ in range(5):
        async with opened(direct(redis)) as store:
            await asyncio.gather(*(store.get("denied", KEY) for _ in range(10)))
            async with store.news(KEY) as event:
                await event.wait()
        gc.collect()

    async def as_before():
        return descriptors() <= before

    assert await eventually(as_before)  # a transport closes its socket a turn later


async def test_its_absence_is_told_once_and_its_return_once():
    """B18: one line, however many requests find out; each failure is counted."""
    now = 0.0
    with redis_server() as redis:
        redis.stop()
        async with opened(direct(redis), told=(told := Told()), clock=lambda: now) as store:
            for _ in range(5):
                await failing(store.get("denied", KEY))
            assert told.notices() == ["store_unavailable"]
            assert len(told.failures()) == 5
            redis.start()
            await store.get("denied", KEY)
            assert told.notices() == ["store_unavailable"]
            now = 1.0
            await store.get("denied", KEY)
            await store.get("denied", KEY)
            assert told.notices() == ["store_unavailable", "store_available"]
