"""A connection that has left HTTP (RFC 9110 §7.8): bytes both ways, with back-pressure, over its transport.

Both sides of the gateway have one: ``edge`` makes it of the client's connection, ``upstream`` of the API's.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import cast

BUFFER = 64 * 1024
"""Bytes, each way: reading from the peer pauses while more wait for our reader (plus one read of the event
loop's), and our writer waits while more wait for the peer. The event loops' own default for writing."""

CLOSE_GRACE = 5.0
"""Seconds that ``close`` gives the peer to take what is left."""

_SALVAGE = 1024 * 1024
"""What is read at most of a broken socket's receive buffer."""


class StreamLost(Exception):  # noqa: N818  # named for what happened
    """The stream is closed, by whomever: nothing can be written."""


class Duplex(asyncio.Protocol):
    """One byte stream. One reader and one writer at a time; end it with ``close`` or ``abort``, always."""

    __slots__ = (
        "_ended",
        "_gone",
        "_grace",
        "_held",
        "_paused",
        "_reader",
        "_shut",
        "_tls",
        "_transport",
        "_writer",
        "lost",
        "on_lost",
        "on_shutdown",
    )

    def __init__(
        self, transport: asyncio.Transport, leftover: bytes = b"", on_lost: Callable[[], None] | None = None
    ) -> None:
        """Take ``transport`` over from its protocol, whatever that was doing.

        Args:
            transport: plain or TLS, paused or not; its ``connection_lost`` has not been called yet.
            leftover: bytes already read that belong to the new protocol.
            on_lost: called once, when the connection is gone.
        """
        self._transport = transport
        self._tls = transport.get_extra_info("sslcontext") is not None
        self._held = bytearray()
        self._paused = False
        self._ended = False
        self._shut = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_lost = on_lost
        self.on_shutdown: Callable[[], None] | None = None
        """Called when the server drains: say goodbye. Unset: the stream is closed."""
        self.lost = False
        """The connection is gone."""
        self._adopt(leftover)

    def _adopt(self, leftover: bytes) -> None:
        transport = self._transport
        transport.set_protocol(self)
        if transport.is_closing():
            self._ended = True
            self._held += leftover
            return
        transport.set_write_buffer_limits(BUFFER)
        if not transport.is_reading():
            transport.resume_reading()
        if leftover:
            self.data_received(leftover)

    async def read(self) -> bytes:
        """The next bytes, all that are here; ``b""`` at the end, however it came. Cancelling loses nothing."""
        while not self._held:
            if self._ended:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = bytes(self._held)
        self._held.clear()
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send ``data``; returns when there is room for more.

        Raises:
            StreamLost: it may not have arrived.
        """
        if not self.push(data):
            raise StreamLost
        while self.pending > BUFFER:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
            if self._transport.is_closing():
                raise StreamLost

    def push(self, data: bytes) -> bool:
        """Send a few bytes without waiting, also between those of a writer that waits. False: it is closed."""
        if self._shut or self._transport.is_closing():  # uvloop would raise, asyncio would log
            return False
        self._transport.write(data)
        return True

    @property
    def pending(self) -> int:
        """Bytes written that the system has not taken yet: while it changes, the peer is taking them."""
        return 0 if self.lost else self._transport.get_write_buffer_size()

    def close(self, grace: float = CLOSE_GRACE) -> None:
        """Send what is left, then close; abort what is not gone after ``grace`` seconds. Idempotent."""
        if self._grace is None and not self.lost:
            self._grace = asyncio.get_running_loop().call_later(grace, self.abort)
            self._transport.close()
            self._wake()

    async def finish(self, within: float = CLOSE_GRACE) -> None:
        """Send what is left and our end, drop what the peer still says until it ends too, then close.

        To close with unread bytes would reset the connection, and the peer might lose our last ones. TLS cannot
        say its end and go on listening: there it is ``close``. Returns when the connection is gone.
        """
        if not self._tls and not self._transport.is_closing():
            self._shut = True
            self._transport.write_eof()
            try:
                async with asyncio.timeout(within):
                    while await self.read():
                        pass
            except TimeoutError:
                self.abort()
        self.close(within)
        await self.closed()

    def abort(self) -> None:
        """Close at once, losing what is left. Idempotent."""
        if not self.lost:
            self._transport.abort()
            self._wake()

    async def closed(self) -> None:
        """Return when the connection is gone."""
        await asyncio.shield(self._gone)

    def shutdown(self) -> None:
        """The server is draining (uvicorn calls this on every connection it knows)."""
        if self.on_shutdown is not None:
            self.on_shutdown()
        else:
            self.close()

    def _wake(self) -> None:
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    # asyncio's callbacks.

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer's."""
        self._held += data
        if len(self._held) > BUFFER and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The peer will send nothing more. It may still listen, but not over TLS, which has no half-closing."""
        self._ended = True
        self._wake()
        return not self._tls

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is about to be closed, by whomever."""
        if exc is not None and not self._tls:
            self._salvage()
        self._ended = self.lost = True
        if self._grace is not None:
            self._grace.cancel()
        if not self._gone.done():
            self._gone.set_result(None)
        self._wake()
        if self.on_lost is not None:
            self.on_lost()

    def _salvage(self) -> None:
        """A failed write ends the connection before the peer's last words were read: they may say why."""
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            while len(self._held) < _SALVAGE and (data := os.read(cast("int", sock.fileno()), BUFFER)):
                self._held += data

    def resume_writing(self) -> None:
        """There is room again."""
        self._wake()
