"""The store of a fleet on a real Redis: what is in it, and what becomes of what does not open."""

import time

import pytest

from gateway.core.records import Acquired, Entry, StoreUnavailable
from gateway.store.local import LocalStore
from gateway.store.memory import MemoryStore
from gateway.store.sealing import KeyRing
from tests.store.support import FAMILY, KEY, NEW, OLD, OTHER, SUBJECT, TOKEN, Told, direct, dump, opened

NAME = f"evergreen:{{{KEY}}}:denied"
RECORD = f"evergreen:{{{FAMILY}}}:family"
SECRET = TOKEN + b" of " + SUBJECT


async def test_a_dump_holds_no_token_and_no_subject(redis):
    """X10: marks, families, members, leases, intents; names and values."""
    async with opened(direct(redis)) as store:
        await store.put("denied", KEY, SECRET, 60)
        await store.put_family(FAMILY, SECRET, 60, expected=None, claims=((1, 5.0),))
        await store.enrol(KEY, FAMILY, 1, 60)
        await store.enrol(OTHER, FAMILY, 2, 60)
        await store.claim(OTHER, 7.0)
        await store.acquire(KEY, "owner", 60)
        assert await store.intend(KEY, "owner", 60)
        assert (await store.family(KEY)).value == SECRET
    found = dump(redis)
    assert found.count(b"evergreen:") == 9  # seven records, and two links that name their family's
    for part in (TOKEN, SUBJECT, b"canary", b"eyJ"):
        assert part not in found


async def test_everything_in_it_ends(redis):
    """X10: nothing outlives its lifetime; the epoch, which holds nothing, stays."""
    async with opened(direct(redis)) as store:
        await store.put("denied", KEY, b"", 60)
        await store.put_family(FAMILY, b"", 60, expected=None)
        await store.enrol(KEY, FAMILY, 1, 60)
        await store.acquire(KEY, "owner", 60)
        await store.intend(KEY, "owner", 60)
        await store.resolve(KEY, "owner", lost=True)
    lifetimes = {name: redis.ask("PTTL", name) for name in redis.ask("KEYS", "*")}
    assert lifetimes.pop(b"evergreen:epoch") == -1
    assert len(lifetimes) == 5
    assert all(0 < left <= 60_000 for left in lifetimes.values())


async def test_older_keys_of_the_ring_open(redis):
    """B21, X10"""
    async with opened(direct(redis), keys=[OLD]) as earlier:
        await earlier.put("denied", KEY, b"then", 60)
    async with opened(direct(redis), keys=[NEW, OLD]) as later:
        assert (await later.get("denied", KEY)).value == b"then"
        await later.put("denied", KEY, b"now", 60)
    async with opened(direct(redis), keys=[NEW]) as last:
        assert (await last.get("denied", KEY)).value == b"now"


async def test_a_record_under_an_unknown_key_is_kept_and_told(redis):
    """B21: a rolling deployment in the wrong order logs nobody out. Who cannot read it does not act without it."""
    async with opened(direct(redis), keys=[OLD]) as other:
        await other.put_family(FAMILY, b"", 60, expected=None)
        await other.enrol(KEY, FAMILY, 0, 60)
        await other.put("denied", KEY, b"", 60)
    async with opened(direct(redis), keys=[NEW], told=(told := Told())) as store:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.family(KEY)
            with pytest.raises(StoreUnavailable):
                await store.get("denied", KEY)
        assert redis.ask("EXISTS", RECORD, NAME) == 2
        local = LocalStore(store, MemoryStore(10, time.monotonic), time.monotonic)
        with pytest.raises(StoreUnavailable):
            await local.family(KEY)
        assert await local.acquire(KEY, "me", 60) == Acquired()
        assert await local.holder(KEY) == "me"
    assert told.notices() == ["store_key_unknown"]
    assert told.failures() == [("open", "unknown key")] * 5
    async with opened(direct(redis), keys=[NEW, OLD]) as store:
        assert (await store.family(KEY)).value == b""


