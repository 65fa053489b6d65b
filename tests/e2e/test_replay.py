"""The API's own 401: one refresh, one replay of the whole request, or the 401 with the new tokens (CONTRACT §3)."""

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager, suppress

import pytest

from tests import lanes
from tests.e2e.support import is_keyless, until
from tests.house import bearer, house, new_pair

pytestmark = lanes.BOTH

NO_TOKENS = ("/status/401", "/status/403", "/status/500", "/status/502", "/status/503")

SMALL = {"replay_body": "64KiB"}


async def pieces(body, size=10_000):
    """A body without a length: sent in chunks."""
    for at in range(0, len(body), size):
        yield body[at : at + size]


def pattern(size):
    return bytes(i % 251 for i in range(251)) * (size // 251) + b"x" * (size % 251)


async def test_which_refusals_of_the_api_lead_to_a_refresh(tmp_path):
    """R18: by default a 401 that says invalid_token; 403, 5xx and a bare 401 never."""
    async with house(tmp_path) as h:
        pair = h.login()
        targets = (*NO_TOKENS, "/unauthorized?challenge=none", "/unauthorized?error=insufficient_scope")
        for target in targets:
            answer = await h.get(target, pair)
            assert answer.status_code in {401, 403, 500, 502, 503}
            assert is_keyless(answer)
        assert h.api.count == len(targets)
        assert not h.auth.token_requests
        answer = await h.get("/unauthorized?error=invalid_token", pair)
        assert answer.status_code == 401
        assert answer.headers["x-token-refreshed"] == "rejected"
        assert "invalid_token" in answer.headers["www-authenticate"]


async def test_at_most_one_refresh_and_one_replay(tmp_path):
    """R18: an API that refuses the new token too has the last word, and the client gets the new tokens."""
    async with house(tmp_path) as h:
        pair = h.login()
        answer = await h.get("/deny", pair)
        assert answer.status_code == 401
        assert answer.json() == {"error": "invalid_token"}
        assert len(h.auth.token_requests) == 1
        sent = [request.values(b"authorization")[0].decode() for request in h.api.requests]
        assert sent == [f"Bearer {pair[0]}", f"Bearer {new_pair(answer, pair)[0]}"]


async def test_a_request_that_was_refreshed_before_it_was_sent_is_not_refreshed_again(tmp_path):
    """R18: one refresh in all, whichever comes first; even where the new token is old enough to ask again."""
    async with house(tmp_path, refresh={"min_interval": "0s"}) as h:
        answer = await h.get("/deny", h.expired())
        assert answer.status_code == 401
        assert answer.headers["x-token-refreshed"] == "expired"
        assert len(h.auth.token_requests) == 1
        assert h.api.count == 1


async def test_each_route_says_which_refusals_count(tmp_path):
    """R18: ``any`` takes a 401 without a challenge, and nothing but a 401; ``never`` none at all."""
    routes = [
        {"match": "/unauthorized", "on_upstream_401": "any"},
        {"match": "/status/*", "on_upstream_401": "any"},
        {"match": "/deny", "on_upstream_401": "never"},
    ]
    async with house(tmp_path, routes=routes) as h:
        pair = h.login()
        never = await h.get("/deny", pair)
        assert never.status_code == 401
        assert is_keyless(never)
        assert not h.auth.token_requests
        anything = await h.get("/unauthorized?challenge=none", pair)
        assert anything.status_code == 401
        assert anything.headers["x-token-refreshed"] == "rejected"
        assert h.api.count == 3
        for status in (403, 500, 503):
            assert is_keyless(await h.get(f"/status/{status}", h.login()))
        assert len(h.auth.token_requests) == 1


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_body_is_sent_again_whole(tmp_path, chunked):
    """R18, P11: from memory, from a spooled file, exactly up to ``replay_body``; with a length and in chunks."""
    async with house(tmp_path, refresh={"replay_body": "292KiB"}) as h:
        for size in (0, 1, 1000, 64 * 1024, 64 * 1024 + 1, 292 * 1024):
            body, before = pattern(size), h.api.count
            content = pieces(body) if chunked else body
            answer = await h.request("POST", f"/deny-once?key={size}", h.login(), content=content)
            assert (answer.status_code, size) == (200, size)
            assert answer.json()["body"]["sha256"] == hashlib.sha256(body).hexdigest()
            assert answer.headers["x-token-refreshed"] == "rejected"
            assert h.api.count == before + 2
            sent = list(h.api.requests)[-2:]
            assert {request.body_length for request in sent} == {size}
            assert all(bool(request.values(b"transfer-encoding")) == chunked for request in sent)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_body_that_is_too_large_to_keep_is_not_sent_again(tmp_path, chunked):
    """R18: the 401 goes to the client with the new tokens, and the client's own second try works."""
    async with house(tmp_path, refresh={"replay_body": "100KiB"}) as h:
        body, pair = pattern(100 * 1024 + 1), h.login()
        content = pieces(body) if chunked else body
        answer = await h.request("POST", "/deny-once?key=a", pair, content=content)
        assert answer.status_code == 401
        assert answer.json() == {"error": "invalid_token"}
        assert answer.headers["x-token-refreshed"] == "rejected"
        assert h.api.count == 1
        assert len(h.auth.token_requests) == 1
        again = await h.request("POST", "/deny-once?key=a", new_pair(answer, pair), content=body)
        assert again.status_code == 200


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_refusal_in_the_middle_of_an_upload_loses_no_byte(tmp_path, chunked):
    """R18, P14: what was read before the 401 is sent again, then what the client still sends."""
    async with house(tmp_path) as h:
        first, rest, pair = pattern(70_000), pattern(90_000), h.login()
        reader, writer = await asyncio.open_connection("127.0.0.1", h.port)
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(first + rest)}"
        fields = "".join(f"{name}: {value}\r\n" for name, value in bearer(pair).items())
        head = f"PUT /deny-once?key=a&early=1 HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n{length}\r\n{fields}\r\n"

        def framed(data, end=b""):
            return b"%x\r\n%s\r\n%s" % (len(data), data, end) if chunked else data

        fault = h.auth.fault("hold")
        writer.write(head.encode() + framed(first))
        await fault.arrived.wait()
        writer.write(framed(rest[:50_000]))
        await writer.drain()
        fault.release()
        await until(lambda: h.api.count == 2)
        writer.write(framed(rest[50_000:], b"0\r\n\r\n"))
        async with asyncio.timeout(30):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        assert head.startswith(b"HTTP/1.1 200")
        assert hashlib.sha256(first + rest).hexdigest().encode() in body


