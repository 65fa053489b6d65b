import asyncio

import pytest

from gateway.auth_server.discovery import configured
from gateway.auth_server.jwks import MAX_JWKS, JwksKeys, JwksSettings
from gateway.auth_server.keys import MAX_KEYS
from gateway.events import Noticed

from .support import Clock, answering, ec_key, hanging, jwk, outbound, reply, rsa_key, serving

SETTINGS = {"algorithms": ("RS256", "ES256", "HS256")}


class Server:
    """An authorization server whose key set the test changes."""

    def __init__(self, *kids):
        self.answer = b""
        self.publish(*kids)

    def publish(self, *kids):
        self.answer = reply({"keys": [jwk(rsa_key(), kid=kid) for kid in kids]})

    async def __call__(self, _, writer):
        writer.write(self.answer)
        await writer.drain()


def source(url, clock=None, events=None, **settings):
    return JwksKeys(
        outbound(),
        configured(url),
        JwksSettings(**SETTINGS | settings),
        emit=([] if events is None else events).append,
        clock=clock or Clock(),
    )


def kids(keys):
    return [key.kid for key in keys.current().keys]


async def test_keys_are_fetched_when_first_asked_for():
    async with serving(Server("a")) as (url, seen):
        keys = source(url)
        assert (keys.current(), seen.connections) == (None, 0)
        await keys.refetch(granted=False)
    assert kids(keys) == ["a"]
    assert seen.requests[0].startswith(b"GET / ")


async def test_many_who_ask_share_one_fetch():
    """T12, B11"""
    async with serving(Server("a")) as (url, seen):
        keys = source(url)
        await asyncio.gather(*(keys.refetch(granted=False) for _ in range(200)))
        assert kids(keys) == ["a"]
    assert seen.connections == 1


async def test_unknown_keys_cost_one_fetch_in_an_interval():
    """T12: a thousand random kids; the first one is worth a look, the others wait ten seconds."""
    clock = Clock()
    async with serving(Server("a")) as (url, seen):
        keys = source(url, clock)
        await keys.refetch(granted=False)
        for _ in range(1000):
            await keys.refetch(granted=False)
        assert seen.connections == 2
        clock.now += 9.9
        await keys.refetch(granted=False)
        assert seen.connections == 2
        clock.now += 0.1
        await keys.refetch(granted=False)
    assert seen.connections == 3


async def test_a_granted_token_is_worth_a_look_each_second():
    """CONTRACT §4.4: the server has rotated its key, and granted a token with it."""
    clock = Clock()
    server = Server("a")
    async with serving(server) as (url, seen):
        keys = source(url, clock)
        await keys.refetch(granted=True)
        server.publish("a", "b")
        await keys.refetch(granted=True)
        assert kids(keys) == ["a"]
        clock.now += 1
        await keys.refetch(granted=True)
    assert kids(keys) == ["a", "b"]
    assert seen.connections == 2


BAD = [
    b"",
    reply({}, 500),
    reply(b"<html>"),
    reply({"keys": []}),
    reply([]),
    reply({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}),  # T3, T7: a secret that anyone can read
    reply({"keys": [jwk(rsa_key(), use="enc")]}),
    reply(b'{"keys":[],"keys":[]}'),
    reply({"keys": [jwk(rsa_key(), kid="large")], "x": " " * MAX_JWKS}),
    reply({}, 302, "Location: http://127.0.0.1:1/"),
]


@pytest.mark.parametrize("answer", BAD)
async def test_the_last_good_keys_serve_on(answer):
    """B11, T12, B4, B6, B7: down, garbage, empty, of no use, too large, elsewhere."""
    clock = Clock()
    server = Server("a")
    async with serving(server) as (url, seen):
        keys = source(url, clock)
        await keys.refetch(granted=False)
        generation = keys.generation
        server.answer = answer
        clock.now += 20
        await keys.refetch(granted=False)
        assert (kids(keys), keys.doubtful, keys.generation) == (["a"], True, generation)
        server.publish("a")
        clock.now += 20
        await keys.refetch(granted=False)
    assert (kids(keys), keys.doubtful, keys.generation) == (["a"], False, generation)
    assert seen.connections == 3


async def test_the_last_good_keys_serve_for_a_bounded_time():
    """B11: then there are none, and what they verified is forgotten."""
    clock = Clock()
    async with serving(Server("a")) as (url, _):
        keys = source(url, clock)
        await keys.refetch(granted=False)
    generation = keys.generation
    clock.now += 86_400
    assert kids(keys) == ["a"]
    clock.now += 1
    assert keys.current() is None
    assert keys.generation != generation
    await keys.close()


async def test_without_keys_one_try_in_a_second_until_it_recovers():
    """B11: never loaded."""
    clock = Clock()
    server = Server()
    async with serving(server) as (url, seen):
        keys = source(url, clock)
        for _ in range(50):
            await keys.refetch(granted=False)
        assert (keys.current(), keys.doubtful, seen.connections) == (None, True, 1)
        server.publish("a")
        clock.now += 1
        await keys.refetch(granted=False)
    assert kids(keys) == ["a"]


