"""Bugs, errands and the end."""

import asyncio

from gateway.core.outcomes import Renewed
from gateway.core.secret import Secret
from gateway.events import Noticed
from tests.refresher.support import AuthServer, Desk, Late, code
from tests.virtual_time import ticks, virtual_time


@virtual_time
async def test_a_bug_answers_its_waiters():
    """O2: and the next one may try."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    desk.server.script.append(ZeroDivisionError("canary"))
    found = await asyncio.gather(desk.ask(old), desk.ask(old))
    assert [code(f) for f in found] == ["internal_error"] * 2
    [notice] = desk.whats(Noticed)
    assert (notice.what, notice.detail, notice.alarm) == ("refresh_failed", "ZeroDivisionError", True)
    assert notice.where.startswith("refresher/")
    assert isinstance(await desk.ask(old), Renewed)


@virtual_time
async def test_a_bug_in_judging_a_grant_loses_nothing():
    """O2, R11: the rotated token was stored, and the next request finds it."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    desk.server.verdict = KeyError()
    assert code(await desk.ask(old)) == "internal_error"
    desk.server.verdict = None
    assert isinstance(await desk.ask(old), Renewed)
    assert len(desk.server.presented) == 1


@virtual_time
async def test_a_stop_waits_for_open_flights_and_for_what_they_leave_to_do():
    """CONTRACT §6: up to late_answer; a revocation that a flight ends with is awaited too."""
    desk = Desk(AuthServer(revocation_takes=5), late_answer=30)
    ada, eve = desk.server.login("ada"), desk.server.login("eve")
    desk.server.script.extend([Late(20), Late(20)])
    desk.ticket((eve[0], ada[1]))
    desk.ticket(eve)
    await ticks()
    await desk.refresher.close()
    assert desk.refresher.under_way == 0
    assert len(desk.server.revoked) == 1
    assert asyncio.get_running_loop().time() == 25
    assert (await desk.ask(eve)).joined


@virtual_time
async def test_a_stop_does_not_wait_for_ever():
    desk = Desk(AuthServer(), late_answer=30)
    desk.server.script.append(Late(1000))
    ticket = desk.ticket(desk.server.login())
    await ticks()
    await desk.refresher.close()
    assert asyncio.get_running_loop().time() == 30
    ticket.flight.task.cancel()
    await asyncio.wait({ticket.flight.task})


@virtual_time
async def test_a_stop_with_nothing_open_returns_at_once():
    await Desk(AuthServer()).refresher.close()
    assert asyncio.get_running_loop().time() == 0


@virtual_time
async def test_an_errand_that_fails_is_told():
    """X9: by the name of its error and its place only."""
    desk = Desk(AuthServer())

    async def broken(key, now):
        raise RuntimeError("canary")

    desk.store.claim = broken
    desk.refresher.observe(Secret("rt"))
    await desk.settled()
    [notice] = desk.events
    assert (notice.what, notice.detail, notice.alarm) == ("errand_failed", "RuntimeError", True)
    assert notice.where.startswith("refresher/successors.py:")
