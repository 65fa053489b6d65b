"""Leases and intents on a real Redis: compare-and-act, and a server that has lost them (R8, R9, B24)."""

import asyncio

import pytest

from gateway.core.records import Acquired, Busy, Intent
from tests.redis_servers import redis_server
from tests.store.support import KEY, OTHER, direct, eventually, opened

SETTLING = 3600.0
LEASE, INTENT = f"evergreen:{{{KEY}}}:lease", f"evergreen:{{{KEY}}}:intent"


async def test_of_many_who_ask_one_gets_the_lease(redis):
    """R7"""
    async with opened(direct(redis)) as one, opened(direct(redis)) as other:
        asked = [store.acquire(KEY, f"owner {n}", 60) for n, store in enumerate([one, other] * 10)]
        found = await asyncio.gather(*asked)
        assert found.count(Acquired()) == 1
        assert found.count(Busy()) == 19
        assert await one.holder(KEY) == f"owner {found.index(Acquired())}"
        assert await one.acquire(OTHER, "another", 60) == Acquired()


async def test_whoever_has_it_gets_it_again(redis):
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "me", 5)
        assert await store.acquire(KEY, "me", 60) == Acquired()
        assert redis.ask("TTL", LEASE) > 5


async def test_a_lease_that_is_given_back_is_free(redis):
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "me", 60)
        await store.release(KEY, "me")
        assert await store.holder(KEY) is None
        assert await store.acquire(KEY, "you", 60) == Acquired()


async def test_nobody_gives_back_or_renews_what_is_anothers(redis):
    """R8: a holder who was too slow harms nobody."""
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "you", 60)
        await store.release(KEY, "me")
        assert not await store.renew(KEY, "me", 600)
        assert await store.holder(KEY) == "you"
        assert redis.ask("TTL", LEASE) <= 60


async def test_a_renewal_prolongs_the_lease_also_where_it_has_vanished(redis):
    """A server that lost it gets it back from whoever holds it."""
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "me", 5)
        assert await store.renew(KEY, "me", 60)
        assert redis.ask("TTL", LEASE) > 5
        redis.ask("DEL", LEASE)
        assert await store.renew(KEY, "me", 60)
        assert await store.acquire(KEY, "you", 60) == Busy()


async def test_an_intent_that_vanished_with_its_lease_comes_back_with_its_age(redis):
    """R8, R9: a server that was emptied, or failed over, must not make a dead one's presentation forgotten."""
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "me", 60)
        await store.intend(KEY, "me", 600)
        redis.ask("FLUSHALL")
        assert await store.renew(KEY, "me", 60, announced=20.0, kept=600.0)
        assert 0 < redis.ask("TTL", INTENT) <= 600
        await store.release(KEY, "me")
        match await store.acquire(KEY, "next", 60):
            case Acquired(Intent(owner="me", age=age, ended=False)):
                assert 20 <= age < 80
            case other:
                pytest.fail(str(other))


async def test_a_renewal_writes_no_intent_that_is_not_lost(redis):
    """Not one that was never written, nor where the lease is still there, nor over another's."""
    async with opened(direct(redis)) as store:
        assert await store.renew(KEY, "me", 60)
        assert redis.ask("EXISTS", INTENT) == 0
        assert await store.renew(KEY, "me", 60, announced=1.0, kept=60.0)
        assert redis.ask("EXISTS", INTENT) == 0
        await store.intend(KEY, "me", 60)
        redis.ask("HSET", INTENT, "o", "you")
        redis.ask("DEL", LEASE)
        assert await store.renew(KEY, "me", 60, announced=1.0, kept=60.0)
        assert redis.ask("HGET", INTENT, "o") == b"you"


async def test_a_lease_ends_with_its_holder(redis):
    """B24"""
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "dead", 0.05)

        async def taken():
            return await store.acquire(KEY, "next", 60) == Acquired()

        assert await eventually(taken)


async def test_an_intent_comes_with_the_lease_of_the_next_one(redis):
    """B24: with its age by the server's clock, which no replica's clock moves (B25)."""
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "dead", 60)
        assert await store.intend(KEY, "dead", 600)
        await store.release(KEY, "dead")
        redis.ask("HINCRBY", INTENT, "t", -5000)
        match await store.acquire(KEY, "next", 60):
            case Acquired(Intent(owner="dead", age=age, ended=False)):
                assert age >= 5
            case other:
                pytest.fail(str(other))


