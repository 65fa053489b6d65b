"""Answers that come piece by piece, and those that break off."""

import asyncio

import pytest

from tests import lanes
from tests.e2e.raw_client import connected, exchange, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.house import house, new_pair
from tests.upstream.raw import for_ever
from upstream_stub.pattern import pattern

pytestmark = lanes.BOTH

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "length": HEAD + b"Content-Length: 100\r\n\r\nnot all of it",
    "chunk": CHUNKED + b"64\r\nnot all of it",
    "last chunk": CHUNKED + b"d\r\nnot all of it\r\n",
    "end of the last chunk": CHUNKED + b"d\r\nnot all of it\r\n0\r\n",
    "bad chunk size": CHUNKED + b"d\r\nnot all of it\r\nzz\r\nmore\r\n",
    "bad chunk end": CHUNKED + b"d\r\nnot all of itXX0\r\n\r\n",
}


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_body_that_breaks_off_never_looks_complete(tmp_path, how):
    """P15, B14: the client's connection is cut, without the last chunk or the missing bytes."""
    may_go, broken = asyncio.Event(), list(BROKEN.values())

    async def handler(peer):
        await peer.request()
        head, end, rest = broken.pop(0).partition(b"\r\n\r\n")
        await peer.send(head + end)
        await may_go.wait()
        await peer.send(rest)
        if how == "reset":
            peer.reset()

    async with before(tmp_path, handler) as (h, _):
        for name in BROKEN:
            may_go.clear()
            async with connected(h) as client:
                await client.send(head_bytes(pair=h.login()))
                answer = await client.head()
                may_go.set()
                await client.read_body(answer)
                assert answer.status == 200, name
                assert not answer.complete, name
                assert b"not all of it".startswith(answer.body), name
                assert await client.rest() == b"", name
            assert (h.gateway.upstreams[""].active, h.gateway.upstreams[""].idle) == (0, 0), name


@pytest.mark.parametrize("form", ["", "&chunked=1"])
@pytest.mark.parametrize("reset", ["", "&reset=1"])
async def test_a_large_body_that_breaks_off_never_looks_complete(tmp_path, form, reset):
    """P15, B14: what came before the break arrives unchanged, up to where it was lost."""
    whole = b"".join(pattern(500_000))
    async with house(tmp_path) as h:
        answer = await exchange(h, head_bytes(target=f"/break?after=500000{form}{reset}", pair=h.login()))
        assert not answer.complete
        assert whole.startswith(answer.body)


async def test_an_http_1_0_client_sees_a_break_as_one(tmp_path):
    """P15: where only the connection's end ends the body, it has to be a reset (RFC 9112 §8)."""
    async with house(tmp_path) as h:
        head = head_bytes(target="/break?after=1000&chunked=1", pair=h.login(), version="1.0")
        answer = await exchange(h, head)
        assert not answer.complete


async def test_a_break_after_a_refresh_loses_no_token(tmp_path):
    """B14: the head with the new tokens is out before the body breaks."""
    async with house(tmp_path) as h:
        answer = await exchange(h, head_bytes(target="/break?after=10", pair=h.expired()))
        assert not answer.complete
        fields = {name.decode(): value.decode() for name, value in answer.headers}
        again = await h.get("/echo", (fields["x-access-token"], fields["x-refresh-token"]))
        assert again.status_code == 200


async def test_a_break_costs_nobody_else_anything(tmp_path):
    """P15: the next request is served over another connection."""
    async with house(tmp_path) as h:
        pair = h.login()
        for _ in range(3):
            assert not (await exchange(h, head_bytes(target="/break?after=10", pair=pair))).complete
            assert (await exchange(h, head_bytes(pair=pair))).complete


async def test_an_event_is_relayed_while_the_next_one_is_not_there_yet(tmp_path):
    """P11: nothing is held back to make a larger piece; the API says more only once the client has it all."""
    turn = asyncio.Queue()

    async def handler(peer):
        await peer.request()
        await peer.send(CHUNKED)
        while event := await turn.get():
            await peer.send(b"%x\r\n%b\r\n" % (len(event), event))
        await peer.send(b"0\r\n\r\n")

    async with before(tmp_path, handler) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=h.login()))
        assert (await client.head()).values(b"content-type") == [b"text/event-stream"]
        for number in range(5):
            event = b"data: %d\n\n" % number
            turn.put_nowait(event)
            assert await client.chunk() == event
        turn.put_nowait(b"")
        assert await client.chunk() == b""


