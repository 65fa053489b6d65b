"""The authorization server fails in every way (HARDENING, "Faults"): who is answered what, and what is lost. Nothing."""

import asyncio
import secrets

from tests.e2e.support import ageing, code, is_keyless, until_status
from tests.house import house

UNAVAILABLE, MISCONFIGURED = "auth_server_unavailable", "auth_server_misconfigured"

FAILURES = {
    "closed without an answer": (UNAVAILABLE, "down", {}),
    "reset": (UNAVAILABLE, "down", {"reset": True}),
    "500": (UNAVAILABLE, "status", {"status": 500}),
    "502": (UNAVAILABLE, "status", {"status": 502}),
    "503": (UNAVAILABLE, "status", {"status": 503}),
    "404 that is no JSON": (UNAVAILABLE, "status", {"status": 404}),
    "a page of HTML": (UNAVAILABLE, "html", {}),
    "JSON that breaks off": (UNAVAILABLE, "garbage", {}),
    "nothing": (UNAVAILABLE, "empty", {}),
    "a list": (UNAVAILABLE, "list", {}),
    "null": (UNAVAILABLE, "json", {"value": None}),
    "server_error with 400": (UNAVAILABLE, "error", {"error": "server_error", "status": 400}),
    "temporarily_unavailable with 200": (UNAVAILABLE, "error", {"error": "temporarily_unavailable", "status": 200}),
    "a gigabyte": (UNAVAILABLE, "huge", {}),
    "invalid_client": (MISCONFIGURED, "error", {"error": "invalid_client", "status": 401}),
    "unauthorized_client": (MISCONFIGURED, "error", {"error": "unauthorized_client"}),
    "invalid_scope": (MISCONFIGURED, "error", {"error": "invalid_scope"}),
    "unsupported_grant_type": (MISCONFIGURED, "error", {"error": "unsupported_grant_type"}),
    "invalid_request with 500": (MISCONFIGURED, "error", {"error": "invalid_request", "status": 500}),
    "an error of its own": (MISCONFIGURED, "error", {"error": "blocked_by_policy", "status": 403}),
    "JSON without an error, 403": (MISCONFIGURED, "json", {"value": {"message": "no"}, "status": 403}),
}


async def test_no_failure_of_the_server_costs_anybody_a_session(tmp_path):
    """R13, B4, B6, B9, B9a: 503 with Retry-After, nothing cleared, nothing cached: the next request succeeds."""
    async with house(tmp_path) as h:
        for name, (wanted, kind, options) in FAILURES.items():
            old = h.expired(name)
            h.auth.fault(kind, **options)
            answer = await h.get("/echo", old)
            assert (answer.status_code, code(answer), name) == (503, wanted, name)
            assert int(answer.headers["retry-after"]) >= 1
            assert is_keyless(answer)
            again = await h.get("/echo", old)
            assert (again.status_code, again.headers["x-token-refreshed"], name) == (200, "expired", name)
        assert len(h.auth.token_requests) == 2 * len(FAILURES)
        assert h.api.count == len(FAILURES)


MALFORMED = {
    "no access token": {"token_type": "Bearer"},
    "an empty one": {"token_type": "Bearer", "access_token": ""},
    "a number": {"token_type": "Bearer", "access_token": 7},
    "CR and LF in it": {"token_type": "Bearer", "access_token": "a\r\nX-Injected: 1"},
    "a space in it": {"token_type": "Bearer", "access_token": "a b"},
    "a refresh token that is no text": {"token_type": "Bearer", "access_token": "a", "refresh_token": ["b"]},
    "LF in the refresh token": {"token_type": "Bearer", "access_token": "a", "refresh_token": "b\nc"},
    "no token_type": {"access_token": "a"},
    "a token_type that is not Bearer": {"token_type": "N_A", "access_token": "a"},
    "a negative expires_in": {"token_type": "Bearer", "access_token": "a", "expires_in": -1},
    "an absurd expires_in": {"token_type": "Bearer", "access_token": "a", "expires_in": 1e30},
    "expires_in in words": {"token_type": "Bearer", "access_token": "a", "expires_in": "soon"},
    "expires_in as a truth": {"token_type": "Bearer", "access_token": "a", "expires_in": True},
}


