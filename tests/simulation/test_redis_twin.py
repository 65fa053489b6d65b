"""The store that the simulation has, and a real Redis, do the same, whatever is asked of them."""

import asyncio
import contextlib
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from gateway.core.records import Acquired, Busy
from gateway.store.engine import Followed, Record
from simulation.store_engine import StoreEngine
from simulation.store_server import Server
from simulation.weather import FAIR
from tests.redis_servers import redis_server
from tests.store.support import direct, eventually

RECORDS = st.sampled_from(["{f}:family", "{g}:family"])
LINKS = st.sampled_from(["{a}:member", "{b}:member"])
OWNERS = st.sampled_from(["me", "you"])
VALUES = st.binary(max_size=3)
NUMBERS = st.integers(0, 4)
CLAIMS = st.none() | st.dictionaries(st.integers(1, 4), st.integers(1, 9).map(float), max_size=2).map(
    lambda noted: tuple(sorted(noted.items()))
)
LEASE, INTENT, CHANNEL = "{a}:lease", "{a}:intent", "{a}:news"
LONG = 600.0


@pytest.fixture(scope="module")
def redis():
    with redis_server() as server:
        yield server


def twin(age=0.0):
    """On the loop that runs: its delays are real, and under a millisecond where the machine has time."""
    return StoreEngine(Server(FAIR, Random(1), asyncio.get_running_loop(), age=age), timeout=60)  # noqa: S311


class Twins(RuleBasedStateMachine):
    """Versions, times and ages are each one's own; what was read is remembered for each."""

    redis = None

    @initialize(settling=st.sampled_from([0.0, 3600.0]))
    def start(self, settling):
        self.redis.ask("FLUSHALL")
        self.settling = settling
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.runner.run(self.open())
        self.versions = {}

    async def open(self):
        age = float(self.redis.ask("INFO", "server")["uptime_in_seconds"])
        self.engines = (twin(age), direct(self.redis))
        self.stack.push_async_callback(self.engines[1].close)

    def teardown(self):
        if hasattr(self, "runner"):
            self.runner.run(self.stack.aclose())
            self.runner.close()

    def each(self, ask):
        return [self.runner.run(ask(engine, number)) for number, engine in enumerate(self.engines)]

    def same(self, ask):
        made_up, real = map(plain, self.each(ask))
        assert made_up == real

    @rule(name=RECORDS)
    def read(self, name):
        found = self.each(lambda engine, _: engine.read(name))
        assert plain(found[0]) == plain(found[1])
        self.versions[name] = [record and record.version for record in found]

    @rule(name=RECORDS, value=VALUES, new=st.booleans(), claims=CLAIMS)
    def write(self, name, value, new, claims):
        self.same(lambda engine, _: engine.write(name, value, LONG, new=new, claims=claims))

    @rule(name=RECORDS, value=VALUES, claims=CLAIMS)
    def swap(self, name, value, claims):
        versions = self.versions.get(name, (1, 1))
        if None not in versions:
            self.same(lambda engine, n: engine.write(name, value, LONG, expected=versions[n], claims=claims))

    @rule(name=RECORDS, known=st.booleans())
    def erase(self, name, known):
        versions = self.versions.get(name, (1, 1)) if known else (None, None)
        self.same(lambda engine, n: engine.erase(name, versions[n]))

    @rule(name=LINKS, record=RECORDS, number=NUMBERS)
    def link(self, name, record, number):
        self.same(lambda engine, _: engine.link(name, record, number, LONG, mark=b"m%d" % number))

    @rule(name=LINKS)
    def follow(self, name):
        self.same(lambda engine, _: engine.follow(name))

    @rule(name=LINKS)
    def claim(self, name):
        self.same(lambda engine, _: engine.claim(name))
        self.follow(name)

    @rule(owner=OWNERS)
    def acquire(self, owner):
        self.same(lambda engine, _: engine.acquire(LEASE, INTENT, owner, LONG, settling=self.settling))

    @rule()
    def holder(self):
        self.same(lambda engine, _: engine.holder(LEASE))

    @rule(owner=OWNERS, announced=st.sampled_from([None, 0.0, 5.0]))
    def renew(self, owner, announced):
        self.same(lambda engine, _: engine.renew(LEASE, INTENT, owner, LONG, announced=announced, kept=LONG))

    @rule(owner=OWNERS)
    def release(self, owner):
        self.same(lambda engine, _: engine.release(LEASE, owner, CHANNEL))

    @rule(owner=OWNERS)
    def intend(self, owner):
        self.same(lambda engine, _: engine.intend(LEASE, INTENT, owner, LONG))

    @rule(owner=OWNERS, lost=st.booleans())
    def resolve(self, owner, lost):
        self.same(lambda engine, _: engine.resolve(INTENT, owner, lost=lost))

    @rule()
    def lose_everything(self):
        self.redis.ask("FLUSHALL")
        self.engines[0]._twin.empty()


