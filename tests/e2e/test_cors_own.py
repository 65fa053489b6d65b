"""``[cors]``: the gateway answers for an API that knows nothing of CORS, over raw sockets."""

import json

import pytest

from tests import lanes
from tests.e2e.wire import Answer, Script, Wire, ask, ok, request
from tests.house import house

pytestmark = lanes.BOTH

APP = "https://app.example"
OTHER = "http://localhost:3000"
CORS = {
    "allow_origins": ["HTTPS://App.example:443", OTHER],
    "allow_methods": ["GET", "PUT"],
    "allow_headers": ["Content-Type", "x-refresh-token", "X-Trace"],
    "expose_headers": ["X-Total", "Retry-After"],
    "max_age": "90s",
}
RULES = [{"match": "/open/*", "auth": "off"}, {"match": "/a/*"}]
ALLOWED_HEADERS = b"authorization, x-refresh-token, Content-Type, X-Trace"
EXPOSED = b"x-access-token, x-refresh-token, x-access-token-expires-at, x-token-refreshed, WWW-Authenticate, Retry-After, X-Total"
PREFLIGHT_VARY = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

Allowance = dict[str, list[bytes]]


def allowance(answer: Answer) -> Allowance:
    """Every field of CORS, by what follows ``access-control-``."""
    found: Allowance = {}
    for name, value in answer.headers:
        if name.lower().startswith(b"access-control-"):
            found.setdefault(name.lower().removeprefix(b"access-control-").decode(), []).append(value)
    return found


def asks(origin: str = APP, method: str = "PUT", *more: str) -> list[str]:
    return [f"Origin: {origin}", f"Access-Control-Request-Method: {method}", *more]


def preflight_for(origin: str) -> Allowance:
    return {
        "allow-origin": [origin.encode()],
        "allow-methods": [b"GET, PUT"],
        "allow-headers": [ALLOWED_HEADERS],
        "max-age": [b"90"],
    }


# the request line, its fields | the allowance
PREFLIGHTS = [
    ("OPTIONS /x", asks(), preflight_for(APP)),
    ("OPTIONS /x", asks(OTHER), preflight_for(OTHER)),
    ("OPTIONS /open/x", asks(APP, "DELETE"), preflight_for(APP)),
    ("OPTIONS /x?a=b", asks(APP, "GET", "Access-Control-Request-Headers: x-evil"), preflight_for(APP)),
    ("OPTIONS /a//b", asks(), preflight_for(APP)),
    ("OPTIONS /_gateway/x", asks(), preflight_for(APP)),
    ("OPTIONS /x", asks(APP, "GET", "Access-Control-Request-Private-Network: true"), preflight_for(APP)),
    ("OPTIONS /x", asks("https://evil.example"), {}),
    ("OPTIONS /x", asks("https://app.example.evil.example"), {}),
    ("OPTIONS /x", asks("http://app.example"), {}),
    ("OPTIONS /x", asks("https://app.example:443"), {}),
    ("OPTIONS /x", asks("null"), {}),
    ("OPTIONS /x", asks("*"), {}),
    ("OPTIONS /x", asks(APP, "GET", "Origin: https://evil.example"), {}),
]


async def test_a_preflight_ends_here(tmp_path):
    """C2, R17: with or without tokens it is neither judged, refreshed nor forwarded; a strange origin reads nothing."""
    async with house(tmp_path, cors=CORS, routes=RULES) as h, Wire.to(h.port) as wire:
        for line, fields, expected in PREFLIGHTS:
            for pair in (None, h.expired(), ("forged", "forged")):
                wire.send(request(line, pair, *fields))
                answer = await wire.answer()
                assert (answer.status, answer.body, allowance(answer)) == (204, b"", expected), (line, fields)
                assert answer.values(b"vary") == [PREFLIGHT_VARY]
                assert len(answer.values(b"date")) == 1
                assert (
                    not answer.values(b"content-length") + answer.values(b"x-access-token") + answer.values(b"via")
                )
        assert h.api.count == 0
        assert len(h.auth.token_requests) == 0
        assert {e.decision for e in h.requests()} == {"answer"}


async def test_what_is_no_preflight_is_judged(tmp_path):
    """C2, R17."""
    async with house(tmp_path, cors=CORS) as h:
        for line, fields in [
            ("OPTIONS /x", []),
            ("OPTIONS /x", [f"Origin: {APP}"]),
            ("OPTIONS /x", ["Access-Control-Request-Method: GET"]),
            ("GET /x", asks()),
            ("POST /x", asks()),
        ]:
            answer = await ask(h, request(line, None, *fields))
            assert (answer.status, json.loads(answer.body)["code"]) == (401, "missing_token")
        assert h.api.count == 0
        assert (await ask(h, request("OPTIONS /echo", h.login(), f"Origin: {APP}"))).status == 200


