"""Several APIs behind one gateway: which one gets a request, under which path, and what its answers say."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests import lanes
from tests.e2e.support import code
from tests.house import house
from tests.upstream.raw import OK, Server, serving
from upstream_stub.api import Api
from upstream_stub.serving import Serving

pytestmark = lanes.BOTH


@asynccontextmanager
async def apis(tmp_path, routes, /, *, upstreams, **sections):
    """A house with further APIs: their stubs by name, and the settings of each."""
    async with AsyncExitStack() as stack:
        stubs, nested = {}, {}
        for name, keys in upstreams.items():
            stubs[name] = Api()
            serving = await stack.enter_async_context(Serving(stubs[name]))
            prefix = keys.get("url", "")
            nested[f"upstreams.{name}"] = {**keys, "url": serving.url + prefix}
        yield await stack.enter_async_context(house(tmp_path, routes=routes, **nested, **sections)), stubs


def target_of(api: Api) -> str:
    return api.requests[-1].target.decode()


BILLING = {"match": "/billing/*", "upstream": "billing", "strip_prefix": "/billing"}


async def test_each_route_leads_to_its_own_api(tmp_path):
    """N3, N5: the longest match wins, whatever the query, the fragment of a name or the Host say."""
    routes = [
        {"match": "/a/*", "upstream": "a"},
        {"match": "/a/b/*", "upstream": "b"},
        {"match": "/a/b/c", "upstream": "a", "methods": ["POST"]},
    ]
    async with apis(tmp_path, routes, upstreams={"a": {}, "b": {}}) as (h, stubs):
        pair = h.login()
        expected = {
            ("GET", "/a/x"): "a",
            ("GET", "/a/b/x"): "b",
            ("GET", "/a/b/c"): "b",
            ("POST", "/a/b/c"): "a",
            ("GET", "/ab"): "",
            ("GET", "/x?/a/b/"): "",
            ("GET", "/a?x=/a/b/"): "",
        }
        everyone = {"": h.api, **stubs}
        for (method, path), name in expected.items():
            before = {n: api.count for n, api in everyone.items()}
            answer = await h.request(method, path, pair, headers={"Host": "b.example"})
            assert answer.status_code == 200
            assert [n for n, api in everyone.items() if api.count > before[n]] == [name], (method, path)


@pytest.mark.parametrize(
    ("prefix", "sent", "arrives"),
    [
        ("", "/billing/invoices/1?x=%2f", "/invoices/1?x=%2f"),
        ("", "/billing/", "/"),
        ("/v1", "/billing/invoices?a", "/v1/invoices?a"),
        ("/v1/deep", "/billing/billing/x", "/v1/deep/billing/x"),
    ],
)
async def test_a_prefix_is_taken_off_and_another_put_before(tmp_path, prefix, sent, arrives):
    """P11: strip_prefix and the path of the upstream's URL; every other byte is the client's."""
    async with apis(tmp_path, [BILLING], upstreams={"billing": {"url": prefix}}) as (h, stubs):
        assert (await h.get(sent, h.login())).status_code == 200
        assert target_of(stubs["billing"]) == arrives


async def test_only_whole_segments_are_a_prefix(tmp_path):
    """N3: /billingx is another path."""
    async with apis(tmp_path, [BILLING], upstreams={"billing": {}}) as (h, stubs):
        assert (await h.get("/billingx/1", h.login())).status_code == 200
        assert stubs["billing"].count == 0
        assert target_of(h.api) == "/billingx/1"


async def test_the_prefix_of_the_default_api_holds_for_every_path(tmp_path):
    """P11: CONTRACT §6: a path prefix is allowed in the upstream's URL."""
    api = Api()
    async with Serving(api) as serving, house(tmp_path, upstream={"url": serving.url + "/base"}) as h:
        assert (await h.get("/x?y", h.login())).status_code == 200
        assert target_of(api) == "/base/x?y"


LOCATIONS = {
    "API/v1/invoices/7?x#y": "GATEWAY/billing/invoices/7?x#y",
    "API/v1": "GATEWAY/billing/",
    "API/v1?x": "GATEWAY/billing/?x",
    "/v1/invoices/7": "/billing/invoices/7",
    "invoices/7": "invoices/7",
    "?page=2": "?page=2",
    "https://elsewhere.example/v1/x": "https://elsewhere.example/v1/x",
    "//elsewhere.example/v1/x": "//elsewhere.example/v1/x",
    "API0/v1/x": "API0/v1/x",
    "API@evil.example/": "API@evil.example/",
}


async def test_a_location_is_turned_back_where_the_host_is_not_preserved(tmp_path):
    """CONTRACT §6: the client never learns of an address that it cannot reach; other redirects stay as they are."""
    answers = asyncio.Queue()

    async def handler(peer):
        while True:
            await peer.request()
            location = answers.get_nowait().encode()
            await peer.send(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location)

    async with serving(handler) as server:
        api = f"http://127.0.0.1:{server.port}"
        routes = [{"match": "/billing/*", "strip_prefix": "/billing"}]
        async with house(tmp_path, routes=routes, upstream={"url": f"{api}/v1", "preserve_host": False}) as h:
            pair = h.login()
            for location, seen in LOCATIONS.items():
                answers.put_nowait(location.replace("API", api))
                answer = await h.get("/billing/x", pair)
                assert answer.headers["location"] == seen.replace("API", api).replace("GATEWAY", h.url)


