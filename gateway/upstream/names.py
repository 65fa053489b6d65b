"""The addresses of an upstream's name: one look-up at a time, for all who ask meanwhile (D6).

A look-up cannot be cancelled: it sits in a thread until the resolver gives up. libuv gives two threads to these,
and an endless queue. So while a name server is silent, a look-up for each request would pile up, and be done one by
one when it is well again, before any that somebody still waits for.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Lookup = Callable[[str, int], Awaitable[Sequence[tuple[Any, ...]]]]
"""As ``getaddrinfo``; may raise OSError, and UnicodeError for a name that IDNA refuses."""


class Names:
    """Finds one host's addresses. Keeps nothing: that is the resolver's to do."""

    def __init__(self, host: str, port: int, *, lookup: Lookup | None = None) -> None:
        """Args: lookup: in place of the event loop's own."""
        self._host = host
        self._port = port
        self._literal = [host] if _is_address(host) else []
        self._lookup = lookup or _look_up
        self._task: asyncio.Task[list[str]] | None = None

    async def addresses(self) -> list[str]:
        """In the resolver's order, at least one. Cancelled, it leaves the look-up to the others who wait for it.

        Raises:
            OSError, UnicodeError: they cannot be found.
        """
        if self._literal:
            return self._literal
        task = self._task
        if task is None or task.done():
            task = self._task = asyncio.create_task(self._find())
            task.add_done_callback(_heard)
        return await asyncio.shield(task)

    async def _find(self) -> list[str]:
        found = [entry[4][0] for entry in await self._lookup(self._host, self._port)]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return list(dict.fromkeys(found))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _heard(task: asyncio.Task[list[str]]) -> None:
    """Where everyone has gone, nobody hears of a failure, and the event loop would complain of that."""
    if not task.cancelled():
        task.exception()


async def _look_up(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
