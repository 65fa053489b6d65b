"""When the authorization server is not asked at all (CONTRACT §4.7)."""

import asyncio

import pytest

from gateway.core.grants import Denied, Misconfigured, Throttled, Unavailable
from gateway.core.outcomes import Failed, Renewed
from tests.refresher.support import AuthServer, Desk, Late, Slow, ask_each, code, logins
from tests.virtual_time import ticks, virtual_time

DOWN = Unavailable("refused", ambiguous=False)
LOST = Unavailable("reset", ambiguous=True)
WALL = Unavailable("no usable answer with status 403", ambiguous=True, client_error=True)
"""A firewall's page."""


async def open_the_breaker(desk):
    desk.server.script.extend([DOWN] * 5)
    await ask_each(desk, logins(desk, 5))


@virtual_time
async def test_a_throttled_token_waits_and_the_others_do_not():
    """B5: for that token first, for as long as the server says."""
    desk = Desk(AuthServer())
    throttled, other = logins(desk, 2)
    desk.server.script.append(Throttled(40))
    assert (await desk.ask(throttled)).problem.retry_after == 40
    assert isinstance(await desk.ask(other), Renewed)
    await asyncio.sleep(39)
    assert (await desk.ask(throttled)).problem.retry_after == 1
    assert len(desk.server.presented) == 2
    await asyncio.sleep(1)
    assert isinstance(await desk.ask(throttled), Renewed)


@virtual_time
async def test_after_three_throttled_tokens_all_wait():
    """B5"""
    desk = Desk(AuthServer())
    *three, other = logins(desk, 4)
    desk.server.script.extend([Throttled(10)] * 3)
    await ask_each(desk, three)
    assert (await desk.ask(other)).problem.retry_after == 10
    await asyncio.sleep(10)
    assert isinstance(await desk.ask(other), Renewed)
    assert len(desk.server.presented) == 4


@virtual_time
async def test_one_token_throttled_three_times_makes_nobody_else_wait():
    """B5: three different ones."""
    desk = Desk(AuthServer())
    one, other = logins(desk, 2)
    for _ in range(3):
        desk.server.script.append(Throttled(1))
        await desk.ask(one)
        await asyncio.sleep(1)
    assert isinstance(await desk.ask(other), Renewed)


@virtual_time
async def test_whoever_waits_in_the_queue_hears_of_the_throttling_too():
    """B5: they were let in before the third 429."""
    desk = Desk(AuthServer(), max_concurrent=1)
    desk.server.script.extend([Slow(1, Throttled(30))] * 3)
    found = await asyncio.gather(*(desk.ask(pair) for pair in logins(desk, 10)))
    assert {code(f) for f in found} == {"auth_server_unavailable"}
    assert len(desk.server.presented) == 3


@virtual_time
async def test_five_failures_in_a_row_open_the_breaker():
    """B1, B4: then nobody is asked; it counts token requests, and each refusal says when to come back."""
    desk = Desk(AuthServer())
    await open_the_breaker(desk)
    for pair in logins(desk, 20):
        found = await desk.ask(pair)
        assert code(found) == "auth_server_unavailable"
        assert 0 < found.problem.retry_after <= 5
    assert len(desk.server.presented) == 5


@virtual_time
async def test_a_thousand_waiters_on_one_failure_count_once():
    """CONTRACT §4.7"""
    desk = Desk(AuthServer())
    one, other = logins(desk, 2)
    desk.server.script.append(DOWN)
    await asyncio.gather(*(desk.ask(one) for _ in range(1000)))
    assert isinstance(await desk.ask(other), Renewed)


@virtual_time
async def test_our_own_want_of_descriptors_is_503_overloaded_and_opens_no_breaker():
    """B27: the server is not to blame; the token was not presented and keeps its worth."""
    desk = Desk(AuthServer())
    pairs = logins(desk, 10)
    desk.server.script.extend([Unavailable("no descriptors", ambiguous=False, exhausted=True)] * 10)
    assert [code(found) for found in await ask_each(desk, pairs)] == ["overloaded"] * 10
    assert isinstance(await desk.ask(pairs[0]), Renewed)


