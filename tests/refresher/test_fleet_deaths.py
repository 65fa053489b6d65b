"""Replicas that die, or sleep, in the middle of a flight (issue 5; B24)."""

import asyncio

import pytest

from gateway.core.grants import Unavailable
from gateway.core.outcomes import Dead, Renewed
from tests.refresher.fleet import Fleet, flying, now, until_settled
from tests.refresher.support import HOUR, AuthServer, Late, Lost, code, pair_of
from tests.virtual_time import virtual_time

DOWN = Unavailable("refused", ambiguous=False)


OPERATIONS = 12
"""Of a flight that ends well."""


async def killed(number, *, after, step=None):
    """The leader dies at its operation ``number``; what the others find, and when."""
    fleet = Fleet(3)
    old = fleet.server.login()
    fleet.desks[0].store.dies_at, fleet.desks[0].store.dies_after = number, after
    fleet.server.script.append(step)
    leader = asyncio.ensure_future(fleet.desks[0].ask(old))
    await asyncio.sleep(0.1)
    found = await asyncio.gather(*(until_settled(desk, old) for desk in fleet.desks[1:]))
    assert not fleet.server.doubles
    leader.cancel()
    return fleet, old, found


@virtual_time
async def test_the_flight_of_these_tests_has_so_many_operations():
    fleet = Fleet(1)
    await fleet.desks[0].ask(fleet.server.login())
    assert len(fleet.store.commands) == OPERATIONS


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, OPERATIONS + 1))
@virtual_time
async def test_a_leader_is_killed_at_any_operation(number, after):
    """B24: the others get tokens, or a denial that says why; at the latest ``late_answer`` after the intent."""
    fleet, old, found = await killed(number, after=after)
    spent = [token for token, replica, *_ in fleet.presentations if replica == 0]
    stored = any(name == 0 for name, *_ in fleet.commands("put_family"))
    if spent and not stored:
        assert found == [Dead("answer_lost")] * 2
    else:
        assert len({pair_of(f)[1].reveal() for f in found}) == 1
        assert fleet.server.alive(old[1])
    assert now() < fleet.late_answer + 2


@virtual_time
async def test_a_leader_is_killed_while_the_server_works():
    """B24: nobody presents the token until no answer can come any more; the denial is no wonder, and says so."""
    fleet = Fleet(3, late_answer=30)
    old = fleet.server.login()
    await flying(fleet, old, Late(5))
    fleet.kill(fleet.desks[0])
    found = await asyncio.gather(*(until_settled(desk, old) for desk in fleet.desks[1:]))
    assert found == [Dead("answer_lost")] * 2
    assert not fleet.server.doubles
    assert 30 < fleet.presentations[1][2] < 31
    assert len(fleet.presentations) == 2


@virtual_time
async def test_a_leader_is_killed_and_the_server_had_not_rotated():
    """B24: the one presentation after the wait is answered, and the doubt ends."""
    fleet = Fleet(2)
    old = fleet.server.login()
    await flying(fleet, old, asyncio.Event())
    fleet.kill(fleet.desks[0])
    assert isinstance(await until_settled(fleet.desks[1], old), Renewed)
    await asyncio.sleep(1)
    assert "intent" not in fleet.store.kinds()


@virtual_time
async def test_who_takes_over_goes_on_with_a_successor_that_appears():
    """B24: the owner was not dead, only cut off; its tokens come while the wait lasts."""
    fleet = Fleet(2)
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(1))
    fleet.desks[0].store.cut = True
    other = asyncio.ensure_future(until_settled(fleet.desks[1], old))
    new = pair_of(await asked)
    await asyncio.sleep(20)
    fleet.desks[0].store.cut = False
    assert pair_of(await other)[1] == new[1]
    assert len(fleet.server.presented) == 1


