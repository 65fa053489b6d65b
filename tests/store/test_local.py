"""``on_failure = "local"``: with the shared store away a process goes on alone, and what it wrote is not lost (B18)."""

from contextlib import asynccontextmanager

import pytest

from gateway.core.families import Family, Stored, dump_family
from gateway.core.records import Acquired, Busy
from gateway.core.secret import Secret
from gateway.core.tokens import Obtained
from gateway.store.local import RETRY, LocalStore
from gateway.store.memory import MemoryStore
from tests.redis_servers import redis_server
from tests.store.support import FAMILY, KEY, OTHER, Told, direct, opened

THEIRS = "dd" * 32


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def away():
    """A server of a test's own, to be stopped."""
    with redis_server() as server:
        yield server


@asynccontextmanager
async def local(server):
    """A process's store, its clock, and what it told."""
    clock, told = Clock(), Told()
    async with opened(direct(server), told=told, clock=clock) as shared:
        yield LocalStore(shared, MemoryStore(100, clock), clock), clock, told


def back(server, clock):
    server.start()
    clock.now += RETRY


async def found(store, key=KEY):
    record = await store.family(key)
    return None if record is None else (record.number, record.value, tuple(number for number, _ in record.claims))


async def test_with_the_store_there_it_is_the_stores(redis):
    async with local(redis) as (one, _, _), local(redis) as (other, _, _):
        await one.put("denied", KEY, b"x", 60)
        assert (await other.get("denied", KEY)).value == b"x"
        await one.put_family(FAMILY, b"v", 60, expected=None)
        await one.enrol(KEY, FAMILY, 1, 60)
        await one.claim(KEY, 5.0)
        assert await found(other) == (1, b"v", (1,))
        assert await one.acquire(KEY, "me", 60) == Acquired()
        assert await other.acquire(KEY, "you", 60) == Busy()
        assert await other.holder(KEY) == "me"
        assert await one.intend(KEY, "me", 60)
        assert not await other.intend(KEY, "you", 60)
        assert not await other.renew(KEY, "you", 60)
        await one.resolve(KEY, "me", lost=True)
        await one.release(KEY, "me")
        assert (await other.acquire(KEY, "you", 60)).intent.ended
        await one.delete("denied", KEY)
        assert await other.get("denied", KEY) is None
        assert len(one._memory) == len(other._memory) == 0


async def test_with_the_store_away_it_is_the_processs_own(away):
    away.stop()
    async with local(away) as (store, _, told):
        assert await store.put("denied", KEY, b"x", 60, new=True)
        assert not await store.put("denied", KEY, b"y", 60, new=True)
        assert (await store.get("denied", KEY)).value == b"x"
        assert await store.acquire(KEY, "me", 60) == Acquired()
        assert await store.intend(KEY, "me", 60)
        assert await store.renew(KEY, "me", 60)
        await store.resolve(KEY, "me", lost=True)
        await store.release(KEY, "me")
        assert await store.holder(KEY) is None
        assert (await store.acquire(KEY, "me", 60)).intent.ended
        assert await store.put_family(FAMILY, b"v", 60, expected=None)
        await store.enrol(KEY, FAMILY, 1, 60)
        await store.claim(KEY, 5.0)
        assert await found(store) == (1, b"v", (1,))
        assert told.notices() == ["store_unavailable"]


async def test_a_store_that_failed_is_not_asked_again_at_once(away):
    """Each question may take the whole timeout; every request would."""
    away.stop()
    async with local(away) as (store, clock, told):
        for _ in range(5):
            await store.get("denied", KEY)
        assert len(told.failures()) == 1
        clock.now += RETRY
        await store.get("denied", KEY)
        assert len(told.failures()) == 2


async def test_what_was_written_meanwhile_is_found_when_the_store_is_back(away):
    """B18: marks and families; back to the shared store without a restart, and one line about it."""
    away.stop()
    async with local(away) as (store, clock, told):
        await store.put("denied", KEY, b"x", 60)
        await store.put_family(FAMILY, b"v", 60, expected=None)
        await store.enrol(KEY, FAMILY, 1, 60)
        back(away, clock)
        assert (await store.get("denied", KEY)).value == b"x"
        assert await found(store) == (1, b"v", ())
        await store.put("denied", OTHER, b"y", 60)
        clock.now += 1
        async with local(away) as (other, _, _):
            assert (await other.get("denied", OTHER)).value == b"y"
        assert told.notices() == ["store_unavailable", "store_available"]


async def test_a_family_of_the_processs_own_moves_with_its_next_change(away):
    """Where the shared store has an older state of it, that is replaced."""
    async with local(away) as (store, clock, _), local(away) as (other, _, _):
        await store.put_family(FAMILY, b"old", 60, expected=None)
        await store.enrol(KEY, FAMILY, 1, 60)
        seen = await store.family(KEY)
        away.ask("CONFIG", "SET", "maxmemory", "1")
        assert await store.put_family(FAMILY, b"newer", 60, expected=seen.version, claims=((1, 5.0),))
        await store.enrol(KEY, FAMILY, 1, 60)
        assert await found(store) == (1, b"newer", (1,))
        away.ask("CONFIG", "SET", "maxmemory", "0")
        clock.now += RETRY
        assert await found(other) == (1, b"old", ())
        assert await found(store) == (1, b"newer", (1,))
        assert not await store.put_family(FAMILY, b"late", 60, expected=seen.version)
        own = await store.family(KEY)
        assert await store.put_family(FAMILY, b"newest", 60, expected=own.version)
        await store.enrol(OTHER, FAMILY, 2, 60)
        for each in (store, other):
            assert await found(each) == (1, b"newest", (1,))
            assert await found(each, OTHER) == (2, b"newest", (1,))
        assert await store._memory.peek(FAMILY) is None


