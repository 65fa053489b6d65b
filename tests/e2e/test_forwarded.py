"""Who the client is, which rule holds, and which upstream it is: nothing that a client says can change it."""

import json

import pytest

from tests import lanes
from tests.e2e.support import code
from tests.e2e.wire import Trap, Wire, ask, request
from tests.house import House, house

pytestmark = lanes.BOTH

SPOOF = [
    "X-Forwarded-For: 6.6.6.6, 127.0.0.1",
    "x_forwarded_for: 6.6.6.6",
    "X-FORWARDED-PROTO: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded_Host: evil.example",
    "X-Forwarded-Port: 443",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Server: evil.example",
    "X-Real-IP: 6.6.6.6",
    "Forwarded: for=6.6.6.6;host=evil.example;proto=https",
]


def forwarded(h: House) -> dict[str, list[str]]:
    """What the API was told of the client."""
    told: dict[str, list[str]] = {}
    for name, value in h.api.requests[-1].headers:
        spelled = name.decode().lower().replace("_", "-")
        if "forwarded" in spelled or spelled == "x-real-ip":
            told.setdefault(spelled, []).append(value.decode())
    return told


async def test_nobody_is_believed_by_default(tmp_path):
    """N1: whatever a client says of itself is replaced, on every route, whoever the client is."""
    async with house(tmp_path, routes=[{"match": "/open", "auth": "off"}]) as h:
        for path in ("/echo", "/open"):
            assert (await ask(h, request(f"GET {path}", h.login(), *SPOOF))).status == 200
            assert forwarded(h) == {
                "x-forwarded-for": ["127.0.0.1"],
                "x-forwarded-proto": ["http"],
                "x-forwarded-host": ["gateway.example"],
            }


async def test_an_untrusted_forwarding_field_is_told_once(tmp_path):
    """N1, D3: a forgotten trusted_proxies is one line in the log, not one for each request."""
    async with house(tmp_path) as h:
        for _ in range(3):
            await ask(h, request("GET /echo", h.login(), "X-Forwarded-For: 6.6.6.6"))
        assert h.notices().count("untrusted_forwarding") == 1


async def test_a_trusted_proxy_is_believed_and_its_words_are_continued(tmp_path):
    """N1: the chain goes on; public scheme and host are the proxy's."""
    async with house(tmp_path, server={"trusted_proxies": ["127.0.0.0/8"]}) as h:
        said = [
            "X-Forwarded-For: 6.6.6.6",
            "X-Forwarded-For: 203.0.113.7",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: public.example",
            "X-Forwarded-Port: 443",
            "Forwarded: for=203.0.113.7",
            "x_forwarded_host: evil.example",
        ]
        assert (await ask(h, request("GET /echo", h.login(), *said))).status == 200
        assert forwarded(h) == {
            "x-forwarded-for": ["6.6.6.6, 203.0.113.7, 127.0.0.1"],
            "x-forwarded-proto": ["https"],
            "x-forwarded-host": ["public.example"],
            "x-forwarded-port": ["443"],
            "forwarded": ["for=203.0.113.7, for=127.0.0.1;proto=http"],
        }
        assert "untrusted_forwarding" not in h.notices()


BEHIND = [
    (
        ["Forwarded: for=6.6.6.6;proto=https;host=evil.example, for=203.0.113.7"],
        "6.6.6.6, 203.0.113.7, 127.0.0.1",
        "http",
    ),
    (['Forwarded: for=6.6.6.6;proto=https, "', "Forwarded: for=203.0.113.7"], "127.0.0.1", "http"),
    (["Forwarded: for=6.6.6.6;proto=https;host=evil.example;x y, for=203.0.113.7"], "127.0.0.1", "http"),
    (["Forwarded: for=203.0.113.7;proto=https"], "203.0.113.7, 127.0.0.1", "https"),
    (["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: gopher"], "203.0.113.7, 127.0.0.1", "http"),
    (["X-Forwarded-For: ,,"], "127.0.0.1", "http"),
]