async def test_an_address_not_known_yet_is_a_failure_like_any_other():
    keys = source(None)
    await keys.refetch(granted=False)
    assert (keys.current(), keys.doubtful) == (None, True)


async def test_old_keys_serve_while_new_ones_are_fetched():
    """T12: nobody waits for a renewal."""
    clock = Clock()
    server = Server("a")
    async with serving(server) as (url, seen):
        keys = source(url, clock)
        await keys.refetch(granted=False)
        server.publish("b")
        clock.now += 301
        for _ in range(20):
            assert kids(keys) == ["a"]
        await keys._fetch.join()
        assert kids(keys) == ["b"]
    assert seen.connections == 2


async def test_a_key_that_left_is_remembered_as_retired():
    """R22: for max_expired_age, and no longer."""
    clock = Clock()
    server = Server("a", "b")
    async with serving(server) as (url, _):
        keys = source(url, clock, max_expired_age=1000, last_good=10_000)
        await keys.refetch(granted=False)
        server.publish("b")
        clock.now += 20
        generation = keys.generation
        await keys.refetch(granted=False)
        assert keys.generation == generation + 1
        assert [key.retired for key in keys.current().candidates("a", "RS256")] == [True]
        assert [key.retired for key in keys.current().candidates("b", "RS256")] == [False]
        clock.now += 1000
        assert keys.current().knows("a")
        clock.now += 1
        assert not keys.current().knows("a")
        assert keys.generation == generation + 2
        await keys.close()


async def test_a_key_that_came_back_is_not_retired():
    """R22"""
    clock = Clock()
    server = Server("a", "b")
    async with serving(server) as (url, _):
        keys = source(url, clock)
        for published in (["a", "b"], ["b"], ["a", "b"]):
            server.publish(*published)
            await keys.refetch(granted=False)
            clock.now += 20
    assert [key.retired for key in keys.current().candidates("a", "RS256")] == [False]


async def test_a_kid_used_again_for_another_key_keeps_both_apart():
    """R22: the old material judges expired tokens, the new one the others."""
    clock = Clock()
    server = Server("a")
    async with serving(server) as (url, _):
        keys = source(url, clock)
        await keys.refetch(granted=False)
        server.answer = reply({"keys": [jwk(rsa_key(1), kid="a")]})
        clock.now += 20
        await keys.refetch(granted=False)
    assert [key.retired for key in keys.current().candidates("a", "RS256")] == [False, True]


async def test_keys_lost_in_a_long_outage_are_remembered_too():
    """R22, B11: the server came back with other keys."""
    clock = Clock()
    server = Server("a")
    async with serving(server) as (url, _):
        keys = source(url, clock)
        await keys.refetch(granted=False)
        clock.now += 86_401
        assert keys.current() is None
        server.publish("b")
        await keys.refetch(granted=False)
    assert [key.retired for key in keys.current().candidates("a", "RS256")] == [True]


async def test_retired_keys_are_bounded():
    """D6"""
    clock = Clock()
    document = jwk(ec_key())
    server = Server()
    async with serving(server) as (url, _):
        keys = source(url, clock)
        for turn in range(3):
            server.answer = reply({"keys": [document | {"kid": f"{turn}-{n}"} for n in range(MAX_KEYS)]})
            await keys.refetch(granted=False)
            clock.now += 20
    assert len(keys._retired) == MAX_KEYS
    assert not keys.current().knows("0-0")
    assert keys.current().knows("1-0")


async def test_a_server_that_hangs_is_left():
    """B2, B11"""
    async with serving(hanging) as (url, _):
        keys = source(url, timeout=0.05)
        await keys.refetch(granted=False)
    assert keys.doubtful


async def test_started_it_renews_by_itself_and_ends():
    """B11: nobody asks, and the set is fetched, and fetched again when it failed."""
    third = asyncio.Event()
    calls = 0

    async def handler(_, writer):
        nonlocal calls
        calls += 1
        writer.write(b"" if calls == 2 else reply({"keys": [jwk(rsa_key(), kid=str(calls))]}))
        await writer.drain()
        if calls == 3:
            third.set()

    async with serving(handler) as (url, _):
        keys = source(url, max_age=0.01, retry_interval=0.01)
        keys.start()
        async with asyncio.timeout(10):
            await third.wait()
        assert keys._keeper is not None
        assert not keys._keeper.done()
        await keys.close()
        assert keys._keeper.done()
        assert not keys._fetch.running
        assert keys.current() is not None
    await source(url).close()


async def test_what_is_told_names_the_fault_and_no_address():
    """X9"""
    events = []
    async with serving(answering(reply({"canary": 1}, 503))) as (url, _):
        await source(url + "/?canary", events=events).refetch(granted=False)
    assert events == [Noticed(what="keys_not_fetched", detail="status 503")]
