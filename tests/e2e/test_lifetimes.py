"""Time: windows before the end of a token, successors that wait for their client, and when they no longer do."""

import asyncio

import pytest

from tests.e2e.support import ageing, code, is_keyless, leaving, settled, until, until_status
from tests.house import house, new_pair


async def test_a_token_near_its_end_is_refreshed_beside_the_request(tmp_path):
    """R23: the API sees the current token, the client gets the new ones with the same answer."""
    async with house(tmp_path) as h:
        old = ageing(h, left=30)
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        assert answer.headers["x-token-refreshed"] == "ahead"
        assert ["authorization", f"Bearer {old[0]}"] in answer.json()["headers"]
        new = new_pair(answer, old)
        assert new[1] != old[1]
        assert is_keyless(await h.get("/echo", new))
        assert len(h.auth.token_requests) == 1


async def test_the_request_and_the_refresh_are_under_way_at_the_same_time(tmp_path):
    """R23: neither waits for the other to begin."""
    async with house(tmp_path, refresh={"ahead_wait": "10m"}) as h:
        fault = h.auth.fault("hold")
        asking = asyncio.create_task(h.get("/echo", ageing(h, left=30)))
        await fault.arrived.wait()
        await until(lambda: h.api.count == 1)
        fault.release()
        assert (await asking).headers["x-token-refreshed"] == "ahead"


async def test_late_tokens_reach_the_next_request(tmp_path):
    """R23, B2a: an answer waits ``ahead_wait`` at most; what comes later is kept for the next one."""
    patience = {"timeout": "10m", "late_answer": "10m"}
    async with house(tmp_path, refresh={"ahead_wait": "50ms"}, auth_server=patience) as h:
        old = ageing(h, left=30)
        fault = h.auth.fault("hold")
        for _ in range(2):
            async with asyncio.timeout(30):
                answer = await h.get("/echo", old)
            assert answer.status_code == 200
            assert is_keyless(answer)
        assert fault.arrived.is_set()
        fault.release()
        await settled(h)
        later = await h.get("/echo", old)
        assert later.headers["x-token-refreshed"] == "joined"
        assert len(h.auth.token_requests) == 1


@pytest.mark.parametrize("left", [30, 3], ids=["ahead", "hard"])
async def test_no_failure_of_a_refresh_refuses_a_token_that_is_still_valid(tmp_path, left):
    """R23, T11: neither a denial nor an outage; every request passes until the token's own end."""
    async with house(tmp_path) as h:
        for fault in ("error", "status", "down", "throttle", "html", "lost"):
            old = ageing(h, fault, left=left)
            h.auth.fault(fault)
            for _ in range(2):
                assert ((await h.get("/echo", old)).status_code, fault) == (200, fault)
            assert h.auth.presented(old[1]) >= 1
        assert h.api.count == 12


@pytest.mark.parametrize("left", [30, 3], ids=["ahead", "hard"])
async def test_two_users_tokens_in_one_request_are_refused_in_any_window(tmp_path, left):
    """R1: the one outcome that refuses a valid token; and no token of the other user goes out."""
    async with house(tmp_path) as h:
        answer = await h.get("/echo", (ageing(h, "ada", left=left)[0], h.login("bob")[1]))
        assert (answer.status_code, code(answer)) == (401, "subject_mismatch")
        assert is_keyless(answer)
        await until(lambda: h.auth.revocations)


async def test_a_token_about_to_end_is_refreshed_first(tmp_path):
    """R23: in the hard window the API sees the new token."""
    async with house(tmp_path) as h:
        old = ageing(h, left=4)
        answer = await h.get("/echo", old)
        assert answer.headers["x-token-refreshed"] == "ahead"
        assert ["authorization", f"Bearer {new_pair(answer, old)[0]}"] in answer.json()["headers"]


async def test_the_hard_window_has_no_more_patience_than_the_token_has_life(tmp_path):
    """T11, B2: the server hangs; the request leaves while the API still accepts its token."""
    async with house(tmp_path) as h:
        h.api._is_valid = h.auth.accepts
        fault = h.auth.fault("hold")
        answer = await h.get("/echo", ageing(h, left=2))
        assert answer.status_code == 200
        assert is_keyless(answer)
        assert fault.arrived.is_set()
        fault.release()


async def test_windows_can_be_turned_off(tmp_path):
    """CONTRACT §3: ``0s`` turns one off."""
    async with house(tmp_path, refresh={"ahead": "0s", "hard": "0s"}) as h:
        for left in (30, 3):
            assert is_keyless(await h.get("/echo", ageing(h, left=left)))
        assert not h.auth.token_requests


async def lose_the_answer(h, old):
    """A refresh happens whose answer never reaches the client."""
    fault = h.auth.fault("hold")
    async with leaving(h, old):
        await fault.arrived.wait()
    fault.release()
    await settled(h)