@virtual_time
async def test_a_success_between_failures_keeps_the_breaker_shut():
    desk = Desk(AuthServer())
    for _ in range(4):
        desk.server.script.extend([DOWN] * 4)
        await ask_each(desk, logins(desk, 4))
        assert isinstance(await desk.ask(desk.server.login()), Renewed)


@pytest.mark.parametrize("answer", [Denied(), Misconfigured("invalid_client"), Throttled(1), WALL], ids=str)
@virtual_time
async def test_answers_of_4xx_never_count(answer):
    """CONTRACT §4.7: whoever sends bad tokens must not shut the door for all."""
    desk = Desk(AuthServer())
    for pair in logins(desk, 10):
        desk.server.script.append(answer)
        await desk.ask(pair)
        await asyncio.sleep(2)
    assert len(desk.server.presented) == 10
    assert isinstance(await desk.ask(desk.server.login()), Renewed)


@virtual_time
async def test_hung_requests_count_when_patience_ends():
    """B2: at ``timeout``, although they are listened to for longer, and once each."""
    desk = Desk(AuthServer(), timeout=10, late_answer=30)
    desk.server.script.extend([Slow(30, LOST)] * 5)
    hung = [desk.ticket(pair) for pair in logins(desk, 5)]
    await asyncio.sleep(9.9)
    assert isinstance(await desk.ask(desk.server.login()), Renewed)
    assert len(desk.server.presented) == 6
    desk.server.script.extend([Slow(30, LOST)] * 4)
    others = [desk.ticket(pair) for pair in logins(desk, 4)]
    await asyncio.sleep(1)
    assert code(await desk.ask(desk.server.login())) == "auth_server_unavailable"
    assert len(desk.server.presented) == 10
    for ticket in hung + others:
        await ticket.outcome(100)


@virtual_time
async def test_a_hung_request_counts_once():
    """B2: when patience ends, and not again when its end comes."""
    desk = Desk(AuthServer(), timeout=10, late_answer=30)
    desk.server.script.extend([Slow(30, LOST)] * 4)
    for ticket in [desk.ticket(pair) for pair in logins(desk, 4)]:
        await ticket.outcome(100)
    assert isinstance(await desk.ask(desk.server.login()), Renewed)


@virtual_time
async def test_a_late_answer_shuts_the_breaker():
    """B2a: the server lives."""
    desk = Desk(AuthServer(), timeout=10)
    desk.server.script.extend([Late(11)] * 5)
    hung = [desk.ticket(pair) for pair in logins(desk, 5)]
    await asyncio.sleep(10.5)
    assert code(await desk.ask(desk.server.login())) == "auth_server_unavailable"
    for ticket in hung:
        assert isinstance(await ticket.outcome(10), Renewed)
    assert isinstance(await desk.ask(desk.server.login()), Renewed)


@virtual_time
async def test_within_five_seconds_one_request_may_try():
    """B4: half-open; while it tries, the others wait."""
    desk = Desk(AuthServer())
    await open_the_breaker(desk)
    await asyncio.sleep(5)
    desk.server.script.append(Slow(1, DOWN))
    pairs = logins(desk, 10)
    tickets = [desk.ticket(pair) for pair in pairs]
    for ticket in tickets:
        assert code(await ticket.outcome(10)) == "auth_server_unavailable"
    assert len(desk.server.presented) == 6
    await asyncio.sleep(5)
    assert isinstance(await desk.ask(pairs[0]), Renewed)
    found = await ask_each(desk, pairs[1:])
    assert all(isinstance(f, Renewed) for f in found)


@virtual_time
async def test_a_probe_that_hangs_lets_another_one_try_after_five_seconds():
    """B2"""
    desk = Desk(AuthServer())
    await open_the_breaker(desk)
    await asyncio.sleep(5)
    desk.server.script.append(Slow(30, LOST))
    hung = desk.ticket(desk.server.login())
    await asyncio.sleep(4.9)
    assert isinstance(await desk.ask(desk.server.login()), Failed)
    await asyncio.sleep(0.2)
    assert isinstance(await desk.ask(desk.server.login()), Renewed)
    await hung.outcome(100)


