"""How an exchange in the express lane ends: whoever leaves, breaks off, or is slow."""

import asyncio
import socket

import pytest

from tests.e2e.raw_client import Conversation, connected
from tests.e2e.scene import saying, scene, silent
from tests.e2e.support import until
from tests.e2e.test_slow_readers import ask, narrow
from tests.e2e.test_sse import LEAVES
from tests.e2e.test_timeouts import LONG
from tests.upstream.raw import OK, Peer

MB = 1 << 20


class Unread:
    """A stream that reads nothing unasked."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    async def read(self, size: int) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._client, size)


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
async def test_a_client_that_leaves_while_the_upstream_is_silent(tmp_path, leave):
    """B22: the upstream's connection is closed, and nothing of the request is left."""
    gone = asyncio.Event()

    async def waiting(peer: Peer) -> None:
        await silent(peer)
        gone.set()

    async with scene(tmp_path, waiting, server=LONG) as s:
        async with connected(s.h) as client:
            await client.send(s.head())
            await until(lambda: s.pool == (1, 0, 0))
            leave(client)
            await gone.wait()
        await until(lambda: s.lanes == [True])
        last = s.h.requests()[-1]
        assert (last.status, last.cut_by, last.decision) == (0, "client", "forward")
        assert s.pool == (0, 0, 0)


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
async def test_a_client_that_leaves_in_its_answer(tmp_path, leave):
    """B22: the same, after the head and some of the body."""
    gone = asyncio.Event()

    async def beginning(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await peer.gone()
        gone.set()

    async with scene(tmp_path, beginning, server=LONG) as s:
        async with connected(s.h) as client:
            await client.send(s.head())
            assert (await client.head()).status == 200
            leave(client)
            await gone.wait()
        await until(lambda: s.lanes == [True])
        last = s.h.requests()[-1]
        assert (last.status, last.cut_by) == (200, "client")
        assert s.pool == (0, 0, 0)


BROKEN = {
    "length": b"Content-Length: 100\r\n\r\nhello",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "in a chunk": b"Transfer-Encoding: chunked\r\n\r\n64\r\nhello",
    "no chunk": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_breaks_off_is_seen_to(tmp_path, broken):
    """P15, B14: it never looks complete, and the log says whose fault it was."""
    head, _, body = broken.partition(b"\r\n\r\n")

    async def breaking(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        await until(lambda: seen)
        await peer.send(body)

    seen = []
    async with scene(tmp_path, breaking) as s, connected(s.h) as client:
        await client.send(s.head())
        answer = await client.head()
        seen.append(answer)
        await client.read_body(answer)
        assert (answer.status, answer.complete) == (200, False)
        await until(lambda: s.lanes == [True])
        assert s.h.requests()[-1].cut_by == "upstream"
        assert s.pool == (0, 0, 0)


async def test_an_answer_that_breaks_off_behind_a_slow_reader_is_seen_to(tmp_path):
    """P15, D4: the last bytes of it still wait for the client when its end comes."""
    broke = asyncio.Event()

    async def breaking(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
        for size in (100_000, 1000):  # the first fills the way to the client, but not what may wait for it
            await peer.send(b"x" * size)
            await asyncio.sleep(0.2)
        broke.set()

    async with scene(tmp_path, breaking, server=LONG) as s, narrow(s.h) as slow:
        await ask(slow, s.head())
        await broke.wait()
        await asyncio.sleep(0.1)
        client = Conversation(Unread(slow), None)
        answer = await client.answer()
        assert (answer.status, answer.complete) == (200, False)
        await until(lambda: s.lanes == [True])
        assert s.h.requests()[-1].cut_by == "upstream"


async def test_an_upstream_that_falls_silent_in_its_answer(tmp_path):
    """B13: the client sees it break off."""
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"
    upstream = {"response_timeout": "1h", "idle_timeout": "200ms"}
    async with scene(tmp_path, saying(begun), upstream=upstream) as s, connected(s.h) as client:
        await client.send(s.head())
        answer = await client.answer()
        assert (answer.body, answer.complete) == (b"hello", False)
        await until(lambda: s.lanes == [True])
        assert s.h.requests()[-1].code == "upstream_timeout"


async def test_a_slow_reader_slows_the_upstream_down(tmp_path):
    """D4: what the client does not take is not asked for; every byte arrives in the end."""
    sent = 0
    size = 64 * MB

    async def pouring(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            await peer.send(bytes([sent // MB]) * MB)
            sent += MB

    async with scene(tmp_path, pouring, server=LONG) as s, connected(s.h) as client:
        await client.send(s.head())
        await until(lambda: s.pool[0] == 1 and sent)
        stood = -1
        while stood < sent:
            stood = sent
            await asyncio.sleep(0.2)
        assert stood < size // 2
        answer = await client.answer()
        assert answer.complete
        assert answer.body == b"".join(bytes([n]) * MB for n in range(size // MB))
        await until(lambda: s.lanes == [True])


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_answers_that_wait_for_a_slow_reader_lose_nothing(tmp_path, framing):
    """P16, D4: several in one segment; each one's head comes when there is room for it."""
    body = b"x" * 300_000
    told = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if framing == "chunked":
        told = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    async def large(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\n" + told)

    async with scene(tmp_path, large, server=LONG) as s, narrow(s.h) as slow:
        await ask(slow, s.head() * 5)
        await asyncio.sleep(0.2)  # all that can be sent is sent
        client = Conversation(Unread(slow), None)
        for _ in range(5):
            answer = await client.answer()
            assert (answer.status, answer.complete) == (200, True)
            assert answer.body == body
        assert s.lanes[0]


async def test_nothing_is_asked_for_a_client_that_reads_none_of_its_answers(tmp_path):
    """D4, D6: thousands of small requests in one segment wait for room, not their answers in memory."""
    asked = 0
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000

    async def counting(peer: Peer) -> None:
        nonlocal asked
        while True:
            await peer.request()
            asked += 1
            await peer.send(answer)

    async with scene(tmp_path, counting, server=LONG) as s, narrow(s.h) as slow:
        sending = asyncio.create_task(ask(slow, s.head() * 1000))
        stood = -1
        while stood < asked:
            stood = asked
            await asyncio.sleep(0.2)
        assert 0 < asked < 500
        client = Conversation(Unread(slow), None)
        for _ in range(1000):
            assert (await client.answer()).body == b"x" * 1000
        await sending
        assert asked == 1000
        assert any(s.lanes)


async def test_a_draining_gateway_closes_behind_the_answer(tmp_path):
    """B23: what is under way in the lane may end; the client is told that nothing follows."""
    go_on = asyncio.Event()

    async def waiting(peer: Peer) -> None:
        await peer.request()
        await go_on.wait()
        await peer.send(OK)
        await peer.gone()

    async with scene(tmp_path, waiting) as s, connected(s.h) as client:
        await client.send(s.head())
        await until(lambda: s.pool == (1, 0, 0))
        s.h.server.drain()
        go_on.set()
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.values(b"connection") == [b"close"]
        assert await client.rest() == b""
        assert s.lanes == [True]


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"], ids=["before", "within"]
)
async def test_what_takes_longer_than_the_shutdown_is_cut(tmp_path, begun):
    """B23: no plain end, and no answer that the upstream did not give."""

    async def holding(peer: Peer) -> None:
        await peer.request()
        await peer.send(begun)
        await peer.gone()

    server = {**LONG, "shutdown_timeout": "200ms"}
    async with scene(tmp_path, holding, server=server) as s, connected(s.h) as client:
        await client.send(s.head())
        await until(lambda: s.pool == (1, 0, 0))
        if begun:
            assert (await client.head()).status == 200
        s.h.server.should_exit = True
        assert await client.rest() in (b"", b"hel")
        last = s.h.requests()[-1]
        assert (last.cut_by, last.express) == ("gateway", True)
