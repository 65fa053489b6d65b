"""A store that fails once the token was presented (issue 5; B20)."""

import asyncio

import pytest

from gateway.core.outcomes import Dead, Renewed
from gateway.events import Noticed
from tests.refresher.fleet import Fleet, flying, now, until_settled
from tests.refresher.support import HOUR, AuthServer, Late, pair_of
from tests.virtual_time import virtual_time, wall


def whats(desk):
    return [event.what for event in desk.whats(Noticed)]


@pytest.mark.parametrize("failure", ["away", "refuses_writes"])
@virtual_time
async def test_new_tokens_reach_their_client_without_the_store(failure):
    """B20: who asked here gets them, also whoever asks again; the others get them when the store is back."""
    fleet = Fleet(2)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(1))
    setattr(fleet.store, failure, True)
    new = pair_of(await asked)
    assert pair_of(await fleet.desks[0].ask(old)) == new
    assert whats(fleet.desks[0]) == ["new_tokens_not_stored"]
    await asyncio.sleep(5)
    setattr(fleet.store, failure, False)
    await asyncio.sleep(1.5)
    assert pair_of(await fleet.desks[1].ask(old)) == new
    assert whats(fleet.desks[0]) == ["new_tokens_not_stored", "new_tokens_stored"]
    assert len(fleet.server.presented) == 1
    assert fleet.desks[0].refresher.under_way == 0
    assert fleet.store.kinds() == {"family", "member"}


@pytest.mark.parametrize("seconds", [1, 10, 31, 100, 3600])
@virtual_time
async def test_a_store_that_comes_back_is_told_before_another_presents_the_old_token(seconds):
    """B20: however long it was away, and although the lease has ended: the intent is there, and is waited out."""
    fleet = Fleet(2, server=AuthServer(lifetime=48 * HOUR))
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(1))
    fleet.store.away = True
    new = pair_of(await asked)
    await asyncio.sleep(seconds)
    fleet.store.away = False
    assert pair_of(await until_settled(fleet.desks[1], old)) == new
    assert len(fleet.server.presented) == 1


@pytest.mark.parametrize("number", range(1, 5))
@virtual_time
async def test_a_reply_of_the_store_is_lost_at_any_operation_after_the_presentation(number):
    """B20: what is done twice is done once."""
    fleet = Fleet(2)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(1))
    fleet.desks[0].store.loses_replies = [False] * (number - 1) + [True]
    new = pair_of(await asked)
    await asyncio.sleep(3)
    assert fleet.desks[0].refresher.under_way == 0
    assert pair_of(await fleet.desks[1].ask(old)) == new
    fleet.desks[1].refresher.observe(new[1])
    await asyncio.sleep(31)
    assert await fleet.desks[1].ask(old) == Dead(), "its claim was recorded"
    assert "lease" not in fleet.store.kinds()


@virtual_time
async def test_a_store_that_takes_leases_but_no_tokens_has_the_old_token_presented_by_nobody():
    """B20: its memory is full, say, for longer than any flight lasts."""
    fleet = Fleet(2, server=AuthServer(lifetime=48 * HOUR))
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(1))
    fleet.desks[0].store.fails = {"put_family"}
    new = pair_of(await asked)
    await asyncio.sleep(100)
    other = asyncio.ensure_future(until_settled(fleet.desks[1], old))
    await asyncio.sleep(20)
    fleet.desks[0].store.fails = set()
    assert pair_of(await other) == new
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_tokens_that_no_store_takes_are_given_up_when_nobody_would_be_answered_with_them():
    """D6: ``unclaimed`` is how long new tokens wait for their client, here as anywhere."""
    fleet = Fleet(1, unclaimed=1000)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(1))
    fleet.desks[0].store.fails = {"put_family"}
    await asked
    await asyncio.sleep(995)
    assert fleet.desks[0].refresher.under_way == 1
    await asyncio.sleep(10)
    assert fleet.desks[0].refresher.under_way == 0
    assert "lease" not in fleet.store.kinds()


