"""One presentation of one refresh token: what each answer means (CONTRACT §4.5, §4.6)."""

import asyncio

import pytest

from gateway.core.grants import Denied, Misconfigured, Throttled, Unavailable
from gateway.core.outcomes import Dead, Renewed
from gateway.core.secret import Secret
from gateway.events import Noticed, RefreshEnded
from tests.refresher.support import HOUR, AuthServer, Desk, Late, Lost, code
from tests.virtual_time import virtual_time

DOWN = Unavailable("refused", ambiguous=False)
LOST = Unavailable("reset", ambiguous=True)
WALL = Unavailable("no usable answer with status 403", ambiguous=True, client_error=True)
"""A firewall's page."""


# Denials


@virtual_time
async def test_a_denied_token_is_not_presented_again_for_a_while():
    """R12, B8: 1,000 repeats, one call; repeats do not prolong it."""
    desk = Desk(AuthServer(), negative=30)
    dead = (desk.server.login()[0], Secret("unknown"))
    for _ in range(1000):
        assert await desk.ask(dead) == Dead()
        await asyncio.sleep(0.029)
    assert len(desk.server.presented) == 1
    await asyncio.sleep(1.1)
    assert await desk.ask(dead) == Dead()
    assert len(desk.server.presented) == 2


@virtual_time
async def test_a_denial_is_remembered_for_its_own_token_only():
    """B8"""
    desk = Desk(AuthServer())
    good = desk.server.login()
    await desk.ask((good[0], Secret("unknown")))
    assert isinstance(await desk.ask(good), Renewed)


@virtual_time
async def test_a_denial_after_a_lost_answer_says_so():
    """R10, B2b: the server rotated, and nobody heard the answer. Also from the negative cache."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    desk.server.script.append(Lost())
    assert code(await desk.ask(old)) == "auth_server_unavailable"
    assert await desk.ask(old) == Dead("answer_lost")
    assert await desk.ask(old) == Dead("answer_lost")
    assert len(desk.server.presented) == 2


@virtual_time
async def test_a_lost_answer_is_remembered_for_as_long_as_its_client_may_return():
    """B2b: the client comes back the next day."""
    desk = Desk(AuthServer(), max_expired_age=100 * HOUR)
    for days, reason in [(4, "answer_lost"), (5, None)]:
        old = desk.server.login()
        desk.server.script.append(Lost())
        await desk.ask(old)
        await asyncio.sleep(days * 24 * HOUR)
        assert await desk.ask(old) == Dead(reason)


@virtual_time
async def test_a_denial_that_the_client_knows_to_follow_a_lost_answer_says_so():
    """R10, B2b: within one flight, with a grace."""
    desk = Desk(AuthServer())
    desk.server.script.append(Denied(answer_lost=True))
    assert await desk.ask(desk.server.login()) == Dead("answer_lost")


@pytest.mark.parametrize(
    "answer",
    [Throttled(1, answer_lost=True), Misconfigured("x", answer_lost=True), Denied(answer_lost=True)],
    ids=str,
)
@virtual_time
async def test_a_lost_answer_is_remembered_whatever_the_second_answer_was(answer):
    """R10, B2b: the flight presented twice; what ended the second says nothing of the first."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    desk.server.script.extend([answer, Denied()])
    await desk.ask(old)
    await asyncio.sleep(60)
    assert await desk.ask(old) == Dead("answer_lost")
    assert len(desk.server.presented) == 2


@virtual_time
async def test_a_doubt_ends_with_the_next_grant():
    """R10: the lost request had not been processed after all."""
    desk = Desk(AuthServer(rotates=False, lifetime=HOUR))
    old = desk.server.login()
    desk.server.script.append(LOST)
    await desk.ask(old)
    assert isinstance(await desk.ask(old), Renewed)
    await asyncio.sleep(2 * HOUR)
    desk.server.logins[old[1].reveal()].revoked = True
    assert await desk.ask(old) == Dead()


@virtual_time
async def test_a_failure_before_any_byte_was_sent_leaves_no_doubt():
    """R10"""
    desk = Desk(AuthServer())
    old = desk.server.login()
    desk.server.script.extend([DOWN, Denied()])
    await desk.ask(old)
    assert await desk.ask(old) == Dead()


# Everything else keeps the credentials


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Misconfigured("invalid_client"), "auth_server_misconfigured"),
        (DOWN, "auth_server_unavailable"),
        (WALL, "auth_server_unavailable"),
        (Unavailable("server_error", ambiguous=False), "auth_server_unavailable"),
    ],
)
@virtual_time
async def test_whatever_is_no_denial_kills_nothing(answer, expected):
    """R13, B4, B9: 503, and the next request tries again."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    desk.server.script.append(answer)
    found = await desk.ask(old)
    assert code(found) == expected
    assert found.problem.retry_after
    assert isinstance(await desk.ask(old), Renewed)


@virtual_time
async def test_a_misconfiguration_is_an_alarm():
    """B9: nobody is logged out, somebody is called."""
    desk = Desk(AuthServer())
    desk.server.script.append(Misconfigured("invalid_client"))
    await desk.ask(desk.server.login())
    assert desk.whats(Noticed) == [Noticed(what="auth_server_misconfigured", detail="invalid_client", alarm=True)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, RefreshEnded(outcome="granted")),
        (Denied(), RefreshEnded(outcome="denied", reason="invalid_grant")),
        (Throttled(5), RefreshEnded(outcome="throttled")),
        (Throttled(5, answer_lost=True), RefreshEnded(outcome="throttled", ambiguous=True)),
        (Misconfigured("x", answer_lost=True), RefreshEnded(outcome="misconfigured", reason="x", ambiguous=True)),
        (Misconfigured("invalid_scope"), RefreshEnded(outcome="misconfigured", reason="invalid_scope")),
        (LOST, RefreshEnded(outcome="unavailable", reason="reset", ambiguous=True)),
    ],
)
@virtual_time
async def test_each_presentation_is_one_event(answer, expected):
    desk = Desk(AuthServer())
    desk.server.script.append(answer)
    await desk.ask(desk.server.login())
    assert desk.whats(RefreshEnded) == [expected]


@virtual_time
async def test_an_event_tells_how_long_it_took():
    desk = Desk(AuthServer())
    desk.server.script.append(Late(3))
    await desk.ask(desk.server.login())
    assert [event.duration for event in desk.whats(RefreshEnded)] == [3]


@virtual_time
async def test_nothing_of_a_token_is_in_an_event():
    """X9"""
    desk = Desk(AuthServer())
    access, refresh = desk.server.login()
    for answer in (DOWN, Throttled(1), Misconfigured("x"), Denied()):
        desk.server.script.append(answer)
        await desk.ask((access, refresh))
        await asyncio.sleep(2)
    assert refresh.reveal() not in repr(desk.events) + repr(desk.refresher.__dict__)
    assert access.raw.reveal() not in repr(desk.events)


@virtual_time
async def test_the_time_of_a_presentation_counts_from_before_it_was_announced():
    """R8, B24: what holds us up between the announcement and the request is not the others' time."""
    desk = Desk(server := AuthServer())
    pair = server.login("ada", left=-60)
    announce, before = desk.store.intend, asyncio.get_running_loop().time()

    async def slowly(*args):
        await asyncio.sleep(0.05)
        return await announce(*args)

    desk.store.intend = slowly
    await desk.ask(pair)
    assert before <= server.since[0] <= asyncio.get_running_loop().time() - 0.05