async def test_the_host_is_the_clients_unless_it_is_not_to_be_preserved(tmp_path):
    """CONTRACT §6: preserve_host; X-Forwarded-Host names the client's either way."""
    routes = [{"match": "/own/*", "upstream": "own"}]
    async with apis(tmp_path, routes, upstreams={"own": {"preserve_host": False}}) as (h, stubs):
        pair = h.login()
        for path, api in (("/x", h.api), ("/own/x", stubs["own"])):
            await h.get(path, pair, headers={"Host": "public.example:8443"})
            request = api.requests[-1]
            assert request.values(b"x-forwarded-host") == [b"public.example:8443"]
            (host,) = request.values(b"host")
            assert (host == b"public.example:8443") == (api is h.api)


async def test_a_location_is_left_alone_where_the_host_is_preserved(tmp_path):
    """CONTRACT §6: the API knows its public name and writes it itself."""
    async with house(tmp_path) as h:
        for to in (h.api_server.url + "/x", "/x"):
            answer = await h.get(f"/redirect?to={to}", h.login())
            assert answer.headers["location"] == to


async def test_each_route_has_its_own_audience(tmp_path):
    """T9: a token for one API opens no other; a route without a list of its own takes the default one."""
    routes = [
        {"match": "/billing/*", "upstream": "billing", "audience": ["billing"]},
        {"match": "/both/*", "upstream": "billing", "audience": ["api", "billing"]},
    ]
    async with apis(tmp_path, routes, upstreams={"billing": {}}) as (h, stubs):
        for_api = (h.auth.mint(aud="api"), None)
        for_billing = (h.auth.mint(aud="billing"), None)
        for_both = (h.auth.mint(aud=["billing", "other"]), None)
        expected = {"/billing/x": (401, 200, 200), "/both/x": (200, 200, 200), "/x": (200, 401, 401)}
        for path, statuses in expected.items():
            answers = [await h.get(path, pair) for pair in (for_api, for_billing, for_both)]
            assert tuple(a.status_code for a in answers) == statuses, path
            assert {code(a) for a in answers if a.status_code == 401} <= {"invalid_token"}
        assert stubs["billing"].count == 5


async def test_each_route_has_its_own_patience(tmp_path):
    """B13: response_timeout of a route goes before the upstream's."""
    routes = [{"match": "/slow", "response_timeout": "150ms"}]
    async with house(tmp_path, routes=routes, upstream={"response_timeout": "30s"}) as h:
        pair = h.login()
        answer = await h.get("/slow?seconds=20", pair)
        assert (answer.status_code, code(answer)) == (504, "upstream_timeout")
        assert (await h.get("/stream?chunks=3&interval=0.1", pair)).status_code == 200


async def test_one_refresh_serves_every_api(tmp_path):
    """R7: the pair is the user's, not the API's."""
    routes = [{"match": "/a/*", "upstream": "a"}, {"match": "/b/*", "upstream": "b"}]
    async with apis(tmp_path, routes, upstreams={"a": {}, "b": {}}) as (h, stubs):
        old = h.expired()
        for path in ("/a/x", "/b/x", "/x"):
            assert (await h.get(path, old)).status_code == 200
        assert len(h.auth.token_requests) == 1
        fields = [api.requests[-1].values(b"authorization") for api in (h.api, *stubs.values())]
        assert fields[0] == fields[1] == fields[2] != [f"Bearer {old[0]}".encode()]


async def test_the_target_never_chooses_the_api(tmp_path):
    """N5: an absolute form, an @ or two slashes are a path, or nothing."""
    evil = Api()
    async with Serving(evil) as serving, house(tmp_path) as h:
        address = serving.url.removeprefix("http://")
        pair = h.login()
        for target in (f"http://{address}/x", f"//{address}/x", f"/@{address}/x"):
            head = f"GET {target} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {pair[0]}\r\n"
            got = await h.raw(f"{head}Connection: close\r\n\r\n".encode())
            assert got.startswith(b"HTTP/1.1 200 ")
        assert evil.count == 0
        assert [r.target for r in h.api.requests] == [b"/x", f"//{address}/x".encode(), f"/@{address}/x".encode()]


async def test_an_api_may_have_an_ipv6_address(tmp_path):
    """CONTRACT §6: in brackets in its URL and in the Host that it is sent."""
    heads = []

    async def handler(peer):
        heads.append(await peer.head())
        await peer.send(OK)

    server = Server(handler)
    listener = await asyncio.start_server(server.serve, "::1", 0)
    authority = f"[::1]:{listener.sockets[0].getsockname()[1]}"
    async with house(tmp_path, upstream={"url": f"http://{authority}", "preserve_host": False}) as h:
        assert (await h.get("/x", h.login())).text == "ok"
    listener.close()
    await server.stop()
    await listener.wait_closed()
    assert f"\r\nhost: {authority}\r\n".encode() in heads[0]
