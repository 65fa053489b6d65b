"""The authorization server over a real socket: what RFC 6749, 7009, 7662, 8414 and 9700 ask of it."""

import asyncio

import pytest

from tests.upstream_stub.conftest import GATEWAY
from upstream_stub import token_id

REFRESH = {"grant_type": "refresh_token"}


def failed(response):
    return response.status_code, response.json()["error"]


async def test_a_refresh_rotates_the_refresh_token(auth):
    """RFC 6749 §6, §5.1."""
    _, first = auth.server.login("alice")
    answer = await auth.refresh(first)
    granted = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (granted["token_type"], granted["expires_in"], granted["scope"]) == ("Bearer", 5, "api")
    assert auth.server.accepts(granted["access_token"])
    assert granted["refresh_token"] != first
    assert (await auth.refresh(granted["refresh_token"])).status_code == 200


async def test_a_reuse_revokes_the_family(auth):
    """RFC 9700 §4.14.2."""
    _, first = auth.server.login("alice")
    second = (await auth.refresh(first)).json()["refresh_token"]
    assert failed(await auth.refresh(first)) == (400, "invalid_grant")
    assert failed(await auth.refresh(second)) == (400, "invalid_grant")
    assert not auth.server.family_alive(second)
    assert auth.server.presented(first) == 2


async def test_within_the_grace_the_previous_token_gets_new_tokens(auth):
    auth.server.rotation_grace = 30
    _, first = auth.server.login("alice")
    second = (await auth.refresh(first)).json()["refresh_token"]
    again = (await auth.refresh(first)).json()["refresh_token"]
    assert again not in {first, second}
    assert auth.server.family_alive(first)
    auth.server.clock_offset += 31
    assert failed(await auth.refresh(first)) == (400, "invalid_grant")
    assert not auth.server.family_alive(first)


async def test_without_rotation_the_old_token_stays_and_none_is_returned(auth):
    auth.server.rotation = False
    _, first = auth.server.login("alice")
    assert "refresh_token" not in (await auth.refresh(first)).json()
    assert (await auth.refresh(first)).status_code == 200


async def test_a_public_client_rotates_in_any_case(auth):
    """RFC 9700 §2.2.2."""
    auth.server.rotation = False
    _, first = auth.server.login("alice", client_id="public")
    answer = await auth.post("/token", {**REFRESH, "refresh_token": first, "client_id": "public"}, auth=None)
    assert answer.json()["refresh_token"] != first


async def test_the_scope_can_be_narrowed_but_not_widened(auth):
    """RFC 6749 §6: a new refresh token keeps the whole scope."""
    auth.server.scope = "api mail"
    _, first = auth.server.login("alice")
    assert failed(await auth.refresh(first, scope="api admin")) == (400, "invalid_scope")
    narrow = (await auth.refresh(first, scope="mail")).json()
    assert narrow["scope"] == "mail"
    assert (await auth.refresh(narrow["refresh_token"])).json()["scope"] == "api mail"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        (REFRESH, "invalid_request"),
        ({**REFRESH, "refresh_token": ""}, "invalid_request"),
        ({**REFRESH, "refresh_token": ["a", "b"]}, "invalid_request"),
        ({**REFRESH, "refresh_token": "never issued"}, "invalid_grant"),
        ({"grant_type": "password", "username": "alice"}, "invalid_request"),
        ({"grant_type": "password", "username": "alice", "password": "wrong"}, "invalid_grant"),
    ],
)
async def test_each_error_has_its_code(auth, form, error):
    """RFC 6749 §5.2."""
    answer = await auth.post("/token", form)
    assert failed(answer) == (400, error)
    assert answer.headers["cache-control"] == "no-store"


async def test_an_unknown_client_gets_401_and_a_challenge(auth):
    """RFC 6749 §5.2: the refresh token is not touched."""
    _, first = auth.server.login("alice")
    answer = await auth.post("/token", {**REFRESH, "refresh_token": first}, auth=("gateway", "rotated"))
    assert failed(answer) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert (await auth.refresh(first)).status_code == 200


async def test_only_post_reaches_the_token_endpoint(auth):
    answer = await auth.get("/token")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_refresh_token_serves_only_its_own_client(auth):
    auth.server.clients["other"] = "other-secret"
    _, first = auth.server.login("alice")
    answer = await auth.post("/token", {**REFRESH, "refresh_token": first}, auth=("other", "other-secret"))
    assert failed(answer) == (400, "invalid_grant")
    assert auth.server.family_alive(first)


