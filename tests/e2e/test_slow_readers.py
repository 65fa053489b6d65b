"""Clients that read their answers slowly, or not at all (D2, D4).

The kernel's buffers between the two ends hold megabytes, and a slow reader behind them looks like a fast one for a
while. ``narrow`` makes them small, on the gateway's end too: it is in this process.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from tests import lanes
from tests.e2e.raw_client import head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.e2e.test_timeouts import LONG
from tests.e2e.test_tls import Authority, connected
from tests.house import House, house
from tests.upstream.raw import Peer

pytestmark = lanes.BOTH

KIB = 1 << 10
NARROW = 4 * KIB


def gateways_end(client: tuple[str, int]) -> socket.socket | None:
    """A duplicate of the gateway's end of the connection from ``client``; None: it is closed."""
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if not str(entry.readlink()).startswith("socket:"):
                continue
            found = socket.socket(fileno=os.dup(int(entry.name)))
            with suppress(OSError):
                if found.getpeername() == client:
                    return found
            found.close()
    return None


def closed(client: tuple[str, int]) -> bool:
    """The gateway has let go of its end, which is more than that it has shut its side."""
    found = gateways_end(client)
    if found is not None:
        found.close()
    return found is None


@asynccontextmanager
async def narrow(h: House) -> AsyncIterator[socket.socket]:
    """A connection between whose ends little fits. Read with ``loop.sock_recv``: nothing is read unasked."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
        await loop.sock_connect(client, ("127.0.0.1", h.port))
        await until(lambda: not closed(client.getsockname()))
        with closing(gateways_end(client.getsockname())) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NARROW)
        async with asyncio.timeout(60):
            yield client


async def ask(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


async def rest(client: socket.socket, *, pause: float = 0, size: int = 64 * KIB) -> tuple[int, bool]:
    """How many bytes still come, and whether the end is a clean one."""
    loop, got = asyncio.get_running_loop(), 0
    try:
        while data := await loop.sock_recv(client, size):
            got += len(data)
            if pause:
                await asyncio.sleep(pause)
    except ConnectionResetError:
        return got, False
    return got, True


class Flood:
    """An API whose answer never ends, of any framing; it notices when it is no longer read."""

    def __init__(
        self, head: bytes = b"Transfer-Encoding: chunked", piece: bytes = b"400\r\n" + b"x" * KIB + b"\r\n"
    ):
        self.head = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n"
        self.piece = piece * 16
        self.open = 0

    async def __call__(self, peer: Peer) -> None:
        await peer.head()
        self.open += 1
        try:
            await peer.send(self.head)
            while True:
                await peer.send(self.piece)
        finally:
            self.open -= 1


FLOODS = {
    "chunked": Flood,
    "length": lambda: Flood(b"Content-Length: 100000000000", b"x" * KIB),
    "close": lambda: Flood(b"Connection: close", b"x" * KIB),
}
SHORT = {**LONG, "send_timeout": "300ms"}


@pytest.mark.parametrize(("flood", "version"), [*((flood, "1.1") for flood in FLOODS), ("chunked", "1.0")])
async def test_an_answer_that_is_not_read_is_cut(tmp_path, flood, version):
    """D2: server.send_timeout; by a reset, where a plain end could look like the body's; the API is let go."""
    api = FLOODS[flood]()
    async with before(tmp_path, api, server=SHORT) as (h, _), narrow(h) as client:
        await ask(client, head_bytes(pair=h.login(), version=version))
        await until(lambda: api.open == 1)
        await until(lambda: api.open == 0 and closed(client.getsockname()))
        assert h.gateway.upstreams[""].active == 0
        _, clean = await rest(client)
        assert not clean


async def test_an_answer_that_is_read_drop_by_drop_is_cut(tmp_path):
    """D2: Slow Read: some kilobytes a second, where min_data_rate is more."""
    api = Flood()
    drops = {**SHORT, "min_data_rate": "1MiB"}
    async with before(tmp_path, api, server=drops) as (h, _), narrow(h) as client:
        await ask(client, head_bytes(pair=h.login()))
        _, clean = await rest(client, pause=0.02, size=100)
        assert not clean
        await until(lambda: api.open == 0)


@pytest.mark.parametrize("rate", ["4KiB", "0"])
async def test_an_answer_that_is_read_slowly_but_steadily_is_not_cut(tmp_path, rate):
    """D2: for longer than send_timeout; above the rate, or at any rate where there is none."""
    steady = {**LONG, "send_timeout": "700ms", "min_data_rate": rate}
    size = 100 * KIB
    async with house(tmp_path, server=steady) as h, narrow(h) as client:
        await ask(
            client, head_bytes(target=f"/bytes?size={size}", pair=h.login(), headers=[(b"Connection", b"close")])
        )
        got, clean = await rest(client, pause=0.05, size=4 * KIB)
        assert clean
        assert got > size