async def test_a_malformed_grant_is_no_grant(tmp_path):
    """R14, P17: no part of it reaches the client or the API, and the session goes on."""
    async with house(tmp_path) as h:
        for name, answered in MALFORMED.items():
            old = h.expired(name)
            h.auth.fault("json", value=answered)
            answer = await h.get("/echo", old)
            assert (answer.status_code, code(answer), name) == (503, UNAVAILABLE, name)
            assert is_keyless(answer)
            assert "x-injected" not in answer.headers
            assert (await h.get("/echo", old)).status_code == 200
        created = h.expired("201")
        h.auth.fault("json", value={"token_type": "Bearer", "access_token": h.auth.mint()}, status=201)
        assert (await h.get("/echo", created)).status_code == 503
        assert h.api.count == len(MALFORMED)


async def test_a_granted_token_is_verified_like_any_other(tmp_path):
    """R14, T1, T3, T10: forged, unsigned or endless: not forwarded, not handed out, not revoked, an alarm."""
    async with house(tmp_path) as h:
        good = h.auth.mint(sub="ada")
        bad = {
            "tampered": good[:-8] + "AAAAAAAA",
            "unsigned": h.auth.mint(sub="ada", algorithm="none"),
            "endless": h.auth.mint(sub="ada", exp=None),
            "not a JWT": "opaque",
        }
        for name, token in bad.items():
            h.auth.fault("answer", response={"access_token": token})
            answer = await h.get("/echo", h.expired("ada"))
            assert (answer.status_code, code(answer), name) == (503, MISCONFIGURED, name)
            assert is_keyless(answer)
        assert h.api.count == 0
        assert not h.auth.revocations
        assert h.notices().count("grant_not_accepted") == len(bad)


async def test_a_token_bound_to_a_key_of_the_clients_is_refused_as_a_grant(tmp_path):
    """R14, T15: token_type DPoP."""
    async with house(tmp_path) as h:
        h.auth.fault("json", value={"token_type": "DPoP", "access_token": h.auth.mint()})
        answer = await h.get("/echo", h.expired())
        assert (answer.status_code, code(answer)) == (503, MISCONFIGURED)


async def test_a_redirect_of_the_token_endpoint_is_not_followed(tmp_path):
    """R15, B7: not one byte goes to the other host."""
    visits = []
    elsewhere = await asyncio.start_server(lambda *_: visits.append(1), "127.0.0.1", 0)
    to = f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}/token"
    async with elsewhere, house(tmp_path) as h:
        for status in (301, 302, 303, 307, 308):
            old = h.expired(f"user {status}")
            h.auth.fault("redirect", to=to, status=status)
            answer = await h.get("/echo", old)
            assert (answer.status_code, code(answer)) == (503, UNAVAILABLE)
            assert (await h.get("/echo", old)).status_code == 200
        assert not visits


async def test_the_server_refuses_connections(tmp_path):
    """B1: valid tokens are served; expired ones get 503 and keep their credentials."""
    async with house(tmp_path) as h:
        old, valid = h.expired(), h.login()
        assert (await h.get("/echo", valid)).status_code == 200
        await h.auth_server.stop()
        refused = await h.get("/echo", old)
        assert (refused.status_code, code(refused)) == (503, UNAVAILABLE)
        assert "retry-after" in refused.headers
        for pair in (valid, ageing(h, left=30), ageing(h, left=3)):
            served = await h.get("/echo", pair)
            assert served.status_code == 200
            assert is_keyless(served)
        assert not any(event.ambiguous for event in h.refreshes())
        await h.auth_server.start()
        assert (await until_status(h, 200, old)).headers["x-token-refreshed"] == "expired"


async def test_the_server_asks_for_patience(tmp_path):
    """B5: that token waits as long as the server says, at most a minute; others go on, until three were told so."""
    async with house(tmp_path) as h:
        told = {user: h.expired(user) for user in ("ada", "bob", "eve")}
        for number, (user, pair) in enumerate(told.items(), 1):
            h.auth.fault("throttle", retry_after=30 if user == "ada" else 3600)
            for _ in range(2):
                answer = await h.get("/echo", pair)
                assert (answer.status_code, code(answer)) == (503, UNAVAILABLE)
                assert int(answer.headers["retry-after"]) <= (30 if user == "ada" else 60)
                assert int(answer.headers["retry-after"]) > 10
            assert h.auth.presented(pair[1]) == 1
            other = await h.get("/echo", h.expired(f"other {number}"))
            assert other.status_code == (503 if number == 3 else 200)
        assert len(h.auth.token_requests) == 5
        assert (await h.get("/echo", h.login())).status_code == 200


