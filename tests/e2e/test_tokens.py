"""Attack tokens through the whole gateway: what is refused costs nobody anything."""

import asyncio
import base64
import json
import time
import zlib
from dataclasses import replace

import pytest

from tests.e2e.attacks import STRANGER, TABLE, by_stranger, expired, fresh, zipped
from tests.e2e.support import code, is_keyless, until
from tests.e2e.wire import Trap, ask, request
from tests.house import House, house
from upstream_stub.keys import SigningKey, b64url, compact_json
from upstream_stub.tokens import TokenStyle

CHALLENGE = 'Bearer realm="gateway", error="invalid_token"'


async def outcome(h: House, token: str) -> str:
    """What becomes of a request with ``token`` and a good refresh token: one word if it is refused for nothing."""
    _, refresh = h.login("alice")
    presented, calls = len(h.auth.token_requests), h.api.count
    answer = await h.get("/echo", (token, refresh))
    if answer.status_code != 401:
        return str(answer.status_code)
    costs = len(h.auth.token_requests) - presented, h.api.count - calls
    told = answer.headers["www-authenticate"] == CHALLENGE and is_keyless(answer)
    alive = h.auth.family_alive(refresh)
    return code(answer) if costs == (0, 0) and told and alive else f"{costs=} {told=} {alive=}"


async def refuse(h: House, token: str) -> None:
    """The same for one token; the keys are asked for at the start, and once for a token of an unknown key."""
    assert await outcome(h, token) == "invalid_token"
    assert h.auth.jwks_requests <= 2


@pytest.fixture
async def h(tmp_path):
    async with house(tmp_path, access_token={"typ": "at+jwt"}) as found:
        yield found


@pytest.mark.parametrize("row", TABLE)
async def test_a_token_with_any_fault_but_expiry_is_refused_and_costs_nobody_anything(h, row):
    """T1, T2, T3, T4, T6, T8, T9, T10, T14: 401, no token request, no upstream call."""
    seen = {name: await outcome(h, mint(h)) for name, mint in TABLE[row].items()}
    assert seen == dict.fromkeys(seen, "invalid_token")
    assert h.auth.jwks_requests <= 2


async def test_the_same_tokens_without_the_fault_are_refreshed_or_forwarded(h):
    """T1-T14: the control. What the attacks vary is sound otherwise."""
    refreshed = await h.get("/echo", (expired(h), h.login("alice")[1]))
    assert refreshed.status_code == 200
    assert refreshed.headers["x-token-refreshed"] == "expired"
    for token in (fresh(h), fresh(h, aud=["x", "api"]), fresh(h, headers={"typ": "application/AT+JWT"})):
        assert (await h.get("/echo", (token, None))).status_code == 200
    assert len(h.auth.token_requests) == 1


@pytest.mark.parametrize("member", ["jku", "x5u", "kid"])
async def test_no_address_in_a_token_is_ever_called(h, member):
    """T4, T5: the trap would hear of a single connection."""
    async with Trap.listening() as trap:
        jwks = trap.url + "/jwks.json"
        await refuse(h, by_stranger(h, **{"kid": STRANGER.kid, member: jwks}))
        await refuse(h, expired(h, headers={"jku": jwks}, iss=trap.url))
        assert trap.calls == []


@pytest.mark.parametrize("member", ["jwk", "x5c"])
async def test_no_key_in_a_token_is_ever_used(h, member):
    """T5: the attacker's own key, brought along."""
    brought = STRANGER.jwk() if member == "jwk" else [base64.b64encode(STRANGER.public_pem()).decode()]
    await refuse(h, by_stranger(h, **{member: brought}))


UNFIT = [
    {"use": "enc"},
    {"key_ops": ["sign"]},
    {"key_ops": ["encrypt"]},
    {"alg": "ES256"},
    {"alg": "RS512"},
    {"kty": "EC"},
    {"kty": "oct", "k": "AAAA"},
    {"n": "AQAB"},
]


async def test_a_published_key_that_is_not_for_this_is_never_used(h):
    """T7: use, key_ops, alg and kty decide, not only kid; the same key without any of them is used at once."""
    second = SigningKey.make("RS256", 1)
    keys = {f"unfit-{n}": {**(second.jwk() or {}), **change} for n, change in enumerate(UNFIT)}
    keys["fit"] = second.jwk() or {}
    published = [*h.auth.jwks()["keys"], *({**jwk, "kid": kid} for kid, jwk in keys.items())]
    fault = h.auth.fault("json", None, endpoint="jwks", value={"keys": published})
    seen = {kid: await outcome(h, h.auth.mint(key=second.key, headers={"kid": kid})) for kid in keys}
    assert seen == dict.fromkeys(keys, "invalid_token") | {"fit": "200"}
    assert fault.arrived.is_set()


