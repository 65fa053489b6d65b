"""Servers that do exactly what a test says, byte by byte."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from gateway.core.errors import ClientGone
from gateway.core.wire import request_lines
from gateway.upstream import Upstream, UpstreamRequest, UpstreamResponse, UpstreamSettings

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Peer:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number
        """0 for the first connection."""

    async def head(self) -> bytes:
        """The next request's head, as sent."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: head, and body as sent (chunks are left in it)."""
        head = await self.head()
        lowered = head.lower()
        if b"\r\ntransfer-encoding: chunked" in lowered:
            return head, await self.reader.readuntil(b"0\r\n\r\n")
        _, found, rest = lowered.partition(b"\r\ncontent-length: ")
        return head, await self.reader.readexactly(int(rest.split(b"\r\n")[0])) if found else b""

    async def send(self, data: bytes) -> None:
        if self.writer.is_closing():
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def end(self) -> None:
        """Close our side of the socket (FIN), below TLS; reading goes on. uvloop's sockets cannot say it."""
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_WR)

    async def gone(self) -> None:
        """Return when the client has closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Handler = Callable[[Peer], Awaitable[None]]


class Server:
    """Listens on a free port, runs ``handler`` for each connection, and counts them."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections = 0
        self.open = 0
        self.port = 0
        self.closed = asyncio.Event()
        """Some connection has been closed by either side."""
        self.errors: list[Exception] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        peer = Peer(reader, writer, self.connections)
        self.connections += 1
        self.open += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self.handler(peer)
        except Exception as error:  # noqa: BLE001  # a wrong test, or one that fails
            self.errors.append(error)
        finally:
            self.open -= 1
            self.closed.set()
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


@contextlib.asynccontextmanager
async def serving(handler: Handler, *, tls=None, patience: float = 20) -> AsyncIterator[Server]:
    server = Server(handler)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(patience):
            yield server
    finally:
        listener.close()
        await server.stop()
        await listener.wait_closed()
        assert not server.errors, server.errors


@contextlib.asynccontextmanager
async def upstream_of(server: Server, **settings) -> AsyncIterator[Upstream]:
    """A client for ``server``; leaves nothing behind, whatever the test did."""
    upstream = Upstream(UpstreamSettings(**({"host": "127.0.0.1", "port": server.port} | settings)))
    try:
        yield upstream
    finally:
        await upstream.close()
        assert (upstream.active, upstream.idle, upstream.waiting) == (0, 0, 0)


@contextlib.asynccontextmanager
async def talking_to(handler: Handler, **settings) -> AsyncIterator[tuple[Server, Upstream]]:
    async with serving(handler) as server, upstream_of(server, **settings) as upstream:
        yield server, upstream


class Body:
    """A request body; ``pieces`` may hold an exception, which is raised in its turn, or an awaitable."""

    def __init__(self, *pieces, length=None, ready=None, replayable=False) -> None:
        self.pieces = pieces
        self.length = length
        self.ready = ready
        self.replayable = replayable
        self.started = 0
        self.reading = False

    async def chunks(self) -> AsyncIterator[bytes]:
        self.started += 1
        self.reading = True
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece if isinstance(piece, bytes) else await piece()
        finally:
            self.reading = False


class Reluctant(Body):
    """Takes a few turns of the loop to stop reading; must not be read twice at once."""

    async def chunks(self) -> AsyncIterator[bytes]:
        assert not self.reading
        try:
            async for chunk in super().chunks():
                self.reading = True
                yield chunk
        finally:
            self.reading = True
            for _ in range(5):
                await asyncio.sleep(0)
            self.reading = False


class Endless:
    """A body that goes on for as long as it is read."""

    length = None
    ready = None
    replayable = False

    def __init__(self, piece: bytes = b"x" * 65536) -> None:
        self.piece = piece
        self.sent = 0
        self.reading = False

    async def chunks(self) -> AsyncIterator[bytes]:
        self.reading = True
        try:
            while True:
                self.sent += len(self.piece)
                yield self.piece
                await asyncio.sleep(0)
        finally:
            self.reading = False


async def for_ever() -> bytes:
    return await asyncio.get_running_loop().create_future()


async def client_leaves() -> bytes:
    await asyncio.sleep(0)
    raise ClientGone


def get(target: bytes = b"/", *, method: bytes = b"GET", body=None, headers=(), **more) -> UpstreamRequest:
    return UpstreamRequest(method, target, request_lines([(b"Host", b"api.example"), *headers]), body, **more)


def post(body, **kwargs) -> UpstreamRequest:
    return get(method=b"POST", body=body, **kwargs)


async def whole(response: UpstreamResponse) -> bytes:
    """The rest of the body."""
    data = []
    while not response.at_end:
        data.append(await response.read())
    return b"".join(data)


def once(*answers: bytes) -> Handler:
    """Answer each request on a connection with the next of ``answers``, then wait for the client to close."""

    async def handler(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(answer)
        await peer.gone()

    return handler


async def always_ok(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(OK)


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the loop run until ``condition``; the surrounding timeout says when that is hopeless."""
    while not condition():  # noqa: ASYNC110  # what is awaited is under test and announces nothing
        await asyncio.sleep(0.001)


def sockets() -> int:
    """How many this process has open (libuv keeps a spare descriptor of its own from the first listener on)."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(descriptor.readlink()).startswith("socket:")
    return count


def background_tasks() -> set[asyncio.Task]:
    return asyncio.all_tasks() - {asyncio.current_task()}