THEIRS = [
    "Access-Control-Allow-Origin: *",
    "access-control-allow-origin: https://evil.example",
    "Access-Control-Allow-Credentials: true",
    "Access-Control-Expose-Headers: X-Secret",
    "ACCESS-CONTROL-MAX-AGE: 86400",
    "Access-Control-Allow-Private-Network: true",
    "Timing-Allow-Origin: *",
]


@pytest.mark.parametrize("credentials", [True, False])
async def test_on_answers_the_upstreams_words_are_replaced(tmp_path, credentials):
    """C2: one origin, exactly, and never two; who is not listed is served, and reads nothing."""
    cors = {**CORS, "allow_credentials": credentials}
    async with Script.saying(ok(*THEIRS)) as api, house(tmp_path, upstream={"url": api.url}, cors=cors) as h:
        for pair in (h.login(), h.expired()):
            answer = await ask(h, request("GET /x", pair, f"Origin: {OTHER}"))
            expected = {"allow-origin": [OTHER.encode()], "expose-headers": [EXPOSED]}
            assert allowance(answer) == expected | ({"allow-credentials": [b"true"]} if credentials else {})
            assert b"Origin" in answer.values(b"vary")
            assert answer.values(b"timing-allow-origin") == [b"*"]
        assert answer.values(b"x-access-token")
        for fields in (
            [],
            ["Origin: https://evil.example"],
            ["Origin: null"],
            [f"Origin: {APP}", f"Origin: {APP}"],
        ):
            answer = await ask(h, request("GET /x", h.login(), *fields))
            assert (answer.status, allowance(answer), answer.values(b"vary")) == (200, {}, [b"Origin"]), fields
        assert f"Origin: {OTHER}".lower() in api.requests[0].decode().lower()


async def test_vary_is_said_once(tmp_path):
    """C2: where the upstream says it already."""
    script = Script.saying(ok("Vary: Accept, origin"))
    async with script as api, house(tmp_path, upstream={"url": api.url}, cors=CORS) as h:
        answer = await ask(h, request("GET /x", h.login(), f"Origin: {APP}"))
        assert answer.values(b"vary") == [b"Accept, origin"]


async def test_our_own_problems_can_be_read_too(tmp_path):
    """C2: each of them from the first on; nothing has to be learnt from an API."""
    problems = {"routes": RULES, "server": {"max_body": "10B", "via": "edge-1"}}
    async with house(tmp_path, cors=CORS, **problems) as h:
        await h.api_server.stop()
        h.auth.fault("error")
        for expected, line, pair, more, body in [
            ("missing_token", "GET /x", None, [], b""),
            ("invalid_token", "GET /x", ("forged", None), [], b""),
            ("refresh_rejected", "GET /x", h.expired(), [], b""),
            ("ambiguous_path", "GET /a//b", None, [], b""),
            ("loop_detected", "GET /x", None, ["Via: 1.1 edge-1"], b""),
            ("body_too_large", "PUT /x", h.login(), ["Content-Length: 11"], b"12345678901"),
            ("upstream_unreachable", "GET /x", h.login(), [], b""),
            ("not_found", "GET /_gateway/x", None, [], b""),
        ]:
            answer = await ask(h, request(line, pair, f"Origin: {APP}", *more, body=body))
            assert json.loads(answer.body)["code"] == expected
            assert allowance(answer) == {"allow-origin": [APP.encode()], "expose-headers": [EXPOSED]}, expected
            assert answer.values(b"vary") == [b"Origin"]
            strange = await ask(h, request(line, pair, "Origin: https://evil.example", *more, body=body))
            assert (allowance(strange), strange.values(b"vary")) == ({}, [b"Origin"])


async def test_without_the_section_a_preflight_is_the_apis(tmp_path):
    """C3: as before, byte for byte."""
    theirs = ["Access-Control-Allow-Origin: *", "Access-Control-Max-Age: 5"]
    async with Script.saying(ok(*theirs)) as api, house(tmp_path, upstream={"url": api.url}) as h:
        answer = await ask(h, request("OPTIONS /x", None, *asks()))
        assert (answer.status, allowance(answer)) == (200, {"allow-origin": [b"*"], "max-age": [b"5"]})
        assert b"\r\naccess-control-request-method: PUT\r\n" in api.requests[0]


async def test_a_preflight_with_a_body_keeps_its_connection_in_order(tmp_path):
    """C2: no browser sends one; whoever does is answered, and then the next request."""
    async with house(tmp_path, cors=CORS) as h, Wire.to(h.port) as wire:
        data = request("OPTIONS /x", None, *asks(), "Transfer-Encoding: chunked", body=b"3\r\nGET\r\n0\r\n\r\n")
        wire.send(data + request("GET /echo", h.login()))
        assert [(await wire.answer()).status for _ in range(2)] == [204, 200]
