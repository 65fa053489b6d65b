"""Three upstreams that keep what they read: a strict reader of bytes, nginx, and Python's own http.server."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gateway.core.headers import Header
from tests.e2e.corpus import strict
from tests.e2e.nginx import on_a_port


@dataclass(frozen=True)
class Read:
    """A request as a server read it."""

    method: bytes
    target: bytes
    host: bytes | None
    body: bytes
    fields: tuple[Header, ...] = ()

    @property
    def identity(self) -> tuple[bytes, bytes, bytes | None, bytes]:
        return self.method, self.target, self.host, self.body


@dataclass
class Witness:
    """An upstream and what it read."""

    port: int = 0
    read: list[Read] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Bytes that are not strict HTTP/1.1; only the strict reader knows them."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def reply(method: bytes, target: bytes, body: bytes) -> bytes:
    """The body of every answer: it tells to which request it belongs."""
    return b"%b %b %d" % (method, target, len(body))


@asynccontextmanager
async def strictly(path: Path | None = None) -> AsyncIterator[Witness]:
    """An upstream that takes nothing but strict HTTP/1.1. ``path``: on a Unix socket there."""
    witness = Witness()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await _conversation(witness, reader, writer)
        writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    if path is not None:
        listener = await asyncio.start_unix_server(serve, str(path))
    else:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        witness.port = listener.sockets[0].getsockname()[1]
    try:
        yield witness
    finally:
        listener.close()
        await listener.wait_closed()


async def _conversation(witness: Witness, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    data = b""
    while more := await reader.read(1 << 16):
        data += more
        try:
            requests, data = strict.requests(data)
        except strict.NotStrictError as fault:
            witness.faults.append(repr(fault))
            return
        for request in requests:
            known = (request.method, request.target, request.host, request.body)
            witness.read.append(Read(*known, tuple(request.fields)))
            writer.write(answer(request.method, request.target, request.body))
        await writer.drain()


def answer(method: bytes, target: bytes, body: bytes) -> bytes:
    """A small 200."""
    said = reply(method, target, body)
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), b"" if method == b"HEAD" else said)


_LOCATION = """
            proxy_pass http://unix:{witness}:;
            proxy_ignore_client_abort on;
            proxy_set_header Host $http_host;
"""
"""nginx as it comes, with room for large heads. The server behind it sees what it read, whole requests only."""

_SETTINGS = """
    large_client_header_buffers 8 64k;
    client_max_body_size 0;
"""


@asynccontextmanager
async def nginx(home: Path) -> AsyncIterator[Witness]:
    """A real nginx; ``home`` is an empty folder with a short path."""
    location = _LOCATION.format(witness=home / "w")
    async with strictly(home / "w") as witness, on_a_port(home, location, _SETTINGS) as witness.port:
        yield witness


class _Echo(BaseHTTPRequestHandler):
    """A handler as people write it: the length when there is one, chunks when there are."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True
    server: "_Plain"

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self.echo
        raise AttributeError(name)

    def echo(self) -> None:
        try:
            body = (
                self._chunks() if "chunked" in self.headers.get("Transfer-Encoding", "").lower() else self._length()
            )
        except (ValueError, EOFError):
            self.send_error(400)
            self.close_connection = True
            return
        method, target = self.command.encode("latin-1"), self.path.encode("latin-1")
        host = self.headers.get("Host")
        fields = tuple((n.encode("latin-1"), str(v).encode("latin-1", "replace")) for n, v in self.headers.items())
        known = (method, target, None if host is None else host.encode("latin-1"), body)
        self.server.witness.read.append(Read(*known, fields))
        said = reply(method, target, body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if method != b"HEAD":
            self.wfile.write(said)

    def _length(self) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        return self._exactly(length)

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self._exactly(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(max(size, 0))
        if len(data) < size:
            raise EOFError
        return data

    def log_message(self, *args: object) -> None:
        """Nothing on standard error."""


class _Plain(ThreadingHTTPServer):
    request_queue_size = 512
    witness: Witness

    def handle_error(self, *args: object) -> None:
        """A client that leaves is none."""


@asynccontextmanager
async def plain() -> AsyncIterator[Witness]:
    """Python's ``http.server`` in threads."""
    with _Plain(("127.0.0.1", 0), _Echo) as server:
        server.witness = Witness(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.witness
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()
