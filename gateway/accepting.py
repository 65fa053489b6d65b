"""Lets in all clients that wait, not one in each turn of the event loop.

libuv accepts one connection for a listening socket in a turn, and at a busy gateway a turn takes as long as there
are clients: a thousand that come back at once would wait for seconds, and four thousand for half a minute. So when
the event loop lets one in, others follow it. How many is bounded, so that whoever is served does not wait for them,
but grows with the number of those, so that any crowd is inside within some dozens of turns.
"""

import asyncio
import socket
from collections.abc import Callable, Collection
from typing import Any

AT_LEAST = 64
"""Clients that may follow one, however few are connected."""
SHARE = 4
"""And one more for each so many that are."""


class Accepting:
    """One listening socket's clients."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        connected: Collection[object],
        *,
        most: int = 0,
        **tls: Any,
    ) -> None:
        """Args:
        sock: bound.
        protocol: makes a connection's.
        connected: those that there are.
        most: beyond so many connections the event loop is left to itself; 0: any number. One that is refused holds
            a descriptor for a moment: so it is one at a time (B27).
        tls: as ``create_server`` has it.
        """
        sock.setblocking(False)
        self._sock = sock
        self._protocol = protocol
        self._connected = connected
        self._most = most
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()

    async def listen(self, backlog: int) -> asyncio.Server:
        """Let clients in until the server that this returns is closed."""
        return await self._loop.create_server(self._let_in, sock=self._sock, backlog=backlog, **self._tls)

    def _let_in(self) -> asyncio.Protocol:
        """For the client that the event loop has let in."""
        for _ in range(self._room()):
            try:
                client, _address = self._sock.accept()
            except OSError:  # nobody waits, or there is no descriptor left, which the event loop deals with
                break
            task = self._loop.create_task(self._connect(client))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        return self._protocol()

    def _room(self) -> int:
        connected = len(self._connected)
        room = AT_LEAST + connected // SHARE
        return min(room, self._most - connected - len(self._connecting) - 1) if self._most else room

    async def _connect(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, client, **self._tls)
        except OSError:  # it has left, or its handshake failed
            client.close()
