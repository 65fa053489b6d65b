"""What must not cross the gateway, in either direction, and what must cross it unchanged."""

import pytest

from tests import lanes
from tests.e2e.support import ageing, code, is_keyless, until
from tests.e2e.wire import Script, Trap, ask, ok, request, text_of
from tests.house import house

pytestmark = lanes.BOTH

ROUTES = [
    {"match": "/required", "auth": "required"},
    {"match": "/optional", "auth": "optional"},
    {"match": "/off", "auth": "off"},
]
IDENTITY = {"identity_headers": {"X-User": "sub", "X-Roles": "roles"}}
SPELLINGS = ("X_Refresh_Token", "x-refresh_token", "X_REFRESH-TOKEN", "x_refresh_token")
OURS = ("X-Access-Token", "x_access_token", "X-Access-Token-Expires-At", "X-Token-Refreshed", "x-token_refreshed")
IDENTITIES = ("X-User", "x-user", "X_USER", "x-Roles", "X_roles")


@pytest.mark.parametrize("path", ["/required", "/optional", "/off"])
async def test_the_upstream_sees_the_current_access_token_and_nothing_else_of_ours(tmp_path, path):
    """X1: in any case, underscore variant and number, on every route."""
    canaries = [f"{name}: canary" for name in (*SPELLINGS, *OURS, *IDENTITIES)]
    canaries += ["X-REFRESH-TOKEN: canary", "x-refresh-token: canary"] if path == "/off" else []
    cookie = 'a=1;  b="x y" ;; c=%20; __Host-app=1'
    async with house(tmp_path, routes=ROUTES, upstream=IDENTITY) as h:
        pairs = [h.login(), h.expired(), None][: 2 if path == "/required" else 3]
        for pair in pairs:
            answer = await ask(h, request(f"GET {path}", pair, *canaries, f"Cookie: {cookie}", "X-Mine: kept"))
            assert answer.status == 200
            last = h.api.requests[-1]
            seen = text_of(last.headers)
            assert "canary" not in seen
            assert "x-refresh" not in seen
            assert (last.values(b"cookie"), last.values(b"x-mine")) == ([cookie.encode()], [b"kept"])
            current = answer.values(b"x-access-token") or ([pair[0].encode()] if pair else [])
            assert last.values(b"authorization") == [b"Bearer " + token for token in current]
            assert last.values(b"x-user") == ([b"ada"] if pair and path != "/off" else [])
            assert pair is None or pair[1].lower() not in seen
        assert len(h.auth.token_requests) == (0 if path == "/off" else 1)


async def test_a_second_spelling_of_the_token_field_never_reaches_a_server_that_reads_it_as_the_first(tmp_path):
    """X1: a CGI-like server reads X_Auth_Token as X-Auth-Token, and nobody has judged that one."""
    names = {"access": "X-Auth-Token", "scheme": ""}
    async with house(tmp_path, routes=ROUTES, credentials=names) as h:
        for path, token in (
            ("/required", h.login()[0]),
            ("/required", h.expired()[0]),
            ("/optional", ""),
            ("/off", ""),
        ):
            fields = ["X_Auth_Token: forged", "x-auth_token: forged"]
            fields += [f"X-Auth-Token: {token}", f"X-Refresh-Token: {h.login()[1]}"] if token else []
            assert (await ask(h, request(f"GET {path}", None, *fields))).status == 200
            assert "forged" not in text_of(h.api.requests[-1].headers)


async def test_on_an_off_route_the_credentials_field_passes_as_it_is(tmp_path):
    """X1, R17: whatever it holds, twice too; it is not ours to judge."""
    async with house(tmp_path, routes=ROUTES) as h:
        sent = ["Authorization: Basic YTpi", "AUTHORIZATION: Bearer  x"]
        await ask(h, request("GET /off", None, *sent))
        assert h.api.requests[-1].values(b"authorization") == [b"Basic YTpi", b"Bearer  x"]


CACHEABLE = [
    "Cache-Control: public, max-age=600, s-maxage=600",
    "Expires: Thu, 01 Jan 2099 00:00:00 GMT",
    "X-Accel-Expires: 600",
    "Surrogate-Control: max-age=600",
    "CDN-Cache-Control: max-age=600",
]


async def test_an_answer_with_tokens_is_for_one_client_only(tmp_path):
    """X2: no-store in place of every word that lets a shared cache store it."""
    async with Script.saying(ok(*CACHEABLE)) as script, house(tmp_path, upstream={"url": script.url}) as h:
        with_tokens = await h.get("/x", h.expired())
        assert "x-access-token" in with_tokens.headers
        assert with_tokens.headers.get_list("cache-control") == ["no-store"]
        assert {"expires", "x-accel-expires", "surrogate-control", "cdn-cache-control"}.isdisjoint(
            with_tokens.headers
        )
        assert {"authorization", "x-refresh-token"} <= set(with_tokens.headers["vary"].split(", "))
        without = await h.get("/x", h.login())
        assert without.headers["cache-control"] == "public, max-age=600, s-maxage=600"
        assert without.headers["expires"] == "Thu, 01 Jan 2099 00:00:00 GMT"