async def test_a_password_logs_in(auth):
    form = {"grant_type": "password", "username": "bob", "password": "password"}
    granted = (await auth.post("/token", form)).json()
    assert auth.server.read_access_token(granted["access_token"])["sub"] == "bob"
    assert (await auth.refresh(granted["refresh_token"])).status_code == 200
    assert len(auth.server.token_requests) == 1


async def test_an_id_token_comes_with_openid(auth):
    auth.server.scope = "openid api"
    _, first = auth.server.login("alice")
    claims = auth.server.read_access_token((await auth.refresh(first)).json()["id_token"])
    assert (claims["sub"], claims["aud"]) == ("alice", "gateway")


async def test_the_application_login_answers_with_an_envelope(auth):
    url = auth.listener.url + "/login"
    answer = await auth.http.post(url, json={"username": "alice", "password": "password"})
    data = answer.json()["data"]
    assert answer.json()["code"] == 200
    claims = auth.server.read_access_token(data["token"])
    assert data["tokenExpire"] == claims["exp"] * 1000
    assert auth.server.family_alive(data["refreshToken"])
    refused = await auth.http.post(url, json={"username": "alice", "password": "x"})
    assert (refused.status_code, refused.json()["data"]) == (401, None)
    assert (await auth.http.post(url, content=b"[1]")).status_code == 401


async def test_the_bearer_refresh_endpoint_does_not_rotate_and_denies_with_200(auth):
    _, first = auth.server.login("alice")
    for _ in range(2):
        answer = await auth.get("/access/refresh", headers={"authorization": f"Bearer {first}"})
        assert answer.json()["code"] == 200
        assert auth.server.accepts(answer.json()["data"])
    dead = await auth.get("/access/refresh", headers={"authorization": "Bearer dead"})
    assert (dead.status_code, dead.json()["code"]) == (200, 401)
    assert auth.server.presented(first) == 2


async def test_the_query_refresh_endpoint_answers_with_strings(auth):
    _, first = auth.server.login("alice")
    answer = await auth.get("/refresh", params={"refreshToken": first})
    assert answer.json()["code"] == "200"
    assert auth.server.accepts(answer.json()["data"])
    dead = await auth.get("/refresh", params={"refreshToken": "dead"})
    assert (dead.status_code, dead.json()["code"]) == (200, "401")


async def test_revoking_a_refresh_token_revokes_its_family(auth):
    """RFC 7009 §2.1."""
    access, first = auth.server.login("alice")
    second = (await auth.refresh(first)).json()["refresh_token"]
    assert (await auth.post("/revoke", {"token": second, "token_type_hint": "access_token"})).status_code == 200
    assert failed(await auth.refresh(second)) == (400, "invalid_grant")
    assert list(auth.server.revocations) == [token_id(second)]
    assert (await auth.post("/introspect", {"token": access})).json() == {"active": False}


async def test_revocation_refuses_strangers_and_shrugs_at_unknown_tokens(auth):
    """RFC 7009 §2.1, §2.2."""
    auth.server.clients["other"] = "other-secret"
    access, first = auth.server.login("alice")
    assert (await auth.post("/revoke", {"token": "unknown"})).status_code == 200
    assert failed(await auth.post("/revoke", {})) == (400, "invalid_request")
    assert failed(await auth.post("/revoke", {"token": first}, auth=None)) == (401, "invalid_client")
    for token in (access, first):
        answer = await auth.post("/revoke", {"token": token}, auth=("other", "other-secret"))
        assert failed(answer) == (400, "invalid_grant")
    assert auth.server.family_alive(first)
    assert not auth.server.revocations


async def test_introspection_knows_both_kinds_of_token(auth):
    """RFC 7662 §2.2."""
    access, first = auth.server.login("alice")
    seen = (await auth.post("/introspect", {"token": access})).json()
    assert (seen["active"], seen["sub"], seen["client_id"]) == (True, "alice", "gateway")
    assert (await auth.post("/introspect", {"token": first})).json()["active"] is True
    await auth.refresh(first)
    assert (await auth.post("/introspect", {"token": first})).json() == {"active": False}
    assert (await auth.post("/revoke", {"token": access})).status_code == 200
    assert (await auth.post("/introspect", {"token": access})).json() == {"active": False}
    assert (await auth.post("/introspect", {"token": "x"})).json() == {"active": False}
    assert auth.server.introspections == 5