@pytest.mark.parametrize("target", ["/sse?count=0&interval=0.01", "/stream?chunks=0&interval=0.01"])
async def test_a_client_that_leaves_a_stream_ends_it(tmp_path, target):
    """B22: the API is told, and so is the log; nothing is left."""
    async with house(tmp_path) as h:
        async with connected(h) as client:
            await client.send(head_bytes(target=target, pair=h.login()))
            await client.head()
            for _ in range(3):
                assert await client.chunk()
            assert h.api.active == 1
        await until(lambda: h.api.active == 0 and h.requests())
        assert h.api.cancelled == 1
        assert (h.gateway.upstreams[""].active, h.gateway.upstreams[""].idle) == (0, 0)
        assert h.requests()[0].status == 200


async def test_a_client_that_leaves_a_silent_stream_ends_it(tmp_path):
    """B22: there is no write to fail on."""
    gone = asyncio.Event()

    async def handler(peer):
        await peer.request()
        await peer.send(CHUNKED)
        await peer.gone()
        gone.set()

    async with before(tmp_path, handler) as (h, _):
        async with connected(h) as client:
            await client.send(head_bytes(pair=h.login()))
            await client.head()
        async with asyncio.timeout(10):
            await gone.wait()


async def test_a_client_that_leaves_a_long_poll_ends_it(tmp_path):
    """B22: before any head; the log says that nobody was answered."""
    async with house(tmp_path) as h:
        async with connected(h) as client:
            await client.send(head_bytes(target="/slow?seconds=60", pair=h.login()))
            await until(lambda: h.api.active == 1)
        await until(lambda: h.api.active == 0 and h.requests())
        assert h.api.cancelled == 1
        assert h.requests()[0].status == 0
        assert h.gateway.upstreams[""].active == 0


async def test_a_long_poll_is_answered_when_its_time_comes(tmp_path):
    """B13: response_timeout is for the head, idle_timeout for what follows; each may be as long as it takes."""
    async with house(tmp_path, upstream={"response_timeout": "5s", "idle_timeout": "5s"}) as h:
        answer = await h.get("/slow?seconds=0.2", h.login())
        assert answer.json() == {"slept": 0.2}


async def test_a_body_that_stops_is_cut_at_the_idle_timeout(tmp_path):
    """P15: an API that hangs in the middle does not hold the client for ever."""

    async def handler(peer):
        await peer.request()
        await peer.send(CHUNKED + b"5\r\nhello\r\n")
        await for_ever()

    async with before(tmp_path, handler, upstream={"idle_timeout": "100ms"}) as (h, _):
        answer = await exchange(h, head_bytes(pair=h.login()))
        assert (answer.body, answer.complete) == (b"hello", False)
        assert h.gateway.upstreams[""].active == 0


async def test_a_slow_client_is_not_an_idle_api(tmp_path):
    """P15: the time in which the client does not read is not counted against the upstream."""
    async with house(tmp_path, upstream={"idle_timeout": "100ms"}) as h, connected(h) as client:
        size = 8_000_000
        await client.send(head_bytes(target=f"/bytes?size={size}", pair=h.login()))
        answer = await client.head()
        await asyncio.sleep(0.5)  # five times the timeout: what is slept through is what is tested
        await client.read_body(answer)
        assert answer.complete
        assert len(answer.body) == size


async def test_a_refreshed_stream_brings_its_tokens_in_its_head(tmp_path):
    """CONTRACT §2: not at its end, which may never come."""
    async with house(tmp_path) as h:
        old = h.expired()
        async with h.client.stream(
            "GET",
            h.url + "/sse?count=0&interval=0.01",
            headers={"Authorization": f"Bearer {old[0]}", "X-Refresh-Token": old[1]},
        ) as answer:
            new = new_pair(answer, old)
            assert (await h.get("/echo", new)).status_code == 200