async def test_a_client_of_a_trusted_proxy_cannot_speak_for_it(tmp_path):
    """N1: neither by breaking off what the proxy appends to, nor by what is no scheme and no host."""
    async with house(tmp_path, server={"trusted_proxies": ["127.0.0.0/8"]}) as h:
        for said, chain, scheme in BEHIND:
            fields = [*said, "X-Real-IP: 6.6.6.6", "X-Forwarded-Host: evil.example/x?"]
            assert (await ask(h, request("GET /echo", h.login(), *fields))).status == 200
            told = forwarded(h)
            assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ([chain], [scheme]), said
            assert told["x-forwarded-host"] == ["gateway.example"]
            assert told["x-real-ip"] == ["203.0.113.7" if "203" in chain else "127.0.0.1"]


async def test_a_proxy_of_another_network_is_not_believed(tmp_path):
    """N1: trust is of addresses, not of having been configured."""
    async with house(tmp_path, server={"trusted_proxies": ["10.0.0.0/8", "::1/128"]}) as h:
        await ask(h, request("GET /echo", h.login(), *SPOOF))
        assert forwarded(h)["x-forwarded-for"] == ["127.0.0.1"]
        assert forwarded(h)["x-forwarded-proto"] == ["http"]


async def guesses(h: House, address: str, count: int = 3) -> list[int]:
    """Unknown refresh tokens from one client behind the proxy, who claims to be another each time."""
    found = []
    for number in range(count):
        pair = h.expired()[0], f"guess-{address}-{number}"
        answer = await ask(h, request("GET /echo", pair, f"X-Forwarded-For: 6.6.6.{number}, {address}"))
        found.append(answer.status)
    return found


@pytest.mark.parametrize("trusted", [True, False])
async def test_limits_count_the_client_that_can_be_believed(tmp_path, trusted):
    """N1, D3: each client behind a trusted proxy for itself; without trust a spoofed address buys nothing."""
    limits = {"unknown_burst": 2, "unknown_per_second": 0.001}
    server = {"trusted_proxies": ["127.0.0.1/32"]} if trusted else {}
    async with house(tmp_path, server=server, refresh=limits) as h:
        assert await guesses(h, "203.0.113.1") == [401, 401, 429]
        assert await guesses(h, "203.0.113.2") == ([401, 401, 429] if trusted else [429, 429, 429])


RULES = [
    {"match": "/open", "auth": "off"},
    {"match": "/docs/*", "auth": "off"},
    {"match": "/login", "auth": "off", "methods": ["POST"]},
]


async def test_rules_hold_for_method_and_path_and_for_nothing_else(tmp_path):
    """N3: anchored; neither query nor fragment nor User-Agent nor a host opens a door."""
    async with house(tmp_path, routes=RULES) as h:
        for line in ("GET /open", "GET /open?x=1", "GET /docs/", "GET /docs/a/b", "POST /login", "GET /%6fpen"):
            assert (await ask(h, request(line))).status == 200
        closed = (
            "GET /openx",
            "GET /open/",
            "GET /x/open",
            "GET /docs",
            "GET /docsx/a",
            "GET /login",
            "PUT /login",
            "GET /x?/open",
            "GET /x?path=/docs/a",
            "GET /?/../open",
            "GET /OPEN",
        )
        calls = h.api.count
        for line in closed:
            answer = await ask(
                h, request(line, None, "User-Agent: /open", "Referer: /open", "X-Original-URL: /open")
            )
            assert (answer.status, json.loads(answer.body)["code"]) == (401, "missing_token")
        for target in ("http://gateway.example/x", "http://open/x"):
            assert (await ask(h, request(f"GET {target}"))).status == 401
        assert h.api.count == calls


