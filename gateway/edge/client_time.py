"""How long a client may take, whatever it is doing just now (D2).

- A head: ``header_timeout``, from the connection's beginning or from the head's first byte.
- A body: ``Pace``, while we are willing to read it.
- Between two requests: ``idle_timeout``.
- The rest of a request that is answered already: ``linger``.
- Our own turn: nothing here; the upstream's and the authorization server's limits hold.

How long it may leave an answer unread is ``sending``'s.
"""

import asyncio
from collections.abc import Callable

from gateway.core.pace import Pace
from gateway.deadline import Deadline
from gateway.edge.listener import ListenerSettings


class ClientTime:
    """One connection's clock: calls ``late`` when the client has taken too long."""

    __slots__ = ("_deadline", "_in_head", "_loop", "_pace", "_settings")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: ListenerSettings, late: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._deadline = Deadline(loop, late)
        self._in_head = False
        self._pace: Pace | None = None

    def end(self) -> None:
        """The connection is over, or on its way there."""
        self._deadline.close()

    def head(self) -> None:
        """The client is to send a head; its time runs from the first call on."""
        if not self._in_head:
            self._in_head = True
            self._deadline.set(self._settings.header_timeout)

    def ours(self) -> None:
        """It is not the client's turn."""
        self._in_head = False
        self._pace = None
        self._deadline.clear()

    def rest(self) -> None:
        """Between two requests."""
        self._in_head = False
        self._deadline.set(self._settings.idle_timeout)

    def discarding(self) -> None:
        """The rest of a request is read and dropped: for so long, whatever its pace."""
        self._pace = None
        self._deadline.set(self._settings.linger)

    def moved(self, size: int) -> None:
        """So many bytes came."""
        if self._pace is not None:
            self._pace.moved(size)

    def body(self, *, willing: bool) -> None:
        """A body is under way; ``willing``: we would read more of it."""
        self._in_head = False
        pace = self._pace
        if pace is None:
            pace = self._pace = Pace(self._settings.body_timeout, self._settings.min_data_rate)
        now = self._loop.time()
        if willing:
            self._deadline.set(pace.spent(now))
        else:
            pace.stop(now)
            self._deadline.clear()
