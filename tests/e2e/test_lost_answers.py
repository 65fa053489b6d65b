"""The authorization server answers late or never, or its answer is lost (CONTRACT §4.5): two clocks, one breaker, and
no blind second presentation.
"""

import asyncio

import pytest

from tests.e2e.support import code, leaving, settled, until, until_status
from tests.house import house, new_pair

UNAVAILABLE = "auth_server_unavailable"


async def test_the_server_accepts_and_never_answers(tmp_path):
    """B2: waiters are released at ``timeout``, the flight ends at ``late_answer``, the next request tries again."""
    async with house(tmp_path, auth_server={"timeout": "200ms", "late_answer": "1200ms"}) as h:
        old = h.expired()
        fault = h.auth.fault("hang")
        for _ in range(2):
            answer = await h.get("/echo", old)
            assert (answer.status_code, code(answer)) == (503, UNAVAILABLE)
            assert "awaited" in answer.json()["detail"]
            assert fault.arrived.is_set()
            assert len(h.auth.token_requests) == 1
        await settled(h)
        [event] = h.refreshes()
        assert (event.outcome, event.ambiguous) == ("unavailable", True)
        assert (await h.get("/echo", old)).status_code == 200
        assert len(h.auth.token_requests) == 2


async def test_the_breaker_opens_lets_one_probe_through_and_closes(tmp_path):
    """B2, B4: after five failures the server is left alone, and one request at a time asks whether it is well."""
    async with house(tmp_path) as h:
        h.auth.fault("status", None)
        for number in range(5):
            assert (await h.get("/echo", h.expired(f"user {number}"))).status_code == 503
        assert len(h.auth.token_requests) == 5
        spared = await h.get("/echo", h.expired("spared"))
        assert (spared.status_code, code(spared)) == (503, UNAVAILABLE)
        assert len(h.auth.token_requests) == 5
        assert (await h.get("/echo", h.login())).status_code == 200
        h.auth.clear()
        fault = h.auth.fault("hold")
        pairs = [h.expired(f"later {number}") for number in range(8)]
        probing = [asyncio.create_task(until_status(h, 200, pair)) for pair in pairs]
        await fault.arrived.wait()
        refused = len([e for e in h.requests() if e.status == 503])
        await until(lambda: len([e for e in h.requests() if e.status == 503]) > refused + 20)
        assert len(h.auth.token_requests) == 6
        fault.release()
        await asyncio.gather(*probing)
        assert len(h.auth.token_requests) == 5 + len(pairs)


async def test_a_server_that_never_answers_is_left_alone_before_its_flights_have_ended(tmp_path):
    """B2: the breaker hears of a failure when patience ends; whoever comes then does not wait at all."""
    async with house(tmp_path, auth_server={"timeout": "200ms", "late_answer": "2s"}) as h:
        assert (await h.get("/echo", h.login())).status_code == 200
        h.auth.fault("hang", None)
        answers = await asyncio.gather(*(h.get("/echo", h.expired(f"user {number}")) for number in range(5)))
        assert {a.status_code for a in answers} == {503}
        spared = await h.get("/echo", h.expired("spared"))
        assert (spared.status_code, code(spared)) == (503, UNAVAILABLE)
        assert "awaited" not in spared.json()["detail"]
        assert len(h.auth.token_requests) == 5
        h.auth.clear()
        assert (await until_status(h, 200, h.expired("later"))).headers["x-token-refreshed"] == "expired"


async def test_an_answer_after_the_patience_of_the_requests_is_not_lost(tmp_path):
    """B2a: it is stored, and the next request gets it with no further token request."""
    async with house(tmp_path, auth_server={"timeout": "150ms", "late_answer": "20s"}) as h:
        old = h.expired()
        fault = h.auth.fault("hold")
        assert (await h.get("/echo", old)).status_code == 503
        fault.release()
        await settled(h)
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        assert answer.headers["x-token-refreshed"] == "joined"
        assert len(h.auth.token_requests) == 1
        assert h.auth.family_alive(new_pair(answer, old)[1])


LOST_ANSWERS = [
    ("lost", {}),
    ("lost", {"reset": True}),
    ("status", {"status": 502, "processed": True}),
    ("garbage", {"processed": True}),
]


