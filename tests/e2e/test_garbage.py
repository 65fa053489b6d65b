"""Nothing that a request or a connection leaves behind waits for the cyclic collector.

Its runs stop the world, and until one comes what a connection held is kept, tokens too. So references to a
connection are dropped where it ends, and memory comes back at once.
"""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.e2e.support import settled, until
from tests.e2e.wire import Script, ok, request
from tests.house import House, house

MANY = 40
"""Requests, or connections: one object that each of them leaves is seen."""
KEPT, OWN = True, False
"""All requests on one connection; each on one of its own."""


@asynccontextmanager
async def connected(h: House) -> AsyncIterator[Callable[[bytes], Awaitable[bytes]]]:
    """Sends a request and returns the answer, which is small; without a transport, which leaves cycles itself."""
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", h.port)) as client:
        client.setblocking(False)

        async def ask(data: bytes) -> bytes:
            await loop.sock_sendall(client, data)
            answer = await loop.sock_recv(client, 65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0])
            while len(body) < length:
                body += await loop.sock_recv(client, 65536)
            return head

        yield ask


async def ask_all(h: House, requests: list[bytes], status: bytes, *, kept: bool) -> None:
    """Each is answered with ``status``."""
    ended = len(h.requests()) + len(requests)
    if kept:
        async with connected(h) as ask:
            for data in requests:
                assert (await ask(data)).startswith(b"HTTP/1.1 " + status)
    else:
        for data in requests:
            async with connected(h) as ask:
                assert (await ask(data)).startswith(b"HTTP/1.1 " + status)
    await until(lambda: len(h.requests()) >= ended)
    await settled(h)
    await asyncio.sleep(0.05)  # the last connections' ends


async def garbage(work: Callable[[], Awaitable[None]]) -> int:
    """How many objects only the collector could free after ``work``; it has run before, so that its first uses are over."""
    await work()
    gc.collect()
    gc.disable()
    try:
        await work()
        return gc.collect()
    finally:
        gc.enable()


@asynccontextmanager
async def gateway(tmp_path, *, express: bool) -> AsyncIterator[House]:
    async with (
        Script.saying(ok()) as script,
        house(tmp_path, upstream={"url": script.url}, server={"express": express}) as h,
    ):
        yield h


@pytest.mark.parametrize("express", [True, False])
@pytest.mark.parametrize("kept", [KEPT, OWN])
async def test_plain_requests_leave_none(tmp_path, express, kept):
    async with gateway(tmp_path, express=express) as h:
        data = [request("GET /x", (h.login()[0], None))] * MANY
        assert await garbage(lambda: ask_all(h, data, b"200", kept=kept)) < MANY


@pytest.mark.parametrize("express", [True, False])
@pytest.mark.parametrize("kept", [KEPT, OWN])
async def test_bodies_leave_none(tmp_path, express, kept):
    async with gateway(tmp_path, express=express) as h:
        data = [request("POST /x", (h.login()[0], None), "Content-Length: 5", body=b"12345")] * MANY
        assert await garbage(lambda: ask_all(h, data, b"200", kept=kept)) < MANY


@pytest.mark.parametrize("kept", [KEPT, OWN])
@pytest.mark.parametrize(
    ("pair", "fields", "status"), [(None, (), b"401"), (("a.b.c", None), (), b"401"), (None, ("Foo : x",), b"400")]
)
async def test_refusals_leave_none(tmp_path, kept, pair, fields, status):
    """Of a missing token, of one that is none, of what is no request: those close their connections anyway."""
    async with gateway(tmp_path, express=True) as h:
        data = [request("GET /x", pair, *fields)] * MANY
        assert await garbage(lambda: ask_all(h, data, status, kept=kept and status != b"400")) < MANY


@pytest.mark.parametrize("kept", [KEPT, OWN])
async def test_refreshes_leave_none(tmp_path, kept):
    async with gateway(tmp_path, express=True) as h:

        async def work() -> None:
            await ask_all(h, [request("GET /x", h.expired()) for _ in range(MANY)], b"200", kept=kept)

        assert await garbage(work) < MANY


async def test_upstreams_that_cannot_be_reached_leave_none(tmp_path):
    """An exception refers to its frames, and they to it."""
    async with house(tmp_path, upstream={"url": "http://127.0.0.1:9"}) as h:
        data = [request("GET /x", (h.login()[0], None))] * MANY
        assert await garbage(lambda: ask_all(h, data, b"502", kept=KEPT)) < MANY


async def test_upstreams_that_close_each_connection_leave_none(tmp_path):
    """Connections of both sides."""
    answer = ok("Connection: close")
    async with Script.saying(answer) as script, house(tmp_path, upstream={"url": script.url}) as h:
        data = [request("GET /x", (h.login()[0], None))] * MANY
        assert await garbage(lambda: ask_all(h, data, b"200", kept=KEPT)) < MANY


@pytest.mark.parametrize("express", [True, False])
async def test_clients_that_leave_leave_none(tmp_path, express):
    async with gateway(tmp_path, express=express) as h:
        data = request("GET /x", (h.login()[0], None))

        async def work() -> None:
            ended = len(h.requests()) + MANY
            for _ in range(MANY):
                with socket.create_connection(("127.0.0.1", h.port)) as client:
                    client.sendall(data)
                    await asyncio.sleep(0)
            await until(lambda: len(h.requests()) >= ended)
            await asyncio.sleep(0.05)

        assert await garbage(work) < MANY