@virtual_time
async def test_what_waits_is_handed_out_by_a_store_that_can_only_be_read():
    """B20: only that it waits on cannot be noted."""
    fleet = Fleet(1, server=AuthServer(lifetime=48 * HOUR))
    old = fleet.server.login()
    new = pair_of(await fleet.desks[0].ask(old))
    await asyncio.sleep(2 * HOUR)
    fleet.store.refuses_writes = True
    assert pair_of(await fleet.desks[0].ask(old)) == new


@virtual_time
async def test_those_who_wait_bear_one_failure_after_the_other():
    """B18: each is over before the next one comes."""
    fleet = Fleet(2, timeout=20)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(12))
    other = asyncio.ensure_future(fleet.desks[1].ask(old))
    for _ in range(3):
        await asyncio.sleep(1.5)
        fleet.desks[1].store.cut = True
        await asyncio.sleep(0.3)
        fleet.desks[1].store.cut = False
        await asyncio.sleep(1.5)
    assert isinstance(await other, Renewed)
    assert isinstance(await asked, Renewed)


@virtual_time
async def test_a_grant_that_was_saved_late_never_replaces_a_newer_one():
    """Issue 5: it had been stored, only nobody said so; by the second try another replica has a successor of it."""
    fleet = Fleet(2)
    old = fleet.server.login()
    fleet.server.facts = {"expires_at": wall() + 2}
    asked = await flying(fleet, old, Late(1))
    fleet.server.facts = {}
    first, other = fleet.desks
    first.store.loses_replies = [False, False, True]
    new = pair_of(await asked)
    first.store.cut = True
    await asyncio.sleep(3)
    newest = pair_of(await other.ask(old))
    assert newest[1] != new[1]
    first.store.cut = False
    await asyncio.sleep(2)
    assert first.refresher.under_way == 0
    assert pair_of(await other.ask(old)) == pair_of(await first.ask(old)) == newest
    assert len(fleet.server.presented) == 2


@virtual_time
async def test_a_grant_that_is_saved_late_does_not_hide_that_its_client_has_gone_on():
    """Its client has the new tokens and refreshes them at another replica, at any moment of the second try."""
    for offset in range(60):
        fleet = Fleet(2)
        first, other = fleet.desks
        old = fleet.server.login()
        fleet.server.facts = {"expires_at": wall() + 2}
        asked = await flying(fleet, old, Late(1))
        fleet.server.facts = {}
        first.store.fails = {"enrol"}
        new = pair_of(await asked)
        await asyncio.sleep(3.35)
        first.store.fails = set()
        await asyncio.sleep(0.04 + offset * 0.0005)
        newest = pair_of(await until_settled(other, new))
        await asyncio.sleep(3)
        assert whats(first)[-1] == "new_tokens_stored"
        assert pair_of(await until_settled(other, new)) == newest
        assert pair_of(await until_settled(first, old)) == newest
        assert len(fleet.server.presented) == 2


@virtual_time
async def test_a_claim_of_tokens_that_were_not_stored_yet_is_not_forgotten():
    """CONTRACT §4.3: the client used them before the store had them."""
    fleet = Fleet(1)
    desk = fleet.desks[0]
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(1))
    fleet.store.refuses_writes = True
    new = pair_of(await asked)
    fleet.store.refuses_writes = False
    desk.refresher.observe(new[1])
    await asyncio.sleep(2)
    desk.refresher.observe(new[1])
    await asyncio.sleep(31)
    assert await desk.ask(old) == Dead()


@virtual_time
async def test_a_stop_waits_for_tokens_that_are_not_stored():
    """B20, CONTRACT §6"""
    fleet = Fleet(2)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(1))
    fleet.store.away = True
    new = pair_of(await asked)
    stop = asyncio.ensure_future(fleet.desks[0].refresher.close())
    await asyncio.sleep(10)
    fleet.store.away = False
    await stop
    assert now() < 13
    assert pair_of(await fleet.desks[1].ask(old)) == new
