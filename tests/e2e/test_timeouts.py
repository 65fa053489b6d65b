"""Clients that connect and do not ask, or ask for ever: each connection ends at its timeout (D2)."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from tests import lanes
from tests.e2e.raw_client import Conversation, connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.e2e.test_tls import Authority
from tests.house import house
from tests.upstream.raw import always_ok

pytestmark = lanes.BOTH

LONG = dict.fromkeys(("header_timeout", "idle_timeout", "body_timeout", "send_timeout"), "1h")
"""Only the clock that a test shortens may end anything in it."""
PATIENCE = {**LONG, "header_timeout": "200ms"}
HEAD = b"GET /echo HTTP/1.1\r\nHost: gateway.example\r\n"


@asynccontextmanager
async def sending(client: Conversation, pieces, pause: float = 0.02):
    """``pieces`` one by one, for as long as the block lasts and the gateway listens."""

    async def send() -> None:
        for piece in pieces:
            if client.writer.is_closing():
                return
            await client.send(piece)
            await asyncio.sleep(pause)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def for_ever(piece: bytes):
    while True:
        yield piece


async def is_timed_out(client: Conversation) -> None:
    """408 in our own words, and then nothing: the connection is over."""
    answer = await client.answer()
    assert (answer.status, answer.complete) == (408, True)
    assert json.loads(answer.body)["code"] == "request_timeout"
    assert answer.values(b"connection") == [b"close"]
    assert await client.rest() == b""


async def is_closed_silently(client: Conversation) -> None:
    """RFC 9110 §15.5.9 allows no answer where nobody has asked; a client could take it for its next request's."""
    assert await client.rest() == b""


UNFINISHED = {
    "one byte": b"G",
    "half a method": b"GE",
    "half a request line": b"GET /ec",
    "half a version": b"GET /echo HTT",
    "a request line": b"GET /echo HTTP/1.1\r\n",
    "a request line of HTTP/1.0": b"GET /echo HTTP/1.0\r\n",
    "half a field": HEAD + b"X-Fie",
    "all but the end": HEAD,
    "all but the last byte": HEAD + b"\r",
    "an empty line before it": b"\r\n" + HEAD,
    "a body announced": b"POST /echo HTTP/1.1\r\nHost: gateway.example\r\nContent-Length: 5\r\n",
}
SILENT = [b"", b"\r\n", b"\r\n\r\n"]


async def test_a_head_that_is_not_finished_is_answered_408(tmp_path):
    """D2: server.header_timeout, from the connection's beginning; nothing of it reaches the API."""
    async with house(tmp_path, server=PATIENCE) as h, AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(connected(h)) for name in UNFINISHED}
        for name, client in clients.items():
            await client.send(UNFINISHED[name])
        for client in clients.values():
            await is_timed_out(client)
        assert h.api.count == 0


async def test_a_client_that_connects_and_does_not_ask_is_closed(tmp_path):
    """D2: header_timeout; without an answer, as there was no question (nginx, Apache and HAProxy do the same)."""
    async with house(tmp_path, server=PATIENCE) as h, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(h)) for _ in SILENT]
        for client, sent in zip(clients, SILENT, strict=True):
            await client.send(sent)
        for client in clients:
            await is_closed_silently(client)


async def test_a_head_that_drips_is_cut_although_it_goes_on(tmp_path):
    """D2: Slowloris: the time is for the whole head, not for each read of it."""
    async with house(tmp_path, server=PATIENCE) as h, connected(h) as client:
        await client.send(HEAD)
        async with sending(client, for_ever(b"X-Slow: a\r\n")):
            await is_timed_out(client)
        assert h.api.count == 0


async def test_empty_lines_that_drip_are_no_request_either(tmp_path):
    """D2: RFC 9112 §2.2 lets a client send some before its request, not instead of one."""
    async with (
        house(tmp_path, server=PATIENCE) as h,
        connected(h) as client,
        sending(client, for_ever(b"\r\n")),
    ):
        await is_closed_silently(client)


async def test_a_request_that_comes_byte_by_byte_is_answered(tmp_path):
    """D2, P14: slow is not too slow; head and body, each byte in a segment of its own."""
    async with before(tmp_path, always_ok) as (h, server), connected(h) as client:
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = head_bytes("POST", "/", h.login(), [(b"Content-Length", b"11")]) + b"hello world"
        for number in range(len(data)):
            await client.send(data[number : number + 1])
            await asyncio.sleep(0)
        assert (await client.answer()).body == b"ok"
        assert server.connections == 1


async def test_a_connection_that_rests_is_closed(tmp_path):
    """D2: server.idle_timeout, between two requests; it ends without a word."""
    async with house(tmp_path, server={**LONG, "idle_timeout": "200ms"}) as h, connected(h) as client:
        for _ in range(3):
            await client.send(head_bytes(pair=h.login()))
            assert (await client.answer()).status == 200
        await is_closed_silently(client)


