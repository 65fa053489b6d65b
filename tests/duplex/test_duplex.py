"""A connection after HTTP, on both event loops, plain and over TLS."""

import asyncio
import os
import socket
import struct
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.duplex import BUFFER, Duplex, StreamLost
from tests.upstream.certificates import client_context, server_context
from tests.websocket.wire import bounded_memory

MANY = 8 << 20
"""Bytes: more than the kernel keeps for two sockets of this machine."""


@pytest.fixture(params=["plain", "tls"])
def tls(request):
    return request.param == "tls"


class Before(asyncio.Protocol):
    """What had the transport before; it leaves it paused, as one that waits for a decision does."""

    def __init__(self, ready):
        self.ready = ready

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.pause_reading()
        self.ready.set_result((self.transport, data))


@asynccontextmanager
async def pair(*, tls=False, on_lost=None):
    """A stream that was taken over with b"early" read already, and its peer."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    context = server_context() if tls else None
    server = await loop.create_server(lambda: Before(ready), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    named = {"ssl": client_context("ours"), "server_hostname": "localhost"} if tls else {}
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **named)
        writer.write(b"early")
        transport, data = await ready
        duplex = Duplex(transport, data, on_lost)
        try:
            yield duplex, reader, writer
        finally:
            duplex.abort()
            await duplex.closed()
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()
            server.close()


async def until(condition):
    """Sockets tell nobody when they are full."""
    while not condition():  # noqa: ASYNC110  # see above
        await asyncio.sleep(0)


async def write_many(duplex):
    for _ in range(MANY // 65536):
        await duplex.write(b"x" * 65536)


async def test_it_begins_with_what_was_read_before(tls):
    async with pair(tls=tls) as (duplex, reader, writer):
        assert await duplex.read() == b"early"
        writer.write(b"late")
        assert await duplex.read() == b"late"
        await duplex.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


async def test_a_slow_reader_holds_the_peer_back(tls):
    """D4: no more than the bound and one read is kept here."""
    async with pair(tls=tls) as (duplex, _, writer):
        writer.write(b"x" * MANY)
        await until(lambda: len(duplex._held) > BUFFER)
        for _ in range(200):
            await asyncio.sleep(0)
        assert not duplex._transport.is_reading()
        assert len(duplex._held) < 1 << 20
        left = MANY + len(b"early")
        while left:
            left -= len(await duplex.read())


async def test_a_peer_that_drips_costs_no_more_than_what_it_says():
    """D4: two bytes in a read are two bytes, not an object each."""
    async with pair() as (duplex, _, _writer):
        await duplex.read()
        with bounded_memory(4 * BUFFER):
            for _ in range(BUFFER // 2):
                duplex.data_received(os.urandom(2))
        assert len(await duplex.read()) == BUFFER


async def test_a_slow_peer_holds_the_writer_back(tls):
    """D4."""
    async with pair(tls=tls) as (duplex, reader, _):
        reader._transport.pause_reading()
        writing = asyncio.create_task(write_many(duplex))
        await until(lambda: duplex.pending > BUFFER)
        for _ in range(200):
            await asyncio.sleep(0)
        assert not writing.done()
        assert duplex.pending < 1 << 20
        reader._transport.resume_reading()
        await reader.readexactly(MANY)
        await writing


async def test_a_word_gets_in_while_a_writer_waits():
    async with pair() as (duplex, reader, _):
        writing = asyncio.create_task(duplex.write(b"x" * MANY))
        await until(lambda: duplex.pending > BUFFER)
        assert duplex.push(b"!")
        assert not writing.done()
        assert (await reader.readexactly(MANY + 1))[-1:] == b"!"
        await writing


async def test_reading_ends_with_the_peer(tls):
    async with pair(tls=tls) as (duplex, _, writer):
        await duplex.read()
        writer.close()
        assert await duplex.read() == b""
        assert await duplex.read() == b""


async def test_a_peer_that_closed_its_side_still_listens():
    async with pair() as (duplex, reader, writer):
        await duplex.read()
        writer.write_eof()
        assert await duplex.read() == b""
        await duplex.write(b"answer")
        duplex.close()
        assert await reader.read() == b"answer"


async def test_closing_sends_what_is_left(tls):
    lost = []
    async with pair(tls=tls, on_lost=lambda: lost.append(1)) as (duplex, reader, writer):
        await duplex.read()
        duplex.push(b"x" * MANY)
        duplex.close()
        assert not duplex.push(b"more")
        with pytest.raises(StreamLost):
            await duplex.write(b"more")
        assert len(await reader.readexactly(MANY)) == MANY
        writer.close()
        await duplex.closed()
        assert (lost, duplex.lost, duplex.pending) == ([1], True, 0)


async def test_a_peer_that_takes_nothing_does_not_prolong_closing(tls):
    async with pair(tls=tls) as (duplex, reader, _):
        reader._transport.pause_reading()
        duplex.push(b"x" * MANY)
        duplex.close(0.05)
        await duplex.closed()
        assert duplex.lost


async def test_aborting_wakes_the_reader_and_the_writer():
    async with pair() as (duplex, _, _writer):
        await duplex.read()
        reading = asyncio.create_task(duplex.read())
        writing = asyncio.create_task(duplex.write(b"x" * MANY))
        await until(lambda: duplex.pending > BUFFER)
        duplex.abort()
        assert await reading == b""
        with pytest.raises(StreamLost):
            await writing


async def test_a_peer_that_resets_is_lost():
    async with pair() as (duplex, _, writer):
        await duplex.read()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        assert await duplex.read() == b""
        await duplex.closed()
        assert duplex.lost


async def test_the_last_words_of_a_peer_that_closed_are_heard_although_a_write_fails():
    """They may say why it closed."""
    async with pair() as (duplex, reader, writer):
        await duplex.read()
        duplex._transport.pause_reading()
        writer.write(b"last words")
        reader._transport.pause_reading()
        duplex.push(b"x")  # unread: the peer's closing resets
        await until(lambda: _unread(writer.get_extra_info("socket")))
        writer.transport.abort()
        await until(lambda: not duplex.push(b"x" * 1000))
        assert await duplex.read() == b"last words"
        assert await duplex.read() == b""


def _unread(raw):
    with socket.socket(fileno=raw.fileno()) as sock:
        try:
            return bool(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False
        finally:
            sock.detach()


async def test_finishing_lets_the_peer_end_first():
    """Nothing that it still says resets the connection under our last words."""
    async with pair() as (duplex, reader, writer):
        finishing = asyncio.create_task(_say_and_finish(duplex, 30))
        assert await reader.read() == b"goodbye"
        assert not finishing.done()
        assert not duplex.push(b"more")
        writer.write(b"x" * MANY)
        await writer.drain()
        writer.close()
        await finishing
        assert duplex.lost


async def _say_and_finish(duplex, within):
    duplex.push(b"goodbye")
    await duplex.finish(within)


async def test_finishing_over_tls_closes():
    async with pair(tls=True) as (duplex, reader, writer):
        finishing = asyncio.create_task(_say_and_finish(duplex, 30))
        assert await reader.read() == b"goodbye"
        writer.close()
        await finishing


async def test_a_peer_that_does_not_end_is_cut(tls):
    async with pair(tls=tls) as (duplex, reader, _):
        await _say_and_finish(duplex, 0.05)
        assert duplex.lost
        with suppress(ConnectionError):
            assert await reader.read() == b"goodbye"


async def test_a_draining_server_closes_it_or_asks_its_owner():
    asked = []
    async with pair() as (duplex, _, _writer):
        duplex.on_shutdown = lambda: asked.append(1)
        duplex.shutdown()
        assert (asked, duplex._transport.is_closing()) == ([1], False)
        duplex.on_shutdown = None
        duplex.shutdown()
        await duplex.closed()


async def test_a_cancelled_read_loses_nothing():
    async with pair() as (duplex, _, writer):
        await duplex.read()
        reading = asyncio.create_task(duplex.read())
        await asyncio.sleep(0)
        reading.cancel()
        writer.write(b"kept")
        await asyncio.wait([reading])
        assert await duplex.read() == b"kept"