@virtual_time
async def test_who_takes_over_looks_before_it_presents_whatever_the_store_does():
    """B24: its store comes back at the very end of the wait, and the successor was there by then."""
    for when in range(40):
        fleet = Fleet(2)
        first, other = fleet.desks
        old = fleet.server.login()
        asked = await flying(fleet, old, Late(1))
        first.store.cut = True
        await asked
        await asyncio.sleep(27)
        taking_over = asyncio.ensure_future(other.ask(old, patience=60))
        await asyncio.sleep(0.1)
        other.store.cut, first.store.cut = True, False
        await asyncio.sleep(1.6 + when / 20)
        other.store.cut = False
        found = await taking_over
        assert isinstance(found, Renewed) or code(found) == "store_unavailable", when
        assert len(fleet.server.presented) == 1, when


@virtual_time
async def test_who_waits_out_a_dead_ones_answer_keeps_its_turn_when_the_store_fails_for_a_moment():
    """B24"""
    fleet = Fleet(2)
    old = fleet.server.login()
    await flying(fleet, old, asyncio.Event())
    fleet.kill(fleet.desks[0])
    await asyncio.sleep(10)
    other = asyncio.ensure_future(fleet.desks[1].ask(old, patience=60))
    await asyncio.sleep(1)
    fleet.store.away = True
    await asyncio.sleep(2)
    fleet.store.away = False
    assert isinstance(await other, Renewed)
    assert len(fleet.commands("acquire")) == 3, "the leader's, its own, and whether that is still its own"


@virtual_time
async def test_the_next_one_dies_too():
    """B24: the doubt passes from one to the next."""
    fleet = Fleet(3)
    old = fleet.server.login()
    await flying(fleet, old, Late(5))
    fleet.kill(fleet.desks[0])
    second = asyncio.ensure_future(until_settled(fleet.desks[1], old))
    await asyncio.sleep(20)
    fleet.kill(fleet.desks[1])
    second.cancel()
    assert await until_settled(fleet.desks[2], old) == Dead("answer_lost")
    assert not fleet.server.doubles
    assert len(fleet.presentations) == 2


@virtual_time
async def test_a_client_that_comes_back_the_next_day_is_told_the_truth():
    """B24: nobody was there when the owner died."""
    fleet = Fleet(2)
    old = fleet.server.login()
    await flying(fleet, old, Late(5))
    fleet.kill(fleet.desks[0])
    await asyncio.sleep(24 * HOUR)
    since = now()
    assert await fleet.desks[1].ask(old) == Dead("answer_lost")
    assert now() - since < 5


@virtual_time
async def test_a_doubt_outlives_a_failure_that_follows_it():
    """R10: after the wait the server could not be reached; the denial that comes later still says so."""
    fleet = Fleet(3)
    old = fleet.server.login()
    await flying(fleet, old, Late(5))
    fleet.kill(fleet.desks[0])
    await asyncio.sleep(60)
    fleet.server.script.append(DOWN)
    assert code(await fleet.desks[1].ask(old)) == "auth_server_unavailable"
    await asyncio.sleep(2)
    assert await fleet.desks[2].ask(old) == Dead("answer_lost")


@virtual_time
async def test_a_replica_that_sleeps_beyond_its_lease_does_not_present():
    """Fencing: it got the lease, was suspended, and another has had its turn meanwhile."""
    fleet = Fleet(2, max_concurrent=1)
    old, other = fleet.server.login(), fleet.server.login()
    fleet.server.script.append(Late(9))
    slow = asyncio.ensure_future(fleet.desks[0].ask(other))
    await asyncio.sleep(0.1)
    queued = asyncio.ensure_future(fleet.desks[0].ask(old))
    await asyncio.sleep(0.1)
    lease = fleet.store.living("lease", fleet.desks[0].settings.key(old[1]))
    lease.value = "another's"
    new = asyncio.ensure_future(until_settled(fleet.desks[1], old))
    found = await asyncio.gather(slow, queued)
    assert pair_of(await new)[1] == pair_of(found[1])[1]
    assert fleet.server.presented.count(old[1].reveal()) == 1


async def queued(fleet):
    """The first replica has the lease of a token, and no slot to present it in for nine seconds."""
    old, other = fleet.server.login(), fleet.server.login()
    fleet.server.script.append(Late(9))
    slow = asyncio.ensure_future(fleet.desks[0].ask(other))
    await asyncio.sleep(0.1)
    waiting = asyncio.ensure_future(fleet.desks[0].ask(old, patience=60))
    await asyncio.sleep(0.1)
    return old, slow, waiting