async def test_introspection_is_for_confidential_clients(auth):
    """RFC 7662 §2.1."""
    access, _ = auth.server.login("alice")
    for form in ({"token": access}, {"token": access, "client_id": "public"}):
        assert failed(await auth.post("/introspect", form, auth=None)) == (401, "invalid_client")


async def test_the_metadata_name_the_endpoints(auth):
    """RFC 8414 §3.2, OpenID Connect Discovery §4."""
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
        document = (await auth.get(path)).json()
        assert document["issuer"] == auth.listener.url
        assert document["token_endpoint"] == f"{auth.listener.url}/token"
    keys = (await auth.http.get(document["jwks_uri"])).json()
    assert keys == auth.server.jwks()
    assert (auth.server.metadata_requests, auth.server.jwks_requests) == (2, 1)


async def test_an_issuer_with_a_path_has_its_metadata_in_two_places(auth):
    """RFC 8414 §3 inserts, OpenID Connect Discovery §4 appends."""
    auth.server.issuer += "/tenant"
    inserted = await auth.get("/.well-known/oauth-authorization-server/tenant")
    appended = await auth.get("/tenant/.well-known/openid-configuration")
    assert inserted.json() == appended.json()
    assert inserted.json()["issuer"].endswith("/tenant")
    assert (await auth.get("/.well-known/oauth-authorization-server")).status_code == 404


async def test_metadata_can_lie(auth):
    auth.server.metadata_changes = {"issuer": "https://evil.example", "jwks_uri": None}
    document = (await auth.get("/.well-known/oauth-authorization-server")).json()
    assert document["issuer"] == "https://evil.example"
    assert "jwks_uri" not in document


async def test_every_token_request_is_recorded_without_its_secrets(auth):
    _, first = auth.server.login("alice")
    await auth.refresh(first, scope="api")
    form = {**REFRESH, "refresh_token": first, "client_id": GATEWAY[0], "client_secret": GATEWAY[1]}
    await auth.post("/token", form, auth=None)
    basic, post = auth.server.token_requests
    assert basic.refresh_token_id == basic.params["refresh_token"] == token_id(first)
    assert (basic.params["scope"], basic.client_auth, basic.outcome) == ("api", "client_secret_basic", "granted")
    assert basic.client[0] == "127.0.0.1"
    assert (b"content-type", b"application/x-www-form-urlencoded") in basic.headers
    assert (post.client_auth, post.outcome, post.params["client_secret"]) == (
        "client_secret_post",
        "invalid_grant",
        "…",
    )
    assert first not in repr(post.params)


async def test_simultaneous_presentations_of_one_token_are_seen(auth):
    _, first = auth.server.login("alice")
    held = auth.server.fault("hold", times=2)
    one = asyncio.create_task(auth.refresh(first))
    await held.arrived.wait()
    assert auth.server.concurrent_presentations == 1
    held.arrived.clear()
    two = asyncio.create_task(auth.refresh(first))
    await held.arrived.wait()
    held.release()
    assert sorted([(await one).status_code, (await two).status_code]) == [200, 400]
    assert auth.server.concurrent_presentations == 2


async def test_the_control_endpoint_sets_faults_and_stats_show_them(auth):
    url = auth.listener.url + "/control"
    set_fault = await auth.http.post(url, json={"fault": "status", "times": None, "status": 503})
    assert set_fault.json()["faults"] == ["token: status"]
    assert (await auth.refresh("x")).status_code == 503
    await auth.http.post(url, json={"clear": True})
    assert (await auth.refresh("x")).status_code == 400
    kid = auth.server.keys[0].kid
    await auth.http.post(url, json={"rotate_keys": True})
    assert auth.server.keys[0].kid != kid
    stats = (await auth.get("/stats")).json()
    assert stats["requests"]["token"] == 2
    assert stats["refreshes"] == {"invalid_grant": 1}


async def test_the_control_endpoint_refuses_what_it_does_not_know(auth):
    url = auth.listener.url + "/control"
    for wrong in ({"fault": "flood"}, {"fault": "down", "colour": 1}, {"fault": "down", "endpoint": "x"}, {"x": 1}):
        assert (await auth.http.post(url, json=wrong)).status_code == 400
    assert (await auth.http.post(url, content=b'{"clear": true}')).status_code == 415
    assert auth.server.stats()["faults"] == []
