"""A refresh through the whole gateway: who gets the new tokens, who does not, and how often the server is asked."""

import asyncio
import time

from tests.e2e.support import ageing, code, is_keyless, leaving, settled, until, until_status
from tests.house import house, new_pair


async def test_an_access_token_with_another_users_refresh_token_gives_nobody_anything(tmp_path):
    """R1: 401, nothing forwarded, no token returned, and the grant is revoked."""
    async with house(tmp_path) as h:
        stolen = h.login("bob")[1]
        answer = await h.get("/echo", (h.expired("ada")[0], stolen))
        assert (answer.status_code, code(answer)) == (401, "subject_mismatch")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert is_keyless(answer)
        assert h.api.count == 0
        await until(lambda: h.auth.revocations)
        assert not h.auth.family_alive(stolen)
        assert "subject_mismatch" in h.notices()


async def test_each_waiter_of_one_flight_is_checked_against_its_own_token(tmp_path):
    """R1, R7: the thief who came first gets nothing; the owner, who joined the flight, gets the tokens."""
    async with house(tmp_path) as h:
        owner = h.expired("bob")
        fault = h.auth.fault("hold")
        async with asyncio.TaskGroup() as clients:
            thief = clients.create_task(h.get("/echo", (h.expired("ada")[0], owner[1])))
            await fault.arrived.wait()
            joined = clients.create_task(h.get("/echo", owner))
            await until(lambda: h.gateway.refresher.waiting == 2)
            fault.release()
        assert (thief.result().status_code, code(thief.result())) == (401, "subject_mismatch")
        assert is_keyless(thief.result())
        assert joined.result().status_code == 200
        assert h.auth.family_alive(new_pair(joined.result(), owner)[1])
        assert not h.auth.revocations
        assert len(h.auth.token_requests) == 1


async def test_successors_are_for_their_own_user_only(tmp_path):
    """R11: an old refresh token in other hands finds nothing in the cache, and costs its owner nothing."""
    async with house(tmp_path) as h:
        old = h.expired("ada")
        new = new_pair(await h.get("/echo", old), old)
        thief = await h.get("/echo", (h.expired("mallory")[0], old[1]))
        assert (thief.status_code, code(thief)) == (401, "subject_mismatch")
        assert is_keyless(thief)
        assert len(h.auth.token_requests) == 1
        assert (await h.get("/echo", new)).status_code == 200
        assert h.auth.family_alive(new[1])


async def test_a_grant_for_another_audience_costs_nobody_a_session(tmp_path):
    """R2: kept, unrevoked, given to nobody; a token that is still valid serves on, and an alarm is raised."""
    async with house(tmp_path) as h:
        for old, status in ((h.expired(), 503), (ageing(h, left=3), 200), (ageing(h, left=30), 200)):
            h.auth.fault("wrong_audience")
            answer = await h.get("/echo", old)
            assert answer.status_code == status
            assert status == 200 or code(answer) == "auth_server_misconfigured"
            assert is_keyless(answer)
            assert h.auth.family_alive(old[1])
        assert h.api.count == 2
        assert len(h.auth.token_requests) == 3
        assert h.notices().count("grant_not_accepted") == 3
        assert not h.auth.revocations


async def test_a_grant_for_another_route_is_a_good_one(tmp_path):
    """R2: what one route refuses another may want; the tokens reach the client beside the refusal."""
    async with house(tmp_path, routes=[{"match": "/other", "audience": ["another-api"]}]) as h:
        old = h.expired()
        h.auth.fault("wrong_audience")
        refused = await h.get("/echo", old)
        assert (refused.status_code, code(refused)) == (503, "auth_server_misconfigured")
        assert (await h.get("/other", new_pair(refused, old))).status_code == 200


async def test_a_grant_of_another_issuer_is_kept_unrevoked_and_given_to_nobody(tmp_path):
    """R2, R14: asked again only after ``min_interval``, and then with the token that the server rotated to."""
    async with house(tmp_path, refresh={"min_interval": "500ms"}) as h:
        old = h.expired()
        h.auth.fault("wrong_issuer")
        first = await h.get("/echo", old)
        assert (first.status_code, code(first)) == (503, "auth_server_misconfigured")
        assert is_keyless(first)
        assert "grant_not_accepted" in h.notices()
        later = await until_status(h, 200, old)
        assert len(h.auth.token_requests) == 2
        assert h.auth.presented(old[1]) == 1
        assert later.headers["x-token-refreshed"] == "expired"
        assert not h.auth.revocations
        assert h.auth.family_alive(new_pair(later, old)[1])


