"""A client that writes bytes and reads answers one by one, as no library would; and a listener that only counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

import httptools

from tests.house import House, bearer

PATIENCE = 30.0
"""Seconds; only a test that fails waits so long."""


@dataclass
class Answer:
    """One answer as it came."""

    status: int = 0
    version: str = ""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    informational: list[int] = field(default_factory=list)
    """The 1xx before it."""

    def values(self, name: bytes) -> list[bytes]:
        return [v for n, v in self.headers if n.lower() == name]


class _Reader:
    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self._now = Answer()
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._now.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._now.status = self.parser.get_status_code()
        self._now.version = self.parser.get_http_version()

    def on_body(self, data: bytes) -> None:
        self._now.body += data

    def on_message_complete(self) -> None:
        if self._now.status < 200:
            self._now = Answer(informational=[*self._now.informational, self._now.status])
            return
        self.answers.append(self._now)
        self._now = Answer()


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._parsed = _Reader()
        self.raw = b""
        """Everything received."""

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Self]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        """The next final answer whose end the framing tells."""
        async with asyncio.timeout(PATIENCE):
            while not self._parsed.answers:
                data = await self._reader.read(65536)
                if not data:
                    raise EOFError(self.raw)
                self.raw += data
                self._parsed.parser.feed_data(data)
        return self._parsed.answers.pop(0)

    async def closed(self) -> bytes:
        """What still comes until the gateway closes; a reset counts as closed."""
        rest = b""
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                while data := await self._reader.read(65536):
                    rest += data
        self.raw += rest
        return rest

    async def received(self, text: bytes) -> None:
        """Return once ``text`` is among the bytes received."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.raw:
                data = await self._reader.read(65536)
                if not data:
                    raise EOFError(self.raw)
                self.raw += data


def request(
    line: str = "GET /echo",
    pair: tuple[str, str | None] | None = None,
    *fields: str,
    version: str = "1.1",
    host: str = "gateway.example",
    body: bytes = b"",
) -> bytes:
    """A request's bytes; ``fields`` are written as they are, in order, after ours."""
    lines = [f"{line} HTTP/{version}", f"Host: {host}", *(f"{n}: {v}" for n, v in bearer(pair).items()), *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def text_of(fields: list[tuple[bytes, bytes]]) -> str:
    """Fields in lower case, to look for what must not be there."""
    return "\n".join(f"{n.decode('latin-1')}: {v.decode('latin-1')}" for n, v in fields).lower()


async def ask(h: House, data: bytes) -> Answer:
    """One request on a connection of its own."""
    async with Wire.to(h.port) as wire:
        wire.send(data)
        return await wire.answer()


@dataclass
class Trap:
    """A listener that nobody should call."""

    url: str = ""
    port: int = 0
    calls: list[bytes] = field(default_factory=list)
    """The first bytes of each connection."""

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator[Self]:
        trap = cls()

        async def caught(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            trap.calls.append(b"")
            trap.calls[-1] = await reader.read(4096)
            writer.close()

        server = await asyncio.start_server(caught, "127.0.0.1", 0)
        trap.port = server.sockets[0].getsockname()[1]
        trap.url = f"http://127.0.0.1:{trap.port}"
        async with server:
            yield trap


@dataclass
class Script:
    """An upstream that answers every request with the same bytes, whatever they are."""

    answer: bytes
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    """The heads, as they came."""

    @classmethod
    @asynccontextmanager
    async def saying(cls, answer: bytes) -> AsyncIterator[Self]:
        script = cls(answer)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    script.requests.append(await reader.readuntil(b"\r\n\r\n"))
                    writer.write(script.answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield script


def ok(*fields: str, status: str = "200 OK", body: bytes = b"hello") -> bytes:
    """A response's bytes."""
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