async def test_the_audience_is_that_of_the_route(tmp_path):
    """T9: a token for one API opens no other, expired or not."""
    routes = [{"match": "/billing/*", "audience": ["billing"]}]
    async with house(tmp_path, routes=routes) as h:
        other = h.auth.mint(aud="billing")
        assert (await h.get("/billing/echo", (other, None))).status_code == 200
        assert code(await h.get("/echo", (other, None))) == "invalid_token"
        assert code(await h.get("/billing/echo", (h.auth.mint(), None))) == "invalid_token"
        assert h.api.count == 1
        assert code(await h.get("/billing/echo", h.expired("alice"))) == "invalid_token"
        assert len(h.auth.token_requests) == 0


def stop_clock(h: House) -> float:
    """Let the gateway decide at one moment for ever, which is returned: leeway is judged to the second."""
    moment = float(int(time.time()))
    set_clock(h, moment)
    return moment


def set_clock(h: House, moment: float) -> None:
    proxy = h.gateway.application._proxy
    fittings = replace(proxy._settings.fittings, clock=lambda: moment)
    proxy._settings = replace(proxy._settings, fittings=fittings)
    proxy._settings.reception._clock = fittings.clock


async def test_the_leeway_ends_where_it_says(tmp_path):
    """T11: one second on both sides of both ends."""
    windows = {"ahead": "0s", "hard": "0s"}
    async with house(tmp_path, access_token={"leeway": "30s"}, refresh=windows) as h:
        now = stop_clock(h)
        seen = {}
        for claim, offset in (("exp", -29), ("exp", -31), ("nbf", 29), ("nbf", 31)):
            token = h.auth.mint(**{"iat": now - 600, claim: now + offset})
            answer = await h.get("/echo", (token, None))
            seen[claim, offset] = "forwarded" if answer.status_code == 200 else code(answer)
        assert seen == {
            ("exp", -29): "forwarded",
            ("exp", -31): "expired_token",
            ("nbf", 29): "forwarded",
            ("nbf", 31): "invalid_token",
        }


@pytest.mark.parametrize("left", [3, 30], ids=["hard", "ahead"])
async def test_a_failed_refresh_never_refuses_a_token_that_is_still_valid(tmp_path, left):
    """T11: inside the windows the old token goes on working."""
    async with house(tmp_path) as h:
        h.auth.fault("status", None, status=500)
        now = stop_clock(h)
        token = h.auth.mint(iat=now - 3600, exp=now + left + 60 * (left == 3), sub="ada")
        set_clock(h, now + 60 * (left == 3))
        answer = await h.get("/echo", (token, h.login()[1]))
        assert answer.status_code == 200
        assert is_keyless(answer)
        assert len(h.auth.token_requests) == 1


async def test_a_thousand_unknown_keys_make_one_fetch(h):
    """T12: at most one JWKS request in ten seconds, and the known keys keep serving."""
    await until(lambda: h.auth.jwks_requests)
    started = time.monotonic()
    _, _, rest = by_stranger(h).partition(".")
    heads = ({"alg": "RS256", "typ": "at+jwt", "kid": f"random-{number}"} for number in range(1000))
    tokens = [f"{b64url(compact_json(head))}.{rest}" for head in heads]
    for at in range(0, 1000, 50):  # waves: those of one could all share a fetch
        answers = await asyncio.gather(*(h.get("/echo", (token, None)) for token in tokens[at : at + 50]))
        assert {code(answer) for answer in answers} == {"invalid_token"}
    assert h.auth.jwks_requests - 1 <= 1 + (time.monotonic() - started) // 10
    assert h.api.count == 0
    assert (await h.get("/echo", h.login())).status_code == 200


