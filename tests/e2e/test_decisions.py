"""What each route and each state of the credentials leads to (CONTRACT §3), and names of one's own (§2)."""

import pytest

from tests import lanes
from tests.e2e.support import code, is_keyless
from tests.house import house

pytestmark = lanes.BOTH

ROUTES = [
    {"match": "/optional/*", "auth": "optional"},
    {"match": "/off/*", "auth": "off"},
    {"match": "/signal/*", "on_expired": "signal"},
    {"match": "/reject/*", "on_expired": "reject"},
]


async def test_each_route_asks_for_what_it_says(tmp_path):
    """CONTRACT §3: required, optional, off."""
    async with house(tmp_path, routes=ROUTES) as h:
        table = {
            (None, "/x"): "missing_token",
            (None, "/optional/x"): 200,
            (None, "/off/x"): 200,
            ("x", "/optional/x"): "invalid_token",
            ("x", "/off/x"): 200,
            ("expired", "/optional/x"): "expired_token",
            ("expired", "/off/x"): 200,
        }
        tokens = {None: None, "x": ("x", None), "expired": (h.expired()[0], None)}
        seen = {}
        for token, path in table:
            answer = await h.get(path, tokens[token])
            seen[token, path] = 200 if answer.status_code == 200 else code(answer)
        assert seen == table
        refreshed = await h.get("/optional/x", h.expired())
        assert refreshed.headers["x-token-refreshed"] == "expired"
        assert is_keyless(await h.get("/off/x", h.expired()))
        assert len(h.auth.token_requests) == 1


async def test_an_expired_token_is_signalled_or_rejected_where_the_route_says_so(tmp_path):
    """CONTRACT §3: with or without a refresh token, and nobody is asked; a fresh one passes."""
    async with house(tmp_path, routes=ROUTES) as h:
        for pair in (h.expired(), (h.expired()[0], None)):
            signal, reject = await h.get("/signal/x", pair), await h.get("/reject/x", pair)
            assert (signal.status_code, code(signal)) == (511, "refresh_required")
            assert "www-authenticate" not in signal.headers
            assert (reject.status_code, code(reject)) == (401, "expired_token")
        for path in ("/signal/deny", "/reject/deny"):
            assert (await h.get(path, h.login())).status_code == 200
        assert code(await h.get("/signal/x", ("x", None))) == "invalid_token"
        assert len(h.auth.token_requests) == 0


@pytest.mark.parametrize(("status", "challenged"), [(419, False), (401, True)])
async def test_the_signal_has_the_status_that_the_clients_know(tmp_path, status, challenged):
    """CONTRACT §3: ``signal_status``; a 401 needs a challenge (RFC 9110 §15.5.2)."""
    async with house(tmp_path, refresh={"on_expired": "signal", "signal_status": status}) as h:
        answer = await h.get("/echo", h.expired())
        assert (answer.status_code, code(answer)) == (status, "refresh_required")
        assert ("www-authenticate" in answer.headers) == challenged


async def test_a_token_expired_for_too_long_is_not_refreshed(tmp_path):
    """R4, CONTRACT §3: ``max_expired_age`` from its expiry."""
    async with house(tmp_path, refresh={"max_expired_age": "1h"}) as h:
        assert code(await h.get("/echo", h.expired(ago=3700))) == "expired_token"
        assert len(h.auth.token_requests) == 0
        assert (await h.get("/echo", h.expired(ago=3000))).status_code == 200


@pytest.mark.parametrize("alone", [False, True])
async def test_a_refresh_token_alone_refreshes_only_where_that_is_allowed(tmp_path, alone):
    """R4, CONTRACT §3: off by default, because whoever finds one could use it."""
    async with house(tmp_path, refresh={"allow_refresh_alone": alone}) as h:
        refresh = h.login()[1]
        answer = await h.get("/echo", headers={"X-Refresh-Token": refresh})
        if alone:
            assert answer.status_code == 200
            assert answer.headers["x-token-refreshed"] == "expired"
        else:
            assert code(answer) == "missing_token"
        assert h.auth.presented(refresh) == alone


async def test_keys_that_were_never_had_refuse_nobody_for_good(tmp_path):
    """CONTRACT §3, B11: 503 until they can be had; the credentials stay usable."""
    async with house(tmp_path, auth_server={"jwks_uri": "http://127.0.0.1:9/jwks"}) as h:
        for pair in (h.login(), h.expired(), (h.login()[0], None)):
            answer = await h.get("/echo", pair)
            assert (answer.status_code, code(answer)) == (503, "auth_server_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        assert (len(h.auth.token_requests), h.api.count) == (0, 0)


async def test_names_of_ones_own_and_a_bare_token(tmp_path):
    """CONTRACT §2: an API whose token stands alone in a field of its own."""
    names = {
        "access": "X-Auth-Token",
        "scheme": "",
        "refresh": "X-Renewal",
        "access_token": "X-Auth-Token",
        "refresh_token": "X-Renewed",
        "expires_at": "X-Auth-Until",
        "refreshed": "X-Auth-Why",
    }
    async with house(tmp_path, credentials=names) as h:
        access, refresh = h.expired()
        answer = await h.get(
            "/echo", headers={"X-Auth-Token": access, "X-Renewal": refresh, "Authorization": "Mine"}
        )
        assert answer.status_code == 200
        last = h.api.requests[-1]
        assert last.values(b"x-auth-token") == [answer.headers["x-auth-token"].encode()]
        assert last.values(b"authorization") == [b"Mine"]
        assert last.values(b"x-renewal") == []
        assert answer.headers["x-auth-why"] == "expired"
        assert "x-renewed" in answer.headers
        assert answer.headers["vary"] == "x-auth-token, x-renewal"
        assert int(answer.headers["x-auth-until"]) > 1e12
        assert code(await h.get("/echo", h.login())) == "missing_token"
        assert code(await h.get("/echo", headers={"X-Auth-Token": f"Bearer {h.login()[0]}"})) == "invalid_token"
