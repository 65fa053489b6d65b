"""Server-sent events and long polls: what the API says is at the client before it says more, and nobody is waited for."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field

import pytest

from tests import lanes
from tests.e2e.raw_client import Conversation, connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.house import house
from tests.upstream.raw import OK, Peer

pytestmark = lanes.BOTH

KIND = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
FRAMINGS = {
    "chunked": (KIND + b"Transfer-Encoding: chunked\r\n\r\n", lambda event: b"%x\r\n%b\r\n" % (len(event), event)),
    "length": (KIND + b"Content-Length: 1000000\r\n\r\n", bytes),
    "close": (KIND + b"Connection: close\r\n\r\n", bytes),
    "HTTP/1.0": (KIND.replace(b"1.1", b"1.0") + b"\r\n", bytes),
}
HEAD, chunk = FRAMINGS["chunked"]
EVENT = b"id: 7\nevent: price\ndata: 42\n\n"


@dataclass
class Source:
    """An API that says what a test puts into ``says``, when the test puts it there."""

    says: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    heads: list[bytes] = field(default_factory=list)
    """In lower case."""
    open: int = 0
    """Requests whose client, the gateway, has not left."""

    async def __call__(self, peer: Peer) -> None:
        self.heads.append((await peer.head()).lower())
        self.open += 1
        talking = asyncio.create_task(self._talk(peer))
        try:
            await peer.gone()
        finally:
            self.open -= 1
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)

    async def _talk(self, peer: Peer) -> None:
        while True:
            await peer.send(await self.says.get())


async def told(client: Conversation, text: bytes) -> bytes:
    """What came up to and with ``text``."""
    got = b""
    while text not in got:
        piece = await client.piece()
        assert piece, got
        got += piece
    return got


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_what_an_api_says_is_at_the_client_before_it_says_more(tmp_path, framing, version):
    """W2, P11: first the head alone, for ``EventSource.onopen``, then each event, however the body is framed."""
    source = Source()
    head, framed = FRAMINGS[framing]
    async with before(tmp_path, source) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=h.login(), version=version))
        source.says.put_nowait(head)
        answer = await client.head()
        assert answer.values(b"content-type") == [b"text/event-stream"]
        for number in range(5):
            event = b"data: %d\n\n" % number
            source.says.put_nowait(framed(event))
            await told(client, event)


async def test_a_piece_of_an_event_is_not_kept_until_the_rest_comes(tmp_path):
    """W2: no buffering at all: every single byte, where the API sends single bytes."""
    source = Source()
    async with before(tmp_path, source) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=h.login()))
        source.says.put_nowait(HEAD)
        await client.head()
        for number in range(len(EVENT)):
            byte = EVENT[number : number + 1]
            source.says.put_nowait(chunk(byte))
            assert await client.chunk() == byte


async def test_half_a_chunk_is_not_kept_until_the_rest_comes(tmp_path):
    """W2: an API's chunk may be larger than what it has written of it."""
    source = Source()
    async with before(tmp_path, source) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=h.login()))
        source.says.put_nowait(HEAD + b"1000\r\n" + EVENT)
        await client.head()
        assert await client.chunk() == EVENT


async def test_what_a_reconnecting_client_says_of_itself_passes(tmp_path):
    """P10: Last-Event-ID and the rest of what EventSource sends."""
    source = Source()
    async with before(tmp_path, source) as (h, _), connected(h) as client:
        fields = [
            (b"accept", b"text/event-stream"),
            (b"cache-control", b"no-cache"),
            (b"last-event-id", "käse-7".encode()),
        ]
        await client.send(head_bytes(pair=h.login(), headers=fields))
        await until(lambda: source.heads)
        for name, value in fields:
            assert b"\r\n%b: %b\r\n" % (name, value) in source.heads[0]


async def test_a_refreshed_stream_has_its_new_tokens_before_its_first_event(tmp_path):
    """W2, CONTRACT §2: in the head, which does not wait for an event either."""
    source = Source()
    async with before(tmp_path, source) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=h.expired(), headers=[(b"Last-Event-ID", b"7")]))
        source.says.put_nowait(HEAD)
        answer = await client.head()
        assert answer.values(b"x-token-refreshed") == [b"expired"]
        new = (answer.values(b"x-access-token")[0].decode(), answer.values(b"x-refresh-token")[0].decode())
        assert b"bearer " + new[0].lower().encode() in source.heads[0]
        assert b"\r\nlast-event-id: 7\r\n" in source.heads[0]
        source.says.put_nowait(chunk(EVENT))
        assert await client.chunk() == EVENT


async def long_poll(client: Conversation, source: Source) -> None:
    """Nothing at all has been answered."""


async def idle(client: Conversation, source: Source) -> None:
    """The head, one event, and silence."""
    source.says.put_nowait(HEAD + chunk(EVENT))
    await client.head()
    assert await client.chunk() == EVENT


