"""The application without any server: what ASGI itself asks of it."""

import asyncio
import hashlib
from contextlib import asynccontextmanager

import httpx
import pytest

from gateway.edge.call import AnswerBroken
from tests.e2e.support import until
from tests.house import bearer, house, new_pair
from upstream_stub.pattern import pattern, pattern_sha256

SIZE = 1_000_000


@asynccontextmanager
async def called(tmp_path, **sections):
    """A house, and a client that calls its application instead of its port."""
    async with house(tmp_path, **sections) as h:
        transport = httpx.ASGITransport(app=h.gateway.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.example") as client:
            yield h, client


async def test_the_story_needs_no_server(tmp_path):
    """CONTRACT §1: an expired token in, the original answer and new tokens out."""
    async with called(tmp_path) as (h, client):
        old = h.expired()
        answer = await client.get("/a%2Fb?x=1&y=%20", headers=bearer(old))
        assert answer.status_code == 200
        assert h.api.requests[-1].target == b"/a%2Fb?x=1&y=%20"
        again = await client.get("/echo", headers=bearer(new_pair(answer, old)))
        assert again.status_code == 200


async def test_bodies_need_no_server(tmp_path):
    """P11: up and down, with their length and in chunks."""
    async with called(tmp_path) as (h, client):
        headers = bearer(h.login())

        async def pieces():
            for piece in pattern(SIZE):
                yield piece

        for content in (b"".join(pattern(SIZE)), pieces()):
            answer = await client.post("/upload", headers=headers, content=content)
            assert answer.json() == {"length": SIZE, "sha256": pattern_sha256(SIZE)}
        for form in ("", "&chunked=1"):
            answer = await client.get(f"/bytes?size={SIZE}{form}", headers=headers)
            assert hashlib.sha256(answer.content).hexdigest() == pattern_sha256(SIZE)
        assert (await client.head(f"/bytes?size={SIZE}", headers=headers)).headers["content-length"] == str(SIZE)
        assert (await client.get("/status/204", headers=headers)).content == b""


async def test_a_broken_body_is_an_exception(tmp_path):
    """P15: the only way in which an application can tell a server that an answer must not look complete."""
    async with called(tmp_path) as (h, client):
        with pytest.raises(AnswerBroken):
            await client.get("/break?after=10", headers=bearer(h.login()))


async def test_the_gateways_own_answers_need_no_server(tmp_path):
    """CONTRACT §5: refusals, and the endpoints of its own."""
    async with called(tmp_path) as (_, client):
        for path, status in {"/x": 401, "/_gateway/x": 404}.items():
            answer = await client.get(path)
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"


class Caller:
    """An ASGI server with one client, which leaves when it is told to."""

    def __init__(self, h, target: str, *, method: str = "GET", body: bytes | None = None) -> None:
        fields = [(n.lower().encode(), v.encode()) for n, v in bearer(h.login()).items()]
        if body is not None:
            fields.append((b"transfer-encoding", b"chunked"))
        path, _, query = target.partition("?")
        self.scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", b"gateway"), *fields],
            "client": ("127.0.0.1", 1),
        }
        self.messages = asyncio.Queue()
        self.messages.put_nowait({"type": "http.request", "body": body or b"", "more_body": body is not None})
        self.sent = []
        self.task = asyncio.create_task(h.gateway.application(self.scope, self.messages.get, self.send))

    async def send(self, message) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


@pytest.mark.parametrize("target", ["/slow?seconds=60", "/stream?chunks=0&interval=0.01"])
async def test_a_client_that_leaves_is_noticed_by_listening(tmp_path, target):
    """B22: before the head and in the middle of the body; the application then simply returns."""
    async with house(tmp_path) as h:
        caller = Caller(h, target)
        await until(lambda: h.api.active == 1)
        caller.leave()
        async with asyncio.timeout(30):
            await caller.task
        await until(lambda: h.api.active == 0)
        assert h.api.cancelled == 1
        assert bool(caller.sent) == target.startswith("/stream")


async def test_a_client_that_leaves_while_it_sends_is_noticed_by_reading(tmp_path):
    """B22: nobody listens beside the body, which would be eaten; the disconnect comes in its place."""
    async with house(tmp_path) as h:
        caller = Caller(h, "/upload", method="POST", body=b"the first half")
        await until(lambda: h.api.active == 1)
        caller.leave()
        async with asyncio.timeout(30):
            await caller.task
        await until(lambda: h.api.active == 0)
        assert h.api.cancelled == 1
        assert caller.sent == []


async def test_a_server_that_cancels_is_obeyed(tmp_path):
    """D5: hypercorn and others cancel instead of telling; nothing stays behind."""
    async with house(tmp_path) as h:
        caller = Caller(h, "/slow?seconds=60")
        await until(lambda: h.api.active == 1)
        caller.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller.task
        await until(lambda: h.api.active == 0)
        assert h.gateway.upstreams[""].active == 0