@virtual_time
async def test_hung_requests_hold_no_slot_once_patience_ends():
    """B2, B4: when a server that hung is well again, all are served within five seconds, not at ``late_answer``."""
    desk = Desk(AuthServer(), timeout=10, late_answer=30, max_concurrent=5, unknown_burst=5)
    desk.server.script.extend([Late(29)] * 5)
    pairs = logins(desk, 5)
    hung = [desk.ticket(pair) for pair in pairs]
    await asyncio.sleep(10 + 5)
    found = await ask_each(desk, logins(desk, 20))
    assert all(isinstance(f, Renewed) for f in found)
    assert asyncio.get_running_loop().time() == 15
    for ticket in hung:
        assert isinstance(await ticket.outcome(100), Renewed)


@virtual_time
async def test_a_hung_request_gives_its_slot_back_once():
    """B2: not again when its answer comes."""
    desk = Desk(AuthServer(), timeout=10, late_answer=30, max_concurrent=2)
    desk.server.script.append(Late(11))
    await desk.ticket(desk.server.login()).outcome(100)
    desk.server.script.extend([Late(1)] * 6)
    before = len(desk.server.presented)
    tickets = [desk.ticket(pair) for pair in logins(desk, 6)]
    await ticks()
    assert len(desk.server.presented) - before == 2
    for ticket in tickets:
        assert isinstance(await ticket.outcome(10), Renewed)


@virtual_time
async def test_however_long_the_outage_the_server_is_asked_about_every_five_seconds():
    desk = Desk(AuthServer())
    await open_the_breaker(desk)
    desk.server.script.extend([DOWN] * 100)
    for pair in logins(desk, 600):
        await desk.ask(pair)
        await asyncio.sleep(0.1)
    assert 11 <= len(desk.server.presented) - 5 <= 16


@virtual_time
async def test_so_many_are_with_the_server_at_once_and_no_more():
    """CONTRACT §4.7"""
    desk = Desk(AuthServer(), max_concurrent=3)
    desk.server.script.extend([Late(1)] * 10)
    tickets = [desk.ticket(pair) for pair in logins(desk, 10)]
    for second in range(1, 4):
        await ticks()
        assert len(desk.server.presented) == min(3 * second, 10)
        await asyncio.sleep(1)
    found = [await ticket.outcome(10) for ticket in tickets]
    assert all(isinstance(f, Renewed) for f in found)


@virtual_time
async def test_whoever_finds_the_queue_full_is_told_at_once():
    """CONTRACT §4.7: their credentials stay usable."""
    desk = Desk(AuthServer(), max_concurrent=1, max_waiting=2)
    desk.server.script.extend([Late(1)] * 4)
    pairs = logins(desk, 4)
    tickets = [desk.ticket(pair) for pair in pairs[:3]]
    await ticks()
    assert code(await desk.ask(pairs[3])) == "auth_server_unavailable"
    assert asyncio.get_running_loop().time() == 0
    for ticket in tickets:
        assert isinstance(await ticket.outcome(10), Renewed)
    assert isinstance(await desk.ask(pairs[3]), Renewed)


@virtual_time
async def test_nobody_waits_in_the_queue_for_longer_than_a_request_has_patience():
    """CONTRACT §4.5"""
    desk = Desk(AuthServer(), max_concurrent=1, timeout=10)
    desk.server.script.append(Late(25))
    first, second = logins(desk, 2)
    hung = desk.ticket(first)
    await ticks()
    assert code(await desk.ask(second)) == "auth_server_unavailable"
    await ticks()
    assert desk.refresher.waiting == 1
    assert isinstance(await hung.outcome(100), Renewed)
    assert isinstance(await desk.ask(second), Renewed)
    assert desk.server.presented == [first[1].reveal(), second[1].reveal()]