async def test_an_intent_whose_answer_was_read_is_gone(redis):
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "me", 60)
        await store.intend(KEY, "me", 60)
        await store.resolve(KEY, "me", lost=False)
        assert await store.acquire(KEY, "me", 60) == Acquired()


async def test_an_intent_whose_answer_was_lost_stays_as_ended(redis):
    """R10: a later denial says ``answer_lost``."""
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "me", 60)
        await store.intend(KEY, "me", 60)
        await store.resolve(KEY, "me", lost=True)
        assert (await store.acquire(KEY, "me", 60)).intent.ended
        await store.intend(KEY, "me", 60)
        assert not (await store.acquire(KEY, "me", 60)).intent.ended


async def test_nobody_resolves_anothers_intent(redis):
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "you", 60)
        await store.intend(KEY, "you", 60)
        for lost in (True, False):
            await store.resolve(KEY, "me", lost=lost)
        assert (await store.acquire(KEY, "you", 60)).intent == Intent("you", pytest.approx(0, abs=60), ended=False)


async def test_nobody_intends_without_the_lease(redis):
    """A process that slept for longer than its lease does not go on as if it had it."""
    async with opened(direct(redis)) as store:
        assert not await store.intend(KEY, "me", 60)
        await store.acquire(KEY, "you", 60)
        assert not await store.intend(KEY, "me", 60)
    assert redis.ask("EXISTS", INTENT) == 0


async def test_a_server_that_was_restarted_gives_out_no_lease_before_it_has_settled():
    """R8: whoever holds one renews it first. Emptied or not, known to the asker or not."""
    with redis_server() as redis:
        async with opened(direct(redis), settling=SETTLING) as store:
            match await store.acquire(KEY, "you", 60):
                case Busy(wait=wait):
                    assert 0 < wait <= SETTLING
                case other:
                    pytest.fail(str(other))
            assert await store.renew(KEY, "me", 60)
            assert await store.acquire(KEY, "me", 60) == Acquired()
            assert await store.intend(KEY, "me", 60)


async def grown(redis):
    """Its leases have settled since it was started, whatever else has happened."""

    async def old_enough():
        return int(redis.ask("INFO", "server")["uptime_in_seconds"]) >= 2

    await eventually(old_enough)


@pytest.mark.parametrize("asker", ["one who knew it", "a newcomer"])
async def test_a_server_without_an_epoch_gives_out_no_lease_before_its_leases_have_settled(redis, asker):
    """R8: it was emptied, or promoted before it had anything, or nobody has used it: nobody can tell. Who asks first
    makes the epoch, whether it knew the server or not.
    """
    await grown(redis)
    async with opened(direct(redis), settling=1.0) as store, opened(direct(redis), settling=1.0) as newcomer:
        assert (await store.acquire(KEY, "me", 60)).wait == 1.0
        redis.ask("HSET", "evergreen:epoch", "u", "0")
        assert await store.acquire(KEY, "me", 60) == Acquired()
        redis.ask("FLUSHALL")
        asking = store if asker == "one who knew it" else newcomer
        assert (await asking.acquire(KEY, "you", 60)).wait == 1.0
        for each in (store, newcomer):
            redis.ask("HINCRBY", "evergreen:epoch", "u", 10**9)  # however slow this machine is
            assert (await each.acquire(OTHER, "you", 60)).wait == 1.0
        assert await store.renew(KEY, "me", 60)
        assert await newcomer.acquire(KEY, "you", 60) != Acquired()


async def test_a_server_that_was_promoted_gives_out_none_before_its_leases_have_settled(redis):
    """A failover: it has the epoch of its former master, which is another's."""
    await grown(redis)
    redis.ask("HSET", "evergreen:epoch", "r", "another-run", "u", "0")
    async with opened(direct(redis), settling=1.0) as store:
        assert (await store.acquire(KEY, "you", 60)).wait == 1.0
        redis.ask("HSET", "evergreen:epoch", "u", "0")
        assert await store.acquire(KEY, "you", 60) == Acquired()


async def test_a_clock_that_was_set_back_keeps_nobody_waiting_for_ever(redis):
    """B25"""
    async with opened(direct(redis)) as store:
        await store.acquire(KEY, "me", 60)
        redis.ask("HINCRBY", "evergreen:epoch", "u", 10**9)
        store._settling = 0.02

        async def taken():
            return await store.acquire(OTHER, "you", 60) == Acquired()

        assert await eventually(taken)
