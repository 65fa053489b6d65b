"""The client's transport: held back, drained, closed and cut as a proxy must (RFC 9112 §9).

Closing lingers (RFC 9112 §9.6): a socket that is closed with bytes unread resets its connection, and the reset
takes the last answer away from a client that has not read it yet. So our side is shut first, and the client's is
read, and dropped, until it ends or has had its time.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

from gateway.edge.paused import PausedWatch
from gateway.edge.sending import Sending

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST."""
_SILENCE = 5.0
"""Seconds without a byte that end lingering early, as nginx's ``lingering_timeout``."""


class ClientTransport:
    """One client's, from its connection to its end."""

    __slots__ = (
        "_drained",
        "_heard",
        "_lingering",
        "_loop",
        "_sending",
        "_transport",
        "_until",
        "_watch",
        "closing",
        "on_room",
        "paused",
        "write",
        "write_paused",
    )

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, sending: Sending) -> None:
        """Args: sending: watches whether the client reads."""
        self._transport = transport
        self._loop = loop
        self._sending = sending
        self._until = 0.0
        self._heard = False
        self._watch = PausedWatch(transport, self._stalled)
        self._lingering: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self.write: Callable[[bytes], None] = transport.write
        self.paused = False
        """Nothing more is read for now."""
        self.write_paused = False
        """The client reads more slowly than we write."""
        self.closing = False
        """Nothing more is to be written."""
        self.on_room: Callable[[], None] | None = None
        """Called once, when there is room again."""

    def hold_back(self) -> None:
        """Read no more for now, but notice a client that leaves (B22)."""
        if not self.paused and not self.closing:
            self.paused = True
            self._transport.pause_reading()
            self._watch.paused()

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            self._watch.resumed()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def pause_writing(self) -> None:
        """The event loop says that enough waits to be written."""
        self.write_paused = True
        self._sending.watch(self._stalled)

    def resume_writing(self) -> None:
        """There is room again."""
        self.write_paused = False
        if not self.closing:
            self._sending.rest()
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None
        on_room, self.on_room = self.on_room, None
        if on_room is not None:
            on_room()

    async def drain(self) -> None:
        """Until the client has taken some of what waits for it, or has left."""
        if self._drained is None:
            self._drained = self._loop.create_future()
        await asyncio.shield(self._drained)

    def close(self, *, linger: float | None = None) -> None:
        """Close once everything is written.

        Args:
            linger: the client may still be sending: read on, for so many seconds at most.
        """
        if self.closing:
            return
        self.closing = True
        transport = self._transport
        self._sending.watch(self._stalled)
        if linger is None or transport.is_closing():
            transport.close()
            return
        self._until = self._loop.time() + linger
        self.resume()
        if transport.can_write_eof():  # TLS cannot; there the client has to go by the answer's own end
            with contextlib.suppress(OSError):  # the client has reset the connection; asyncio's own loop says so
                transport.write_eof()
        self._lingering = self._loop.call_later(min(linger, _SILENCE), self._end)

    def heard(self) -> None:
        """The client still sends, after our side was shut."""
        self._heard = True

    def _end(self) -> None:
        """Unless the client still sends, or reads its answer: how long that may take, ``Sending`` says."""
        left = self._until - self._loop.time()
        unread = self._sending.unread() > 0
        if unread or (self._heard and left > 0):
            self._heard = False
            self._lingering = self._loop.call_later(_SILENCE if unread else min(left, _SILENCE), self._end)
        else:
            self._transport.abort()

    def _stalled(self) -> None:
        """The client does not read its answer, or left while we did not read."""
        self.cut(reset=True)

    def cut(self, *, reset: bool) -> None:
        """Close at once; ``reset``: with RST, where a plain end would look like the end of the body."""
        sock = self._transport.get_extra_info("socket")
        if reset and sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def let_go(self) -> asyncio.Transport:
        """The connection is over, or somebody else's."""
        self.closing = True
        self.on_room = None
        self._sending.close()
        self._watch.close()
        if self._lingering is not None:
            self._lingering.cancel()
        self.resume_writing()
        return self._transport
