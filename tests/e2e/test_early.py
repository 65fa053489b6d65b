"""Answers that come before the request is complete."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests import lanes
from tests.e2e.raw_client import Conversation, chunked, connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.house import house
from tests.upstream.raw import TOO_LARGE

pytestmark = lanes.BOTH

MB = 1_000_000
PIECE = b"x" * 65536
CHUNK = b"10000\r\n" + PIECE + b"\r\n"
MODES = ["close", "hold", "linger"]
CHUNKED = (b"Transfer-Encoding", b"chunked")


@asynccontextmanager
async def uploading(client: Conversation, head: bytes, piece: bytes = CHUNK) -> AsyncIterator[asyncio.Task]:
    """A request whose body goes on until the block ends or the connection does."""

    async def send() -> None:
        await client.send(head)
        while not client.writer.is_closing():
            await client.send(piece)
            await asyncio.sleep(0)

    task = asyncio.create_task(send())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("mode", MODES)
async def test_an_early_413_reaches_a_client_that_would_never_end(tmp_path, mode):
    """B15, P14: whether the API then closes, goes on reading, or just sits there."""
    async with house(tmp_path) as h, connected(h) as client:
        head = head_bytes("POST", f"/early-413?mode={mode}", h.login(), [CHUNKED])
        async with uploading(client, head):
            answer = await client.answer()
        assert answer.status == 413
        assert answer.complete
        assert json.loads(answer.body) == {"error": "too large"}
        client.abort()
        await until(lambda: h.gateway.upstreams[""].active == 0)


@pytest.mark.parametrize("mode", MODES)
async def test_an_early_413_reaches_a_client_that_sends_first_and_reads_later(tmp_path, mode):
    """B15: 50 MB with their length; the rest is taken from the client, and its connection goes on."""
    async with house(tmp_path) as h, connected(h) as client:
        framing = [(b"Content-Length", b"%d" % (50 * MB))]
        await client.send(head_bytes("POST", f"/early-413?mode={mode}", h.login(), framing))
        for _ in range(50):
            await client.send(b"x" * MB)
        answer = await client.answer()
        assert (answer.status, answer.complete) == (413, True)
        await client.send(head_bytes(pair=h.login()))
        assert (await client.answer()).status == 200


LAST = {
    "connection: close": ("1.1", [(b"Connection", b"close")], "/early-413?mode=linger", 413),
    "http 1.0": ("1.0", [], "/early-413?mode=linger", 413),
    "our own refusal": ("1.1", [(b"Connection", b"close")], "/upload", 401),
    "a bad request": ("1.1", [(b"Host", b"another.example")], "/upload", 400),
}


@pytest.mark.parametrize(("version", "fields", "target", "status"), LAST.values(), ids=LAST)
async def test_a_last_answer_is_not_lost_by_closing_too_soon(tmp_path, version, fields, target, status):
    """B15: RFC 9112 §9.6: what the client still sends is read, or a reset takes the answer away from it."""
    async with house(tmp_path) as h:
        for _ in range(3):
            async with connected(h) as client:
                pair = ("nonsense", None) if status == 401 else h.login()
                framing = (b"Content-Length", b"%d" % (10 * MB))
                await client.send(head_bytes("POST", target, pair, [*fields, framing], version=version))
                for _ in range(10):
                    await client.send(b"x" * MB)
                answer = await client.answer()
                assert (answer.status, answer.complete) == (status, True)
                assert await client.rest() == b""
                assert not client.reset


async def test_an_early_answer_is_not_held_back_until_the_upload_ends(tmp_path):
    """P14: it is here while the client still has not sent the second half of its body."""

    async def handler(peer):
        await peer.head()
        await peer.send(TOO_LARGE)
        await peer.gone()

    async with before(tmp_path, handler) as (h, server), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [(b"Content-Length", b"10")]) + b"half.")
        answer = await client.answer()
        assert (answer.status, answer.body) == (413, b"big")
        await client.send(b"other")
        await client.send(head_bytes("POST", "/", h.login(), [(b"Content-Length", b"2")]) + b"hi")
        assert (await client.answer()).status == 413
        assert server.connections == 2  # the first one still expects the other half


async def test_an_answer_may_begin_before_the_upload_ends_and_end_after_it(tmp_path):
    """P14: both directions at the same time, as in an echo."""
    async with house(tmp_path) as h, connected(h) as client:
        await client.send(head_bytes("POST", "/echo-stream", h.login(), [CHUNKED]) + b"5\r\nhello\r\n")
        assert (await client.head()).status == 200
        assert await client.chunk() == b"hello"
        for word in (b"a", b"longer", b"exchange"):
            await client.send(b"%x\r\n%b\r\n" % (len(word), word))
            assert await client.chunk() == word
        await client.send(b"0\r\n\r\n")
        assert await client.chunk() == b""


async def test_an_early_answer_leaves_no_connection_behind(tmp_path):
    """D5, B15: one whose request was not sent whole is not used again, nor kept for a client that goes on."""
    async with house(tmp_path) as h:
        upstream = h.gateway.upstreams[""]
        for _ in range(5):
            async with connected(h) as client:
                head = head_bytes("POST", "/early-413?mode=hold&seconds=0.1", h.login(), [CHUNKED])
                async with uploading(client, head):
                    assert (await client.answer()).status == 413
                    await until(lambda: (upstream.active, upstream.idle, upstream.waiting) == (0, 0, 0))


async def test_a_401_of_the_api_in_the_middle_of_an_upload_is_answered_by_replay(tmp_path):
    """R18, P14: what was kept goes up again, followed by what the client still sends."""
    async with house(tmp_path) as h, connected(h) as client:
        head = head_bytes("POST", "/deny-once?key=k&early=1", h.login(), [CHUNKED])
        await client.send(head + b"5\r\nfirst\r\n")
        await until(lambda: h.api.count == 2)
        await client.send(chunked(b"second"))
        answer = await client.answer()
        assert answer.status == 200
        assert json.loads(answer.body)["body"]["text"] == "firstsecond"


@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_our_own_413_reaches_a_client_that_sends_first_and_reads_later(tmp_path, form):
    """B15: larger than server.max_body, announced or found out; nothing complete reaches the API."""
    async with house(tmp_path, server={"max_body": "1MiB"}) as h, connected(h) as client:
        framing = CHUNKED if form == "chunked" else (b"Content-Length", b"%d" % (20 * len(PIECE) * 16))
        await client.send(head_bytes("POST", "/upload", h.login(), [framing]))
        for _ in range(20 * 16):
            await client.send(CHUNK if form == "chunked" else PIECE)
        answer = await client.answer()
        assert answer.status == 413
        assert json.loads(answer.body)["code"] == "body_too_large"
        await until(lambda: h.api.active == 0)
        assert h.api.cancelled == h.api.count


async def test_our_own_refusal_reaches_a_client_that_sends_first_and_reads_later(tmp_path):
    """B15: a 401 in place of a 413; the API is not asked."""
    async with house(tmp_path) as h, connected(h) as client:
        await client.send(
            head_bytes("POST", "/upload", ("nonsense", None), [(b"Content-Length", b"%d" % (20 * MB))])
        )
        for _ in range(20):
            await client.send(b"x" * MB)
        assert (await client.answer()).status == 401
        assert h.api.count == 0


@pytest.mark.parametrize("goes_on", [True, False])
async def test_the_rest_of_an_answered_request_is_not_waited_for_for_ever(tmp_path, goes_on):
    """B15, D5: neither a client that never ends nor one that never goes on keeps its connection: idle_timeout."""
    async with house(tmp_path, server={"idle_timeout": "300ms"}) as h, connected(h) as client:
        head = head_bytes("POST", "/upload", ("nonsense", None), [CHUNKED])
        async with uploading(client, head, CHUNK if goes_on else b""):
            assert (await client.answer()).status == 401
            assert await client.rest() == b""


async def test_a_connection_whose_last_request_was_answered_early_still_ends_when_it_rests(tmp_path):
    """B15, D5: uvicorn's own clock for idle connections is stopped by the rest of the body."""
    async with house(tmp_path, server={"idle_timeout": "300ms"}) as h, connected(h) as client:
        await client.send(head_bytes("POST", "/upload", ("nonsense", None), [CHUNKED]))
        assert (await client.answer()).status == 401
        await client.send(chunked(b"the rest"))
        assert await client.rest() == b""
        assert h.api.count == 0


async def test_the_clock_of_the_rest_does_not_run_for_the_next_request(tmp_path):
    """B15: the end of one body and the next head in one segment; the answer takes longer than idle_timeout."""
    async with house(tmp_path, server={"idle_timeout": "200ms"}) as h, connected(h) as client:
        await client.send(head_bytes("POST", "/upload", ("nonsense", None), [CHUNKED]))
        assert (await client.answer()).status == 401
        await client.send(chunked(b"the rest") + head_bytes(target="/slow?seconds=0.5", pair=h.login()))
        assert (await client.answer()).status == 200
