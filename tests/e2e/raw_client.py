"""A client that sends exactly the bytes that a test says, and tells what came back, complete or cut."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ssl import SSLContext

from gateway.core.headers import Header, Headers, values
from tests.house import House, bearer

_BODILESS = (204, 304)
_PIECE = 256 * 1024


def head_bytes(
    method: str | bytes = "GET",
    target: str | bytes = "/echo",
    pair: tuple[str, str | None] | None = None,
    headers: Iterable[Header] = (),
    *,
    version: str = "1.1",
) -> bytes:
    """A request's head; ``Host`` and the credentials come first."""
    words = [w if isinstance(w, bytes) else w.encode() for w in (method, target, f"HTTP/{version}")]
    own = [(n.encode(), v.encode()) for n, v in bearer(pair).items()]
    fields = [(b"Host", b"gateway.example"), *own, *headers]
    return b" ".join(words) + b"\r\n" + b"".join(b"%b: %b\r\n" % f for f in fields) + b"\r\n"


def chunked(*pieces: bytes) -> bytes:
    """A chunked body, one chunk for each piece."""
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


@dataclass
class Answer:
    """What the gateway said."""

    status: int
    headers: Headers
    body: bytes = b""
    complete: bool = False
    """The framing says that this is all of the body; a connection that was cut before leaves it False."""
    interim: list[int] = field(default_factory=list)
    """The statuses of the 1xx answers before it."""

    def values(self, name: bytes) -> list[bytes]:
        """Every value of the field ``name`` (in lower case)."""
        return values(self.headers, name)


class Conversation:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._buffer = bytearray()
        self._ended = False
        self.reset = False
        """The connection ended by RST."""

    async def send(self, data: bytes) -> None:
        """Returns when the transport has taken it. A gateway that has closed is no error: its answer counts."""
        if self.writer.is_closing():
            return
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def head(self) -> Answer:
        """The next final answer's head."""
        interim = []
        while True:
            lines = (await self._until(b"\r\n\r\n")).split(b"\r\n")
            status = int(lines[0].split(b" ")[1])
            if status >= 200:
                break
            interim.append(status)
        split = [line.split(b": ", 1) for line in lines[1:] if line]
        return Answer(status, [(n, v) for n, v in split], interim=interim)

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer, with as much of its body as came."""
        answer = await self.head()
        await self.read_body(answer, method)
        return answer

    async def read_body(self, answer: Answer, method: str = "GET") -> None:
        """The rest of ``answer``, framed as RFC 9112 §6.3 says."""
        lengths = answer.values(b"content-length")
        if method == "HEAD" or answer.status in _BODILESS:
            answer.complete = True
        elif b"chunked" in answer.values(b"transfer-encoding"):
            assert not lengths
            await self._chunks(answer)
        elif lengths:
            answer.body = await self.exactly(int(lengths[0]))
            answer.complete = len(answer.body) == int(lengths[0])
        else:
            answer.body = await self.rest()
            answer.complete = not self.reset

    async def piece(self) -> bytes:
        """Bytes that have come, at least one; ``b""`` at the end."""
        if not self._buffer:
            await self._more()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def rest(self) -> bytes:
        """Everything until the connection ends."""
        while await self._more():
            pass
        return await self.piece()

    async def exactly(self, size: int) -> bytes:
        """``size`` bytes, or what there is."""
        while len(self._buffer) < size and await self._more():
            pass
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def chunk(self) -> bytes | None:
        """The next chunk's data, ``b""`` for the last one; None: the connection ended instead."""
        try:
            size = int(await self._until(b"\r\n"), 16)
        except EOFError:
            return None
        data = await self.exactly(size + 2)
        return data[:-2] if len(data) == size + 2 else None

    def abort(self) -> None:
        """Leave at once."""
        self.writer.transport.abort()

    async def _chunks(self, answer: Answer) -> None:
        while data := await self.chunk():
            answer.body += data
        answer.complete = data is not None

    async def _until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            if not await self._more():
                raise EOFError(bytes(self._buffer))
        data = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return data

    async def _more(self) -> bool:
        if self._ended:
            return False
        try:
            data = await self._reader.read(_PIECE)
        except ConnectionError:
            data, self.reset = b"", True
        self._buffer += data
        self._ended = not data
        return bool(data)


@asynccontextmanager
async def connected(
    h: House, *, tls: SSLContext | None = None, name: str = "localhost"
) -> AsyncIterator[Conversation]:
    """A connection to the gateway, for at most 60 s."""
    named = name if tls is not None else None
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", h.port, ssl=tls, server_hostname=named)
        try:
            yield Conversation(reader, writer)
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def exchange(h: House, data: bytes, method: str = "GET") -> Answer:
    """One request on a connection of its own, sent while its answer is read."""
    async with connected(h) as client:
        sending = asyncio.create_task(client.send(data))
        try:
            return await client.answer(method)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
