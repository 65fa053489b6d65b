"""A request's body on its way up, beside the response on its way down."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from gateway.core.errors import BAD_REQUEST, GatewayError
from gateway.upstream.wire import LAST_CHUNK, chunk


class BodySource(Protocol):
    """The client's body, as the edge offers it."""

    @property
    def length(self) -> int | None:
        """The declared Content-Length; None: sent up in chunks."""

    @property
    def ready(self) -> bytes | None:
        """The whole body, where all of it is here already: it then goes up with the head, without a task."""

    @property
    def replayable(self) -> bool:
        """All that was read is kept: ``chunks()`` may be started again from the first byte."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body from its first byte. Raises ``ClientGone`` when the client leaves."""


class WriteGate:
    """Shut while the transport's write buffer is full."""

    __slots__ = ("_shut", "_waiter")

    def __init__(self) -> None:
        self._shut = False
        self._waiter: asyncio.Future[None] | None = None

    def shut(self) -> None:
        """The buffer is full."""
        self._shut = True

    def open(self) -> None:
        """There is room again."""
        self._shut = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def passed(self) -> None:
        """Return while it is open."""
        while self._shut:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class Sender(Protocol):
    """What an upload needs of its connection."""

    gate: WriteGate

    @property
    def transport(self) -> asyncio.Transport:
        """Where the bytes go."""

    def upload_progressed(self) -> None:
        """Bytes of the body were written."""

    def upload_failed(self, upload: "Upload", error: Exception) -> None:
        """The body cannot be completed."""


class Upload:
    """The task that sends one body. It ends by itself, by ``stop``, or by failing its connection."""

    __slots__ = ("_body", "_sender", "_starved", "_unsent", "finished", "task")

    def __init__(self, sender: Sender, body: BodySource) -> None:
        self._sender = sender
        self._body = body
        self._starved = True
        self._unsent = 0
        self.finished = False
        """All of the body has been given to the transport."""
        self.task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Send nothing more. Reading from the client ends at the next turn of the loop."""
        self.task.cancel()

    async def stopped(self) -> None:
        """Return when the body is no longer being read, so that it may be read again."""
        await asyncio.wait([self.task])

    def moves(self) -> bool:
        """The upstream took some of the body since the last look, or it is the client who is slow."""
        left = self._sender.transport.get_write_buffer_size()
        moves = 0 < left < self._unsent
        self._unsent = left
        return moves or (left == 0 and self._starved and not self.finished)

    async def _run(self) -> None:
        try:
            await self._copy()
        except asyncio.CancelledError:
            self._sender.upload_failed(self, GatewayError(BAD_REQUEST))
            raise
        except Exception as error:  # noqa: BLE001  # whatever the source raises is the exchange's outcome
            self._sender.upload_failed(self, error)
        else:
            self.finished = True

    async def _copy(self) -> None:
        chunks = self._body.chunks()
        try:
            await self._copy_from(chunks)
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def _copy_from(self, chunks: AsyncIterator[bytes]) -> None:
        """RFC 9112 §6.3: a body that is not as long as it said must not look complete."""
        length, sent = self._body.length, 0
        async for data in chunks:
            sent += len(data)
            if length is None:
                self._write(*(chunk(data) if data else ()))
            elif sent > length:
                raise GatewayError(BAD_REQUEST)
            else:
                self._write(data)
            self._starved = False
            await self._sender.gate.passed()
            self._starved = True
        if length is None:
            self._write(LAST_CHUNK)
        elif sent != length:
            raise GatewayError(BAD_REQUEST)

    def _write(self, *pieces: bytes) -> None:
        transport = self._sender.transport
        if transport.is_closing():  # uvloop raises; the connection is about to say how it was lost
            return
        # Not writelines: asyncio's own, from Python 3.12 on, never calls pause_writing, and the memory would fill.
        transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._unsent = transport.get_write_buffer_size()
        self._sender.upload_progressed()