def plain(found):
    """Without what two servers need not have in common."""
    match found:
        case Record():
            return found.value, [number for number, _ in found.claims]
        case Followed():
            return found.target, found.number, found.mark, plain(found.record)
        case Busy():
            return "busy", found.wait is None
        case Acquired():
            return found.intent and (found.intent.owner, found.intent.ended)
    return found


def test_whatever_is_asked_of_them(redis):
    Twins.redis = redis
    quick = settings(stateful_step_count=40, max_examples=20, deadline=None, derandomize=True, database=None)
    run_state_machine_as_test(Twins, settings=quick)


@pytest.mark.soak
def test_whatever_is_asked_of_them_for_long(redis):
    Twins.redis = redis
    run_state_machine_as_test(Twins, settings=settings(max_examples=300, deadline=None))


@pytest.fixture(params=["twin", "redis"])
async def engine(request, redis):
    """One of the two, on an empty server that was started a while ago."""
    assert await eventually(lambda: asyncio.to_thread(old, redis))
    redis.ask("FLUSHALL")
    found = twin(age=1e6) if request.param == "twin" else direct(redis)
    yield found
    await found.close()


def old(redis):
    return redis.ask("INFO", "server")["uptime_in_seconds"] >= 1


def lose_everything(engine, redis):
    if isinstance(engine, StoreEngine):
        engine._twin.empty()
    else:
        redis.ask("FLUSHALL")


async def test_a_claim_counts_once_and_never_after_a_later_one(engine):
    await engine.write("{f}:family", b"v", LONG, new=True)
    for number in (0, 1, 2):
        await engine.link(f"{{{number}}}:member", "{f}:family", number, LONG)
    versions = []
    for number in (0, 2, 2, 1):
        await engine.claim(f"{{{number}}}:member")
        versions.append((await engine.read("{f}:family")).version)
    assert [version - versions[0] for version in versions] == [0, 1, 1, 1]
    found = await engine.follow("{1}:member")
    assert [number for number, _ in found.record.claims] == [2]
    assert found.record.claims[0][1] == pytest.approx(found.time, abs=60)


async def test_nobody_gives_back_renews_or_resolves_what_is_anothers(engine):
    await engine.acquire(LEASE, INTENT, "me", LONG, settling=0)
    assert await engine.intend(LEASE, INTENT, "me", LONG)
    await engine.release(LEASE, "you", CHANNEL)
    await engine.resolve(INTENT, "you", lost=False)
    assert not await engine.renew(LEASE, INTENT, "you", LONG)
    assert not await engine.intend(LEASE, INTENT, "you", LONG)
    assert await engine.acquire(LEASE, INTENT, "you", LONG, settling=0) == Busy()
    assert plain(await engine.acquire(LEASE, INTENT, "me", LONG, settling=0)) == ("me", False)
    await engine.resolve(INTENT, "me", lost=True)
    assert plain(await engine.acquire(LEASE, INTENT, "me", LONG, settling=0)) == ("me", True)


async def test_a_vanished_lease_is_taken_again_by_whoever_renews_it(engine):
    assert await engine.renew(LEASE, INTENT, "me", LONG)
    assert await engine.holder(LEASE) == "me"


async def test_an_emptied_server_gives_out_no_lease_until_they_have_settled(engine, redis):
    """Whoever asks, and whatever it was before."""
    assert await engine.acquire(LEASE, INTENT, "me", LONG, settling=0) == Acquired()
    lose_everything(engine, redis)
    found = await engine.acquire(LEASE, INTENT, "you", LONG, settling=0.5)
    assert 0 < found.wait <= 0.5
    assert await engine.renew(LEASE, INTENT, "me", LONG)
    assert await engine.acquire(LEASE, INTENT, "me", LONG, settling=0.5) == Acquired()


async def test_who_waits_for_news_is_woken_at_first_and_by_each_release(engine):
    async with engine.news(CHANNEL) as event, asyncio.timeout(30):
        await event.wait()
        event.clear()
        await engine.release(LEASE, "anybody", CHANNEL)
        await event.wait()


async def test_what_has_ended_is_gone(engine):
    await engine.write("{f}:family", b"v", 0.05, new=True)
    await engine.link("{a}:member", "{f}:family", 1, 0.05)
    await engine.acquire(LEASE, INTENT, "me", 0.05, settling=0)
    await engine.intend(LEASE, INTENT, "me", 0.05)

    async def gone():
        lookups = (engine.read("{f}:family"), engine.follow("{a}:member"), engine.holder(LEASE))
        return [await lookup for lookup in lookups] == [None] * 3

    assert await eventually(gone)
    assert await eventually(lambda: acquired(engine)) == Acquired()


async def acquired(engine):
    """Nothing is left of the intent either."""
    found = await engine.acquire(LEASE, INTENT, "you", 0.05, settling=0)
    return found if found == Acquired() else None