async def test_a_short_answer_that_is_not_read_is_cut_when_the_connection_has_rested(tmp_path):
    """D2: all of it is written, as far as the API is concerned; first idle_timeout, then send_timeout."""
    short = {**LONG, "idle_timeout": "200ms", "send_timeout": "200ms"}
    async with house(tmp_path, server=short) as h, narrow(h) as client:
        await ask(client, head_bytes(target=f"/bytes?size={60 * KIB}", pair=h.login()))
        await until(lambda: [e.status for e in h.requests()] == [200])
        await until(lambda: closed(client.getsockname()))
        got, clean = await rest(client)
        assert got < 60 * KIB
        assert not clean


async def test_a_short_answer_that_is_read_late_is_whole(tmp_path):
    """D2: idle_timeout ends no answer: what was written before it is delivered, then the connection ends."""
    short = {**LONG, "idle_timeout": "200ms"}
    async with house(tmp_path, server=short) as h, narrow(h) as client:
        await ask(client, head_bytes(target=f"/bytes?size={60 * KIB}", pair=h.login()))
        await until(lambda: [e.status for e in h.requests()] == [200])
        await asyncio.sleep(0.6)  # three times idle_timeout: that it is waited through is what is tested
        got, clean = await rest(client)
        assert clean
        assert got > 60 * KIB


async def test_a_reader_that_pauses_within_its_patience_gets_all_of_it(tmp_path):
    """D2: patience is for one pause; the next one has all of it again."""
    pauses = {**LONG, "send_timeout": "700ms", "min_data_rate": "64KiB"}
    size = 600 * KIB
    async with house(tmp_path, server=pauses) as h, narrow(h) as client:
        await ask(
            client, head_bytes(target=f"/bytes?size={size}", pair=h.login(), headers=[(b"Connection", b"close")])
        )
        got = 0
        for _ in range(3):
            await asyncio.sleep(0.3)
            for _ in range(64):
                got += len(await asyncio.get_running_loop().sock_recv(client, 2 * KIB))
        more, clean = await rest(client)
        assert clean
        assert got + more > size


async def test_what_the_kernel_delivers_counts_although_we_have_nothing_to_write(tmp_path):
    """D2: it takes megabytes from us at once, and lets nobody write again before a third of them is read."""
    loop, got = asyncio.get_running_loop(), 0
    short = {**LONG, "send_timeout": "500ms", "min_data_rate": "64KiB"}
    async with house(tmp_path, server=short) as h, asyncio.timeout(60):
        with socket.socket() as client:
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
            await loop.sock_connect(client, ("127.0.0.1", h.port))
            size = 12_000 * KIB
            await ask(
                client,
                head_bytes(target=f"/bytes?size={size}", pair=h.login(), headers=[(b"Connection", b"close")]),
            )
            for _ in range(60):
                got += len(await loop.sock_recv(client, 16 * KIB))
                await asyncio.sleep(0.025)
            more, clean = await rest(client)
    assert clean
    assert got + more > size


async def test_slow_readers_hold_no_place_of_an_api_that_has_answered(tmp_path):
    """D4: what fits into our own buffers is ours to deliver; the API's connection is free meanwhile."""
    async with house(tmp_path, server=LONG, upstream={"max_connections": 1}) as h, narrow(h) as client:
        await ask(client, head_bytes(target=f"/bytes?size={60 * KIB}", pair=h.login()))
        await until(lambda: h.gateway.upstreams[""].active == 0 and h.requests())
        assert (await h.get("/echo", h.login())).status_code == 200
        assert not closed(client.getsockname())


async def test_a_tls_client_that_does_not_read_is_cut(tmp_path, tmp_path_factory):
    """D2: send_timeout holds behind TLS as well."""
    ours = Authority(tmp_path_factory.mktemp("readers") / "ours")
    cert, key = ours.certify("localhost", "127.0.0.1")
    api = Flood()
    server = {**SHORT, "tls": {"cert": cert, "key": key}}
    async with before(tmp_path, api, server=server) as (h, _), connected(h, tls=ours.context()) as client:
        client.writer.transport.pause_reading()
        await client.send(head_bytes(pair=h.login()))
        await until(lambda: api.open == 1)
        await until(lambda: api.open == 0)
        assert h.gateway.upstreams[""].active == 0