AMBIGUOUS = [
    *("//open", "/docs/../x", "/docs/./a", "/docs/%2e%2e/x", "/docs/.%2E/x", "/docs/..;/x", "/docs/a;b=1/x"),
    *(
        "/docs/..%2fx",
        "/docs/%2F..%2Fx",
        "/docs/..%5cx",
        "/docs/..\\x",
        "/docs/%252e%252e/x",
        "/docs/%00",
        "/docs//x",
    ),
    *("/docs/%2", "/docs/%zz", "/docs/.", "/docs/.."),
]


async def test_a_path_that_two_servers_read_differently_is_refused_where_there_are_rules(tmp_path):
    """N2: and it says what to send instead."""
    async with house(tmp_path, routes=RULES) as h:
        for path in AMBIGUOUS:
            answer = await ask(h, request(f"GET {path}", h.login()))
            problem = json.loads(answer.body)
            assert (answer.status, problem["code"]) == (400, "ambiguous_path"), path
            assert "plain form" in problem["detail"]
        assert h.api.count == 0
        assert (await ask(h, request("GET /docs/x?q=//../;%2f", None))).status == 200


TARGETS = [
    ("/@evil.example/x", b"/@evil.example/x"),
    ("//{trap}/x", b"//{trap}/x"),
    ("//user@{trap}/x", b"//user@{trap}/x"),
    ("/\\{trap}/x", b"/\\{trap}/x"),
    ("/x?@{trap}", b"/x?@{trap}"),
    ("/http://{trap}/x", b"/http://{trap}/x"),
    ("http://{trap}/x?y", b"/x?y"),
    ("HTTP://{trap}/", b"/"),
    ("https://{trap}/x", b"/x"),
]


async def test_no_target_changes_the_upstream(tmp_path):
    """N5: the trap is never called; the API gets the client's bytes as a path."""
    async with Trap.listening() as trap, house(tmp_path) as h:
        address = f"127.0.0.1:{trap.port}"
        for target, seen in TARGETS:
            answer = await ask(h, request("GET " + target.format(trap=address), h.expired(), f"X-Host: {address}"))
            assert answer.status == 200, target
            assert h.api.requests[-1].target == seen.replace(b"{trap}", address.encode())
        refused = ("@{trap}/x", "{trap}/x", "ftp://{trap}/x", "http://u@{trap}/x", "http:///x", "/x#y", "*", "")
        calls = h.api.count
        for target in refused:
            answer = await ask(h, request("GET " + target.format(trap=address), h.login()))
            assert answer.status == 400, target
        assert (await ask(h, request(f"CONNECT {address}", h.login()))).status == 501
        assert (await ask(h, request("GET /x", h.login(), host=f"u@{address}"))).status == 400
        assert h.api.count == calls
        assert trap.calls == []


async def test_a_foreign_host_is_told_to_the_upstream_and_nothing_more(tmp_path):
    """N5: Host is data. With ``preserve_host = false`` the upstream sees its own."""
    async with Trap.listening() as trap:
        address = f"127.0.0.1:{trap.port}"
        async with house(tmp_path) as h:
            await ask(h, request("GET /x", h.login(), host=address))
            assert h.api.requests[-1].values(b"host") == [address.encode()]
            await ask(h, request(f"GET http://{address}/x", h.login()))
            assert h.api.requests[-1].values(b"host") == [address.encode()]
        async with house(tmp_path, upstream={"preserve_host": False}) as h:
            await ask(h, request(f"GET http://{address}/x", h.login()))
            assert h.api.requests[-1].values(b"host") == [h.api_server.url.removeprefix("http://").encode()]
        assert trap.calls == []


async def test_an_asterisk_is_a_target_of_options_whatever_the_rules(tmp_path):
    """P7: it names the server, no path: no rule is for it."""
    async with house(tmp_path, routes=RULES) as h:
        assert code(await h.client.request("OPTIONS", h.url + "/x")) == "missing_token"
        async with Wire.to(h.port) as wire:
            wire.send(request("OPTIONS *", h.login()))
            assert (await wire.answer()).status == 200
            wire.send(request("OPTIONS *"))
            assert (await wire.answer()).status == 401
        assert [r.target for r in h.api.requests] == [b"*"]