async def test_a_connection_that_rests_is_not_kept_by_empty_lines(tmp_path):
    """D2: the idle clock runs to the first byte of a request."""
    async with house(tmp_path, server={**LONG, "idle_timeout": "200ms"}) as h, connected(h) as client:
        await client.send(head_bytes(pair=h.login()))
        assert (await client.answer()).status == 200
        async with sending(client, for_ever(b"\r\n")):
            await is_closed_silently(client)


@pytest.mark.parametrize("together", [True, False])
async def test_half_a_head_behind_an_answer_is_answered_408(tmp_path, together):
    """D2, P16: header_timeout counts from the head's first byte, or from when we could have read it."""
    async with house(tmp_path, server=PATIENCE) as h, connected(h) as client:
        whole = head_bytes(pair=h.login())
        await client.send(whole + HEAD * together)
        assert (await client.answer()).status == 200
        if not together:
            await client.send(HEAD)
        await is_timed_out(client)
        assert h.api.count == 1


async def test_a_head_that_drips_behind_an_answer_is_cut_too(tmp_path):
    """D2: on a connection that has been good so far."""
    async with house(tmp_path, server=PATIENCE) as h, connected(h) as client:
        await client.send(head_bytes(pair=h.login()))
        assert (await client.answer()).status == 200
        async with sending(client, for_ever(b"G")):
            answer = await client.answer()
            assert answer.status in (400, 408)  # G, G, G … is no method; that may be found out first
            assert await client.rest() == b""


async def test_a_new_request_has_all_the_time_of_its_own(tmp_path):
    """D2: what the idle connection before it took is not counted."""
    short = {**LONG, "header_timeout": "400ms"}
    async with house(tmp_path, server=short) as h, connected(h) as client:
        pair = h.login()
        for _ in range(3):
            await client.send(head_bytes(pair=pair))
            assert (await client.answer()).status == 200
            await asyncio.sleep(0.3)  # together longer than header_timeout: that is what is tested


async def test_a_pipelined_half_head_neither_delays_nor_ends_the_answer_before_it(tmp_path):
    """D2, P16: the first request takes longer than header_timeout, and that is the API's time."""
    async with house(tmp_path, server=PATIENCE) as h, connected(h) as client:
        await client.send(head_bytes(target="/slow?seconds=0.6", pair=h.login()) + HEAD)
        assert (await client.answer()).status == 200
        await is_timed_out(client)


async def test_a_slow_head_costs_no_other_client_anything(tmp_path):
    """D2: fifty of them, while others are served."""
    async with house(tmp_path, server=LONG) as h:
        slow = [await asyncio.open_connection("127.0.0.1", h.port) for _ in range(50)]
        for _, writer in slow:
            writer.write(HEAD)
        assert {(await h.get("/echo", h.login())).status_code for _ in range(10)} == {200}
        for _, writer in slow:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        assert h.api.count == 10


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("timeouts") / "ours")


@asynccontextmanager
async def behind_tls(tmp_path, ours, **server):
    cert, key = ours.certify("localhost", "127.0.0.1")
    async with house(tmp_path, server={**LONG, **server, "tls": {"cert": cert, "key": key}}) as h:
        yield h


CLIENT_HELLO = bytes.fromhex("16030100f0010000ec0303")


@pytest.mark.parametrize("sent", [b"", CLIENT_HELLO], ids=["nothing", "the beginning of a ClientHello"])
async def test_a_tls_handshake_that_is_not_finished_is_cut(tmp_path, ours, sent):
    """D2: header_timeout holds for it; asyncio's own limit would be a minute."""
    async with behind_tls(tmp_path, ours, header_timeout="200ms") as h, connected(h) as client:
        await client.send(sent)
        assert await client.rest() == b""


async def test_half_a_head_within_tls_is_answered_408(tmp_path, ours):
    """D2: the same words, and TLS's own end behind them."""
    async with (
        behind_tls(tmp_path, ours, header_timeout="300ms", idle_timeout="300ms") as h,
        connected(h, tls=ours.context()) as client,
    ):
        await client.send(HEAD)
        await is_timed_out(client)


async def test_a_tls_connection_that_rests_is_closed(tmp_path, ours):
    """D2: idle_timeout."""
    async with (
        behind_tls(tmp_path, ours, idle_timeout="200ms") as h,
        connected(h, tls=ours.context()) as client,
    ):
        await client.send(head_bytes(pair=h.login()))
        assert (await client.answer()).status == 200
        await is_closed_silently(client)
        await until(lambda: h.api.active == 0)
