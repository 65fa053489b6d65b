"""What a shared store needs of a server: a few operations on opaque bytes, each of them atomic.

An engine seals nothing, retries nothing, and has no clock of its own that a caller could see: spans go in as
seconds, and ages come out by the server's time. Each operation raises ``StoreUnavailable`` where the server did not
do it, or did not say so in time.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.records import Acquired, Busy

Claims = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A value, its generation, and what was claimed of it."""

    value: bytes = field(repr=False)
    version: int
    claims: Claims = ()
    """(number, Unix seconds), numbers growing."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A link and the record that it leads to."""

    target: str
    number: int
    record: Record
    time: float
    """Unix seconds, by the server's clock: that of its claims."""
    mark: bytes = b""
    """What the link was given."""


class Engine(Protocol):
    """One server, or several that act as one. Names are whole: what is in their braces decides where they are kept
    (Redis Cluster specification, hash tags), and all names given to one operation have the same there, but for the
    target of a link.
    """

    async def read(self, name: str) -> Record | None:
        """The living record, or None."""

    async def write(
        self,
        name: str,
        value: bytes,
        ttl: float,
        *,
        expected: int | None = None,
        new: bool = False,
        claims: Claims | None = None,
    ) -> bool:
        """Write for ``ttl`` seconds, over version ``expected`` only, or only where nothing is. False: it was not.

        Each write has a version that the record never had before, also when it was gone in between. ``claims``
        replaces those that are noted; None leaves them.
        """

    async def erase(self, name: str, version: int | None = None) -> None:
        """Forget the record, where it still has this version (None: any)."""

    async def link(
        self, name: str, target: str, number: int, ttl: float, *, mark: bytes = b"", new: bool = False
    ) -> bool:
        """``name`` leads to the record ``target``, as its number ``number``; with a mark to be known again by.
        ``new``: unless it leads to another one already; then False.
        """

    async def follow(self, name: str) -> Followed | None:
        """Where the link leads. None: there is no such link, or nothing at its end."""

    async def claim(self, name: str) -> None:
        """Note (number of the link, the server's time) on the record at its end, which gets a new version; unless
        its number is 0, or that number or a higher one is noted already.
        """

    async def acquire(self, lease: str, intent: str, owner: str, ttl: float, *, settling: float) -> Acquired | Busy:
        """Take the lease where nobody has it, and read the intent.

        For ``settling`` seconds after the server has lost, or may have lost, what it held (a restart, a failover,
        an emptied database) nobody gets one: who holds a lease is to renew it first. ``Busy.wait`` says how long.
        """

    async def holder(self, lease: str) -> str | None:
        """Who has the lease."""

    async def renew(
        self, lease: str, intent: str, owner: str, ttl: float, *, announced: float | None = None, kept: float = 0.0
    ) -> bool:
        """Hold it for ``ttl`` seconds from now, also where it has vanished. False: another has it.

        ``announced``: seconds since the owner's intent was written, where it was. One that has vanished with the
        lease is written again with that age, for ``kept`` seconds.
        """

    async def release(self, lease: str, owner: str, channel: str) -> None:
        """Give it back where it is this owner's, and publish something on ``channel`` in any case."""

    async def intend(self, lease: str, intent: str, owner: str, ttl: float) -> bool:
        """Write the intent, with the server's time. False, and nothing written: the lease is not this owner's."""

    async def resolve(self, intent: str, owner: str, *, lost: bool) -> None:
        """Delete this owner's intent; ``lost``: mark it as ended."""

    def news(self, channel: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set when something is published on ``channel``, and when something may have been missed.
        Raises nothing: with the server away it stays silent.
        """

    async def close(self) -> None:
        """Let go of every connection."""
