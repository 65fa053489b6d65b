"""One end of a tunnel: the client or the upstream, with what it has said and been told."""

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

from wsproto.frame_protocol import Opcode

from gateway.websocket.frames import Close, Frame, FrameReader, FrameWriter, Violation

_BATCH = 128
"""Frames that are handled in one go."""
_BATCH_BYTES = 64 * 1024


class Port(Protocol):
    """A byte stream, as ``gateway.duplex`` makes them."""

    on_shutdown: Callable[[], None] | None
    """Called when the server drains."""

    @property
    def pending(self) -> int:
        """Bytes written that the peer's system has not taken yet."""

    async def read(self) -> bytes:
        """The next bytes; ``b""`` at the end."""

    async def write(self, data: bytes) -> None:
        """Send; returns when there is room for more. Raises when the stream is lost."""

    def push(self, data: bytes) -> bool:
        """Send a few bytes without waiting."""

    def close(self, grace: float) -> None:
        """Send what is left, then close."""

    async def closed(self) -> None:
        """Return when it is gone."""

    async def finish(self, within: float) -> None:
        """Send what is left, end our side, wait for the peer's, close."""

    def abort(self) -> None:
        """Close at once."""


class Side:
    """Frames to and from one peer."""

    def __init__(self, port: Port, *, is_client: bool, max_message: int) -> None:
        self.port = port
        self.is_client = is_client
        self._reader = FrameReader(masked=is_client, max_message=max_message)
        self._writer = FrameWriter(masked=not is_client)
        self._loop = asyncio.get_running_loop()
        self._ping = os.urandom(8)
        self._violation: Violation | None = None
        self.said: Close | None = None
        """The Close frame that it sent."""
        self.told: Close | None = None
        """The Close frame that it was sent; nothing may follow it (RFC 6455 §5.5.1)."""
        self.listening = False
        """We wait for its bytes. Where we do not, because its peer is slow, its silence is ours."""
        self.heard_at = self._loop.time()
        """When it last said anything; the event loop's seconds."""

    @property
    def name(self) -> str:
        """For people."""
        return "client" if self.is_client else "upstream"

    async def receive(self) -> bytes:
        """Its next bytes, which ``batch`` then reads; ``b""`` at its end."""
        self.listening = True
        data = await self.port.read()
        self.listening = False
        self.heard_at = self._loop.time()
        if data:
            self._reader.feed(data)
        return data

    def batch(self, other: "Side") -> tuple[bytes, bool]:
        """What it says, as ``other`` must get it; and whether there may be more of it without ``receive``.

        A read may hold ten thousand small frames; others want their turn too.

        Raises:
            Violation: after everything that was said before it.
        """
        frames: list[bytes] = []
        size = 0
        while len(frames) < _BATCH and size < _BATCH_BYTES:
            frame = self._next()
            if frame is None:
                if self._violation is not None and not frames:
                    raise self._violation
                return b"".join(frames), self._violation is not None
            frames.append(other.encoded(frame))
            size += len(frame.payload)
        return b"".join(frames), True

    def _next(self) -> Frame | None:
        """Its next frame, but for its Close and the answers to our own pings, which are for nobody else."""
        try:
            while self._violation is None and self.said is None and (frame := self._reader.next()) is not None:
                if frame.opcode is Opcode.CLOSE:
                    self.said = Close.read(frame.payload)
                elif frame.opcode is not Opcode.PONG or frame.payload != self._ping:
                    return frame
        except Violation as violation:
            self._violation = violation
        return None

    async def send(self, data: bytes) -> None:
        """Send what ``encoded`` gave; after its Close a side gets nothing more. Raises: as ``Port.write``."""
        if self.told is None:
            await self.port.write(data)

    def encoded(self, frame: Frame) -> bytes:
        """A frame as this side must get it."""
        return self._writer.write(frame)

    def tell(self, close: Close) -> None:
        """Say goodbye, once."""
        if self.told is None:
            self.told = close
            self.port.push(self.encoded(Frame(Opcode.CLOSE, close.payload)))

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self.told is None:
            self.port.push(self.encoded(Frame(Opcode.PING, self._ping)))

    async def farewell(self) -> None:
        """Return when it has said Close, or has ended, or has broken the protocol."""
        while not self._through():
            if not await self.receive():
                return

    def _through(self) -> bool:
        while self._next() is not None:
            pass
        return self.said is not None or self._violation is not None

    async def leave(self, within: float) -> None:
        """Close TCP. A peer that has not said Close may still be sending: it is heard out, or our last words might
        be lost with the reset that closing would cause.
        """
        if self.said is None:
            await self.port.finish(within)
        else:
            self.port.close(within)
            await self.port.closed()

    async def ended(self) -> None:
        """Return at its end."""
        while await self.port.read():
            pass
