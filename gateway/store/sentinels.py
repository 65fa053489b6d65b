"""The master of a service, as Redis Sentinels name it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ReadOnlyError, ResponseError

from gateway.core.records import StoreUnavailable
from gateway.store.settings import Access, Address
from gateway.store.topology import Lookup
from gateway.store.wire import Server, connect, converse, dial

_PATIENCE = 0.1
"""Seconds that a command waits for a look at who is master, where one is known: with all Sentinels away that one
must still be asked within a command's time."""


class Sentinels:
    """The master of a service, as Sentinels name it (Redis documentation, "Guidelines for Redis clients")."""

    clustered = False

    def __init__(self, sentinels: Sequence[Address], service: str, access: Access, sentinel: Access) -> None:
        """Args: access: to the master; sentinel: to the Sentinels themselves."""
        self._sentinels = sentinels
        self._service = service
        self._access = access
        self._sentinel = sentinel
        self._master: Server | None = None
        self._doubtful = False
        self._lookup = Lookup(self._find)

    async def call(self, name: str, *command: str | bytes | int) -> Any:  # noqa: ARG002  # it has every record
        """Send a command to the master."""
        server = await self._current()
        try:
            return await server.call(*command)
        except ResponseError as error:
            if isinstance(error, ReadOnlyError):  # what was the master is a replica now
                self.doubt()
            raise
        except Exception:
            self.doubt()
            raise

    async def listen(self) -> AbstractConnection:
        """To the master."""
        return dial((await self._current()).address, self._access)

    def doubt(self) -> None:
        """The master may be another one by now."""
        self._doubtful = True

    async def close(self) -> None:
        """Let go of every connection."""
        await self._lookup.stop()
        if self._master is not None:
            await self._master.close()

    async def _current(self) -> Server:
        if self._master is None:
            await self._lookup.wait()
        elif self._doubtful:
            await asyncio.wait({self._lookup.start()}, timeout=_PATIENCE)
        if self._master is None:
            raise StoreUnavailable("no Sentinel names a master")
        return self._master

    async def _find(self) -> None:
        """All are asked at once: one that hangs must not cost a failover its time. The first answer counts, and
        ``ROLE`` tells on each new connection whether it was out of date.
        """
        asked = [asyncio.create_task(self._ask(address)) for address in self._sentinels]
        try:
            for answer in asyncio.as_completed(asked):
                found = await answer
                if found is not None:
                    await self._go_to(found)
                    return
        finally:
            for task in asked:
                task.cancel()
            await asyncio.wait(asked)

    async def _ask(self, address: Address) -> Address | None:
        connection = dial(address, self._sentinel)
        try:
            await connect(connection)
            found = await converse(connection, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        except Exception:  # noqa: BLE001  # whatever it is, this Sentinel does not help
            return None
        finally:
            await connection.disconnect(nowait=True)
        return (found[0].decode(), int(found[1])) if found else None

    async def _go_to(self, address: Address) -> None:
        self._doubtful = False
        if self._master is not None and self._master.address == address:
            return
        earlier, self._master = self._master, Server(address, self._access, master=True)
        if earlier is not None:
            await earlier.close()
