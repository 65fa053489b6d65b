"""Which connection serves a request. Everything here is O(1) in the number of connections.

A place is a connection that serves a request or is being opened for one, from before it is opened to ``release``
or ``gone``; idle connections hold none. Idle ones are used last in, first out, so that spare ones age and go;
who waits for a place is ``lanes``' affair.
"""

import asyncio

from gateway.core.errors import Overloaded, UpstreamUnreachable
from gateway.upstream.body import Upload
from gateway.upstream.connection import Connection
from gateway.upstream.dial import dial
from gateway.upstream.heads import Heads
from gateway.upstream.lanes import Lane, Lanes
from gateway.upstream.names import Names
from gateway.upstream.settings import UpstreamSettings

_Handed = Connection | None
"""A connection, or None: a place, already counted, to open one in."""


class Pool:
    """The connections to one upstream."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self._names = Names(settings.host, settings.port)
        self._idle: dict[Connection, None] = {}  # used as a stack that also forgets from its middle
        self._lanes: Lanes[_Handed] = Lanes(settings.max_connections, settings.max_waiting, settings.lanes)
        self.heads = Heads()
        self._sockets: set[Connection] = set()
        self._uploads: set[asyncio.Task[None]] = set()
        self._closing = False
        self._quiet: asyncio.Future[None] | None = None

    @property
    def active(self) -> int:
        """Connections in use or being opened."""
        return self._lanes.taken

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return self._lanes.waiting

    def pick(self, number: int = 0, *, unsafe: bool) -> Connection | None:
        """An idle connection for this lane, if there is one that will do; start an exchange on it at once.

        An ``unsafe`` request cannot be repeated, so it takes only one that was used just now and whose
        upstream has not closed it (B16).
        """
        if not self._idle:
            return None
        lane = self._lanes[number]
        if not self._lanes.enter(lane):
            return None
        connection = self._pop(unsafe=unsafe)
        if connection is None:
            self._lanes.give(lane)
        else:
            connection.lane = lane
        return connection

    def _pop(self, *, unsafe: bool) -> Connection | None:
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

    async def acquire(self, number: int = 0) -> Connection:
        """A new connection, in place of an idle one at need, or the first that another request lets go.

        Raises:
            Overloaded: too many wait already, or waiting took longer than ``response_timeout``, or the system
                has no descriptors or ports left.
            UpstreamUnreachable: it cannot be opened.
        """
        lane = self._lanes[number]
        while not self._enter(lane):
            connection = await self._handover(lane)
            if connection is None:
                break
            if connection.usable():
                return connection
            connection.abort()
        return await self._connect(lane)

    def _enter(self, lane: Lane[_Handed]) -> bool:
        if self._closing:
            raise UpstreamUnreachable
        return self._lanes.enter(lane)

    async def _handover(self, lane: Lane[_Handed]) -> _Handed:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[_Handed] = loop.create_future()
        self._lanes.queue(lane, turn)
        timer = loop.call_later(self._settings.response_timeout, self._give_up, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._return(lane, turn.result())  # it came while we were being cancelled
            raise
        finally:
            timer.cancel()
            self._lanes.unqueue(lane, turn)

    def _give_up(self, turn: asyncio.Future[_Handed]) -> None:
        if not turn.done():
            turn.set_exception(Overloaded())

    def _return(self, lane: Lane[_Handed], handed: _Handed) -> None:
        if handed is None:
            self._free(lane)
        elif not handed.closed:
            self.release(handed)

    async def _connect(self, lane: Lane[_Handed]) -> Connection:
        """Open a connection in the place that was taken; whatever fails gives it back."""
        if len(self._idle) + self.active > self._settings.max_connections:
            spare, _ = self._idle.popitem()
            spare.abort()
        connection = Connection(self, self._settings, asyncio.get_running_loop())
        connection.lane = lane
        try:
            reached = await dial(connection, self._settings, self._names)
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
        for turn in self._lanes.everybody():
            if not turn.done():
                turn.set_exception(UpstreamUnreachable())
        for connection in list(self._sockets):
            connection.shut()
        if self._sockets:
            self._quiet = asyncio.get_running_loop().create_future()
            await self._quiet
        if self._uploads:
            await asyncio.wait(self._uploads)

    def _free(self, lane: Lane[_Handed], connection: _Handed = None) -> None:
        """A place back, and on to whoever may have it: with the connection in it, or to open one."""
        self._lanes.give(lane)
        following = self._lanes.next()
        if following is not None:
            lane, turn = following
            if connection is not None:
                connection.lane = lane
            turn.set_result(connection)
        elif connection is not None:
            self._idle[connection] = None

    # What connections report.

    def release(self, connection: Connection) -> None:
        """Free: for another request that waits, or for later."""
        lane, connection.lane = connection.lane, None
        if lane is not None:
            self._free(lane, connection)

    def gone(self, connection: Connection) -> None:
        """Its place is free, if it held one."""
        lane, connection.lane = connection.lane, None
        if lane is not None:
            self._free(lane)
        else:
            self._idle.pop(connection, None)

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
