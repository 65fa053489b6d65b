"""A store that is away, or forgets (issue 5; B18, B19)."""

import asyncio

import pytest

from gateway.core.grants import Unavailable
from gateway.core.outcomes import Dead, Failed, Renewed
from tests.refresher.fleet import Fleet, flying, now, until_settled
from tests.refresher.support import Late, code, pair_of
from tests.virtual_time import virtual_time

DOWN = Unavailable("refused", ambiguous=False)


# A store that is away before the token is presented


@virtual_time
async def test_without_the_store_nothing_is_presented():
    """B18: 503 store_unavailable, the credentials are kept; and well again at once when the store is."""
    fleet = Fleet(2)
    old = fleet.server.login()
    fleet.store.away = True
    for desk in fleet.desks:
        assert code(await desk.ask(old)) == "store_unavailable"
    fleet.store.away = False
    assert isinstance(await fleet.desks[0].ask(old), Renewed)
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_a_store_that_refuses_writes_has_nothing_presented():
    """B20: it could be read."""
    fleet = Fleet(1)
    old = fleet.server.login()
    fleet.store.refuses_writes = True
    assert code(await fleet.desks[0].ask(old)) == "store_unavailable"
    assert not fleet.server.presented
    await asyncio.sleep(20)
    assert fleet.desks[0].refresher.under_way == 0


@pytest.mark.parametrize("number", range(1, 8))
@virtual_time
async def test_a_reply_of_the_store_is_lost_at_any_operation_before_the_presentation(number):
    """B18: it did what it was asked, and did not say so. Nothing is presented, and nobody waits for a ghost."""
    fleet = Fleet(2)
    old = fleet.server.login()
    fleet.desks[0].store.loses_replies = [False] * (number - 1) + [True]
    found = await fleet.desks[0].ask(old)
    if isinstance(found, Failed):
        assert found.problem.code == "store_unavailable"
        assert not fleet.server.presented
    await asyncio.sleep(1)
    since = now()
    assert isinstance(await fleet.desks[1].ask(old), Renewed)
    assert now() - since < 0.1
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_those_who_wait_bear_a_store_that_stops_for_two_seconds():
    """B19: in the middle of a flight; nobody notices."""
    fleet = Fleet(3)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(6))
    others = [asyncio.ensure_future(desk.ask(old)) for desk in fleet.desks[1:]]
    await asyncio.sleep(2)
    fleet.store.stop()
    await asyncio.sleep(2)
    fleet.store.go_on()
    found = await asyncio.gather(asked, *others)
    assert len({pair_of(f)[1].reveal() for f in found}) == 1
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_those_who_wait_do_not_bear_it_for_long():
    """B18"""
    fleet = Fleet(2)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(9))
    other = asyncio.ensure_future(fleet.desks[1].ask(old))
    await asyncio.sleep(1)
    fleet.store.away = True
    assert code(await other) == "store_unavailable"
    assert 4 < now() < 5.5
    fleet.store.away = False
    assert isinstance(await asked, Renewed)


# A store that forgets


@virtual_time
async def test_a_store_that_restarts_empty_gets_its_leases_back():
    """B18: the owner lives, and renews its lease before any is given out; those who wait never take it."""
    for when in range(80):
        fleet = Fleet(3, timeout=20)
        old = fleet.server.login()
        asked = await flying(fleet, old, Late(8))
        others = [asyncio.ensure_future(desk.ask(old)) for desk in fleet.desks[1:]]
        await asyncio.sleep(when / 10)
        fleet.store.restart_empty()
        late = [asyncio.ensure_future(desk.ask(old)) for desk in fleet.desks]
        found = await asyncio.gather(asked, *others, *late)
        if len(fleet.server.presented) != 1:
            pytest.fail(f"presented twice: emptied after {when / 10} s")
        assert len({pair_of(f)[1].reveal() for f in found}) == 1


@virtual_time
async def test_those_who_wait_take_no_lease_that_has_only_just_vanished():
    """The store lost it without a restart that anybody could see; its owner renews it in time."""
    for when in range(60):
        fleet = Fleet(3, timeout=20)
        old = fleet.server.login()
        asked = await flying(fleet, old, Late(6))
        others = [asyncio.ensure_future(desk.ask(old)) for desk in fleet.desks[1:]]
        await asyncio.sleep(when / 10 + 0.05)
        fleet.store.records.clear()
        await asyncio.gather(asked, *others)
        assert len(fleet.server.presented) == 1, when