async def test_a_corrupt_record_is_dropped_and_counted(redis):
    """B21: as if it were not there; the operator hears of it once, the counter each time."""
    async with opened(direct(redis), told=(told := Told())) as store:
        await store.put_family(FAMILY, b"", 60, expected=None)
        await store.enrol(KEY, FAMILY, 0, 60)
        await store.put("denied", KEY, b"", 60)
        for name in (RECORD, NAME):
            sealed = redis.ask("HGET", name, "v")
            redis.ask("HSET", name, "v", sealed[:-1] + bytes([sealed[-1] ^ 1]))
        assert await store.family(KEY) is None
        assert await store.get("denied", KEY) is None
        assert redis.ask("EXISTS", RECORD, NAME) == 0
        assert await store.put_family(FAMILY, b"anew", 60, expected=None)
        assert (await store.family(KEY)).value == b"anew"
    assert told.notices() == ["store_record_dropped"]
    assert [operation for operation, _ in told.failures()] == ["open", "open"]


async def test_a_value_moved_to_another_record_is_dropped(redis):
    """X10, B21: whoever can write to the store cannot give one user another's tokens."""
    async with opened(direct(redis)) as store:
        for name, key, value in ((FAMILY, KEY, b"ada's"), (OTHER, OTHER, b"bob's")):
            await store.put_family(name, value, 60, expected=None)
            await store.enrol(key, name, 0, 60)
        stolen = redis.ask("HGET", RECORD, "v")
        redis.ask("HSET", f"evergreen:{{{OTHER}}}:family", "v", stolen)
        assert await store.family(OTHER) is None
        assert (await store.family(KEY)).value == b"ada's"


@pytest.mark.parametrize("forged", [{"f": f"evergreen:{{{OTHER}}}:family"}, {"n": "0"}, {"m": "0" * 16}, {"m": ""}])
async def test_a_link_that_is_not_ours_leads_nowhere(redis, forged):
    """X10: whoever can write to the store cannot lead a token of his to another's family."""
    async with opened(direct(redis), told=(told := Told())) as store:
        await store.put_family(FAMILY, b"mallory's", 60, expected=None)
        await store.put_family(OTHER, b"ada's", 60, expected=None)
        await store.enrol(KEY, FAMILY, 1, 60)
        assert (await store.family(KEY)).value == b"mallory's"
        redis.ask("HSET", f"evergreen:{{{KEY}}}:member", *next(iter(forged.items())))
        assert await store.family(KEY) is None
        assert redis.ask("EXISTS", f"evergreen:{{{KEY}}}:member") == 0
        await store.enrol(KEY, FAMILY, 1, 60)
        assert (await store.family(KEY)).number == 1
    assert told.failures() == [("open", "corrupt")]


async def test_a_link_of_another_token_is_no_link_of_this_one(redis):
    async with opened(direct(redis)) as store:
        await store.put_family(FAMILY, b"ada's", 60, expected=None)
        await store.enrol(OTHER, FAMILY, 1, 60)
        redis.ask("COPY", f"evergreen:{{{OTHER}}}:member", f"evergreen:{{{KEY}}}:member")
        assert await store.family(KEY) is None
        assert (await store.family(OTHER)).value == b"ada's"


async def test_what_replaced_a_corrupt_record_meanwhile_is_not_dropped(redis):
    """B21: another process may have written a good one since it was read."""
    engine = direct(redis)
    erase = engine.erase

    async def first_another_writes(name, version=None):
        sealed = KeyRing([NEW]).seal(NAME, b"good")
        assert await engine.write(NAME, sealed, 60)
        await erase(name, version)

    async with opened(engine) as store:
        redis.ask("HSET", NAME, "v", "corrupt", "g", "1")
        engine.erase = first_another_writes
        assert await store.get("denied", KEY) is None
        assert (await store.get("denied", KEY)).value == b"good"


async def test_no_repr_shows_a_value(redis):
    """X9"""
    async with opened(direct(redis)) as store:
        await store.put_family(FAMILY, SECRET, 60, expected=None)
        await store.enrol(KEY, FAMILY, 0, 60)
        assert "canary" not in repr(await store.family(KEY))
    assert "canary" not in repr(Entry(SECRET, 1))
