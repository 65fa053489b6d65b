"""The shared store on a real Redis and the store of one process behave the same, whatever is asked of them."""

import asyncio
import contextlib
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway.store.memory import MemoryStore
from tests.store.support import direct, opened

KEYS = st.sampled_from(["aa" * 32, "bb" * 32, "cc" * 32])
NAMES = st.sampled_from(["dd" * 32, "ee" * 32])
VALUES = st.binary(max_size=3)
NUMBERS = st.integers(0, 4)
CLAIMS = st.none() | st.dictionaries(st.integers(1, 4), st.integers(1, 9).map(float), max_size=2).map(
    lambda noted: tuple(sorted(noted.items()))
)
LONG = 600.0


class Twins(RuleBasedStateMachine):
    """Each step is taken in both, and both must say the same. Versions are their own; what was read before is
    remembered for each, so that a stale one is stale in both.
    """

    redis = None

    @initialize()
    def start(self):
        self.redis.ask("FLUSHALL")
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.runner.run(self.open())
        self.read = {}

    async def open(self):
        self.stores = (
            MemoryStore(1000, time.monotonic),
            await self.stack.enter_async_context(opened(direct(self.redis))),
        )

    def teardown(self):
        if hasattr(self, "runner"):
            self.runner.run(self.stack.aclose())
            self.runner.close()

    def both(self, ask):
        memory, shared = (self.runner.run(ask(store, number)) for number, store in enumerate(self.stores))
        assert memory == shared
        return memory

    def version(self, place, number):
        """As this store said it when it was last read; None: it was not there."""
        return self.read.get(place, (None, None))[number]

    @rule(key=KEYS)
    def get(self, key):
        found = [self.runner.run(store.get("denied", key)) for store in self.stores]
        memory, shared = (entry and entry.value for entry in found)
        assert memory == shared
        self.read["denied", key] = tuple(entry and entry.version for entry in found)

    @rule(key=KEYS, value=VALUES, new=st.booleans())
    def put(self, key, value, new):
        self.both(lambda store, _: store.put("denied", key, value, LONG, new=new))

    @rule(key=KEYS, value=VALUES)
    def swap(self, key, value):
        if self.version(("denied", key), 0) is not None:
            place = "denied", key
            self.both(lambda store, n: store.put("denied", key, value, LONG, expected=self.version(place, n)))

    @rule(key=KEYS)
    def delete(self, key):
        self.both(lambda store, _: store.delete("denied", key))

    @rule(key=KEYS)
    def look_up(self, key):
        found = [self.runner.run(store.family(key)) for store in self.stores]
        if found[0] is not None:
            self.read["family", found[0].name] = tuple(record.version for record in found)

    @rule(name=NAMES, value=VALUES, claims=CLAIMS)
    def put_family(self, name, value, claims):
        place = "family", name
        self.both(
            lambda store, n: store.put_family(name, value, LONG, expected=self.version(place, n), claims=claims)
        )

    @rule(key=KEYS, name=NAMES, number=NUMBERS)
    def enrol(self, key, name, number):
        self.both(lambda store, _: store.enrol(key, name, number, LONG))

    @rule(key=KEYS, now=st.integers(1, 9).map(float))
    def claim(self, key, now):
        self.both(lambda store, _: store.claim(key, now))

    @rule(key=KEYS, lost=st.booleans())
    def present(self, key, lost):
        async def flight(store, _):
            intent = (await store.acquire(key, "me", LONG)).intent
            assert await store.intend(key, "me", LONG)
            await store.resolve(key, "me", lost=lost)
            await store.release(key, "me")
            return intent and (intent.owner, intent.ended)

        self.both(flight)

    @rule(key=KEYS, owner=st.sampled_from(["me", "you"]))
    def die(self, key, owner):
        async def flight(store, _):
            await store.acquire(key, owner, LONG)
            assert await store.intend(key, owner, LONG)
            await store.resolve(key, "somebody else", lost=False)
            await store.release(key, owner)

        self.both(flight)

    @invariant()
    def they_know_the_same(self):
        for key in ("aa" * 32, "bb" * 32, "cc" * 32):
            found = [self.runner.run(store.family(key)) for store in self.stores]
            memory, shared = [
                r and (r.name, r.number, r.value, sorted(number for number, _ in r.claims)) for r in found
            ]
            assert memory == shared


def test_whatever_is_asked_of_them(redis):
    Twins.redis = redis
    quick = settings(stateful_step_count=30, max_examples=25, deadline=None, derandomize=True, database=None)
    run_state_machine_as_test(Twins, settings=quick)


@pytest.mark.soak
def test_whatever_is_asked_of_them_for_long(redis):
    Twins.redis = redis
    run_state_machine_as_test(Twins, settings=settings(max_examples=1000, deadline=None))
