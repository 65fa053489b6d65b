"""Final responses while the body is still going up (RFC 9112 §9.3, §9.6)."""

import asyncio

import pytest

from .blocking import BlockingServer, await_hangup
from .certificates import client_context, server_context
from .raw import (
    OK,
    TOO_LARGE,
    Body,
    Endless,
    Server,
    eventually,
    for_ever,
    get,
    post,
    talking_to,
    upstream_of,
    whole,
)


async def close_unread(peer):
    """Answers, then closes with data unread: the client gets a reset."""
    await peer.head()
    await peer.send(TOO_LARGE)
    await asyncio.sleep(0.02)
    peer.reset()


async def hold(peer):
    """Answers, reads nothing more, keeps the connection."""
    await peer.head()
    peer.writer.transport.pause_reading()
    await peer.send(TOO_LARGE)
    await asyncio.Event().wait()


async def linger(peer):
    """Answers, ends its side, and reads on for a while (nginx's lingering_close)."""
    await peer.head()
    await peer.send(TOO_LARGE)
    peer.end()
    await peer.gone()


@pytest.mark.parametrize("end", [close_unread, hold, linger])
@pytest.mark.parametrize("length", [None, 1 << 40], ids=["chunked", "length"])
async def test_an_early_413_is_delivered(end, length):
    """B15, P14: while the upload is under way; which then ends, and its connection with it."""
    async with talking_to(end) as (server, upstream):
        for _ in range(5):
            body = Endless()
            body.length = length
            response = await upstream.send(post(body))
            assert (response.status, await whole(response)) == (413, b"big")
            await eventually(lambda body=body: not body.reading)
            assert (upstream.active, upstream.idle) == (0, 0)
        assert server.connections == 5


@pytest.mark.parametrize("end", [close_unread, hold, linger])
async def test_an_early_413_is_delivered_while_the_client_is_silent(end):
    """P14: within the start of an upload."""
    async with talking_to(end) as (_, upstream):
        body = Body(b"x", for_ever, length=100)
        response = await upstream.send(post(body))
        assert (response.status, await whole(response)) == (413, b"big")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("answer", [TOO_LARGE, b"HTTP/1.1 413 No\r\nContent-Length: 20000\r\n\r\n" + b"b" * 20_000])
async def test_an_answer_that_a_failed_write_left_unread_is_delivered(tls, answer):
    """B15: the reset is met by our next write before the loop has seen the answer."""
    server = BlockingServer(last=answer, tls=server_context() if tls else None)
    settings = {"tls": client_context("ours"), "server_hostname": "localhost"} if tls else {}

    async def meanwhile() -> bytes:
        (connection,) = upstream._pool._sockets
        await asyncio.sleep(0)
        await eventually(lambda: not connection.transport.get_write_buffer_size())
        await asyncio.to_thread(server.head_read.wait)
        server.finish()
        await_hangup(connection.transport.get_extra_info("socket").fileno())
        return b"y" * 200_000

    try:
        async with asyncio.timeout(20), upstream_of(Server(None), port=server.port, **settings) as upstream:
            response = await upstream.send(post(Body(b"x" * 1000, meanwhile, b"z" * 200_000, for_ever)))
            assert response.status == 413
            assert await whole(response) == answer.partition(b"\r\n\r\n")[2]
    finally:
        server.close()


async def test_an_early_answer_without_end_keeps_the_upload_going():
    """A server may answer while it reads: only the end of the response ends the upload."""

    async def handler(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        await peer.send(await peer.reader.readexactly(5))
        await peer.request()
        await peer.send(OK)
        await peer.gone()

    async with talking_to(handler) as (server, upstream):
        head_seen = asyncio.Event()

        async def rest():
            await head_seen.wait()
            return b"lo"

        response = await upstream.send(post(Body(b"hel", rest, length=5)))
        head_seen.set()
        assert await whole(response) == b"hello"
        assert await whole(await upstream.send(get())) == b"ok"
        assert server.connections == 1