def vanish(fleet, pair):
    """The lease ends while its owner sleeps."""
    del fleet.store.records["lease", fleet.desks[0].settings.key(pair[1])]


@virtual_time
async def test_a_lease_that_was_taken_anew_does_not_hide_that_another_had_it():
    """It has lapsed, another has had its whole turn, and a renewal has taken it again: the token is spent."""
    fleet = Fleet(2, max_concurrent=1)
    old, slow, waiting = await queued(fleet)
    vanish(fleet, old)
    new = pair_of(await fleet.desks[1].ask(old))
    await slow
    assert pair_of(await waiting) == new
    assert fleet.server.presented.count(old[1].reveal()) == 1


@virtual_time
async def test_a_lease_that_was_taken_anew_does_not_hide_that_another_presents():
    """The same, and the other one has lost its lease too while its answer may still come."""
    fleet = Fleet(2, max_concurrent=1)
    old, slow, waiting = await queued(fleet)
    await asyncio.sleep(5)
    vanish(fleet, old)
    fleet.server.script.append(Late(12))
    other = asyncio.ensure_future(fleet.desks[1].ask(old, patience=60))
    await asyncio.sleep(0.5)
    vanish(fleet, old)
    await slow
    assert pair_of(await waiting) == pair_of(await other)
    assert fleet.server.presented.count(old[1].reveal()) == 1
    assert not fleet.server.doubles


@virtual_time
async def test_lost_answers_and_a_dead_replica_together():
    """R10, B24"""
    fleet = Fleet(2)
    old = fleet.server.login()
    fleet.server.script.append(Lost())
    await fleet.desks[0].ask(old)
    fleet.kill(fleet.desks[0])
    await asyncio.sleep(2)
    since = now()
    assert await fleet.desks[1].ask(old) == Dead("answer_lost")
    assert now() - since < 1, "its flight had ended: no answer is awaited"


@virtual_time
async def test_nobody_presents_a_dead_ones_token_for_nobody():
    """B20, B24: it dies with new tokens that no store took, but its client has them. Another one's request came with
    the old token and has left; to ask the server about it now would end the session.
    """
    fleet = Fleet(2, server=AuthServer(lifetime=HOUR))
    old = fleet.server.login()
    asked = await flying(fleet, old, Late(1))
    other = asyncio.ensure_future(fleet.desks[1].ask(old))
    await asyncio.sleep(0.5)
    fleet.desks[0].store.cut = True
    new = pair_of(await asked)
    fleet.kill(fleet.desks[0])
    assert code(await other) == "auth_server_unavailable"
    await asyncio.sleep(100)
    assert len(fleet.server.presented) == 1
    assert fleet.server.alive(new[1])


@virtual_time
async def test_who_asks_later_presents_a_dead_ones_token():
    """B24: after all that time no answer can come any more, so it does not wait."""
    fleet = Fleet(2)
    old = fleet.server.login()
    await flying(fleet, old, asyncio.Event())
    fleet.kill(fleet.desks[0])
    assert code(await fleet.desks[1].ask(old)) == "auth_server_unavailable"
    await asyncio.sleep(100)
    assert len(fleet.server.presented) == 1
    assert isinstance(await fleet.desks[1].ask(old), Renewed)


@virtual_time
async def test_a_leader_whose_store_lost_everything_is_killed_after_it_had_its_lease_again():
    """B24, R8: its intent comes back with its lease, and is as old as it was."""
    fleet = Fleet(3, late_answer=30)
    old = fleet.server.login()
    leader = await flying(fleet, old, Late(60))
    asked_at = now()
    await asyncio.sleep(1)
    fleet.store.restart_empty()
    await asyncio.sleep(3)
    intent = fleet.store.living("intent", fleet.desks[0].settings.key(old[1]))
    assert intent.value.age == pytest.approx(asked_at, abs=0.2)
    fleet.kill(fleet.desks[0])
    leader.cancel()
    await asyncio.gather(*(until_settled(desk, old) for desk in fleet.desks[1:]))
    assert not fleet.server.doubles
    assert now() - asked_at < 30 + 5
