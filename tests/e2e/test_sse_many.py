"""A thousand event streams through one gateway, in a process of its own: what they cost, and how they end."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.e2e.processes import Running, gateway, stub
from tests.e2e.raw_client import head_bytes
from tests.e2e.support import many_descriptors, until
from tests.upstream.raw import Peer, serving

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EACH = 48 << 10
"""Bytes of the gateway's memory for one quiet stream; nginx needs about as much for its two buffers."""


def framed(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


@dataclass
class Broadcast:
    """An API that says the same to all of its streams."""

    peers: set[Peer] = field(default_factory=set)

    async def __call__(self, peer: Peer) -> None:
        await peer.head()
        await peer.send(HEAD)
        self.peers.add(peer)
        try:
            await peer.gone()
        finally:
            self.peers.discard(peer)

    def say(self, event: bytes) -> None:
        for peer in self.peers:
            peer.writer.write(framed(event))


@dataclass
class Audience:
    """Clients of the gateway, each with a stream of its own."""

    readers: list[asyncio.StreamReader]

    async def hears(self, text: bytes) -> None:
        """Every one of them gets ``text`` next."""
        for reader in self.readers:
            assert await reader.readexactly(len(text)) == text

    async def ends(self) -> list[bytes]:
        """What each of them still gets until its connection ends."""
        return await asyncio.gather(*(_rest(reader) for reader in self.readers))


async def _rest(reader: asyncio.StreamReader) -> bytes:
    got = b""
    try:
        while data := await reader.read(65536):
            got += data
    except ConnectionResetError:
        pass
    return got


@asynccontextmanager
async def audience(running: Running, head: bytes, number: int):
    """``number`` clients that have read the heads of their answers."""
    async with AsyncExitStack() as stack:
        readers = []
        for _ in range(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            stack.callback(lambda writer=writer: writer.transport.abort())  # a writer that nobody holds closes
            writer.write(head)
            readers.append(reader)
        for reader in readers:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        yield Audience(readers)


async def test_a_thousand_streams_are_fed_and_cut_at_the_end(tmp_path):
    """W2, D4, B23: each event reaches all of them; SIGTERM cuts them, visibly, and the exit status is 0."""
    number, source = 1000, Broadcast()
    with many_descriptors(), stub(tmp_path) as served:
        async with serving(source, patience=80) as server:
            sections = {
                "server": {"shutdown_timeout": "500ms"},
                "upstream": {"url": f"http://127.0.0.1:{server.port}", "max_connections": number + 10},
                "auth_server": {"issuer": served.auth_url, "token_endpoint": None, "jwks_uri": None},
                "access_token": {"issuer": served.auth_url},
            }
            with gateway(tmp_path, sections) as running:
                head = head_bytes(pair=(served.login(), None))
                async with audience(running, head, 1) as first:
                    await first.hears(b"")
                    before = running.memory("VmRSS")
                async with audience(running, head, number) as everybody:
                    await until(lambda: len(source.peers) == number)
                    for event in (b"data: 1\n\n", b": a comment\n\n", b"data: 2\n\n" * 100):
                        source.say(event)
                        await everybody.hears(framed(event))
                    assert running.memory("VmRSS") - before < number * EACH
                    stopping = asyncio.create_task(asyncio.to_thread(running.stop))
                    assert set(await everybody.ends()) == {b""}
                    assert await stopping == 0
