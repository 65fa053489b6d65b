"""Hears of a client that leaves while reading from it is paused (B22).

Neither event loop tells: it does not look at a paused socket. So this does, twice a second, while the pause lasts.
"""

import asyncio
import select
from collections.abc import Callable

_INTERVAL = 0.5
"""Seconds; a request of nobody's must end within one."""

_LEFT = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class PausedWatch:
    """Looks at one client's socket between ``paused`` and ``resumed``."""

    __slots__ = ("_gone", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport, gone: Callable[[], None]) -> None:
        """Args: gone: called once when the client has closed its side."""
        self._transport = transport
        self._gone = gone
        self._timer: asyncio.TimerHandle | None = None

    def paused(self) -> None:
        """Reading has stopped."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._look)

    def resumed(self) -> None:
        """Reading goes on, or the connection is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """The connection is over; who was to be called is let go."""
        self.resumed()
        self._gone = _nobody

    def _look(self) -> None:
        self._timer = None
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return
        poll = select.poll()
        poll.register(sock.fileno(), _LEFT)
        if poll.poll(0):
            self._gone()
        else:
            self.paused()


def _nobody() -> None:
    """There is nothing left to tell."""
