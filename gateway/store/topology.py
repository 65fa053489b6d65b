"""Which server has a record. Here: always the same one; ``sentinels`` and ``cluster`` know the others."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from redis.asyncio.connection import AbstractConnection

from gateway.store.settings import Access, Address
from gateway.store.wire import Server, dial

_LOOKUP = 1.0
"""Seconds for finding out who is who; operations wait for that no longer than they wait for anything."""


class Topology(Protocol):
    """Where commands go. ``call`` raises what ``Server.call`` raises, or ``StoreUnavailable``."""

    clustered: bool
    """Two records may be on two servers."""

    async def call(self, name: str, *command: str | bytes | int) -> Any:
        """Send a command about the record ``name`` to the server that has it."""

    async def listen(self) -> AbstractConnection:
        """A connection of its own to a server that passes on what is published; not yet made."""

    def doubt(self) -> None:
        """A command was not answered in time: look again who is who."""

    async def close(self) -> None:
        """Let go of every connection."""


class Direct:
    """One server."""

    clustered = False

    def __init__(self, address: Address, access: Access) -> None:
        self._address = address
        self._access = access
        self._server = Server(address, access)

    async def call(self, name: str, *command: str | bytes | int) -> Any:  # noqa: ARG002  # it has every record
        """Send a command."""
        return await self._server.call(*command)

    async def listen(self) -> AbstractConnection:
        """To the same server."""
        return dial(self._address, self._access)

    def doubt(self) -> None:
        """There is no other."""

    async def close(self) -> None:
        """Let go of every connection."""
        await self._server.close()


class Lookup:
    """Finds something out in a task that everybody waits for and nobody's impatience ends."""

    def __init__(self, find: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Args: find: writes down what it finds, or does not; it has a second."""
        self._find = find
        self._task: asyncio.Task[None] | None = None

    def start(self) -> "asyncio.Task[None]":
        """The task, a new one unless one is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._bounded())
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._task

    async def wait(self) -> None:
        """Until it has ended. Raises: TimeoutError: it found nothing in its time."""
        await asyncio.shield(self.start())

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _bounded(self) -> None:
        async with asyncio.timeout(_LOOKUP):
            await self._find()
