"""Records on a real Redis: generations, claims, and how many commands they cost."""

import asyncio
import time

import pytest

from gateway.store.memory import MemoryStore
from tests.store.support import FAMILY, KEY, OTHER, direct, eventually, opened


async def test_of_many_who_compare_and_swap_at_once_one_wins(redis):
    """B10: no late result overwrites a newer one, whichever process it comes from."""
    async with opened(direct(redis)) as one, opened(direct(redis)) as other:
        await one.put_family(FAMILY, b"0", 60, expected=None)
        await one.enrol(KEY, FAMILY, 0, 60)
        seen = (await other.family(KEY)).version
        swaps = [store.put_family(FAMILY, b"%d" % n, 60, expected=seen) for n, store in enumerate([one, other] * 5)]
        won = await asyncio.gather(*swaps)
        assert sum(won) == 1
        assert (await one.family(KEY)).value == b"%d" % won.index(True)


async def test_of_many_who_found_a_family_at_once_one_does(redis):
    async with opened(direct(redis)) as store:
        founded = await asyncio.gather(*(store.put_family(FAMILY, b"", 60, expected=None) for _ in range(5)))
        assert sum(founded) == 1


async def test_a_record_that_comes_again_is_not_taken_for_the_one_before(redis):
    """A generation is not met twice, also when the record was gone in between."""
    async with opened(direct(redis)) as store:
        await store.put("transient", KEY, b"first", 60)
        seen = await store.get("transient", KEY)
        await store.delete("transient", KEY)
        await store.put("transient", KEY, b"second", 60)
        assert not await store.put("transient", KEY, b"late", 60, expected=seen.version)
        assert (await store.get("transient", KEY)).value == b"second"


async def test_a_condition_that_fails_writes_nothing(redis):
    async with opened(direct(redis)) as store:
        assert not await store.put("denied", KEY, b"x", 60, expected=1)
        assert await store.get("denied", KEY) is None
        assert await store.put("denied", KEY, b"first", 60, new=True)
        assert not await store.put("denied", KEY, b"second", 1, new=True)
        assert (await store.get("denied", KEY)).value == b"first"
        assert redis.ask("TTL", f"evergreen:{{{KEY}}}:denied") > 1


async def test_a_record_ends_when_its_time_has_come(redis):
    async with opened(direct(redis)) as store:
        await store.put("transient", KEY, b"", 0.02)

        async def gone():
            return await store.get("transient", KEY) is None

        assert await eventually(gone)


async def test_a_claim_is_noted_once_with_its_first_time(redis):
    """CONTRACT §4.3: and what is noted changes the version, so that nobody writes over it unknowingly."""
    async with opened(direct(redis)) as store:
        await store.put_family(FAMILY, b"v", 60, expected=None)
        await store.enrol(KEY, FAMILY, 1, 60)
        await store.enrol(OTHER, FAMILY, 2, 60)
        before = await store.family(KEY)
        await store.claim(KEY, 1.0)
        noted = await store.family(KEY)
        assert [number for number, _ in noted.claims] == [1]
        await store.claim(KEY, 2.0)
        assert (await store.family(KEY)).claims == noted.claims
        assert not await store.put_family(FAMILY, b"late", 60, expected=before.version)
        await store.claim(OTHER, 3.0)
        await store.claim(KEY, 4.0)
        first, second = (await store.family(KEY)).claims
        assert (first, second[0]) == (noted.claims[0], 2)
        assert first[1] <= second[1]


async def test_claims_are_noted_and_read_by_the_servers_clock(redis):
    """B25: replicas whose clocks differ agree on when a grace has passed."""
    async with opened(direct(redis)) as store:
        await store.put_family(FAMILY, b"v", 60, expected=None)
        await store.enrol(KEY, FAMILY, 1, 60)
        seconds, micros = redis.ask("TIME")
        await store.claim(KEY, 5.0)
        found = await store.family(KEY)
        then, now = found.claims[0][1], found.time
        assert int(seconds) + int(micros) / 1e6 <= then <= now + 0.001  # which is told in milliseconds
        assert now <= int(redis.ask("TIME")[0]) + 1


async def test_an_older_token_claims_nothing_once_a_later_one_has(redis):
    async with opened(direct(redis)) as store:
        await store.put_family(FAMILY, b"v", 60, expected=None)
        await store.enrol(KEY, FAMILY, 9, 60)
        await store.enrol(OTHER, FAMILY, 10, 60)
        await store.claim(OTHER, 5.0)
        await store.claim(KEY, 6.0)
        assert [number for number, _ in (await store.family(KEY)).claims] == [10]


