import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.core.records import Acquired, FamilyRecord, Intent
from gateway.store.memory import MemoryStore


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def now(coroutine):
    """The outcome of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the store of one process waits for nothing")


KINDS = st.sampled_from(["a", "b"])
KEYS = st.sampled_from(["x", "y", "z"])


class StoreLife(RuleBasedStateMachine):
    """Against a dictionary of what was written and until when it lives. Three keys, so nothing is evicted."""

    @initialize()
    def start(self):
        self.clock = Clock()
        self.store = MemoryStore(10, self.clock)
        self.model = {}
        self.versions = {}

    def living(self, kind, key):
        value, ends = self.model.get((kind, key), (None, 0))
        return value if ends > self.clock.now else None

    def written(self, kind, key, value, ttl):
        self.model[kind, key] = value, self.clock.now + ttl
        version = now(self.store.get(kind, key)).version
        assert version not in self.versions.setdefault((kind, key), set())
        self.versions[kind, key].add(version)

    @rule(kind=KINDS, key=KEYS, value=st.binary(max_size=2), ttl=st.integers(1, 9))
    def put(self, kind, key, value, ttl):
        assert now(self.store.put(kind, key, value, ttl))
        self.written(kind, key, value, ttl)

    @rule(kind=KINDS, key=KEYS, value=st.binary(max_size=2))
    def put_where_nothing_is(self, kind, key, value):
        nothing = self.living(kind, key) is None
        assert now(self.store.put(kind, key, value, 5, new=True)) is nothing
        if nothing:
            self.written(kind, key, value, 5)

    @rule(kind=KINDS, key=KEYS, value=st.binary(max_size=2), stale=st.booleans())
    def compare_and_swap(self, kind, key, value, stale):
        entry = now(self.store.get(kind, key))
        version = 0 if entry is None else entry.version - stale
        swaps = entry is not None and not stale
        assert now(self.store.put(kind, key, value, 5, expected=version)) is swaps
        if swaps:
            self.written(kind, key, value, 5)

    @rule(kind=KINDS, key=KEYS)
    def delete(self, kind, key):
        now(self.store.delete(kind, key))
        self.model.pop((kind, key), None)

    @rule(seconds=st.integers(0, 5))
    def pass_time(self, seconds):
        self.clock.now += seconds

    @invariant()
    def it_knows_what_lives_and_nothing_else(self):
        for kind in "ab":
            for key in "xyz":
                entry = now(self.store.get(kind, key))
                assert (None if entry is None else entry.value) == self.living(kind, key)


StoreLife.TestCase.settings = settings(stateful_step_count=25)
TestAStoreAgainstADictionary = StoreLife.TestCase


async def test_of_many_who_compare_and_swap_at_once_one_wins():
    """B10: no late result overwrites a newer one."""
    store = MemoryStore(10, Clock())
    await store.put("family", "k", b"0", 9)
    seen = await store.get("family", "k")

    async def swap(value):
        return await store.put("family", "k", value, 9, expected=seen.version)

    won = await asyncio.gather(*(swap(b"%d" % n) for n in range(1, 6)))
    assert sum(won) == 1


async def test_of_one_process_everybody_has_the_lease_and_intents_stay():
    """R10, B24: flights of one process see to it that only one presents; what it left is found."""
    store = MemoryStore(10, clock := Clock())
    assert not store.shared
    assert await store.acquire("k", "a", 9) == await store.acquire("k", "b", 9) == Acquired()
    assert await store.renew("k", "a", 9)
    assert await store.holder("k") is None
    assert await store.intend("k", "a", 9)
    await store.release("k", "a")
    clock.now += 5
    assert await store.acquire("k", "b", 9) == Acquired(Intent("a", 5.0, ended=False))
    await store.resolve("k", "b", lost=False)
    await store.resolve("k", "a", lost=True)
    assert await store.acquire("k", "b", 9) == Acquired(Intent("a", 5.0, ended=True))
    clock.now += 4
    assert await store.acquire("k", "b", 9) == Acquired()
    async with store.news("k") as event:
        assert not event.is_set()
    await store.close()


async def test_a_family_is_found_by_each_of_its_tokens():
    """CONTRACT §4.3 (that it behaves as a shared one does: test_like_memory)"""
    store = MemoryStore(10, clock := Clock())
    assert await store.put_family("f", b"v", 9, expected=None)
    assert not await store.put_family("f", b"w", 9, expected=None)
    for number, key in enumerate("abc"):
        await store.enrol(key, "f", number, 5)
        await store.claim(key, 7.0)
    assert await store.family("a") == FamilyRecord(
        "f", 0, b"v", (await store.family("b")).version, ((1, 7.0), (2, 7.0))
    )
    assert (await store.peek("f")).claims == ((1, 7.0), (2, 7.0))
    clock.now += 5
    assert await store.family("a") is None
    await store.claim("a", 8.0)
    assert (await store.peek("f")).claims == ((1, 7.0), (2, 7.0))
    clock.now += 4
    assert await store.peek("f") is None


async def test_each_kind_has_a_room_of_its_own_and_the_oldest_goes_first():
    """D6: a flood of one kind pushes out none of another."""
    store = MemoryStore(3, Clock())
    await store.put("family", "f", b"", 9)
    for key in "abcde":
        await store.put("denied", key, b"", 9)
    assert [key for key in "abcde" if await store.get("denied", key)] == ["c", "d", "e"]
    assert await store.get("family", "f") is not None
    assert len(store) == 4


async def test_what_is_written_again_is_young_again():
    store = MemoryStore(2, Clock())
    for key in ("a", "b", "a", "c"):
        await store.put("family", key, b"", 9)
    assert await store.get("family", "a") is not None
    assert await store.get("family", "b") is None


async def test_what_has_expired_is_swept_by_those_who_come():
    """D6"""
    clock = Clock()
    store = MemoryStore(1000, clock)
    for n in range(100):
        await store.put("denied", f"old {n}", b"", 1)
    clock.now += 1
    for n in range(50):
        await store.put("denied", f"new {n}", b"", 1)
    assert len(store) == 50


def test_a_flood_of_records_leaves_as_many_as_the_limit():
    """D6: (10⁶ keys straight into the mapping under it: tests/core/test_bounded.py)"""
    store = MemoryStore(1000, Clock())
    for n in range(200_000):
        now(store.put("member", n, b"", 9))
    assert len(store) == 1000
