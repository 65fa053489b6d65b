"""Who waits for which news: one connection that is subscribed to what somebody here waits for.

Publishing is for speed only: nothing that is missed is ever sent again. So whoever waits is woken also when a
subscription begins, or begins again on a new connection: what happened before that nobody has told.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Never

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoPermissionError

from gateway.store.topology import Topology
from gateway.store.wire import connect

_PAUSES = (0.1, 0.25, 0.5, 1.0)
"""Seconds between attempts to connect, on average."""
_REFUSED = 30.0
"""Seconds until we try again what we may not do, on average: somebody has to change the server's ACL."""
_CONNECTING = 1.0
"""Seconds."""
_HEARTBEAT = 5.0
"""Seconds between two PINGs; after twice that without a word the connection is dead."""


class News:
    """The channels that somebody waits for."""

    def __init__(
        self,
        topology: Topology,
        *,
        rest: Callable[[], float] = random.random,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        """Args: rest: a random number from 0 to 1; refused: hears that we may not subscribe."""
        self._topology = topology
        self._rest = rest
        self._refused = refused
        self._waiting: dict[bytes, set[asyncio.Event]] = {}
        self._wanted = asyncio.Event()
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(self, channel: str) -> AsyncIterator[asyncio.Event]:
        """The event of one who waits for ``channel``."""
        name, event = channel.encode(), asyncio.Event()
        if name not in self._waiting:
            self._waiting[name] = set()
            self._tell("SUBSCRIBE", name)
        self._waiting[name].add(event)
        self._start()
        try:
            yield event
        finally:
            waiting = self._waiting[name]
            waiting.discard(event)
            if not waiting:
                del self._waiting[name]
                self._tell("UNSUBSCRIBE", name)

    async def close(self) -> None:
        """Hear nothing more."""
        tasks = {*self._telling, *([self._task] if self._task is not None else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self) -> None:
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        """Connected from when somebody waits; where that breaks while somebody does, again."""
        attempt = 0
        while True:
            if not self._waiting:
                self._wanted.clear()
            await self._wanted.wait()
            try:
                attempt = 0 if await self._hear() else attempt + 1
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
            except NoPermissionError:
                self._refused()
                pause = _REFUSED
            await asyncio.sleep(pause * (0.5 + self._rest()))

    async def _hear(self) -> bool:
        """Until the connection ends. True: there was one. Why it ended nobody needs to know: waiters poll too, and
        their commands fail for the same reason.

        Raises:
            NoPermissionError: we may not subscribe, which reconnecting does not mend.
        """
        connection = None
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CONNECTING):
                connection = await self._topology.listen()
                await connect(connection)
        if connection is None or not connection.is_connected:
            return False
        self._connection = connection
        beating = asyncio.create_task(self._beat(connection))
        try:
            await self._read(connection)
        except NoPermissionError:
            raise
        except Exception:  # noqa: BLE001  # whatever ended it
            return True
        finally:
            self._connection = None
            beating.cancel()
            await connection.disconnect(nowait=True)

    async def _read(self, connection: AbstractConnection) -> Never:
        if self._waiting:
            await connection.send_command("SUBSCRIBE", *self._waiting, check_health=False)
        while True:
            async with asyncio.timeout(2 * _HEARTBEAT):
                message = await connection.read_response()
            if isinstance(message, list):
                self._told(message)

    async def _beat(self, connection: AbstractConnection) -> None:
        """The answers keep ``_read`` from taking the connection for dead."""
        while True:
            await asyncio.sleep(_HEARTBEAT)
            await self._send(connection, "PING")

    def _told(self, message: list[bytes]) -> None:
        kind, channel = message[0], message[1]
        if kind in (b"message", b"subscribe"):
            for event in self._waiting.get(channel, ()):
                event.set()

    def _tell(self, command: str, channel: bytes) -> None:
        """Beside whoever waits: with no connection, or a broken one, ``_hear`` subscribes anew."""
        if self._connection is not None:
            task = asyncio.create_task(self._send(self._connection, command, channel))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _send(self, connection: AbstractConnection, *command: str | bytes) -> None:
        """redis-py would connect anew one that is closed, and nobody would listen to it."""
        if not connection.is_connected:
            return
        try:
            async with asyncio.timeout(_CONNECTING):
                await connection.send_command(*command, check_health=False)
        except Exception:  # noqa: BLE001  # the listener notices too, and connects anew
            await connection.disconnect(nowait=True)
