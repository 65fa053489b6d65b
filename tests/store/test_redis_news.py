"""What is published, and what becomes of it when the connection breaks (B18: the poll is the fallback)."""

import asyncio

from gateway.core.secret import Secret
from gateway.store.health import Health
from gateway.store.news import News
from gateway.store.redis import RedisEngine
from gateway.store.settings import Access
from gateway.store.topology import Direct
from gateway.store.wire import connect
from tests.redis_servers import redis_server
from tests.store.support import KEY, OTHER, Told, direct, eventually, opened

CHANNEL = f"evergreen:{{{KEY}}}:news"


async def subscribed(event):
    """Begins with a wake-up: what happened before the subscription nobody has told."""
    async with asyncio.timeout(30):
        await event.wait()
    event.clear()


async def test_whoever_waits_hears_of_a_lease_that_was_given_back(redis):
    async with opened(direct(redis)) as one, opened(direct(redis)) as other, one.news(KEY) as event:
        await subscribed(event)
        await other.acquire(KEY, "me", 60)
        await other.acquire(OTHER, "me", 60)
        await other.release(OTHER, "me")
        assert not event.is_set()
        await other.release(KEY, "me")
        await subscribed(event)


async def test_all_who_wait_for_the_same_hear_it(redis):
    async with opened(direct(redis)) as store, store.news(KEY) as first:
        await subscribed(first)
        async with store.news(KEY) as second:
            await store.release(KEY, "me")
            await subscribed(second)
            await subscribed(first)
        await store.release(KEY, "me")
        await subscribed(first)


async def test_nobody_is_subscribed_once_nobody_waits(redis):
    """D6"""
    async with opened(direct(redis)) as store:
        for _ in range(3):
            async with store.news(KEY) as event, store.news(OTHER) as other:
                await subscribed(event)
                await subscribed(other)
        assert store._engine._news._waiting == {}

        async def silent():
            return redis.ask("PUBSUB", "CHANNELS") == []

        assert await eventually(silent)
        async with store.news(KEY) as event:
            await subscribed(event)
            assert redis.ask("PUBSUB", "CHANNELS") == [CHANNEL.encode()]
    assert int(redis.ask("INFO", "stats")["pubsub_channels"]) == 0


async def test_a_connection_that_breaks_is_made_again_and_wakes_all(redis):
    async with opened(direct(redis)) as store, store.news(KEY) as event, store.news(OTHER) as other:
        await subscribed(event)
        await subscribed(other)
        redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await subscribed(event)
        await subscribed(other)
        await store.release(KEY, "me")
        await subscribed(event)


async def test_a_server_that_is_away_keeps_nobody_from_waiting():
    """B18: nothing is raised; once it is there, it is heard."""
    with redis_server() as redis:
        redis.stop()
        async with opened(direct(redis)) as store, store.news(KEY) as event:
            await asyncio.sleep(0)
            assert not event.is_set()
            redis.start()
            await subscribed(event)
            await store.release(KEY, "me")
            await subscribed(event)


async def test_who_may_not_subscribe_is_told_once_and_goes_on(monkeypatch):
    """Redis 7 gives new users no channels; connecting anew does not mend it."""
    monkeypatch.setattr("gateway.store.news._REFUSED", 0.0)
    with redis_server() as redis:
        redis.ask("ACL", "SETUSER", "gateway", "on", ">secret", "~evergreen:*", "resetchannels", "+@all")
        refusals, told = [], Told()
        health = Health(told, lambda: 0.0, consequence="")

        def refused():
            refusals.append(1)
            health.deaf()

        topology = Direct(redis.address, Access(username="gateway", password=Secret("secret")))
        async with opened(RedisEngine(topology, timeout=5.0, refused=refused)) as store, store.news(KEY):

            async def several():
                return len(refusals) > 2

            assert await eventually(several)
            assert await store.renew(KEY, "me", 60)
        assert told.notices() == ["store_channels_refused"]


async def test_a_closed_connection_is_not_made_again_to_say_something(redis):
    """Nobody would listen to it, nor close it."""
    topology = Direct(redis.address, Access())
    news, connection = News(topology), await topology.listen()
    await connect(connection)
    await news._send(connection, "PING")
    assert connection.is_connected
    await connection.disconnect()
    await news._send(connection, "SUBSCRIBE", "channel")
    assert not connection.is_connected
