"""Whose tokens they are: each presenter gets its own user's or none (CONTRACT §4.4; R1, R11)."""

import asyncio

import pytest

from gateway.core.outcomes import Dead, Mismatched, Renewed
from gateway.events import Noticed
from tests.refresher.support import HOUR, AuthServer, Desk, Late, code, pair_of, slow_store
from tests.virtual_time import ticks, virtual_time


@virtual_time
async def test_each_waiter_is_checked_against_its_own_access_token():
    """R1: whoever was first; the grant is not revoked, because it is somebody's who asked."""
    for first, second in [("ada", "eve"), ("eve", "ada")]:
        desk = Desk(AuthServer())
        ada, eve = desk.server.login("ada"), desk.server.login("eve")
        pairs = {"ada": ada, "eve": (eve[0], ada[1])}
        tickets = {user: desk.ticket(pairs[user]) for user in (first, second)}
        assert pair_of(await tickets["ada"].outcome(10))[0].verified.subject == "ada"
        assert await tickets["eve"].outcome(10) == Mismatched()
        assert desk.server.revoked == []


@virtual_time
async def test_a_grant_that_is_nobodys_who_asked_is_revoked_and_not_kept():
    """R1"""
    desk = Desk(AuthServer())
    ada, eve = desk.server.login("ada"), desk.server.login("eve")
    assert await desk.ask((eve[0], ada[1])) == Mismatched()
    await desk.settled()
    assert desk.server.revoked == [desk.server.logins[ada[1].reveal()].newest]
    assert len(desk.store) == 0
    assert [e.what for e in desk.whats(Noticed) if e.alarm] == ["subject_mismatch"]


@virtual_time
async def test_a_successor_is_for_its_own_user_only():
    """R11: whoever else presents the old token gets nothing, and harms nothing."""
    desk = Desk(AuthServer())
    ada, eve = desk.server.login("ada"), desk.server.login("eve")
    new = pair_of(await desk.ask(ada))
    assert await desk.ask((eve[0], ada[1])) == Mismatched()
    assert await desk.ask((eve[0], new[1])) == Mismatched()
    assert pair_of(await desk.ask(ada)) == new
    await asyncio.sleep(2 * HOUR)
    assert await desk.ask((eve[0], ada[1])) == Mismatched()
    assert len(desk.server.presented) == 1
    assert desk.server.revoked == []
    assert isinstance(await desk.ask(ada), Renewed)


@virtual_time
async def test_another_issuers_subject_of_the_same_name_is_another_user():
    """R1, R11: issuer and subject."""
    desk = Desk(AuthServer())
    pair = desk.server.login("ada", issuer="https://other")
    assert await desk.ask(pair) == Mismatched()


@pytest.mark.parametrize("delay", [n / 4 for n in range(50)])
@virtual_time
async def test_whenever_the_right_user_joins_a_wrong_ones_flight_nobody_gets_anothers_tokens(delay):
    """R1: at every step of the flight. Whoever joins in time saves the grant; later, it is revoked already."""
    desk = Desk(AuthServer(), store=slow_store(), timeout=100)
    desk.server.script.append(Late(1))
    ada, eve = desk.server.login("ada"), desk.server.login("eve")
    wrong = desk.ticket((eve[0], ada[1]))
    await asyncio.sleep(delay)
    in_time = not wrong.flight.task.done()
    right = await desk.ask(ada)
    assert await wrong.outcome(100) == Mismatched()
    await desk.settled()
    assert in_time is not bool(desk.server.revoked)
    if in_time:
        assert pair_of(right)[0].verified.subject == "ada"
    else:
        assert right == Dead()


@virtual_time
async def test_who_joins_an_old_tokens_flight_counts_where_the_newest_is_presented():
    """R1: eve came with ada's old token, ada joins while its successor is with the server."""
    desk = Desk(AuthServer())
    ada, eve = desk.server.login("ada"), desk.server.login("eve")
    await desk.ask(ada)
    await asyncio.sleep(2 * HOUR)
    go = asyncio.Event()
    desk.server.script.append(go)
    alone = desk.ticket((None, ada[1]))
    await ticks()
    late = desk.ticket(ada)
    wrong = desk.ticket((eve[0], ada[1]))
    go.set()
    assert pair_of(await late.outcome(10)) == pair_of(await alone.outcome(10))
    assert await wrong.outcome(10) == Mismatched()
    assert desk.server.revoked == []
    assert len(desk.server.presented) == 2


@virtual_time
async def test_the_users_of_two_flights_that_become_one_all_count():
    """R1: eve holds the newest token's flight; ada is in the old one's. The grant is ada's, and is not revoked."""
    desk = Desk(AuthServer())
    old, eve = desk.server.login("ada"), desk.server.login("eve")
    new = pair_of(await desk.ask(old))
    await desk.store.delete("member", desk.settings.key(new[1]))
    await asyncio.sleep(2 * HOUR)
    go = asyncio.Event()
    desk.server.script.append(go)
    wrong = desk.ticket((eve[0], new[1]))
    await ticks()
    right = desk.ticket(old)
    await ticks()
    go.set()
    assert pair_of(await right.outcome(10))[0].verified.subject == "ada"
    assert await wrong.outcome(10) == Mismatched()
    await desk.settled()
    assert desk.server.revoked == []


@virtual_time
async def test_an_access_token_without_a_subject_is_nobodys():
    """R11: no token request; the operator is told what to set."""
    desk = Desk(AuthServer())
    found = await desk.ask(desk.server.login(subject=None))
    assert code(found) == "auth_server_misconfigured"
    assert "subject_claim" in found.problem.detail
    assert desk.server.presented == []


@virtual_time
async def test_who_has_no_subject_spoils_nobody_elses_flight():
    desk = Desk(AuthServer())
    ada = desk.server.login("ada")
    nameless = desk.server.login("ada", subject=None)[0]
    found = await asyncio.gather(desk.ask((nameless, ada[1])), desk.ask(ada))
    assert code(found[0]) == "auth_server_misconfigured"
    assert isinstance(found[1], Renewed)


@virtual_time
async def test_a_refresh_token_alone_gets_whatever_it_buys():
    """R4: only where the operator allows it does such a presenter come here at all."""
    desk = Desk(AuthServer())
    refresh = desk.server.login("ada")[1]
    found = await desk.ask((None, refresh))
    assert pair_of(found)[0].verified.subject == "ada"
    assert desk.server.accompanied == [None]
