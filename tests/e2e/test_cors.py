"""Header mode from a page of another origin, with an API that knows nothing of the gateway (bytes on the wire)."""

import json

import httpx
import pytest

from tests import lanes
from tests.e2e.support import code
from tests.e2e.wire import Script, ask, ok, request
from tests.house import House, bearer, house

pytestmark = lanes.BOTH

APP = "https://app.example"
OURS = {"x-access-token", "x-refresh-token", "x-access-token-expires-at", "x-token-refreshed"}
ASKS = {
    "Origin": APP,
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization,x-refresh-token",
}


def listed(answer: httpx.Response, name: str) -> set[str]:
    """The members of a list field, over all its lines, in lower case."""
    return {m.strip().lower() for v in answer.headers.get_list(name) for m in v.split(",") if m.strip()}


async def preflight(h: House, path: str = "/cors", **changes: str) -> httpx.Response:
    fields = {**ASKS, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return await h.client.request("OPTIONS", h.url + path, headers=fields)


async def test_a_preflight_passes_with_our_field_and_asks_the_api_nothing_about_it(tmp_path):
    """C3, R17: no token, no refresh; the API that would refuse our field is not asked for it."""
    async with house(tmp_path) as h:
        answer = await preflight(h)
        assert answer.status_code == 200
        assert answer.headers.get_list("access-control-allow-origin") == [APP]
        assert {"authorization", "x-refresh-token"} <= listed(answer, "access-control-allow-headers")
        assert h.api.requests[-1].values(b"access-control-request-headers") == [b"authorization"]
        assert len(h.auth.token_requests) == 0


async def test_a_preflight_for_our_field_alone_asks_for_none(tmp_path):
    """C3: an empty list would not be a valid field."""
    async with house(tmp_path) as h:
        answer = await preflight(h, **{"Access-Control-Request-Headers": "X-Refresh-Token"})
        assert answer.status_code == 200
        assert h.api.requests[-1].values(b"access-control-request-headers") == []
        assert "x-refresh-token" in listed(answer, "access-control-allow-headers")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", APP + ".evil.example", "http://app.example"])
async def test_an_origin_that_the_api_does_not_allow_gets_no_allowance_of_ours(tmp_path, origin):
    """C2, C3: neither on the preflight, nor on an answer, nor on an error of ours."""
    async with house(tmp_path) as h:
        refused = await preflight(h, Origin=origin)
        assert refused.status_code == 400
        assert "x-refresh-token" not in listed(refused, "access-control-allow-headers")
        await preflight(h)
        for pair in (h.expired(), h.login(), None):
            answer = await h.get("/cors", pair, headers={"Origin": origin})
            assert "access-control-allow-origin" not in answer.headers
            assert listed(answer, "access-control-expose-headers").isdisjoint(OURS)


async def test_new_tokens_are_readable_by_the_page(tmp_path):
    """C3: exposed on the answer that carries them, beside what the API exposes itself."""
    async with house(tmp_path) as h:
        answer = await h.get("/cors", h.expired(), headers={"Origin": APP})
        assert answer.status_code == 200
        assert listed(answer, "access-control-expose-headers") >= OURS
        assert answer.headers.get_list("access-control-allow-origin") == [APP]
        assert "x-access-token" in answer.headers


async def test_what_the_api_exposes_itself_stays(tmp_path):
    """C3, C2: our names are appended; its own answer is not repeated."""
    theirs = [f"Access-Control-Allow-Origin: {APP}", "Access-Control-Expose-Headers: X-Total", "Vary: Origin"]
    async with Script.saying(ok(*theirs)) as script, house(tmp_path, upstream={"url": script.url}) as h:
        answer = await h.get("/x", h.login(), headers={"Origin": APP})
        assert listed(answer, "access-control-expose-headers") == OURS | {"x-total"}
        assert answer.headers.get_list("access-control-allow-origin") == [APP]
        script.answer = ok("Access-Control-Allow-Origin: *")
        wild = await h.get("/x", h.login(), headers={"Origin": APP})
        assert wild.headers["access-control-allow-origin"] == "*"
        assert "access-control-expose-headers" not in wild.headers
        same_origin = await h.get("/x", h.login())
        assert "access-control-expose-headers" not in same_origin.headers


async def test_errors_of_our_own_are_readable_where_the_api_allowed_the_origin(tmp_path):
    """C3: with the allowance that the API gave before: origin, credentials, and the names to read."""
    routes = [{"match": "/a/*"}]
    async with house(tmp_path, routes=routes, server={"max_body": "10B"}) as h:
        origin = {"Origin": APP}
        before = await h.get("/cors", None, headers=origin)
        assert "access-control-allow-origin" not in before.headers
        await preflight(h)
        h.auth.fault("error")
        answers = {
            "missing_token": await h.get("/cors", None, headers=origin),
            "invalid_token": await h.get("/cors", ("x", None), headers=origin),
            "refresh_rejected": await h.get("/cors", h.expired(), headers=origin),
            "ambiguous_path": await h.get("/a//b", h.login(), headers=origin),
            "body_too_large": await h.request("POST", "/cors", h.login(), headers=origin, content=b"x" * 11),
        }
        for expected, answer in answers.items():
            assert code(answer) == expected
            assert answer.headers.get_list("access-control-allow-origin") == [APP]
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert "origin" in listed(answer, "vary")
            exposed = listed(answer, "access-control-expose-headers")
            assert exposed >= OURS | {"www-authenticate", "retry-after"}


async def test_an_error_of_our_own_brings_the_new_tokens_readably(tmp_path):
    """C3: the API went away between refresh and answer; the page still gets its tokens."""
    async with house(tmp_path) as h:
        await preflight(h)
        pair = h.expired()
        await h.api_server.stop()
        answer = await h.get("/cors", pair, headers={"Origin": APP})
        assert code(answer) == "upstream_unreachable"
        assert "x-access-token" in answer.headers
        assert listed(answer, "access-control-expose-headers") >= OURS
        assert answer.headers["access-control-allow-origin"] == APP


async def test_one_upstreams_allowance_is_not_anothers(tmp_path):
    """C3: what an API allows holds for that API."""
    theirs = ok(f"Access-Control-Allow-Origin: {APP}")
    async with Script.saying(theirs) as script:
        upstreams = {"upstreams.other": {"url": script.url}}
        routes = [{"match": "/other/*", "upstream": "other"}]
        async with house(tmp_path, routes=routes, **upstreams) as h:
            assert (await h.get("/other/x", h.login(), headers={"Origin": APP})).status_code == 200
            allowed = await h.get("/other/x", None, headers={"Origin": APP})
            assert allowed.headers["access-control-allow-origin"] == APP
            refused = await h.get("/cors", None, headers={"Origin": APP})
            assert "access-control-allow-origin" not in refused.headers


async def test_options_without_a_preflights_fields_is_a_request_like_any_other(tmp_path):
    """C3, R17: only a true preflight goes unjudged."""
    async with house(tmp_path) as h:
        for fields in ({}, {"Origin": APP}, {"Access-Control-Request-Method": "GET"}):
            answer = await h.client.request("OPTIONS", h.url + "/cors", headers=fields)
            assert code(answer) == "missing_token"
        get = await ask(h, request("GET /cors", None, *(f"{n}: {v}" for n, v in ASKS.items())))
        assert json.loads(get.body)["code"] == "missing_token"
        assert h.api.count == 0


async def test_a_preflight_brings_no_refresh_even_with_tokens(tmp_path):
    """R17: a client that sends credentials with its preflight gets nothing for them."""
    async with house(tmp_path) as h:
        answer = await h.client.request("OPTIONS", h.url + "/cors", headers={**ASKS, **bearer(h.expired())})
        assert answer.status_code == 200
        assert "x-access-token" not in answer.headers
        assert len(h.auth.token_requests) == 0
        assert h.api.requests[-1].values(b"x-refresh-token") == []


async def test_names_of_ones_own_are_exposed_and_allowed_under_these_names(tmp_path):
    """C3: configured names, not the defaults."""
    names = {"refresh": "X-My-Refresh", "access_token": "X-My-Access", "refresh_token": "X-My-Refresh"}
    async with house(tmp_path, credentials=names) as h:
        allowed = await preflight(h, **{"Access-Control-Request-Headers": "authorization, x-my-refresh"})
        assert "x-my-refresh" in listed(allowed, "access-control-allow-headers")
        access, refresh = h.expired()
        fields = {"Origin": APP, "Authorization": f"Bearer {access}", "X-My-Refresh": refresh}
        answer = await h.get("/cors", headers=fields)
        assert {"x-my-access", "x-my-refresh"} <= listed(answer, "access-control-expose-headers")
        assert "x-my-access" in answer.headers
