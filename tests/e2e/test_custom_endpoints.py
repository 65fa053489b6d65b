"""Token endpoints that are not RFC 6749, described in ``[auth_server.refresh]`` (CONTRACT §4), with the habits of
the Java libraries behind them: base64 keys, compressed payloads, milliseconds, a user's name outside of ``sub``.
"""

import base64
import logging
from contextlib import asynccontextmanager

import pytest

from tests.e2e.support import code, is_keyless, leaving, settled
from tests.house import house, new_pair
from upstream_stub.keys import SigningKey
from upstream_stub.tokens import TokenStyle

SECRET = bytes(range(64))
STYLE = {"milliseconds": True, "subject_claim": "username", "fixed_subject": "login"}

BEARER = {
    "method": "GET",
    "url": "AUTH_URL/access/refresh",
    "headers": {"Authorization": "Bearer {refresh_token}"},
    "ok": {"/code": [200]},
    "denied": {"/code": [401]},
    "access_token": "/data",
}
QUERY = {
    "method": "GET",
    "url": "AUTH_URL/refresh",
    "query": {"refreshToken": "{refresh_token}"},
    "ok": {"/code": ["200"]},
    "denied": {"/code": ["401"]},
    "access_token": "/data",
}
DEPLOYMENTS = pytest.mark.parametrize("refresh", [BEARER, QUERY], ids=["bearer", "query"])


@asynccontextmanager
async def deployment(tmp_path, refresh, compression="GZIP", **access_token):
    """An existing login behind the gateway: no issuer, no audience, no key set, a secret in base64."""
    (tmp_path / "secret.key").write_bytes(base64.b64encode(SECRET) + b"\n")
    no_oauth = dict.fromkeys(("issuer", "token_endpoint", "jwks_uri", "client_id", "client_secret"))
    token = {
        "algorithms": ["HS256"],
        "key": {"file": "secret.key", "encoding": "base64"},
        "zip": True,
        "time_unit": "ms",
        "subject_claim": "username",
        "required": ["exp"],
        "issuer": None,
        "audience": None,
    }

    def sign(auth):
        auth.keys = [SigningKey("HS256", SECRET, "only")]

    style = TokenStyle(typ=None, compression=compression, **STYLE)
    async with house(
        tmp_path,
        auth={"algorithm": "HS256", "style": style},
        auth_server={**no_oauth, "refresh": refresh},
        access_token=token | access_token,
        prepare=sign,
    ) as h:
        yield h


@DEPLOYMENTS
@pytest.mark.parametrize("compression", ["GZIP", "DEF", "DEF-RAW", None])
async def test_the_known_deployments_work(tmp_path, refresh, compression):
    """CONTRACT §4, T14: an expired token is refreshed in flight; the refresh token stays the same."""
    async with deployment(tmp_path, refresh, compression) as h:
        old = h.expired()
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        assert answer.headers["x-token-refreshed"] == "expired"
        assert "x-refresh-token" not in answer.headers
        ends_at = h.auth.read_access_token(answer.headers["x-access-token"])["exp"]
        assert int(answer.headers["x-access-token-expires-at"]) == ends_at * 1000
        new = new_pair(answer, old)
        assert ["authorization", f"Bearer {new[0]}"] in answer.json()["headers"]
        assert is_keyless(await h.get("/echo", new))
        assert len(h.auth.token_requests) == 1
        assert [n for n in h.notices() if n == "configuration"]


@DEPLOYMENTS
async def test_a_dead_refresh_token_is_told_from_an_outage(tmp_path, refresh):
    """CONTRACT §4, B9a, B4: ``code`` 401 with HTTP 200 is a denial; an answer that says neither is an outage."""
    async with deployment(tmp_path, refresh) as h:
        endpoint = "access_refresh" if refresh is BEARER else "refresh"
        old = h.expired()
        for value in ({"code": 500, "data": None}, {"code": True, "data": "x"}, {"data": "x"}, [], {"code": 200.5}):
            h.auth.fault("json", endpoint=endpoint, value=value)
            answer = await h.get("/echo", old)
            assert (answer.status_code, code(answer)) == (503, "auth_server_unavailable")
            assert (await h.get("/echo", h.expired("between"))).status_code == 200
        assert (await h.get("/echo", old)).status_code == 200
        dead = (h.expired()[0], "a-refresh-token-nobody-knows")
        for _ in range(2):
            answer = await h.get("/echo", dead)
            assert (answer.status_code, code(answer)) == (401, "refresh_rejected")
        assert h.auth.presented(dead[1]) == 1