async def busy(client: Conversation, source: Source) -> None:
    """More than the client reads, so that the API is held back."""
    source.says.put_nowait(HEAD)
    for _ in range(1000):
        source.says.put_nowait(chunk(b"x" * 65536))
    await client.head()
    assert await client.piece()


async def pipelined(client: Conversation, source: Source) -> None:
    """An idle stream, and a request that waits behind it."""
    await idle(client, source)
    await client.send(head_bytes(target="/next"))


def resets(client: Conversation) -> None:
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.abort()


LEAVES = {
    "closes": lambda client: client.writer.close(),
    "resets": resets,
    "ends its side": lambda client: client.writer.write_eof(),
}


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
@pytest.mark.parametrize("moment", [long_poll, idle, busy, pipelined], ids=lambda moment: moment.__name__)
async def test_a_client_that_leaves_is_not_waited_for(tmp_path, moment, leave):
    """B22, W2: whatever the API is doing; no byte of the API's is needed to notice it, and no clock of ours."""
    source = Source()
    upstream = {"response_timeout": "1h", "idle_timeout": "1h"}
    async with before(tmp_path, source, upstream=upstream, server={"idle_timeout": "1h"}) as (h, _):
        async with connected(h) as client:
            await client.send(head_bytes(pair=h.login()))
            await until(lambda: source.open == 1)
            await moment(client, source)
            leave(client)
            await until(lambda: source.open == 0)
        await until(h.requests)
        assert [event.status for event in h.requests()] == [0 if moment is long_poll else 200]
        assert len(source.heads) == 1
        assert (h.gateway.upstreams[""].active, h.gateway.upstreams[""].idle) == (0, 0)


async def test_a_stream_that_is_silent_for_too_long_is_cut(tmp_path):
    """W2, P15: upstream.idle_timeout; cut, not ended, so that a client knows to come back."""
    source = Source()
    async with before(tmp_path, source, upstream={"idle_timeout": "200ms"}) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=h.login()))
        source.says.put_nowait(HEAD + chunk(EVENT))
        answer = await client.head()
        await client.read_body(answer)
        assert (answer.body, answer.complete) == (EVENT, False)
        await until(lambda: source.open == 0)


async def test_comments_keep_a_stream_alive(tmp_path):
    """W2: the standard's own advice (HTML, §9.2.7); all of them together take twice as long as idle_timeout."""
    source = Source()
    comment = b": still here\n\n"
    async with before(tmp_path, source, upstream={"idle_timeout": "800ms"}) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=h.login()))
        source.says.put_nowait(HEAD)
        await client.head()
        for _ in range(8):
            await asyncio.sleep(0.2)
            source.says.put_nowait(chunk(comment))
            assert await client.chunk() == comment
        source.says.put_nowait(chunk(EVENT))
        assert await client.chunk() == EVENT


async def test_a_long_poll_is_cut_by_no_clock_but_its_own(tmp_path):
    """D2, W2: the clocks of heads, bodies and idle connections do not run while the API takes its time."""
    short = dict.fromkeys(("header_timeout", "idle_timeout", "body_timeout", "send_timeout"), "100ms")
    source = Source()
    async with before(tmp_path, source, server=short) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/poll", h.login(), [(b"Content-Length", b"2")]) + b"hi")
        await until(lambda: source.open == 1)
        await asyncio.sleep(0.5)  # five times each of them: what is waited through is what is tested
        source.says.put_nowait(HEAD + chunk(EVENT))
        await client.head()
        assert await client.chunk() == EVENT
        await asyncio.sleep(0.5)  # the same in the middle of an answer
        source.says.put_nowait(chunk(EVENT) + b"0\r\n\r\n")
        assert await client.chunk() == EVENT
        assert await client.chunk() == b""


async def test_a_stream_that_ends_leaves_its_connection_to_the_next_request(tmp_path):
    """P16: an event stream is an answer like any other: with its last chunk it is over."""

    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + chunk(EVENT) + b"0\r\n\r\n")
        await peer.request()
        await peer.send(OK)

    async with before(tmp_path, handler) as (h, server), connected(h) as client:
        pair = h.login()
        await client.send(head_bytes(pair=pair))
        assert (await client.answer()).body == EVENT
        await client.send(head_bytes(pair=pair))
        assert (await client.answer()).body == b"ok"
        assert server.connections == 1


async def test_the_stubs_stream_reaches_a_client_of_every_day(tmp_path):
    """W2: httpx reads line by line what the stub's API sends one event at a time."""
    async with house(tmp_path) as h:
        access, _ = h.login()
        headers = {"Authorization": f"Bearer {access}", "Accept": "text/event-stream"}
        async with h.client.stream("GET", h.url + "/sse?count=3&interval=0.01", headers=headers) as answer:
            lines = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
        assert lines == ["data: event 0", "data: event 1", "data: event 2"]
