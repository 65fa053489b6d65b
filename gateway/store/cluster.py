"""Redis Cluster: every record has a slot, and every slot is at one of several masters."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, ResponseError

from gateway.core.records import StoreUnavailable
from gateway.store.settings import Access, Address
from gateway.store.topology import Lookup
from gateway.store.wire import Server, connect, converse, dial

_REDIRECTIONS = 3
"""Each costs a round trip, and a slot moves one step at a time."""


class Cluster:
    """Redis Cluster: 16384 slots, each at one of its masters (Redis Cluster specification)."""

    clustered = True

    def __init__(self, seeds: Sequence[Address], access: Access) -> None:
        self._seeds = seeds
        self._access = access
        self._slots: dict[int, Address] = {}
        self._servers: dict[Address, Server] = {}
        self._lookup = Lookup(self._find)

    async def call(self, name: str, *command: str | bytes | int) -> Any:
        """Send a command about the record ``name`` to the master of its slot; follow where that sends us.

        A redirection is no repetition: a server that redirects has done nothing.
        """
        slot = key_slot(name.encode())
        if slot not in self._slots:
            await self._lookup.wait()
        address, asking = self._slots.get(slot), False
        for _ in range(1 + _REDIRECTIONS):
            if address is None:
                break
            try:
                return await self._server(address).call(*command, asking=asking)
            except MovedError as moved:
                address, asking = _named(moved, address), False
                self._slots[slot] = address
                self._lookup.start()
            except AskError as ask:
                address, asking = _named(ask, address), True
            except ResponseError:
                raise
            except Exception:
                self.doubt()
                raise
        raise StoreUnavailable("no server has the slot")

    async def listen(self) -> AbstractConnection:
        """To any: what is published at one is passed on by all."""
        if not self._slots:
            await self._lookup.wait()
        if not self._slots:
            raise StoreUnavailable("no server has the slot")
        return dial(next(iter(self._slots.values())), self._access)

    def doubt(self) -> None:
        """A slot may have another master by now."""
        self._lookup.start()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._lookup.stop()
        for server in self._servers.values():
            await server.close()

    def _server(self, address: Address) -> Server:
        return self._servers.setdefault(address, Server(address, self._access))

    async def _find(self) -> None:
        """The map, from whichever server tells it first; those that it does not name any more are let go."""
        known = dict.fromkeys([*self._slots.values(), *self._seeds])
        asked = [asyncio.create_task(self._ask(address)) for address in known]
        try:
            for answer in asyncio.as_completed(asked):
                found = await answer
                if found:
                    self._slots = found
                    break
        finally:
            for task in asked:
                task.cancel()
            await asyncio.wait(asked)
        for address in self._servers.keys() - set(self._slots.values()):
            await self._servers.pop(address).close()

    async def _ask(self, address: Address) -> dict[int, Address]:
        connection = dial(address, self._access)
        try:
            await connect(connection)
            ranges = await converse(connection, "CLUSTER", "SLOTS")
        except Exception:  # noqa: BLE001  # whatever it is, this server does not help
            return {}
        finally:
            await connection.disconnect(nowait=True)
        found: dict[int, Address] = {}
        for first, last, master, *_replicas in ranges:
            host = master[0].decode() if master[0] else _host(address)
            found.update(dict.fromkeys(range(first, last + 1), (host, int(master[1]))))
        return found


def _named(redirection: AskError, asked: Address) -> Address:
    """An empty host is that of the server which was asked."""
    return (redirection.host or _host(asked), redirection.port)


def _host(address: Address) -> str:
    return address if isinstance(address, str) else address[0]