async def test_a_grant_that_cannot_be_verified_now_is_found_when_the_keys_come_back(tmp_path):
    """R2, B11: stored and answered 503; no second token request, no revocation."""
    async with house(tmp_path) as h:
        old = h.expired()
        assert (await h.get("/echo", h.login())).status_code == 200
        h.auth.rotate_keys()
        h.auth.fault("down", None, endpoint="jwks")
        for _ in range(2):
            answer = await h.get("/echo", old)
            assert (answer.status_code, code(answer)) == (503, "auth_server_unavailable")
            assert is_keyless(answer)
        assert "grant_not_verifiable" in h.notices()
        h.auth.clear("jwks")
        answer = await until_status(h, 200, old)
        assert answer.headers["x-token-refreshed"] == "joined"
        assert len(h.auth.token_requests) == 1
        assert not h.auth.revocations
        assert h.auth.family_alive(new_pair(answer, old)[1])


async def test_a_broken_id_token_discards_nothing(tmp_path):
    """R3: the gateway has no use for it, so nobody loses a session over it."""
    async with house(tmp_path) as h:
        old = h.expired()
        h.auth.fault("bad_id_token")
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        assert (await h.get("/echo", new_pair(answer, old))).status_code == 200


async def test_a_refresh_token_is_not_redeemed_without_a_verified_access_token(tmp_path):
    """R4: alone, or beside a token that was tampered with, it buys nothing."""
    async with house(tmp_path) as h:
        access, refresh = h.expired()
        alone = await h.get("/echo", None, headers={"X-Refresh-Token": refresh})
        assert (alone.status_code, code(alone)) == (401, "missing_token")
        forged = await h.get("/echo", (access[:-8] + "AAAAAAAA", refresh))
        assert (forged.status_code, code(forged)) == (401, "invalid_token")
        assert not h.auth.token_requests
        assert h.api.count == 0


async def test_a_refresh_token_alone_is_redeemed_where_the_operator_allows_it(tmp_path):
    """R4: ``allow_refresh_alone``."""
    async with house(tmp_path, refresh={"allow_refresh_alone": True}) as h:
        answer = await h.get("/echo", None, headers={"X-Refresh-Token": h.login()[1]})
        assert answer.status_code == 200
        assert answer.headers["x-token-refreshed"] == "expired"


async def test_a_token_that_expired_too_long_ago_is_refused(tmp_path):
    """R4: ``max_expired_age`` counts, refresh token or not."""
    async with house(tmp_path, refresh={"max_expired_age": "1h"}) as h:
        answer = await h.get("/echo", h.expired(ago=3700))
        assert (answer.status_code, code(answer)) == (401, "expired_token")
        assert not h.auth.token_requests
        assert (await h.get("/echo", h.expired(ago=3500))).status_code == 200


async def test_two_users_never_share_a_flight(tmp_path):
    """R6: refresh tokens of two users are refreshed at the same time, and each user gets their own."""
    async with house(tmp_path) as h:
        pairs = {user: h.expired(user) for user in ("ada", "bob", "eve")}
        answers = await asyncio.gather(*(h.get("/echo", pair) for pair in pairs.values() for _ in range(5)))
        served = {(a.headers["x-access-token"], a.headers["x-refresh-token"]) for a in answers}
        assert len(served) == len(h.auth.token_requests) == 3
        subjects = [h.auth.read_access_token(access)["sub"] for access, _ in served]
        assert sorted(subjects) == ["ada", "bob", "eve"]