async def test_a_throttled_token_is_good_again_after_its_time(tmp_path):
    """B5, R13: nothing was cached but the server's own wish."""
    async with house(tmp_path) as h:
        old = h.expired()
        h.auth.fault("throttle", retry_after=1)
        assert (await h.get("/echo", old)).status_code == 503
        assert (await until_status(h, 200, old)).headers["x-token-refreshed"] == "expired"
        assert len(h.auth.token_requests) == 2


async def test_the_server_sends_a_gigabyte(tmp_path):
    """B6: cut at the cap, not read to its end."""
    async with house(tmp_path) as h:
        h.auth.fault("huge")
        assert (await h.get("/echo", h.expired())).status_code == 503
        [event] = h.refreshes()
        assert (event.outcome, event.reason, event.ambiguous) == ("unavailable", "the answer is too large", True)


async def test_a_thousand_repeats_of_a_dead_token_ask_the_server_once(tmp_path):
    """B8, R12: 401 each time; one call per ``negative``."""
    async with house(tmp_path) as h:
        access, unknown = h.expired()[0], secrets.token_urlsafe(32)
        fields = f"Host: gateway\r\nAuthorization: Bearer {access}\r\nX-Refresh-Token: {unknown}\r\n"
        request = f"GET /echo HTTP/1.1\r\n{fields}\r\n"
        last = f"GET /echo HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"
        answers = await asyncio.gather(*(h.raw((request * 99 + last).encode()) for _ in range(10)))
        assert b"".join(answers).count(b"HTTP/1.1 401 ") == 1000
        assert b"".join(answers).count(b'"code": "refresh_rejected"') == 1000
        assert len(h.auth.token_requests) == 1


async def test_a_denial_is_forgotten_after_its_time(tmp_path):
    """B8: ``negative`` bounds how long a user waits whom the server takes back."""
    async with house(tmp_path, refresh={"negative": "200ms"}) as h:
        old = h.expired()
        h.auth.fault("error")
        assert (await h.get("/echo", old)).status_code == 401
        assert (await until_status(h, 200, old)).headers["x-token-refreshed"] == "expired"


async def test_invalid_grant_is_a_denial_with_any_status(tmp_path):
    """B9a: classed by ``error``, not by status."""
    async with house(tmp_path) as h:
        for status in (200, 400, 401, 403, 500):
            h.auth.fault("error", error="invalid_grant", status=status)
            answer = await h.get("/echo", h.expired())
            assert (answer.status_code, code(answer), status) == (401, "refresh_rejected", status)


async def test_a_rotated_client_secret_alarms_and_logs_nobody_out(tmp_path):
    """B9: 503 ``auth_server_misconfigured``, never a second way of authenticating (R10); then all goes on."""
    async with house(tmp_path) as h:
        old = h.expired()
        h.auth.clients["gateway"] = "another-secret"
        answer = await h.get("/echo", old)
        assert (answer.status_code, code(answer)) == (503, MISCONFIGURED)
        assert [event.what for event in h.events if getattr(event, "alarm", False)] == [MISCONFIGURED]
        assert [request.client_auth for request in h.auth.token_requests] == ["client_secret_basic"]
        served = await h.get("/echo", ageing(h, left=3))
        assert served.status_code == 200
        h.auth.clients["gateway"] = "gateway-secret"
        assert (await h.get("/echo", old)).status_code == 200


async def test_bodies_of_the_server_are_not_logged(tmp_path, caplog):
    """B4, X9: what it says in an error may hold a token."""
    caplog.set_level("DEBUG")
    async with house(tmp_path) as h:
        old = h.expired()
        h.auth.fault("status", body=f"canary {old[1]}")
        h.auth.fault("json", value={"error": "x" * 30 + old[1], "error_description": "canary"})
        for _ in range(2):
            answer = await h.get("/echo", old)
            assert answer.status_code == 503
            assert "canary" not in answer.text
            assert old[1] not in answer.text
        said = caplog.text + repr(h.events)
        assert "canary" not in said
        assert old[1] not in said
        assert old[0] not in said
