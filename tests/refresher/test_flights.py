"""Who asks, who waits, who leaves (CONTRACT §4.1, §4.2)."""

import asyncio

import pytest

from gateway.core.grants import Grant
from gateway.core.outcomes import Failed, Mismatched, Renewed
from gateway.core.tokens import Age
from tests.refresher.support import HOUR, AuthServer, Desk, Late, code, pair_of, slow_store
from tests.virtual_time import ticks, virtual_time, wall


@virtual_time
async def test_a_thousand_who_ask_at_once_cause_one_presentation():
    """R7: all get the same successor; all but the first are told that it was another's flight."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    found = await asyncio.gather(*(desk.ask(old) for _ in range(1000)))
    assert len(desk.server.presented) == 1
    assert {pair_of(f)[1].reveal() for f in found} == {pair_of(found[0])[1].reveal()}
    assert [f.joined for f in found] == [False] + [True] * 999
    assert desk.server.alive(old[1])
    assert desk.refresher.under_way == desk.refresher.waiting == 0


@virtual_time
async def test_those_who_come_one_after_the_other_share_one_presentation_too():
    """R7: at any moment of the flight, and after it."""
    desk = Desk(AuthServer())
    desk.server.script.append(Late(5))
    old = desk.server.login()
    asked = []
    for _ in range(20):
        asked.append(asyncio.create_task(desk.ask(old)))
        await asyncio.sleep(0.3)
    assert len({pair_of(f)[1].reveal() for f in await asyncio.gather(*asked)}) == 1
    assert len(desk.server.presented) == 1


@virtual_time
async def test_those_who_ask_again_and_again_leave_nothing_behind():
    """D6: a client in a loop, while the server hangs: one flight, and one presenter for each access token."""
    desk = Desk(AuthServer())
    go = asyncio.Event()
    desk.server.script.append(go)
    old = desk.server.login()
    ticket = desk.ticket(old)
    for _ in range(10_000):
        desk.ticket(old)
    desk.ticket((desk.server.login("eve")[0], old[1]))
    assert desk.refresher.waiting == 10_002
    assert len(ticket.flight.presenters) == 2
    go.set()
    assert isinstance(await ticket.outcome(10), Renewed)


@virtual_time
async def test_different_tokens_fly_apart():
    desk = Desk(AuthServer())
    ada, bob = desk.server.login("ada"), desk.server.login("bob")
    found = await asyncio.gather(desk.ask(ada), desk.ask(bob))
    assert [pair_of(f)[0].verified.subject for f in found] == ["ada", "bob"]
    assert len(desk.server.presented) == 2


@virtual_time
async def test_the_first_asker_hangs_up():
    """R9: the refresh completes, the others and the leaver's own retry get what it brought."""
    desk = Desk(AuthServer())
    go = asyncio.Event()
    desk.server.script.append(go)
    old = desk.server.login()
    first = asyncio.create_task(desk.ask(old))
    await ticks()
    other = asyncio.create_task(desk.ask(old))
    await ticks()
    first.cancel()
    await asyncio.wait({first})
    go.set()
    found = await other
    assert pair_of(await desk.ask(old)) == pair_of(found)
    assert len(desk.server.presented) == 1


@virtual_time
async def test_all_hang_up():
    """R9"""
    desk = Desk(AuthServer())
    desk.server.script.append(Late(3))
    old = desk.server.login()
    asked = [asyncio.create_task(desk.ask(old)) for _ in range(3)]
    await ticks()
    for task in asked:
        task.cancel()
    await asyncio.wait(asked)
    await asyncio.sleep(4)
    assert desk.refresher.under_way == 0
    assert (await desk.ask(old)).joined
    assert len(desk.server.presented) == 1


@virtual_time
async def test_patience_ends_before_the_flight_does():
    """B2a: the late answer is stored; while it is awaited nobody presents the token again."""
    desk = Desk(AuthServer(), timeout=10)
    desk.server.script.append(Late(25))
    old = desk.server.login()
    assert code(await desk.ask(old)) == "auth_server_unavailable"
    assert asyncio.get_running_loop().time() == 10
    assert code(await desk.ask(old)) == "auth_server_unavailable"
    assert isinstance(await desk.ask(old), Renewed)
    assert isinstance(await desk.ask(old), Renewed)
    assert asyncio.get_running_loop().time() == 25
    assert len(desk.server.presented) == 1


