"""The successor cache under others who write at the same time (CONTRACT §4.3)."""

import asyncio

import pytest

from gateway.core.families import Family, Stored
from gateway.core.outcomes import Dead, Renewed
from gateway.core.secret import Secret
from gateway.core.tokens import Obtained
from gateway.refresher import Refresher, RefreshSettings
from gateway.refresher.successors import Successors
from gateway.store.memory import MemoryStore
from tests.refresher.support import HOUR, AuthServer, Desk, slow_store
from tests.refresher.virtual import virtual_time

NOW = 1000.0
SETTINGS = RefreshSettings(issuer="", client_id="", index_key=b"", grace=30, unclaimed=86_400)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Contended(MemoryStore):
    """Before each compare-and-swap, somebody else may write first."""

    def __init__(self, rivals=()):
        super().__init__(100, Clock())
        self.rivals = list(rivals)
        self.swaps = 0

    async def put(self, kind, key, value, ttl, *, expected=None, new=False):
        if expected is not None:
            self.swaps += 1
            if self.rivals:
                await self.rivals.pop(0)()
        return await super().put(kind, key, value, ttl, expected=expected, new=new)


def stored(number, lifetime=3600.0):
    return Stored(Secret(f"at{number}"), Secret(f"rt{number}"), Obtained(NOW, lifetime))


def successors(store=None):
    return Successors(MemoryStore(100, Clock()) if store is None else store, SETTINGS)


async def chain(cache, length):
    """rt0 -> rt1 -> …"""
    for n in range(length):
        await cache.grow(f"k{n}", f"k{n + 1}", stored(n + 1), now=NOW)


async def test_every_member_of_a_chain_leads_to_the_newest():
    cache = successors()
    await chain(cache, 5)
    for n in range(6):
        standing = await cache.find(f"k{n}", NOW)
        assert (standing.number, standing.family.number, standing.family.newest) == (n, 5, stored(5))


async def test_what_is_in_no_family_stands_nowhere():
    cache = successors()
    assert await cache.find("k", NOW) is None
    await cache.claim("k", NOW)
    assert await cache.find("k", NOW) is None


async def test_without_rotation_the_token_succeeds_itself():
    cache = successors()
    for n in (1, 2):
        await cache.grow("k0", "k0", stored(n), now=NOW)
        standing = await cache.find("k0", NOW)
        assert (standing.number, standing.family.number, standing.family.newest) == (0, 0, stored(n))


async def test_a_claim_and_a_growth_at_the_same_time_both_count():
    """CONTRACT §4.3: whichever comes second sees what the first has written."""
    plain = successors(store := Contended())
    await chain(plain, 1)
    store.rivals = [lambda: plain.claim("k1", NOW)]
    await plain.grow("k1", "k2", stored(2), now=NOW)
    family = (await plain.find("k2", NOW)).family
    assert family == Family(stored(2), 2, ((1, NOW),))

    store.rivals = [lambda: plain.grow("k2", "k3", stored(3), now=NOW)]
    await plain.claim("k2", NOW + 1)
    family = (await plain.find("k3", NOW)).family
    assert family == Family(stored(3), 3, ((1, NOW), (2, NOW + 1)))


async def test_a_late_result_never_overwrites_a_newer_one():
    """B10: another node exchanged the same token, and its result is in use."""
    cache = successors(store := Contended())
    await chain(cache, 1)
    store.rivals = [lambda: cache.grow("k1", "k2", stored(2), now=NOW)]
    await cache.grow("k1", "k2'", stored("late"), now=NOW)
    assert (await cache.find("k1", NOW)).family.newest == stored(2)


async def test_a_grant_is_kept_however_contended_its_family_is():
    """CONTRACT §4.3: in a family of its own, if need be; the old token leads to it."""
    cache = successors(store := Contended())
    await chain(cache, 1)

    async def touch():
        await MemoryStore.put(store, "family", "k1", (await store.get("family", "k1")).value, 9)

    store.rivals = [touch] * 100
    await cache.grow("k1", "k2", stored(2), now=NOW)
    assert (await cache.find("k1", NOW)).family.newest == stored(2)
    assert (await cache.find("k2", NOW)).family.newest == stored(2)
    assert store.swaps < 100