@asynccontextmanager
async def hesitant_api(refuses_fully):
    """An API that refuses the first request in two parts, and counts the body of the next one."""
    connections = 0

    async def refuse(reader, writer):
        writer.write(
            b'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer error="invalid_token"\r\nContent-Length: 5\r\n\r\nno'
        )
        while not refuses_fully.is_set():
            if not await reader.read(1 << 16):
                return
        writer.write(b"way")
        await reader.read()

    async def accept(reader, writer):
        length = 0
        while (chunk := await reader.readuntil(b"\r\n")) != b"0\r\n":
            length += len(await reader.readexactly(int(chunk, 16) + 2)) - 2
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(length)), length))

    async def serve(reader, writer):
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        with suppress(OSError):
            await (refuse if connections == 1 else accept)(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield {"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}


async def test_a_body_that_grows_too_large_while_the_refresh_is_awaited(tmp_path):
    """R18: it can no longer be sent again, so the API's 401 is the answer, with the new tokens."""
    refuses_fully = asyncio.Event()
    async with hesitant_api(refuses_fully) as api, house(tmp_path, refresh=SMALL, upstream=api) as h:
        fault = h.auth.fault("hold")

        async def body():
            yield pattern(10_000)
            await fault.arrived.wait()
            yield pattern(300_000)
            fault.release()
            await until(h.refreshes)
            refuses_fully.set()
            yield b"the end"

        answer = await h.request("POST", "/", h.login(), content=body())
        assert (answer.status_code, answer.content) == (401, b"noway")
        assert answer.headers["x-token-refreshed"] == "rejected"


async def test_a_refusal_that_takes_its_time_does_not_use_the_body_up(tmp_path):
    """R18: once the new tokens are there, nothing more of the body goes to whom has refused it."""
    async with hesitant_api(asyncio.Event()) as api, house(tmp_path, refresh=SMALL, upstream=api) as h:

        async def body():
            yield pattern(10_000)
            await until(lambda: h.refreshes() and not h.gateway.refresher.under_way)
            yield pattern(300_000)

        answer = await h.request("POST", "/", h.login(), content=body())
        assert (answer.status_code, answer.content) == (200, b"310000")
        assert answer.headers["x-token-refreshed"] == "rejected"


async def test_a_replay_takes_the_newer_token_that_is_there_already(tmp_path):
    """R18, R11: the token that failed is no longer the current one, so nothing is refreshed."""
    async with house(tmp_path) as h:
        old = h.login()
        new = new_pair(await h.get("/deny-once?key=a", old), old)
        late = await h.request("POST", "/deny-once?key=b", old, content=b"late")
        assert late.status_code == 200
        assert late.headers["x-token-refreshed"] == "joined"
        assert new_pair(late, old) == new
        assert ["authorization", f"Bearer {new[0]}"] in late.json()["headers"]
        assert len(h.auth.token_requests) == 1


@pytest.mark.parametrize("fault", ["down", "html", "error"])
async def test_without_new_tokens_the_refusal_of_the_api_is_the_answer(tmp_path, fault):
    """R18, B1: neither an outage nor a denial replaces the API's own words."""
    async with house(tmp_path) as h:
        h.auth.fault(fault)
        answer = await h.get("/deny", h.login())
        assert answer.status_code == 401
        assert json.loads(answer.content) == {"error": "invalid_token"}
        assert is_keyless(answer)
        assert h.api.count == 1