@pytest.mark.parametrize("number", [0, -1])
async def test_the_first_token_of_a_family_claims_nothing(redis, number):
    async with opened(direct(redis)) as store:
        await store.put_family(FAMILY, b"v", 60, expected=None)
        await store.enrol(KEY, FAMILY, number, 60)
        await store.claim(KEY, 5.0)
        assert (await store.family(KEY)).claims == ()


async def test_a_claim_of_what_is_in_no_family_leaves_nothing_behind(redis):
    """D6: anybody may send refresh tokens."""
    async with opened(direct(redis)) as store:
        await store.claim(KEY, 5.0)
        await store.enrol(KEY, FAMILY, 1, 60)
        await store.claim(KEY, 5.0)
        assert await store.family(KEY) is None
    assert redis.ask("KEYS", "*") == [f"evergreen:{{{KEY}}}:member".encode()]


@pytest.mark.parametrize("kind", ["redis", "memory"])
async def test_a_link_that_leads_elsewhere_is_left_alone_where_that_is_asked_for(redis, kind):
    """B20: what is written late must not hide that somebody has gone on."""
    async with opened(direct(redis)) as shared:
        store = shared if kind == "redis" else MemoryStore(100, time.monotonic)
        for name in (FAMILY, OTHER):
            await store.put_family(name, name.encode(), 60, expected=None)
        assert await store.enrol(KEY, FAMILY, 1, 60, new=True)
        assert await store.enrol(KEY, FAMILY, 2, 60, new=True)
        assert not await store.enrol(KEY, OTHER, 3, 60, new=True)
        assert ((found := await store.family(KEY)).name, found.number) == (FAMILY, 2)
        assert await store.enrol(KEY, OTHER, 3, 60)
        assert ((found := await store.family(KEY)).name, found.number) == (OTHER, 3)


async def test_a_write_leaves_the_claims_or_replaces_them(redis):
    async with opened(direct(redis)) as store:
        await store.put_family(FAMILY, b"1", 60, expected=None, claims=((1, 1.5), (2, 2.5)))
        await store.enrol(KEY, FAMILY, 1, 60)
        first = await store.family(KEY)
        assert await store.put_family(FAMILY, b"2", 60, expected=first.version)
        second = await store.family(KEY)
        assert (second.value, second.claims) == (b"2", ((1, 1.5), (2, 2.5)))
        assert await store.put_family(FAMILY, b"3", 60, expected=second.version, claims=((2, 2.5), (10, 3.5)))
        assert (await store.family(KEY)).claims == ((2, 2.5), (10, 3.5))


async def test_each_operation_is_one_command(redis):
    """The first sight of a pair costs one command, and so does each step of a flight."""
    async with opened(direct(redis)) as store:
        await every_operation(store)  # the server learns the scripts
        with redis.client() as client, client.monitor() as monitor:
            sent = await every_operation(store)
            client.echo("the end")
            seen = []
            while "the end" not in (command := monitor.next_command())["command"]:
                if command["client_type"] != "lua":
                    seen.append(command["command"].partition(" ")[0])
        assert seen == sent


async def every_operation(store):
    """Returns the commands that they are."""
    await store.get("denied", KEY)
    await store.put("denied", KEY, b"", 60)
    await store.delete("denied", KEY)
    await store.family(KEY)
    await store.claim(KEY, 5.0)
    await store.put_family(FAMILY, b"", 60, expected=None)
    await store.enrol(KEY, FAMILY, 1, 60)
    await store.acquire(KEY, "me", 60)
    await store.holder(KEY)
    await store.renew(KEY, "me", 60)
    await store.intend(KEY, "me", 60)
    await store.resolve(KEY, "me", lost=False)
    await store.release(KEY, "me")
    return ["HMGET", "EVALSHA", "DEL", *["EVALSHA"] * 5, "GET", *["EVALSHA"] * 4]


async def test_a_script_that_the_server_has_forgotten_is_sent_again(redis):
    async with opened(direct(redis)) as store:
        await store.put("denied", KEY, b"1", 60)
        redis.ask("SCRIPT", "FLUSH")
        assert await store.put("denied", KEY, b"2", 60)