async def test_a_user_whose_answer_was_lost_comes_back_much_later(tmp_path):
    """R11, R9: the successor has waited; its access token has ended too by now, so *its* refresh token is the one
    that is presented: the family lives on."""
    async with house(tmp_path, refresh={"min_interval": "0s"}) as h:
        old = h.expired(ago=3600)
        h.auth.access_lifetime = 1
        await lose_the_answer(h, old)
        lost_at = h.auth.now()
        await until(lambda: h.auth.now() > lost_at + 2)
        h.auth.access_lifetime = 3600
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        assert h.auth.presented(old[1]) == 1
        assert [request.outcome for request in h.auth.token_requests] == ["granted", "granted"]
        new = new_pair(answer, old)
        assert h.auth.family_alive(new[1])
        assert (await h.get("/echo", new)).status_code == 200


async def test_a_user_whose_answers_were_lost_again_and_again(tmp_path):
    """R11: the chain is followed to the newest, however many of its tokens the client never saw."""
    async with house(tmp_path, refresh={"min_interval": "0s"}) as h:
        old = h.expired(ago=3600)
        for _ in range(3):
            h.auth.fault("expired_grant")
            assert (await h.get("/echo", old)).status_code == 503
            await until_presented(h, old)
        answer = await until_status(h, 200, old)
        assert h.auth.presented(old[1]) == 1
        assert {request.outcome for request in h.auth.token_requests} == {"granted"}
        assert h.auth.family_alive(new_pair(answer, old)[1])


async def until_presented(h, old):
    await settled(h)
    assert h.auth.presented(old[1]) == 1


async def test_an_unclaimed_successor_is_served_as_often_as_it_is_asked_for(tmp_path):
    """R11: a script that cannot read our headers comes with the old pair for ever, and costs one refresh."""
    async with house(tmp_path, refresh={"grace": "0s"}) as h:
        old = h.expired(ago=3600)
        answers = [await h.get("/echo", old) for _ in range(10)]
        assert {a.status_code for a in answers} == {200}
        assert len({new_pair(a, old) for a in answers}) == 1
        assert len(h.auth.token_requests) == 1


async def test_parallel_requests_with_the_old_pair_pass_within_the_grace(tmp_path):
    """R11: the successor was presented, but requests sent before that are still on their way."""
    async with house(tmp_path) as h:
        old = h.expired()
        new = new_pair(await h.get("/echo", old), old)
        assert (await h.get("/echo", new)).status_code == 200
        await settled(h)
        late = await h.get("/echo", old)
        assert late.headers["x-token-refreshed"] == "joined"
        assert new_pair(late, old) == new
        assert len(h.auth.token_requests) == 1


@pytest.mark.parametrize("grace", ["0s", "300ms"])
async def test_once_the_successor_was_presented_the_old_pair_meets_theft_detection(tmp_path, grace):
    """R11: after ``grace`` it goes to the authorization server, which revokes the family (RFC 9700 §4.14)."""
    async with house(tmp_path, refresh={"grace": grace}) as h:
        old = h.expired(ago=3600)
        await lose_the_answer(h, old)
        back = await h.get("/echo", old)
        assert back.headers["x-token-refreshed"] == "joined"
        new = new_pair(back, old)
        assert (await h.get("/echo", new)).status_code == 200
        await settled(h)
        refused = await until_status(h, 401, old)
        assert code(refused) == "refresh_rejected"
        assert "reason" not in refused.json()
        assert h.auth.presented(old[1]) == 2
        assert not h.auth.family_alive(new[1])


async def test_a_successor_nobody_came_for_is_given_up(tmp_path):
    """R11: ``unclaimed`` bounds how long it waits."""
    async with house(tmp_path, refresh={"unclaimed": "300ms"}) as h:
        old = h.expired()
        await lose_the_answer(h, old)
        await asyncio.sleep(0.4)  # asking earlier would keep it
        refused = await h.get("/echo", old)
        assert (refused.status_code, code(refused)) == (401, "refresh_rejected")
        assert h.auth.presented(old[1]) == 2


async def test_a_token_that_was_logged_out_elsewhere_is_not_revived(tmp_path):
    """R12: the family's newest refresh token is dead at the server; the old pair finds nothing to live on."""
    async with house(tmp_path, refresh={"min_interval": "0s"}) as h:
        old = h.expired()
        new = new_pair(await h.get("/echo", old), old)
        h.auth.families.find(new[1]).family.revoked = True
        assert (await h.get("/deny-once", new)).status_code == 401
        assert [event.outcome for event in h.refreshes()] == ["granted", "denied"]
        assert (await h.get("/deny-once?key=a", new)).status_code == 401
        assert len(h.auth.token_requests) == 2
