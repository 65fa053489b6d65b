"""Refresh tokens that were never seen good (CONTRACT §4.7; D3)."""

import asyncio
from collections import Counter

import pytest

from gateway.core.grants import Denied, Misconfigured, Throttled, Unavailable
from gateway.core.outcomes import Dead, Renewed
from gateway.core.secret import Secret
from tests.refresher.support import HOUR, AuthServer, Desk, Late, Slow, ask_each, code, logins
from tests.virtual_time import ticks, virtual_time

DOWN = Unavailable("refused", ambiguous=False)


@virtual_time
async def test_an_address_may_guess_so_often_and_then_slower():
    """D3: 429; other addresses, and tokens that are known, are not affected."""
    desk = Desk(AuthServer(), unknown_burst=100, unknown_per_second=10)
    known = desk.server.login()
    await desk.ask(known, client="evil")
    access = desk.server.login()[0]
    found = await ask_each(desk, [(access, Secret(f"guess {n}")) for n in range(10_000)], client="evil")
    assert [code(f) for f in found if f != Dead()] == ["rate_limited"] * 9900
    assert len(desk.server.presented) == 101
    assert found[-1].problem.retry_after == pytest.approx(0.1)
    good = desk.server.login()
    assert isinstance(await desk.ask(good, client="203.0.113.9"), Renewed)
    assert isinstance(await desk.ask(known, client="evil"), Renewed)
    await asyncio.sleep(1)
    found = await ask_each(desk, [(access, Secret(f"again {n}")) for n in range(100)], client="evil")
    assert found.count(Dead()) == 10


def guesses(desk, count, client="evil"):
    access = desk.server.login()[0]
    return [desk.ticket((access, Secret(f"guess {client} {n}")), client=client) for n in range(count)]


@virtual_time
async def test_one_ipv6_subscriber_is_one_guesser():
    """D3: whoever has a /64 has 2⁶⁴ addresses to guess from."""
    desk = Desk(AuthServer(), unknown_burst=10, unknown_per_second=0.001)
    access = desk.server.login()[0]
    found = [await desk.ask((access, Secret(f"guess {n}")), client=f"2001:db8::{n:x}") for n in range(100)]
    assert found.count(Dead()) == len(desk.server.presented) == 10
    assert isinstance(await desk.ask(desk.server.login(), client="2001:db8:0:1::1"), Renewed)


@virtual_time
async def test_a_whole_office_comes_back_at_once():
    """D3: 400 users behind one address, all with good tokens, and no more than the burst with the server at once."""
    desk = Desk(AuthServer(), unknown_burst=100, unknown_per_second=10, max_concurrent=1000)
    desk.server.script.extend([Late(1)] * 400)
    tickets = [desk.ticket(pair) for pair in logins(desk, 400)]
    for second in range(4):
        await ticks()
        assert len(desk.server.presented) == 100 * (second + 1)
        await asyncio.sleep(1)
    assert all([isinstance(await ticket.outcome(10), Renewed) for ticket in tickets])


@virtual_time
async def test_a_flood_of_guesses_costs_the_server_no_more_than_the_bucket_holds():
    """D3: 10,000 at once: those that wait are refused when the denials have emptied the bucket."""
    desk = Desk(AuthServer(), unknown_burst=100, unknown_per_second=10)
    desk.server.script.extend([Late(0.1)] * 10_000)
    flood = guesses(desk, 10_000)
    await ticks()
    good = desk.ticket(desk.server.login(), client="203.0.113.9")
    found = [await ticket.outcome(10) for ticket in flood]
    assert found.count(Dead()) == len(desk.server.presented) - 1 <= 110
    codes = Counter(code(f) for f in found if f != Dead())
    assert codes.keys() == {"rate_limited", "auth_server_unavailable"}
    assert isinstance(await good.outcome(10), Renewed)
    assert desk.refresher._renewal._presentation._addresses._lines == {}


@virtual_time
async def test_another_address_is_served_while_a_flood_waits():
    """D3"""
    desk = Desk(AuthServer(), unknown_burst=5, max_concurrent=6)
    stuck = asyncio.Event()
    desk.server.script.extend([stuck] * 5)
    flood = guesses(desk, 100)
    await ticks()
    assert isinstance(await desk.ask(desk.server.login(), client="203.0.113.9"), Renewed)
    assert len(desk.server.presented) == 6
    assert not any(ticket.flight.task.done() for ticket in flood)


@virtual_time
async def test_whoever_waits_for_a_hung_guess_is_let_in_when_patience_ends():
    """D3, B2: and the late denial still counts."""
    desk = Desk(AuthServer(), unknown_burst=1, unknown_per_second=0.001, timeout=10, late_answer=30)
    desk.server.script.append(Slow(25, Denied()))
    (hung,) = guesses(desk, 1)
    await asyncio.sleep(1)
    assert isinstance(await desk.ask(desk.server.login(), client="evil"), Renewed)
    assert asyncio.get_running_loop().time() == 10
    assert await hung.outcome(100) == Dead()
    assert code(await desk.ask(desk.server.login(), client="evil")) == "rate_limited"


@virtual_time
async def test_tokens_that_prove_good_cost_their_address_nothing():
    """D3: an office behind one address."""
    desk = Desk(AuthServer(), unknown_burst=2, unknown_per_second=0.001)
    assert all(isinstance(f, Renewed) for f in await ask_each(desk, logins(desk, 50)))


@pytest.mark.parametrize("answer", [DOWN, Throttled(1), Misconfigured("invalid_client")], ids=str)
@virtual_time
async def test_tokens_that_the_server_could_not_be_asked_about_cost_nothing(answer):
    """D3"""
    desk = Desk(AuthServer(), unknown_burst=1, unknown_per_second=0.001)
    for pair in logins(desk, 5):
        desk.server.script.append(answer)
        assert code(await desk.ask(pair)) != "rate_limited"
        await asyncio.sleep(10)


@virtual_time
async def test_the_queue_costs_nothing():
    """D3"""
    desk = Desk(AuthServer(), unknown_burst=2, unknown_per_second=0.001, max_concurrent=1, max_waiting=0)
    desk.server.script.append(Late(1))
    pairs = logins(desk, 4)
    first = desk.ticket(pairs[0])
    await ticks()
    for pair in pairs[1:]:
        assert code(await desk.ask(pair)) == "auth_server_unavailable"
    await first.outcome(10)
    assert all(isinstance(f, Renewed) for f in await ask_each(desk, pairs))


@virtual_time
async def test_a_token_of_our_own_getting_is_no_guess():
    """D3: also when it is denied later."""
    desk = Desk(AuthServer(lifetime=HOUR), unknown_burst=1, unknown_per_second=1e-6)
    for pair in logins(desk, 5):
        new = (await desk.ask(pair)).tokens
        await asyncio.sleep(25 * HOUR)
        desk.server.logins[pair[1].reveal()].revoked = True
        assert await desk.ask((new.access, new.refresh)) == Dead()


@virtual_time
async def test_a_successor_that_another_process_left_in_the_store_is_no_guess():
    """D3: after a restart, say, with a store that outlives it."""
    before = Desk(AuthServer(lifetime=HOUR))
    pairs = logins(before, 5)
    await ask_each(before, pairs)
    await asyncio.sleep(2 * HOUR)
    after = Desk(before.server, store=before.store, unknown_burst=1, unknown_per_second=1e-6)
    for pair in pairs:
        before.server.script.append(Denied())
        assert await after.ask(pair) == Dead()