async def test_the_first_asker_hangs_up(tmp_path):
    """R9, R8, B3, B22: the flight goes on; the others and its own retry get the successor of one request."""
    async with house(tmp_path) as h:
        old = h.expired()
        fault = h.auth.fault("hold")
        async with asyncio.TaskGroup() as clients:
            async with leaving(h, old):
                await fault.arrived.wait()
                others = [clients.create_task(h.get("/echo", old)) for _ in range(5)]
                await until(lambda: h.gateway.refresher.waiting == 6)
            fault.release()
        retry = await h.get("/echo", old)
        answers = [task.result() for task in others] + [retry]
        assert {a.status_code for a in answers} == {200}
        assert {a.headers["x-token-refreshed"] for a in answers} == {"joined"}
        assert len({new_pair(a, old) for a in answers}) == 1
        assert len(h.auth.token_requests) == 1
        assert h.auth.family_alive(new_pair(retry, old)[1])


async def test_a_client_that_leaves_alone_finds_its_tokens_when_it_comes_back(tmp_path):
    """R9, R11: nobody else waits; the rotated token is stored all the same."""
    async with house(tmp_path) as h:
        old = h.expired()
        fault = h.auth.fault("hold")
        async with leaving(h, old):
            await fault.arrived.wait()
        fault.release()
        await settled(h)
        retry = await h.get("/echo", old)
        assert retry.status_code == 200
        assert retry.headers["x-token-refreshed"] == "joined"
        assert len(h.auth.token_requests) == 1
        assert (await h.get("/echo", new_pair(retry, old))).status_code == 200


async def test_a_grant_without_a_refresh_token_keeps_the_old_one(tmp_path):
    """R11: and then no new refresh token is announced."""
    async with house(tmp_path, refresh={"min_interval": "0s"}) as h:
        old = h.expired()
        h.auth.fault("no_refresh_token")
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        assert "x-refresh-token" not in answer.headers
        kept = new_pair(answer, old)
        again = await h.get("/deny-once?key=a", kept)
        assert again.status_code == 200
        assert again.headers["x-token-refreshed"] == "rejected"
        assert h.auth.presented(old[1]) == 2


async def test_a_denied_refresh_token_is_said_once_and_remembered(tmp_path):
    """R12, B8: 401 ``refresh_rejected``, the user has to sign in, and the server is left alone."""
    async with house(tmp_path) as h:
        dead = h.expired()
        h.auth.families.find(dead[1]).family.revoked = True
        for _ in range(3):
            answer = await h.get("/echo", dead)
            assert (answer.status_code, code(answer)) == (401, "refresh_rejected")
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            assert "reason" not in answer.json()
        assert len(h.auth.token_requests) == 1
        assert h.api.count == 0


async def test_nothing_is_refreshed_where_nobody_asked_for_credentials(tmp_path):
    """R17: CORS preflight, ``auth = "off"`` and TRACE leave the credentials alone."""
    async with house(tmp_path, routes=[{"match": "/public", "auth": "off"}]) as h:
        old = h.expired()
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
        assert (await h.request("OPTIONS", "/cors", old, headers=asked)).status_code == 200
        public = await h.get("/public", old)
        assert public.status_code == 200
        assert ["authorization", f"Bearer {old[0]}"] in public.json()["headers"]
        assert (await h.request("TRACE", "/echo", old)).status_code == 501
        assert not h.auth.token_requests
        assert h.api.count == 2


async def test_a_token_granted_inside_our_window_is_used_and_not_refreshed_again(tmp_path):
    """R20: the server would grant the same again; no loop."""
    async with house(tmp_path) as h:
        old = h.expired()
        now = int(time.time())
        h.auth.fault("answer", claims={"iat": now - 3550, "exp": now + 50})
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        for _ in range(3):
            later = await h.get("/echo", new_pair(answer, old))
            assert later.status_code == 200
            assert is_keyless(later)
        assert len(h.auth.token_requests) == 1


async def test_a_token_just_obtained_that_the_api_refuses_costs_no_further_rotation(tmp_path):
    """R21: an API that refuses every token costs one refresh per ``min_interval``, not one per request."""
    async with house(tmp_path) as h:
        pair = h.login()
        for _ in range(5):
            answer = await h.get("/deny", pair)
            assert answer.status_code == 401
            assert answer.json() == {"error": "invalid_token"}
            if "x-access-token" in answer.headers:
                pair = new_pair(answer, pair)
        assert len(h.auth.token_requests) == 1
        assert h.api.count == 2 + 4