@DEPLOYMENTS
async def test_an_answer_with_the_code_of_the_other_deployment_is_not_a_grant(tmp_path, refresh):
    """CONTRACT §4: 200 is not "200"."""
    async with deployment(tmp_path, refresh) as h:
        endpoint, code_sent = ("access_refresh", "200") if refresh is BEARER else ("refresh", 200)
        h.auth.fault("json", endpoint=endpoint, value={"code": code_sent, "data": h.auth.mint(username="ada")})
        assert (await h.get("/echo", h.expired())).status_code == 503


@DEPLOYMENTS
async def test_no_token_of_these_endpoints_is_ever_logged(tmp_path, refresh, caplog):
    """X9, trap 11: at DEBUG for everybody; the refresh token is in the URL of one of them, in a header of the other."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore"):
        assert logging.getLogger(name).getEffectiveLevel() <= logging.WARNING
    async with deployment(tmp_path, refresh) as h:
        endpoint = "access_refresh" if refresh is BEARER else "refresh"
        old = h.expired()
        for kind in ("down", "lost", "html", None):
            if kind is not None:
                h.auth.fault(kind, endpoint=endpoint)
            answer = await h.get("/echo", old)
            assert answer.status_code == (503 if kind else 200)
        said = caplog.text + repr(h.events) + repr(h.gateway)
        for secret in (*old, answer.headers["x-access-token"], base64.b64encode(SECRET).decode()):
            assert secret not in said


@DEPLOYMENTS
async def test_the_user_is_the_claim_that_names_the_user(tmp_path, refresh):
    """R1: ``sub`` is a constant here, so binding to it would hand one user's tokens to another."""
    async with deployment(tmp_path, refresh) as h:
        thief = await h.get("/echo", (h.expired("mallory")[0], h.login("ada")[1]))
        assert (thief.status_code, code(thief)) == (401, "subject_mismatch")
        assert is_keyless(thief)
        assert h.api.count == 0


@DEPLOYMENTS
async def test_a_client_that_left_gets_the_successor_without_rotation(tmp_path, refresh):
    """R9, R11: the key of the flight and of its successor is the same refresh token."""
    async with deployment(tmp_path, refresh) as h:
        old = h.expired()
        fault = h.auth.fault("hold", endpoint="access_refresh" if refresh is BEARER else "refresh")
        async with leaving(h, old):
            await fault.arrived.wait()
        fault.release()
        await settled(h)
        answer = await h.get("/echo", old)
        assert answer.headers["x-token-refreshed"] == "joined"
        assert h.auth.presented(old[1]) == 1


async def test_what_is_not_opted_into_is_refused(tmp_path):
    """T14, T10: ``zip`` and ``time_unit`` are the operator's to allow, and not the token's."""
    for left_out in ({"zip": None}, {"time_unit": None}):
        async with deployment(tmp_path, BEARER, **left_out) as h:
            for pair in (h.login(), h.expired()):
                answer = await h.get("/echo", pair)
                assert (answer.status_code, code(answer)) == (401, "invalid_token")
            assert not h.auth.token_requests


async def test_a_subject_that_no_token_has_is_a_mistake_of_the_operators(tmp_path):
    """R1, R11: without a user's name nobody can be told apart; nothing is presented, nobody is logged out."""
    async with deployment(tmp_path, BEARER, subject_claim="user_id") as h:
        assert (await h.get("/echo", h.login())).status_code == 200
        answer = await h.get("/echo", h.expired())
        assert (answer.status_code, code(answer)) == (503, "auth_server_misconfigured")
        assert "subject_claim" in answer.json()["detail"]
        assert not h.auth.token_requests