async def test_a_claim_that_changes_nothing_writes_nothing():
    cache = successors(store := Contended())
    await chain(cache, 1)
    for key in ("k0", "k1", "k1", "k0"):
        await cache.claim(key, NOW)
    assert store.swaps == 1


@pytest.mark.parametrize(
    ("claimed", "lifetime", "lives"),
    [(False, 10.0, 86_400), (True, 10.0, 40), (True, None, 3630), (True, 1e9, 86_400)],
)
async def test_how_long_a_family_is_kept(claimed, lifetime, lives):
    """R11: unclaimed for ``unclaimed``; claimed while its newest access token is of use, and the grace."""
    cache = successors(store := MemoryStore(100, clock := Clock()))
    await cache.grow("k0", "k1", stored(1, lifetime), now=NOW)
    if claimed:
        await cache.claim("k1", NOW)
    clock.now = lives - 1
    assert await store.get("family", "k1") is not None
    clock.now = lives
    assert await store.get("family", "k1") is None


async def test_a_visit_prolongs_what_waits_and_nothing_else():
    """R11: neither a claimed family, nor one whose newest token is the visitor's."""
    for visitor, claim, prolonged in [("k0", None, True), ("k1", None, False), ("k0", "k1", False)]:
        cache = successors(store := MemoryStore(100, clock := Clock()))
        await chain(cache, 1)
        if claim:
            await cache.claim(claim, NOW)
        clock.now = 3000
        await cache.keep(await cache.find(visitor, NOW), "k1")
        clock.now = 86_400
        assert (await store.get("family", "k1") is not None) is prolonged
        assert (await store.get("member", "k0") is not None) is prolonged


async def test_a_visit_that_loses_a_race_overwrites_nothing():
    cache = successors(store := Contended())
    await chain(cache, 1)
    standing = await cache.find("k0", NOW)
    store.rivals = [lambda: cache.claim("k1", NOW)]
    await cache.keep(standing, "k1")
    assert (await cache.find("k1", NOW)).family.fully_claimed


@virtual_time
async def test_a_successor_that_was_waited_for_is_still_claimed():
    """CONTRACT §4.3: a visit prolongs the successor's own place too, so the old pair ends a grace after its claim."""
    desk = Desk(AuthServer(lifetime=100 * HOUR), unclaimed=24 * HOUR, grace=30)
    old = desk.server.login()
    new = (await desk.ask(old)).tokens
    await asyncio.sleep(20 * HOUR)
    assert (await desk.ask(old)).tokens.refresh == new.refresh
    await asyncio.sleep(5 * HOUR)
    desk.refresher.observe(new.refresh)
    await desk.settled()
    assert isinstance(await desk.ask(old), Renewed)
    await asyncio.sleep(31)
    assert await desk.ask(old) == Dead()
    assert not desk.server.alive(new.refresh)


@virtual_time
async def test_claims_racing_with_flights_lose_neither():
    """CONTRACT §4.3: on a slow store, at every moment of the flight."""
    for delay in range(12):
        desk = Desk(AuthServer(lifetime=HOUR), store=slow_store(), timeout=100)
        old = desk.server.login()
        new = (await desk.ask(old)).tokens
        await asyncio.sleep(2 * HOUR)
        flight = desk.ticket((new.access, new.refresh))
        await asyncio.sleep(delay / 2)
        desk.refresher.observe(new.refresh)
        newest = (await flight.outcome(100)).tokens
        await desk.settled()
        standing = await desk.refresher._successors.find(desk.settings.key(newest.refresh), 0)
        assert standing.family.newest.refresh == newest.refresh
        assert [number for number, _ in standing.family.claims] == [1]


@virtual_time
async def test_what_the_refresher_remembers_of_tokens_is_bounded_and_small():
    """D6: 10⁶ distinct tokens, kilobytes long, leave neither their number nor their text behind."""
    desk = Desk(AuthServer())
    refresher: Refresher = desk.refresher
    presentation = refresher._renewal._presentation
    for n in range(250_000):
        refresher._seen[hash(f"token {n}")] = True
        presentation.known_good(str(n))
    assert len(refresher._seen) == len(presentation._good) == 100_000
    refresher.observe(Secret("x" * 8000))
    await desk.settled()
    assert all(isinstance(token, int) for token in refresher._seen)
