"""The successor cache under others who write at the same time (CONTRACT §4.3)."""

import asyncio

import pytest

from gateway.core.families import Family, Stored
from gateway.core.outcomes import Dead, Renewed
from gateway.core.records import StoreUnavailable
from gateway.core.secret import Secret
from gateway.core.tokens import Obtained
from gateway.refresher import Refresher, RefreshSettings
from gateway.refresher.successors import Successors
from gateway.store.memory import MemoryStore
from tests.refresher.support import HOUR, AuthServer, Desk, slow_store
from tests.virtual_time import virtual_time

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

    async def put_family(self, name, value, ttl, *, expected, claims=None):
        if expected is not None:
            self.swaps += 1
            if self.rivals:
                await self.rivals.pop(0)()
        return await super().put_family(name, value, ttl, expected=expected, claims=claims)


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


async def test_what_a_client_has_left_behind_does_not_pile_up():
    """D6, CONTRACT §4.3: a link ends with its grace once its successor was claimed and has a successor itself."""
    cache = successors(store := MemoryStore(100, clock := Clock()))
    for n in range(10):
        await cache.grow(f"k{n}", f"k{n + 1}", stored(n + 1), now=NOW)
        await cache.claim(f"k{n + 1}", NOW)
    clock.now += 31
    living = [n for n in range(11) if await store.family(f"k{n}") is not None]
    assert living == [9, 10]


async def test_what_no_client_has_claimed_waits_for_it():
    """CONTRACT §4.3: however many rotations it has missed."""
    cache = successors(store := MemoryStore(100, clock := Clock()))
    await chain(cache, 10)
    clock.now += 31
    assert all([await store.family(f"k{n}") is not None for n in range(11)])


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
    assert family == Family(stored(2), 2, ((1, NOW),), "k1")


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
        family = await store.family("k1")
        await MemoryStore.put_family(store, "k1", family.value, 9, expected=family.version)

    store.rivals = [touch] * 100
    await cache.grow("k1", "k2", stored(2), now=NOW)
    assert (await cache.find("k1", NOW)).family.newest == stored(2)
    assert (await cache.find("k2", NOW)).family.newest == stored(2)
    assert store.swaps < 100


async def test_a_family_whose_name_is_taken_replaces_what_nobody_can_reach():
    """R11: a server that hands out its refresh tokens again, and a record that outlived its members."""
    cache = successors(store := Contended())
    await chain(cache, 1)
    await store.delete("member", "k0")
    await store.delete("member", "k1")
    await cache.grow("k", "k1", stored(7), now=NOW)
    for key in ("k", "k1"):
        assert (await cache.find(key, NOW)).family == Family(stored(7), 1, before="k")


async def test_a_late_save_leaves_who_has_gone_on_alone():
    """B20: the client had the new token before the store; the old one leads to what became of it."""
    cache = successors()
    await cache.grow("k1", "k2", stored(2), now=NOW)
    await cache.grow_late("k0", "k1", stored(1), now=NOW)
    for key in ("k0", "k1", "k2"):
        assert (await cache.find(key, NOW)).family.newest == stored(2)
    await cache.claim("k2", NOW)
    assert await cache.find("k0", NOW + 31) is None


@pytest.mark.parametrize("rotated", [True, False])
async def test_a_late_save_may_come_twice(rotated):
    cache = successors()
    new_key = "k1" if rotated else "k0"
    for _ in range(2):
        await cache.grow_late("k0", new_key, stored(1), now=NOW)
    for key in ("k0", new_key):
        assert (await cache.find(key, NOW)).family == Family(
            stored(1), int(rotated), before="k0" if rotated else ""
        )


@pytest.mark.parametrize(
    ("rotated", "lifetime", "lives"),
    [(True, 10.0, 86_400), (False, 10.0, 40), (False, None, 3630), (False, 1e9, 86_400)],
)
async def test_how_long_a_family_is_kept(rotated, lifetime, lives):
    """R11: for ``unclaimed`` where its client may not have it; else while its newest access token is of use."""
    cache = successors(store := MemoryStore(100, clock := Clock()))
    await cache.grow("k0", "k1" if rotated else "k0", stored(1, lifetime), now=NOW)
    clock.now = lives - 1
    assert await store.family("k0") is not None
    clock.now = lives
    assert await store.family("k0") is None


async def test_a_visit_prolongs_what_waits_and_nothing_else():
    """R11: neither a claimed family, nor one whose newest token is the visitor's, nor one written within the hour."""
    for visitor, claim, after, prolonged in [
        ("k0", None, 3601, True),
        ("k0", None, 3599, False),
        ("k1", None, 3601, False),
        ("k0", "k1", 3601, False),
    ]:
        cache = successors(store := MemoryStore(100, clock := Clock()))
        await chain(cache, 1)
        if claim:
            await cache.claim(claim, NOW)
        clock.now = after
        await cache.keep(await cache.find(visitor, NOW), "k1", NOW + after)
        clock.now = 86_400
        assert (await store.family("k0") is not None) is prolonged
        assert (await store.family("k1") is not None) is prolonged


async def test_a_visit_that_loses_a_race_overwrites_nothing():
    cache = successors(store := Contended())
    await chain(cache, 1)
    standing = await cache.find("k0", NOW)
    store.rivals = [lambda: cache.claim("k1", NOW)]
    await cache.keep(standing, "k1", NOW + 4000)
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


async def test_a_family_of_another_version_is_not_taken_for_none():
    """A rolling deployment: to present the token would be to present it twice."""
    store = MemoryStore(100, Clock())
    await store.put_family("name", b'{"version": 2}', 60, expected=None)
    await store.enrol("k0", "name", 0, 60)
    with pytest.raises(StoreUnavailable):
        await successors(store).find("k0", NOW)