async def test_a_compressed_token_passes_only_where_it_is_allowed(tmp_path):
    """T14: ``zip = true`` reads it, and bounds what comes out of it."""
    style = TokenStyle(compression="DEF")
    async with house(tmp_path, auth={"style": style}, access_token={"zip": True}) as h:
        assert (await h.get("/echo", h.login())).status_code == 200
        claims = h.auth.claims(padding="x" * 5_000_000)
        bomb = zipped(h, zlib.compress(compact_json(claims)))
        assert len(bomb) < 16 * 1024
        assert code(await h.get("/echo", (bomb, None))) == "invalid_token"
        assert code(await h.get("/echo", (zipped(h, b"no stream"), None))) == "invalid_token"
        assert h.api.count == 1


def bound(h: House, *, ago: float | None = None) -> str:
    """A token bound to a client's key (RFC 9449)."""
    cnf = {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}
    return fresh(h, **cnf) if ago is None else expired(h, **cnf)


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
async def test_a_token_bound_to_a_key_is_refused_by_default(tmp_path, scheme):
    """T15: neither forwarded nor refreshed."""
    async with house(tmp_path) as h:
        for token in (bound(h), bound(h, ago=60)):
            fields = {"Authorization": f"{scheme} {token}", "X-Refresh-Token": h.login("alice")[1]}
            answer = await h.get("/echo", headers=fields)
            assert (answer.status_code, code(answer)) == (401, "invalid_token")
        assert (len(h.auth.token_requests), h.api.count) == (0, 0)


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP", "dpop"])
async def test_a_token_bound_to_a_key_passes_untouched_where_it_may(tmp_path, scheme):
    """T15: the very field, whatever is still to be done with the proof."""
    async with house(tmp_path, access_token={"sender_bound": "pass"}) as h:
        token = bound(h)
        fields = {"Authorization": f"{scheme} {token}", "DPoP": "proof", "X-Refresh-Token": h.login("alice")[1]}
        seen = dict((await h.get("/echo", headers=fields)).json()["headers"])
        assert (seen["authorization"], seen["dpop"]) == (f"{scheme} {token}", "proof")
        assert "x-refresh-token" not in seen


@pytest.mark.parametrize("ago", [None, 60], ids=["refused by the API", "expired"])
@pytest.mark.parametrize("binding", ["cnf", "scheme", "both"])
async def test_a_token_bound_to_a_key_is_never_refreshed(tmp_path, binding, ago):
    """T15: what a refresh would bring is a bearer token: a downgrade. The scheme alone says so too."""
    async with house(tmp_path, access_token={"sender_bound": "pass"}, refresh={"on_upstream_401": "any"}) as h:
        mint = bound if binding != "scheme" else (lambda h, ago: fresh(h) if ago is None else expired(h))
        scheme = "Bearer" if binding == "cnf" else "DPoP"
        fields = {"Authorization": f"{scheme} {mint(h, ago=ago)}", "X-Refresh-Token": h.login("alice")[1]}
        answer = await h.get("/deny", headers=fields)
        assert answer.status_code == 401
        assert is_keyless(answer)
        assert len(h.auth.token_requests) == 0
        assert h.api.count == (1 if ago is None else 0)
        assert ago is None or code(answer) == "expired_token"


async def test_two_tokens_are_ambiguous(h):
    """T17: neither the first nor the last wins."""
    (first, refresh), (second, other) = h.login("ada"), h.login("bob")
    for fields in (
        (f"Authorization: Bearer {second}",),
        (f"authorization: Bearer {first}",),
        ("AUTHORIZATION: Basic YTpi",),
        (f"x-refresh-token: {other}",),
        (f"X-REFRESH-TOKEN: {refresh}",),
    ):
        answer = await ask(h, request("GET /echo", (first, refresh), *fields))
        assert answer.status == 400
        assert json.loads(answer.body)["code"] == "ambiguous_credentials"
    assert (h.api.count, len(h.auth.token_requests)) == (0, 0)


async def test_a_token_in_the_query_or_in_the_body_is_none(h):
    """T17: RFC 6750 §2.2 and §2.3 are not supported, and neither are cookies in header mode."""
    token, refresh = h.login()
    queries = (f"/echo?access_token={token}", f"/echo?Authorization=Bearer%20{token}&refresh_token={refresh}")
    for path in queries:
        assert code(await h.get(path)) == "missing_token"
    form = {"access_token": token, "refresh_token": refresh}
    assert code(await h.request("POST", "/echo", data=form)) == "missing_token"
    cookies = {"Cookie": f"__Host-access={token}; __Host-refresh={refresh}; Authorization=Bearer {token}"}
    assert code(await h.get("/echo", headers=cookies)) == "missing_token"
    assert h.api.count == 0
