"""Grants that cannot be used now, and what a grant tells (CONTRACT §4.4)."""

import asyncio

import pytest

from gateway.core.grants import Grant
from gateway.core.outcomes import Renewed
from gateway.core.secret import Secret
from gateway.core.tokens import KeysUnavailable, Rejected
from gateway.events import Noticed
from tests.refresher.support import HOUR, AuthServer, Desk, code, pair_of
from tests.virtual_time import DAY_ONE, virtual_time


def notices(desk):
    return [event.what for event in desk.whats(Noticed)]


@virtual_time
async def test_a_grant_that_cannot_be_verified_now_is_kept_and_served_later():
    """R2: 503, never revoked, no further token request."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    desk.server.verdict = KeysUnavailable()
    for _ in range(3):
        assert code(await desk.request(old)) == "auth_server_unavailable"
    desk.server.verdict = None
    assert isinstance(await desk.request(old), Renewed)
    assert len(desk.server.presented) == 1
    assert desk.server.revoked == []
    assert notices(desk) == ["grant_not_verifiable"]


@virtual_time
async def test_a_grant_that_we_do_not_accept_alarms_and_costs_no_rotation_for_each_request():
    """R2, R21: kept; exchanged again once ``min_interval`` is over."""
    desk = Desk(AuthServer(), min_interval=30)
    old = desk.server.login()
    desk.server.verdict = Rejected("aud is another")
    for _ in range(3):
        assert code(await desk.request(old)) == "auth_server_misconfigured"
    assert len(desk.server.presented) == 1
    [notice] = desk.whats(Noticed)
    assert (notice.what, notice.alarm) == ("grant_not_accepted", True)
    await asyncio.sleep(30)
    desk.server.verdict = None
    desk.server.facts = {}
    assert isinstance(await desk.request(old), Renewed)
    assert desk.server.revoked == []


@virtual_time
async def test_a_rejected_grant_is_exchanged_by_its_own_refresh_token():
    """R2: and not by the old one, which is spent."""
    desk = Desk(AuthServer(), min_interval=30)
    old = desk.server.login()
    desk.server.verdict = Rejected("aud is another")
    await desk.request(old)
    await asyncio.sleep(30)
    await desk.request(old)
    assert len(desk.server.presented) == len(set(desk.server.presented)) == 2
    assert desk.server.alive(old[1])


@virtual_time
async def test_a_grant_that_names_no_subject_is_nobodys():
    """R11: it could be handed to anybody."""
    desk = Desk(AuthServer(facts={"subject": None}))
    old = desk.server.login()
    for _ in range(2):
        assert code(await desk.request(old)) == "auth_server_misconfigured"
    assert code(await desk.request((None, old[1]))) == "auth_server_misconfigured"
    assert len(desk.server.presented) == 1
    assert desk.server.revoked == []


@pytest.mark.parametrize(
    "facts",
    [{"expires_at": DAY_ONE - 300}, {"not_before": DAY_ONE + 20}, {"key_retired": True}],
    ids=["expired already", "not valid yet", "by a retired key"],
)
@virtual_time
async def test_clocks_apart_cost_no_rotation_for_each_request(facts):
    """R2, B25: a grant that is of no use at its birth is kept, not exchanged again and again."""
    desk = Desk(AuthServer(facts=facts), min_interval=30)
    old = desk.server.login()
    for _ in range(5):
        await desk.request(old)
        await asyncio.sleep(1)
    assert len(desk.server.presented) == 1
    desk.server.facts = {}
    await asyncio.sleep(30)
    assert isinstance(await desk.request(old), Renewed)
    assert desk.server.alive(old[1])


@virtual_time
async def test_a_grant_inside_its_own_window_is_used_and_not_refreshed_again():
    """R20: the server grants what lasts for 40 s more."""
    desk = Desk(AuthServer())
    old = desk.server.login()
    desk.server.facts = {"expires_at": DAY_ONE + 40, "issued_at": DAY_ONE - HOUR}
    new = pair_of(await desk.request(old))
    await asyncio.sleep(39)
    assert pair_of(await desk.request(old)) == new
    assert len(desk.server.presented) == 1
    await asyncio.sleep(1)
    desk.server.facts = {}
    await desk.request(old)
    assert len(desk.server.presented) == 2


@virtual_time
async def test_a_wider_scope_is_noticed():
    """R2"""
    desk = Desk(AuthServer())
    for before, grant, claim, widened in [
        ("a b", "b a", None, False),
        ("a b", "a", None, False),
        ("a", "a c", None, True),
        ("a", None, "a c", True),
        ("a", None, None, False),
        (None, "a", None, False),
    ]:
        desk.events.clear()
        access, refresh = desk.server.login(claims={"scope": before})
        raw = desk.server._issue("ada", HOUR, {"claims": {"scope": claim}})
        desk.server.script.append(Grant(Secret(raw), Secret(f"rt {raw}"), scope=grant))
        assert isinstance(await desk.request((access, refresh)), Renewed)
        assert (notices(desk) == ["scope_widened"]) is widened


@pytest.mark.parametrize(
    ("expires_in", "expires_at", "lifetime"),
    [(600.0, None, 600.0), (None, DAY_ONE + 700, 700.0), (None, DAY_ONE - 7, 0), (None, None, None)],
)
@virtual_time
async def test_the_lifetime_is_what_the_grant_said(expires_in, expires_at, lifetime):
    """CONTRACT §3: ``expires_in`` where we saw the grant."""
    desk = Desk(AuthServer())
    access, refresh = desk.server.login(left=5000)
    desk.server.script.append(Grant(access.raw, None, expires_in, expires_at))
    await desk.request((access, refresh))
    assert desk.server.obtained[access.raw.reveal()].lifetime == lifetime
