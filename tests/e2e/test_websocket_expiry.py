"""W2: what becomes of an open stream when the token that it was opened with expires."""

import asyncio

import pytest

from tests.house import bearer

from . import scripted
from .raw_client import connected
from .sockets import before, echoes, opened, refused
from .support import until

KEEP, ENDS = {"on_open_stream": "keep"}, {"on_open_stream": "close"}


async def test_a_token_that_expires_ends_its_websocket_where_the_file_says_so(tmp_path):
    """W2: at once, with 4401 on both sides."""
    async with before(tmp_path, refresh=ENDS) as (h, behind):
        access, _ = h.auth.login("ada", lifetime=1.5)
        async with opened(h, "/echo", (access, None)) as talk:
            assert await echoes(talk)
            heard = await talk.rest()
            assert [(one.code, one.payload[2:]) for one in heard] == [(4401, b"token expired")]
        await behind.witnesses[0].over.wait()
        assert (behind.witnesses[0].code, behind.witnesses[0].reason) == (4401, "token expired")
        await until(h.requests)
        assert [(e.closed_by, e.close_code) for e in h.requests()] == [("gateway", 4401)]


@pytest.mark.parametrize(
    "more", [{}, {"refresh": ENDS, "routes": [{"match": "/echo", **KEEP}]}], ids=["by default", "by its route"]
)
async def test_a_token_that_expires_changes_nothing_elsewhere(tmp_path, more):
    """W2: keep."""
    async with before(tmp_path, **more) as (h, _):
        access, _ = h.auth.login("ada", lifetime=1)
        ends = h.auth.now() + 1.2
        async with opened(h, "/echo", (access, None)) as talk:
            await until(lambda: h.auth.now() > ends)
            assert (await refused(h, (access, None)))[:2] == (401, "expired_token")
            assert await echoes(talk)


async def test_a_route_of_its_own_may_close(tmp_path):
    """W2."""
    async with before(tmp_path, routes=[{"match": "/echo", **ENDS}]) as (h, _):
        pair = (h.auth.login("ada", lifetime=1)[0], None)
        async with opened(h, "/echo", pair) as talk:
            assert [one.code for one in await talk.rest()] == [4401]


@pytest.mark.parametrize(
    ("media", "cut"), [(b"text/event-stream; charset=utf-8", True), (b"application/json", False)]
)
async def test_a_token_that_expires_cuts_an_event_stream(tmp_path, media, cut):
    """W2, P15: cut, not ended; any other answer goes on."""
    ready = asyncio.Event()

    async def stream(peer):
        await peer.head()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % media
        await peer.send(head + b"8\r\ndata: 1\n\r\n")
        if not cut:
            await ready.wait()
            await peer.send(b"0\r\n\r\n")
        await peer.gone()

    async with scripted.before(tmp_path, stream, refresh=ENDS) as (h, _), connected(h) as client:
        access, _ = h.auth.login("ada", lifetime=1)
        ends = h.auth.now() + 1.2
        request = "".join(f"{n}: {v}\r\n" for n, v in bearer((access, None)).items())
        await client.send(f"GET /events HTTP/1.1\r\nHost: a\r\n{request}\r\n".encode())
        answer = await client.head()
        assert await client.chunk() == b"data: 1\n"
        if not cut:
            await until(lambda: h.auth.now() > ends)
            ready.set()
        await client.read_body(answer)
        assert answer.complete is not cut
        await until(h.requests)
        assert [(e.status, e.code) for e in h.requests()] == [(200, "expired_token" if cut else None)]
