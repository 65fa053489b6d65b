"""The API: who is let in, what it says of a request, what it remembers."""

import asyncio
import hashlib

import pytest

from tests.upstream_stub.conftest import ApiClient, hang_up, raw_request, until
from upstream_stub import Api, Serving


@pytest.fixture
async def guarded(http):
    """An API that lets in who has the token "good"."""
    api = Api(lambda token: token == "good")
    async with Serving(api) as listener:
        yield ApiClient(http, api, listener)


GOOD = {"authorization": "Bearer good"}


async def test_it_lets_in_only_a_valid_token(guarded):
    """RFC 6750 §3.1: a token that fails is named in the challenge, a missing one is not."""
    assert (await guarded.get("/echo", headers=GOOD)).status_code == 200
    bad = await guarded.get("/echo", headers={"authorization": "Bearer bad"})
    assert bad.status_code == 401
    assert 'error="invalid_token"' in bad.headers["www-authenticate"]
    for headers in ({}, {"authorization": "Basic good"}):
        none = await guarded.get("/echo", headers=headers)
        assert (none.status_code, none.headers["www-authenticate"]) == (401, 'Bearer realm="api"')


@pytest.mark.parametrize("path", ["/bytes?size=1", "/upload", "/anything", "/status/200", "/cors"])
async def test_every_endpoint_is_guarded(guarded, path):
    assert (await guarded.get(path)).status_code == 401
    assert (await guarded.get(path, headers=GOOD)).status_code == 200


async def test_health_and_open_routes_are_not_guarded(http):
    async def login(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    api = Api(lambda _: False, open_routes={"/auth/login": Wrapped(login)})
    async with Serving(api) as listener:
        assert (await http.get(f"{listener.url}/health")).status_code == 200
        assert (await http.post(f"{listener.url}/auth/login")).status_code == 204


class Wrapped:
    """Starlette takes an instance as an ASGI application, a function as one of requests."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


async def test_a_bare_token_in_another_field_is_taken_too(http):
    api = Api(lambda token: token == "good", token_field=b"x-auth-token", scheme="")
    async with Serving(api) as listener:
        assert (await http.get(f"{listener.url}/", headers={"X-Auth-Token": "good"})).status_code == 200
        assert (await http.get(f"{listener.url}/", headers=GOOD)).status_code == 401


async def test_echo_tells_what_arrived(client):
    headers = [(b"X-A", b"1"), (b"x-a", b"\xe9")]
    seen = (await client.post("/echo/any/path?x=1&x=2", content=b"hello", headers=headers)).json()
    assert (seen["method"], seen["target"]) == ("POST", "/echo/any/path?x=1&x=2")
    assert [pair for pair in seen["headers"] if pair[0].lower() == "x-a"] == [["X-A", "1"], ["x-a", "é"]]
    digest = hashlib.sha256(b"hello").hexdigest()
    assert seen["body"] == {"length": 5, "sha256": digest, "text": "hello"}


async def test_echo_does_not_show_a_large_body(client):
    body = b"x" * 200_000
    seen = (await client.post("/echo", content=body)).json()
    assert seen["body"] == {"length": 200_000, "sha256": hashlib.sha256(body).hexdigest()}


async def test_requests_are_remembered_and_counted(client):
    await client.post("/echo?a=1", content=b"12345", headers={"X-A": "1"})
    await client.get("/health")
    first, second = client.api.requests
    assert (first.method, first.path, first.query, first.body_length) == ("POST", "/echo", {"a": "1"}, 5)
    assert first.values(b"x-a") == [b"1"]
    assert second.target == b"/health"
    assert (client.api.count, client.api.active, client.api.cancelled) == (2, 0, 0)


@pytest.mark.parametrize("path", ["/slow?seconds=60", "/sse", "/stream?interval=60", "/bytes?size=1000000000"])
async def test_a_client_that_leaves_is_noticed(client, path):
    _, writer = await raw_request(client.listener, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await until(lambda: client.api.active == 1)
    await hang_up(writer)
    await until(lambda: client.api.active == 0)
    assert client.api.cancelled == 1


@pytest.mark.parametrize("path", ["/echo", "/upload", "/echo-stream", "/slow?seconds=60"])
async def test_a_client_that_leaves_in_an_upload_is_noticed(client, path):
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode()
    _, writer = await raw_request(client.listener, head)
    await until(lambda: client.api.active == 1)
    await hang_up(writer)
    await until(lambda: client.api.active == 0)
    assert client.api.cancelled == 1


async def test_requests_in_progress_are_counted(client):
    waiting = [asyncio.create_task(client.get("/slow?seconds=0.1")) for _ in range(5)]
    await asyncio.gather(*waiting)
    assert (client.api.max_active, client.api.active, client.api.cancelled) == (5, 0, 0)


async def test_deny_once_denies_each_key_once(guarded):
    async def ask(path):
        return (await guarded.post(path, headers=GOOD, content=b"body")).status_code

    assert [await ask("/deny-once?key=a") for _ in range(3)] == [401, 200, 200]
    assert [await ask("/deny-once?key=b") for _ in range(2)] == [401, 200]
    assert [await ask("/deny-once") for _ in range(2)] == [401, 200]
    assert [request.body_length for request in guarded.api.requests] == [4] * 7


async def test_deny_once_can_refuse_before_the_body_is_read(client):
    head = b"POST /deny-once?early=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    reader, writer = await raw_request(client.listener, head)
    assert b"401" in await reader.readuntil(b"\r\n")
    await hang_up(writer)


async def test_cors_is_that_of_starlette_and_knows_no_gateway(client):
    """C3: a preflight that asks for an unknown request header is refused."""

    async def preflight(origin, headers):
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": headers,
        }
        return await client.http.options(f"{client.listener.url}/cors", headers=asked)

    known = await preflight("https://app.example", "authorization")
    assert (known.status_code, known.headers["access-control-allow-origin"]) == (200, "https://app.example")
    assert (await preflight("https://app.example", "authorization, x-refresh-token")).status_code == 400
    assert "access-control-allow-origin" not in (await preflight("https://evil.example", "authorization")).headers
    answer = await client.get("/cors", headers={"Origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-expose-headers" not in answer.headers