@pytest.mark.parametrize("state", ["expired", "joined", "ahead", "rejected"])
async def test_no_304_carries_tokens_into_a_cache(tmp_path, state):
    """X3: a GET or HEAD that causes or joins a refresh asks for the whole answer."""
    condition = {"If-None-Match": '"v1"', "If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"}
    async with house(tmp_path) as h:
        for method in ("GET", "HEAD"):
            pair, path = h.expired(), "/etag"
            if state == "ahead":
                pair = ageing(h)
            elif state == "rejected":
                pair, path = h.login(), f"/deny-once?key={method}"
            elif state == "joined":
                await h.get("/echo", pair)
            answer = await h.request(method, path, pair, headers=condition)
            assert answer.status_code == 200
            assert answer.headers["x-token-refreshed"] == state
            last = h.api.requests[-1]
            assert (last.values(b"if-none-match"), last.values(b"if-modified-since")) == ([], [])


async def test_without_a_refresh_conditions_pass(tmp_path):
    """X3, P12: the control: a fresh token gets its 304; an unsafe method keeps its conditions."""
    condition = {"If-None-Match": '"v1"'}
    async with house(tmp_path) as h:
        fresh = await h.get("/etag", h.login(), headers=condition)
        assert (fresh.status_code, fresh.content) == (304, b"")
        assert is_keyless(fresh)
        await h.request("PUT", "/echo", h.expired(), headers=condition)
        assert h.api.requests[-1].values(b"if-none-match") == [b'"v1"']


@pytest.mark.parametrize("path", ["/required", "/off"])
async def test_an_upstream_cannot_speak_under_our_names(tmp_path, path):
    """X4: in any spelling; where new tokens go out, they are the only ones."""
    theirs = ["X-Access-Token: forged", "x_refresh_token: forged", "X-TOKEN-REFRESHED: forged"]
    theirs += ["X-Refresh-Token: forged", "x-access-token_expires-at: forged", "X-Theirs: kept"]
    async with (
        Script.saying(ok(*theirs)) as script,
        house(tmp_path, routes=ROUTES, upstream={"url": script.url}) as h,
    ):
        plain = await h.get(path, h.login())
        assert is_keyless(plain)
        assert "forged" not in str(plain.headers)
        assert plain.headers["x-theirs"] == "kept"
        renewed = await h.get(path, h.expired())
        assert "forged" not in str(renewed.headers)
        assert len(renewed.headers.get_list("x-access-token")) == (0 if path == "/off" else 1)


async def test_connection_cannot_name_away_what_the_gateway_says(tmp_path):
    """X6: neither the token, nor identities, nor who the client is."""
    named = "Connection: AuthoriZation, x-user, X-Forwarded-For, x_forwarded_proto, Host, keep-alive, x-gone"
    async with house(tmp_path, upstream=IDENTITY) as h:
        for pair in (h.login(), h.expired()):
            answer = await ask(h, request("GET /echo", pair, named, "X-Gone: hop", "X-User: mallory"))
            assert answer.status == 200
            last = h.api.requests[-1]
            token = answer.values(b"x-access-token") or [pair[0].encode()]
            assert last.values(b"authorization") == [b"Bearer " + token[0]]
            assert last.values(b"x-user") == [b"ada"]
            assert last.values(b"x-forwarded-for") == [b"127.0.0.1"]
            assert last.values(b"host") == [b"gateway.example"]
            assert last.values(b"x-gone") == []


async def test_redirects_are_the_clients_to_follow(tmp_path):
    """X7: the Location crosses unchanged, and nobody goes there."""
    async with Trap.listening() as trap, house(tmp_path) as h:
        for status in (301, 302, 303, 307, 308):
            answer = await h.get(f"/redirect?code={status}&to={trap.url}/x", h.expired())
            assert answer.status_code == status
            assert answer.headers["location"] == f"{trap.url}/x"
            assert "x-access-token" in answer.headers
        assert trap.calls == []
        assert h.api.count == 5


async def test_what_the_upstream_gave_to_one_is_never_on_anothers_request(tmp_path):
    """X8: no cookie jar, nor any other memory, between the gateway and the API or the authorization server."""
    async with house(tmp_path) as h:
        given = await h.get("/cookies", h.login("ada"))
        assert len(given.headers.get_list("set-cookie")) == 2
        h.client.cookies.clear()
        await h.get("/echo", h.login("bob"))
        await h.get("/echo", h.expired("ada"))
        assert [r.values(b"cookie") for r in h.api.requests] == [[], [], []]


async def test_the_environment_is_not_asked_for_a_way(tmp_path, monkeypatch):
    """X8: no proxy of the environment, no netrc: neither towards the API nor towards the authorization server."""
    async with Trap.listening() as trap:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login trapped password trapped\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, trap.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with house(tmp_path, auth_server={"client_auth": "client_secret_post"}) as h:
            assert (await h.get("/echo", h.expired())).status_code == 200
            sent = dict(h.auth.token_requests[0].headers)
            assert b"authorization" not in sent
        assert trap.calls == []


async def test_a_mismatched_pair_shows_nobody_the_others_tokens(tmp_path):
    """R1, X9: the new tokens of the wrong user reach neither the client nor the API."""
    async with house(tmp_path) as h:
        answer = await h.get("/echo", (h.expired("ada")[0], h.expired("bob")[1]))
        assert code(answer) == "subject_mismatch"
        assert is_keyless(answer)
        assert h.api.count == 0
        await until(lambda: len(h.auth.revocations) == 1)
