"""Which connection serves a request. Everything here is O(1) in the number of connections.

A slot is a number: ``_open`` counts connections from before they are opened to ``gone``. Idle ones are used
last in, first out, so that spare ones age and go; requests wait first in, first out.
"""

import asyncio
from collections import OrderedDict

from gateway.core.errors import Overloaded, UpstreamUnreachable
from gateway.upstream.body import Upload
from gateway.upstream.connection import Connection
from gateway.upstream.dial import dial
from gateway.upstream.settings import UpstreamSettings

_Handover = asyncio.Future[Connection | None]
"""A connection, or None: a slot, already counted, to open one with."""


class Pool:
    """The connections to one upstream."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self._idle: dict[Connection, None] = {}  # used as a stack that also forgets from its middle
        self._waiters: OrderedDict[_Handover, None] = OrderedDict()
        self._open = 0
        self._sockets: set[Connection] = set()
        self._uploads: set[asyncio.Task[None]] = set()
        self._closing = False
        self._quiet: asyncio.Future[None] | None = None

    @property
    def active(self) -> int:
        """Connections in use or being opened."""
        return self._open - len(self._idle)

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiters)

    def pick(self, *, unsafe: bool) -> Connection | None:
        """An idle connection, if there is one that will do; the caller must start an exchange at once.

        An ``unsafe`` request cannot be repeated, so it takes only one that was used just now and whose
        upstream has not closed it (B16).
        """
        while self._idle:
            connection, _ = self._idle.popitem()
            if not connection.usable():
                connection.abort()
            elif unsafe and connection.idle_since + self._settings.unsafe_reuse <= _now():
                self._idle[connection] = None
                return None
            elif unsafe and connection.peer_has_spoken():
                connection.abort()
            else:
                return connection
        return None

    async def acquire(self) -> Connection:
        """A new connection, in place of an idle one at need, or the first that another request lets go.

        Raises:
            Overloaded: too many wait already, or waiting took longer than ``response_timeout``.
            UpstreamUnreachable: it cannot be opened.
        """
        while not self._reserve():
            connection = await self._handover()
            if connection is None:
                break
            if connection.usable():
                return connection
            connection.abort()
        return await self._connect()

    def _reserve(self) -> bool:
        if self._closing:
            raise UpstreamUnreachable
        if self._open >= self._settings.max_connections and self._idle:
            connection, _ = self._idle.popitem()
            connection.abort()
        if self._open >= self._settings.max_connections:
            return False
        self._open += 1
        return True

    async def _handover(self) -> Connection | None:
        if len(self._waiters) >= self._settings.max_waiting:
            raise Overloaded
        loop = asyncio.get_running_loop()
        turn: _Handover = loop.create_future()
        self._waiters[turn] = None
        timer = loop.call_later(self._settings.response_timeout, self._give_up, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._return(turn.result())  # it came while we were being cancelled
            raise
        finally:
            timer.cancel()
            self._waiters.pop(turn, None)

    def _give_up(self, turn: _Handover) -> None:
        if not turn.done():
            turn.set_exception(Overloaded())

    def _return(self, handed: Connection | None) -> None:
        if handed is None:
            self._open -= 1
            self._offer_slot()
        elif not handed.closed:
            self.release(handed)

    async def _connect(self) -> Connection:
        """Open a connection in the slot that was reserved; whatever fails gives it back."""
        connection = Connection(self, self._settings, asyncio.get_running_loop())
        try:
            reached = await dial(connection, self._settings)
        except BaseException:
            connection.abort()
            raise
        if not reached or not connection.usable() or self._closing:
            connection.abort()
            raise UpstreamUnreachable
        # Not before: uvloop calls no connection_lost where a connect was cancelled in its last moment.
        self._sockets.add(connection)
        return connection

    async def close(self) -> None:
        """Abort everything; return when every socket is closed and every upload has ended."""
        self._closing = True
        for turn in self._waiters:
            if not turn.done():
                turn.set_exception(UpstreamUnreachable())
        for connection in list(self._sockets):
            connection.shut()
        if self._sockets:
            self._quiet = asyncio.get_running_loop().create_future()
            await self._quiet
        if self._uploads:
            await asyncio.wait(self._uploads)

    def _next_waiter(self) -> _Handover | None:
        while self._waiters:
            turn, _ = self._waiters.popitem(last=False)
            if not turn.done():
                return turn
        return None

    def _offer_slot(self) -> None:
        if self._open < self._settings.max_connections and (turn := self._next_waiter()) is not None:
            self._open += 1
            turn.set_result(None)

    # What connections report.

    def release(self, connection: Connection) -> None:
        """Free: for the one who has waited longest, or for later."""
        turn = self._next_waiter() if self._waiters else None
        if turn is None:
            self._idle[connection] = None
        else:
            turn.set_result(connection)

    def gone(self, connection: Connection) -> None:
        """Its slot is free."""
        self._idle.pop(connection, None)
        self._open -= 1
        self._offer_slot()

    def lost(self, connection: Connection) -> None:
        """One socket less."""
        self._sockets.discard(connection)
        if not self._sockets and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    def uploading(self, upload: Upload) -> None:
        """Keep the task: the event loop does not."""
        self._uploads.add(upload.task)
        upload.task.add_done_callback(self._uploads.discard)


def _now() -> float:
    return asyncio.get_running_loop().time()