@pytest.mark.parametrize(("kind", "options"), LOST_ANSWERS, ids=["closed", "reset", "502", "cut"])
async def test_the_server_rotates_and_its_answer_is_lost(tmp_path, kind, options):
    """B2b, R10: one presentation in the flight; the client's next request tries, and the refusal says why."""
    async with house(tmp_path) as h:
        old = h.expired()
        h.auth.fault(kind, **options)
        first = await h.get("/echo", old)
        assert (first.status_code, code(first)) == (503, UNAVAILABLE)
        assert h.auth.presented(old[1]) == 1
        assert h.refreshes()[0].ambiguous
        for _ in range(2):
            denied = await h.get("/echo", old)
            assert (denied.status_code, code(denied)) == (401, "refresh_rejected")
            assert denied.json()["reason"] == "answer_lost"
            assert "lost" in denied.json()["detail"]
            assert h.requests()[-1].reason == "answer_lost"
        assert h.auth.presented(old[1]) == 2


async def test_a_server_with_a_rotation_grace_is_asked_once_more(tmp_path):
    """B2b, R10: within ``rotation_grace`` the same flight presents the token a second time, and only once."""
    sections = {"auth": {"rotation_grace": 60}, "auth_server": {"rotation_grace": "60s"}}
    async with house(tmp_path, **sections) as h:
        old = h.expired()
        h.auth.fault("lost")
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        assert h.auth.presented(old[1]) == 2
        assert h.auth.concurrent_presentations == 1
        assert h.auth.family_alive(new_pair(answer, old)[1])
        unlucky = h.expired("eve")
        h.auth.fault("lost", 2)
        assert (await h.get("/echo", unlucky)).status_code == 503
        assert h.auth.presented(unlucky[1]) == 2


async def test_a_grace_that_the_server_does_not_keep(tmp_path):
    """B2b, R10: the denial of the second presentation says that an answer was lost."""
    async with house(tmp_path, auth_server={"rotation_grace": "60s"}) as h:
        old = h.expired()
        h.auth.fault("lost")
        answer = await h.get("/echo", old)
        assert (answer.status_code, code(answer)) == (401, "refresh_rejected")
        assert answer.json()["reason"] == "answer_lost"
        assert h.auth.presented(old[1]) == 2


async def test_a_token_that_survived_a_lost_answer_is_a_good_one_again(tmp_path):
    """B2b: the server had not rotated; a later denial is then nobody's lost answer."""
    async with house(tmp_path, auth={"rotation": False}, refresh={"unclaimed": "1ms"}) as h:
        old = h.expired()
        h.auth.fault("lost")
        assert (await h.get("/echo", old)).status_code == 503
        assert (await h.get("/echo", old)).status_code == 200
        h.auth.families.find(old[1]).family.revoked = True
        denied = await until_status(h, 401, old)
        assert code(denied) == "refresh_rejected"
        assert "reason" not in denied.json()


async def test_the_server_drips_its_answer(tmp_path):
    """B6: cut at ``late_answer``; the requests waited no longer than ``timeout``."""
    async with house(tmp_path, auth_server={"timeout": "150ms", "late_answer": "500ms"}) as h:
        h.auth.fault("drip", interval=0.05)
        assert (await h.get("/echo", h.expired())).status_code == 503
        await settled(h)
        [event] = h.refreshes()
        assert (event.outcome, event.ambiguous) == ("unavailable", True)
        await until(lambda: h.auth_server.connections == 0)


async def test_a_client_that_leaves_does_not_count_against_the_server(tmp_path):
    """B22: ten clients leave one after the other; one flight, one token request, no failure."""
    async with house(tmp_path) as h:
        old = h.expired()
        fault = h.auth.fault("hold")
        for number in range(10):
            async with leaving(h, old):
                await fault.arrived.wait()
                await until(lambda least=number: h.gateway.refresher.waiting > least)
        fault.release()
        await settled(h)
        assert [event.outcome for event in h.refreshes()] == ["granted"]
        assert (await h.get("/echo", old)).status_code == 200
        assert len(h.auth.token_requests) == 1