async def test_a_family_that_cannot_move_yet_is_changed_where_it_is(away):
    away.stop()
    async with local(away) as (store, _, _):
        await store.put_family(FAMILY, b"1", 60, expected=None)
        await store.enrol(KEY, FAMILY, 1, 60)
        first = await store.family(KEY)
        assert await store.put_family(FAMILY, b"2", 60, expected=first.version)
        assert not await store.put_family(FAMILY, b"3", 60, expected=first.version)
        assert await found(store) == (1, b"2", ())


async def test_a_mark_of_the_processs_own_is_changed_where_it_is_or_replaced(away):
    away.stop()
    async with local(away) as (store, clock, _):
        await store.put("denied", KEY, b"1", 60)
        own = await store.get("denied", KEY)
        back(away, clock)
        assert not await store.put("denied", KEY, b"2", 60, new=True)
        assert await store.put("denied", KEY, b"2", 60, expected=own.version)
        assert await store.put("denied", KEY, b"3", 60)
        async with local(away) as (other, _, _):
            assert (await other.get("denied", KEY)).value == b"3"
        await store.delete("denied", KEY)
        assert await store.get("denied", KEY) is None


def family(number, word="v"):
    newest = Stored(Secret(f"at-{word}"), Secret(f"rt-{word}"), Obtained(1000.0, 3600.0))
    return dump_family(Family(newest, number))


async def test_of_two_families_that_have_a_token_the_one_counts_that_has_gone_on_further(away):
    """While the store was away this process exchanged a token; another one has exchanged the next, and knows nothing
    of ours. Ours still leads from the older token to the newer, and nowhere else.
    """
    away.stop()
    async with local(away) as (store, clock, _):
        await store.put_family(FAMILY, family(1, "ours"), 60, expected=None)
        await store.enrol(OTHER, FAMILY, 0, 60)
        await store.enrol(KEY, FAMILY, 1, 60)
        back(away, clock)
        async with local(away) as (other, _, _):
            await other.put_family(THEIRS, family(0, "same"), 60, expected=None)
            await other.enrol(KEY, THEIRS, 0, 60)
            assert (await found(store))[:2] == (1, family(1, "ours"))
            seen = await other.family(KEY)
            await other.put_family(THEIRS, family(1, "theirs"), 60, expected=seen.version)
        assert (await found(store))[:2] == (0, family(1, "theirs"))
        assert (await found(store, OTHER))[:2] == (0, family(1, "ours"))


async def test_a_family_of_our_own_is_let_go_where_the_shared_one_of_its_name_is_newer(away):
    """Or no write would ever go over it: its version is not the shared one's."""
    async with local(away) as (store, clock, _), local(away) as (other, _, _):
        await store.put_family(FAMILY, family(1), 60, expected=None)
        await store.enrol(KEY, FAMILY, 1, 60)
        seen = await store.family(KEY)
        away.ask("CONFIG", "SET", "maxmemory", "1")
        assert await store.put_family(FAMILY, family(2, "ours"), 60, expected=seen.version)
        await store.enrol(KEY, FAMILY, 1, 60)
        away.ask("CONFIG", "SET", "maxmemory", "0")
        clock.now += RETRY
        assert await other.put_family(FAMILY, family(3, "theirs"), 60, expected=seen.version)
        newer = await store.family(KEY)
        assert newer.value == family(3, "theirs")
        assert await store._memory.peek(FAMILY) is None
        assert await store.put_family(FAMILY, family(4), 60, expected=newer.version)


@pytest.mark.parametrize("seen", [True, False])
async def test_claims_keep_their_time_when_their_clock_changes(redis, seen):
    """B25: the server's clock is ahead of ours. Where by how much is not known, they are dropped."""
    async with opened(direct(redis)) as shared:
        clock = Clock()
        store = LocalStore(shared, MemoryStore(100, clock), clock, wall=lambda: 1000.0)
        await shared.put_family(THEIRS, family(1), 60, expected=None)
        await shared.enrol(OTHER, THEIRS, 1, 60)
        ahead = 0.0
        if seen:
            ahead = (await store.family(OTHER)).time - 1000.0
        await store._memory.put_family(FAMILY, family(1), 60, expected=None, claims=((1, 990.0),))
        await store._memory.enrol(KEY, FAMILY, 1, 60)
        own = await store.family(KEY)
        assert await store.put_family(FAMILY, family(2), 60, expected=own.version)
        await store.enrol(KEY, FAMILY, 1, 60)
        moved = await shared.family(KEY)
        assert moved.claims == (((1, pytest.approx(990.0 + ahead, abs=1)),) if seen else ())
        redis.ask("CONFIG", "SET", "maxmemory", "1")
        try:
            assert await store.put_family(
                FAMILY, family(3), 60, expected=moved.version, claims=((1, 990.0 + ahead),)
            )
        finally:
            redis.ask("CONFIG", "SET", "maxmemory", "0")
        assert (await store._memory.peek(FAMILY)).claims == (((1, pytest.approx(990.0, abs=1)),) if seen else ())