@virtual_time
async def test_a_lease_that_stays_away_is_taken():
    """Its owner died before it presented the token, and the store has forgotten all about it."""
    fleet = Fleet(2)
    old = fleet.server.login()
    fleet.desks[0].store.dies_at = 4
    leader = asyncio.ensure_future(fleet.desks[0].ask(old))
    await asyncio.sleep(0.1)
    other = asyncio.ensure_future(fleet.desks[1].ask(old))
    await asyncio.sleep(1)
    fleet.store.records.clear()
    assert isinstance(await other, Renewed)
    assert 4 < now() < 6
    leader.cancel()


@virtual_time
async def test_a_lease_that_another_has_taken_does_not_stop_what_is_under_way():
    """Its result is stored, and is the other's too: nobody presents twice."""
    fleet = Fleet(2)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(9))
    fleet.store.living("lease", fleet.desks[0].settings.key(old[1])).value = "another's"
    new = pair_of(await asked)
    assert pair_of(await fleet.desks[1].ask(old)) == new
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_a_vacancy_that_nobody_watched_does_not_count():
    """The store forgot the lease and went away before its owner could renew it: who waits begins to count anew."""
    for when in range(40):
        fleet = Fleet(3, timeout=20)
        old = fleet.server.login()
        asked = await flying(fleet, old, Late(12))
        others = [asyncio.ensure_future(desk.ask(old)) for desk in fleet.desks[1:]]
        await asyncio.sleep(2.5)
        fleet.store.records.clear()
        await asyncio.sleep(0.8)
        fleet.store.away = True
        await asyncio.sleep(2 + when / 40)
        fleet.store.away = False
        await asyncio.gather(asked, *others)
        assert len(fleet.server.presented) == 1, when


@virtual_time
async def test_a_renewal_that_fails_is_tried_again_soon():
    """R8: the lease outlives a store that is away for nearly as long as it lasts."""
    fleet = Fleet(1)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(25))
    await asyncio.sleep(2)
    key = fleet.desks[0].settings.key(old[1])
    for _ in range(3):
        fleet.store.away = True
        await asyncio.sleep(3)
        fleet.store.away = False
        await asyncio.sleep(0.5)
        assert fleet.store.living("lease", key).ends > now() + 5
    asked.cancel()


@virtual_time
async def test_a_restarted_store_is_not_asked_for_leases_before_it_gives_any():
    fleet = Fleet(1)
    old = fleet.server.login()
    fleet.store.restart_empty()
    assert isinstance(await fleet.desks[0].ask(old), Renewed)
    assert len(fleet.commands("acquire")) == 2
    assert 3 < now() < 3.1


@pytest.mark.parametrize("operation", ["resolve", "release"])
@virtual_time
async def test_what_the_store_did_not_take_back_is_taken_back_soon(operation):
    """B20: nobody waits for the answer of a presentation that has ended, or for a lease that nobody needs."""
    fleet = Fleet(2)
    old = fleet.server.login()
    fleet.server.script.append(DOWN)
    fleet.desks[0].store.fails = {operation}
    await fleet.desks[0].ask(old)
    await asyncio.sleep(2)
    fleet.desks[0].store.fails = set()
    await asyncio.sleep(0.5)
    since = now()
    assert isinstance(await fleet.desks[1].ask(old), Renewed)
    assert now() - since < 0.1


@virtual_time
async def test_what_is_to_be_taken_back_is_bounded():
    """D6: a store that is read but not written, and very many tokens; what is left over ends by itself."""
    fleet = Fleet(1)
    fleet.desks[0].store.fails = {"acquire", "release"}
    pairs = [fleet.server.login(f"user {n}") for n in range(1500)]
    found = await asyncio.gather(*(fleet.desks[0].ask(pair) for pair in pairs))
    assert {code(f) for f in found} == {"store_unavailable"}
    assert fleet.desks[0].refresher.under_way == 1000
    await asyncio.sleep(10)
    assert fleet.desks[0].refresher.under_way == 0


@virtual_time
async def test_a_stop_does_not_wait_for_a_dead_replicas_answer():
    """CONTRACT §6: the next one waits it out."""
    fleet = Fleet(2)
    old = fleet.server.login()
    await flying(fleet, old, Late(5))
    fleet.kill(fleet.desks[0])
    await asyncio.sleep(8)
    found = asyncio.ensure_future(fleet.desks[1].ask(old))
    await asyncio.sleep(1)
    await fleet.desks[1].refresher.close()
    assert code(await found) == "auth_server_unavailable"
    assert now() < 11
    assert await until_settled(fleet.add(), old) == Dead("answer_lost")
