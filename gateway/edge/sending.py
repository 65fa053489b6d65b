"""Whether a client reads its answer (D2, D4).

What counts is what the client's system has acknowledged: the kernel's send buffer may hold megabytes, so that ours
can stand still while a slow but honest client reads on.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable

from gateway.core.pace import Pace
from gateway.deadline import Deadline

_INT = struct.Struct("i")


class Sending:
    """Looks at one connection's way out, between ``watch`` and ``rest``; costs nothing otherwise."""

    __slots__ = ("_deadline", "_loop", "_pace", "_patience", "_rate", "_stalled", "_transport", "_waiting")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, patience: float, rate: float
    ) -> None:
        """Args: patience, rate: seconds, and bytes a second (``Pace``)."""
        self._transport = transport
        self._loop = loop
        self._patience = patience
        self._rate = rate
        self._deadline: Deadline | None = None
        self._pace: Pace | None = None
        self._waiting = 0
        self._stalled: Callable[[], None] | None = None

    def watch(self, stalled: Callable[[], None]) -> None:
        """From now on the client is expected to read; ``stalled`` is called once if it does not."""
        if self._pace is not None:
            return
        self._stalled = stalled
        self._pace = Pace(self._patience, self._rate)
        self._pace.spent(self._loop.time())
        self._waiting = self.unread()
        self._deadline = Deadline(self._loop, self._look)
        self._deadline.set(self._patience)

    def rest(self) -> None:
        """Nothing is expected of the client."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._pace = None

    def close(self) -> None:
        """The connection is over; who was to be called is let go."""
        self.rest()
        self._stalled = None

    def _look(self) -> None:
        pace, deadline = self._pace, self._deadline
        if pace is None or deadline is None:
            return
        waiting = self.unread()
        pace.moved(max(self._waiting - waiting, 0))
        self._waiting = waiting
        left = pace.spent(self._loop.time())
        if left > 0:
            deadline.set(left)
        elif self._stalled is not None:
            self.rest()
            self._stalled()

    def unread(self) -> int:
        """Bytes written and not acknowledged: ours (of TLS, those not encrypted yet) and the kernel's."""
        ours: int = self._transport.get_write_buffer_size()
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return ours
        try:
            answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, _INT.pack(0))  # Linux: SIOCOUTQ
        except OSError:
            return ours
        return ours + int(_INT.unpack(answer)[0])
