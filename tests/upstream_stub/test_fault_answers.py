"""Each fault as a client meets it, and what it leaves behind in the server."""

import asyncio
import json

import httpx
import jwt
import pytest

from tests.upstream_stub.conftest import GATEWAY, hang_up, raw_request, until


async def cut(auth, refresh_token):
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await auth.refresh(refresh_token)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_server_that_is_down_has_processed_nothing(auth, reset):
    _, first = auth.server.login("alice")
    auth.server.fault("down", reset=reset)
    await cut(auth, first)
    assert auth.server.token_requests[0].outcome is None
    assert (await auth.refresh(first)).status_code == 200
    assert auth.server.presented(first) == 2


@pytest.mark.parametrize("reset", [False, True])
async def test_a_lost_answer_has_rotated(auth, reset):
    _, first = auth.server.login("alice")
    lost = auth.server.fault("lost", reset=reset)
    await cut(auth, first)
    assert lost.arrived.is_set()
    assert auth.server.token_requests[0].outcome == "granted"
    assert (await auth.refresh(first)).json()["error"] == "invalid_grant"


async def test_a_status_of_a_proxy_in_front_can_hide_a_rotation(auth):
    _, first = auth.server.login("alice")
    auth.server.fault("status", status=502, processed=True)
    assert (await auth.refresh(first)).status_code == 502
    assert (await auth.refresh(first)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("kind", "options", "status", "body"),
    [
        ("status", {"status": 503}, 503, b"the server is not well"),
        ("html", {}, 200, b"<!doctype html>"),
        ("html", {"status": 500}, 500, b"<!doctype html>"),
        ("garbage", {}, 200, b'{"access_token": "cut'),
        ("empty", {}, 200, b""),
        ("list", {}, 200, b"[]"),
        ("json", {"value": {"keys": 1}}, 200, b'{"keys": 1}'),
        ("error", {"status": 403}, 403, b'{"error": "invalid_grant"'),
        ("error", {"error": "server_error", "status": 400}, 400, b'{"error": "server_error"'),
        ("redirect", {"to": "http://127.0.0.1:9/x"}, 302, b""),
        ("throttle", {"retry_after": 7}, 429, b"Too Many Requests"),
    ],
)
async def test_an_answer_of_another_kind(auth, kind, options, status, body):
    _, first = auth.server.login("alice")
    auth.server.fault(kind, **options)
    answer = await auth.refresh(first)
    assert answer.status_code == status
    assert answer.content.startswith(body)
    assert bool(answer.content) == bool(body)
    assert answer.headers.get("location") == options.get("to")
    assert answer.headers.get("retry-after") == (str(options["retry_after"]) if "retry_after" in options else None)
    assert (await auth.refresh(first)).status_code == 200


@pytest.mark.parametrize(("processed", "rotated"), [(True, True), (False, False)])
async def test_a_held_request_is_answered_when_it_is_released(auth, processed, rotated):
    _, first = auth.server.login("alice")
    held = auth.server.fault("hold", processed=processed)
    answer = asyncio.create_task(auth.refresh(first))
    await held.arrived.wait()
    assert (auth.server.families.find(first).rotated_at is not None) == rotated
    assert not answer.done()
    held.release()
    assert (await answer).status_code == 200


async def test_clearing_releases_what_is_held(auth):
    _, first = auth.server.login("alice")
    held = auth.server.fault("hold", times=None)
    answer = asyncio.create_task(auth.refresh(first))
    await held.arrived.wait()
    auth.server.clear()
    assert (await answer).status_code == 200


async def test_a_slow_server_answers_in_the_end(auth):
    _, first = auth.server.login("alice")
    auth.server.fault("slow", delay=0.05)
    assert auth.server.accepts((await auth.refresh(first)).json()["access_token"])


async def test_a_hanging_request_ends_when_its_client_leaves(auth):
    hanging = auth.server.fault("hang", endpoint="jwks")
    _, writer = await raw_request(auth.listener, b"GET /jwks HTTP/1.1\r\nHost: x\r\n\r\n")
    await hanging.arrived.wait()
    assert auth.listener.connections == 1
    await hang_up(writer)
    await until(lambda: auth.listener.connections == 0)


async def test_a_dripped_answer_comes_byte_by_byte(auth):
    _, first = auth.server.login("alice")
    auth.server.fault("drip", interval=0, processed=True)
    form = {"grant_type": "refresh_token", "refresh_token": first}
    async with auth.http.stream("POST", f"{auth.listener.url}/token", data=form, auth=GATEWAY) as answer:
        parts = [part async for part in answer.aiter_raw()]
    assert len(parts) > 1
    assert auth.server.accepts(json.loads(b"".join(parts))["access_token"])


async def test_an_endless_answer_stops_when_its_client_leaves(auth):
    auth.server.fault("huge", endpoint="jwks")
    async with auth.http.stream("GET", f"{auth.listener.url}/jwks") as answer:
        size = 0
        async for part in answer.aiter_raw():
            size += len(part)
            if size > 2_000_000:
                break
    await until(lambda: auth.listener.connections == 0)


@pytest.mark.parametrize("kind", ["status", "empty", "garbage", "no_keys", "down"])
async def test_the_keys_can_fail_too(auth, kind):
    auth.server.fault(kind, endpoint="jwks")
    try:
        keys = (await auth.get("/jwks")).json().get("keys")
    except (httpx.RemoteProtocolError, ValueError):
        keys = []
    assert keys == []
    assert auth.server.jwks_requests == 1
    assert len((await auth.get("/jwks")).json()["keys"]) == 1


@pytest.mark.parametrize(
    ("kind", "claim", "value"),
    [
        ("wrong_subject", "sub", "mallory"),
        ("wrong_audience", "aud", "another-api"),
        ("wrong_issuer", "iss", "https://another-issuer.example"),
    ],
)
async def test_a_grant_can_be_for_somebody_or_something_else(auth, kind, claim, value):
    _, first = auth.server.login("alice")
    auth.server.fault(kind)
    granted = (await auth.refresh(first)).json()
    assert unverified(granted["access_token"])[claim] == value
    assert (await auth.refresh(granted["refresh_token"])).status_code == 200


def unverified(token):
    return jwt.decode(token, options={"verify_signature": False})


async def test_a_grant_can_be_dead_on_arrival(auth):
    _, first = auth.server.login("alice")
    auth.server.fault("expired_grant")
    granted = (await auth.refresh(first)).json()
    claims = unverified(granted["access_token"])
    assert claims["iat"] < claims["exp"] < auth.server.now()
    assert granted["expires_in"] == 5


async def test_a_grant_can_keep_the_refresh_token(auth):
    _, first = auth.server.login("alice")
    auth.server.fault("no_refresh_token")
    assert "refresh_token" not in (await auth.refresh(first)).json()
    assert "refresh_token" in (await auth.refresh(first)).json()


async def test_a_grant_can_be_malformed(auth):
    _, first = auth.server.login("alice")
    auth.server.fault("no_access_token")
    auth.server.fault("bad_id_token")
    auth.server.fault(
        "answer", response={"token_type": "mac", "expires_in": "soon"}, claims={"aud": ["x"]}, lifetime=60
    )
    one = (await auth.refresh(first)).json()
    two = (await auth.refresh(one["refresh_token"])).json()
    three = (await auth.refresh(two["refresh_token"])).json()
    assert "access_token" not in one
    assert two["id_token"] == "not.an.id-token"
    assert (three["token_type"], three["expires_in"]) == ("mac", "soon")
    claims = unverified(three["access_token"])
    assert (claims["aud"], claims["exp"] - claims["iat"]) == (["x"], 60)