@virtual_time
async def test_no_patience_at_all_finds_what_is_there():
    """R23: nothing is waited for, and the flight goes on."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    desk.server.script.append(Late(1))
    ticket = desk.ticket(old)
    assert isinstance(await ticket.outcome(0), Failed)
    await asyncio.sleep(2)
    assert isinstance(await ticket.outcome(0), Renewed)


@virtual_time
async def test_two_flights_that_need_the_same_token_become_one():
    """CONTRACT §4.5: the newest is with the server already when somebody comes with an older one."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    new = pair_of(await desk.ask(old))
    await asyncio.sleep(2 * HOUR)
    go = asyncio.Event()
    desk.server.script.append(go)
    holder = desk.ticket(new)
    await ticks()
    first = desk.ticket(old)
    await ticks()
    second = desk.ticket(old)
    wrong = desk.ticket((desk.server.login("eve")[0], old[1]))
    assert first.flight is not holder.flight
    assert second.flight is holder.flight
    assert desk.refresher.waiting == 4
    go.set()
    found = [await ticket.outcome(10) for ticket in (holder, first, second)]
    assert len({pair_of(f)[1].reveal() for f in found}) == 1
    assert [f.joined for f in found] == [False, True, True]
    assert await wrong.outcome(10) == Mismatched()
    assert desk.server.presented == [old[1].reveal(), new[1].reveal()]
    await ticks()
    assert desk.refresher.under_way == 0


@virtual_time
async def test_a_flight_that_goes_on_with_a_newer_token_holds_that_one_too():
    """CONTRACT §4.5: the other order: first the old token's flight, then the new one's owner."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    new = pair_of(await desk.ask(old))
    await asyncio.sleep(2 * HOUR)
    go = asyncio.Event()
    desk.server.script.append(go)
    first = desk.ticket(old)
    await ticks()
    second = desk.ticket(new)
    assert second.flight is first.flight
    go.set()
    assert pair_of(await first.outcome(10)) == pair_of(await second.outcome(10))
    assert desk.server.presented == [old[1].reveal(), new[1].reveal()]


@virtual_time
async def test_who_has_the_newest_token_already_gets_a_newer_one():
    """CONTRACT §3: the API refused it, say."""
    for rotates in (True, False):
        desk = Desk(AuthServer(rotates=rotates))
        old = desk.server.login()
        new = pair_of(await desk.ask(old))
        newer = pair_of(await desk.ask(new))
        assert newer[0].raw != new[0].raw
        assert pair_of(await desk.ask(new)) == pair_of(await desk.ask(old)) == newer
        assert len(desk.server.presented) == 2


@pytest.mark.parametrize("delay", [n / 4 for n in range(20)])
@virtual_time
async def test_whenever_the_newest_tokens_owner_joins_an_older_ones_flight_it_gets_a_newer_one(delay):
    """CONTRACT §3: at every step of the flight."""
    desk = Desk(AuthServer(), store=slow_store(), timeout=100)
    old = desk.server.login()
    new = pair_of(await desk.ask(old))
    older = desk.ticket(old)
    await asyncio.sleep(delay)
    found = pair_of(await desk.ask((new[0], old[1])))
    assert found[0].raw != new[0].raw
    assert pair_of(await older.outcome(100))[0].raw in (new[0].raw, found[0].raw)
    assert desk.server.presented == [old[1].reveal(), new[1].reveal()]


@virtual_time
async def test_a_server_that_grants_the_same_access_token_again_is_asked_once():
    """R20: it has nothing newer; asking on would not make it."""
    desk = Desk(AuthServer())
    access, refresh = desk.server.login(left=30)
    desk.server.script.extend([Grant(access.raw, refresh, expires_in=30.0)] * 2)
    assert pair_of(await desk.ask((access, refresh)))[0].raw == access.raw
    assert len(desk.server.presented) == 1
    assert desk.server.token(access.raw.reveal()).schedule.age(wall()) is Age.FRESH


@virtual_time
async def test_the_first_ones_access_token_goes_along():
    """CONTRACT §4: ``{access_token}`` of an endpoint that is not RFC 6749."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    await desk.ask(old)
    assert desk.server.accompanied == [old[0].raw]
