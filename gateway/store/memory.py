"""The store of one process: bounded, with lifetimes, and with the compare-and-swap that a shared one has.

A restart forgets it. Nothing in it is sealed, because it never leaves the process's memory.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from gateway.core.bounded import Bounded
from gateway.core.records import Acquired, Busy, Entry, FamilyRecord, Intent

_FREE = Acquired()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A family and the claims on it, which a write may leave as they are."""

    entry: Entry
    claims: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class _Intent:
    owner: str
    at: float
    ended: bool = False


class MemoryStore:
    """Implements the refresher's ``Store`` and ``Leases`` ports.

    Each kind of record has its own room for ``limit`` entries, so that a flood of one kind cannot push out
    another; within a kind the oldest goes first.

    A lease is granted to whoever asks: in one process flights see to it that only one does.
    """

    shared = False
    """No other process asks for these leases."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        """Args: limit: entries for each kind; clock: monotonic seconds."""
        self._limit = limit
        self._clock = clock
        self._kinds: dict[str, Bounded[str, tuple[Any, float]]] = {}
        self._version = 0

    def __len__(self) -> int:
        return sum(len(room) for room in self._kinds.values())

    async def get(self, kind: str, key: str) -> Entry | None:
        """The living entry under ``key``, or None."""
        entry: Entry | None = self._living(kind, key)
        return entry

    async def put(
        self, kind: str, key: str, value: bytes, ttl: float, *, expected: int | None = None, new: bool = False
    ) -> bool:
        """Write ``value`` for ``ttl`` seconds; False where the condition fails.

        Args:
            kind: the room.
            key: the record's name.
            value: what to keep.
            ttl: seconds until it is gone.
            expected: write only over this version.
            new: write only where nothing is.
        """
        standing: Entry | None = self._living(kind, key)
        if not _may_write(standing, expected, new=new):
            return False
        self._keep(kind, key, Entry(value, self._next()), ttl)
        return True

    async def delete(self, kind: str, key: str) -> None:
        """Forget the entry."""
        self._room(kind).pop(key, None)

    async def family(self, key: str) -> FamilyRecord | None:
        """The family of the refresh token under ``key``; None: it is in none that lives."""
        link: tuple[str, int] | None = self._living("member", key)
        if link is None:
            return None
        name, number = link
        kept: _Kept | None = self._living("family", name)
        if kept is None:
            return None
        return FamilyRecord(name, number, kept.entry.value, kept.entry.version, kept.claims)

    async def peek(self, name: str) -> FamilyRecord | None:
        """The family of that name, seen from none of its tokens."""
        kept: _Kept | None = self._living("family", name)
        return None if kept is None else FamilyRecord(name, 0, kept.entry.value, kept.entry.version, kept.claims)

    async def claim(self, key: str, now: float) -> None:
        """Note that the client has the refresh token under ``key``, unless it or a later one was noted before.

        ``now``: Unix seconds. What is noted changes the family's version.
        """
        link: tuple[str, int] | None = self._living("member", key)
        if link is None:
            return
        name, number = link
        kept: _Kept | None = self._living("family", name)
        if kept is None or number <= 0 or any(number <= claimed for claimed, _ in kept.claims):
            return
        entry = replace(kept.entry, version=self._next())
        _, ends = self._room("family")[name]
        self._room("family")[name] = _Kept(entry, (*kept.claims, (number, now))), ends

    async def put_family(
        self,
        name: str,
        value: bytes,
        ttl: float,
        *,
        expected: int | None,
        claims: tuple[tuple[int, float], ...] | None = None,
    ) -> bool:
        """Write the family over version ``expected``; None: only where nothing is. False: it was not so.

        Args:
            name: the family's own.
            value: its newest tokens.
            ttl: seconds until it is gone.
            expected: the version that was read.
            claims: these are noted from now on, and no others. None: those that are noted stay.
        """
        kept: _Kept | None = self._living("family", name)
        if not _may_write(None if kept is None else kept.entry, expected, new=expected is None):
            return False
        if claims is None:
            claims = kept.claims if kept is not None else ()
        self._keep("family", name, _Kept(Entry(value, self._next()), claims), ttl)
        return True

    async def enrol(self, key: str, name: str, number: int, ttl: float, *, new: bool = False) -> bool:
        """The refresh token under ``key`` is number ``number`` of the family ``name``, for ``ttl`` seconds."""
        there: tuple[str, int] | None = self._living("member", key) if new else None
        if there is not None and there[0] != name:
            return False
        self._keep("member", key, (name, number), ttl)
        return True

    async def acquire(self, key: str, owner: str, ttl: float) -> Acquired | Busy:  # noqa: ARG002  # the port's
        """Always granted, with the intent that an earlier flight has left."""
        found: _Intent | None = self._living("intent", key)
        if found is None:
            return _FREE
        return Acquired(Intent(found.owner, self._clock() - found.at, found.ended))

    async def holder(self, key: str) -> str | None:  # noqa: ARG002  # the port's
        """Nobody has it for longer than its own flight."""
        return None

    async def renew(
        self,
        key: str,  # noqa: ARG002  # the port's, as all of them
        owner: str,  # noqa: ARG002
        ttl: float,  # noqa: ARG002
        *,
        announced: float | None = None,  # noqa: ARG002
        kept: float = 0.0,  # noqa: ARG002
    ) -> bool:
        """Nobody takes it away."""
        return True

    async def release(self, key: str, owner: str) -> None:
        """Nobody waits for it."""

    async def intend(self, key: str, owner: str, ttl: float) -> bool:
        """``owner`` presents the token under ``key``; kept for ``ttl`` seconds."""
        self._keep("intent", key, _Intent(owner, self._clock()), ttl)
        return True

    async def resolve(self, key: str, owner: str, *, lost: bool) -> None:
        """The presentation of ``owner`` is over; where its answer was ``lost``, the intent stays, as ended."""
        found: _Intent | None = self._living("intent", key)
        if found is None or found.owner != owner:
            return
        if not lost:
            await self.delete("intent", key)
            return
        _, ends = self._room("intent")[key]
        self._room("intent")[key] = replace(found, ended=True), ends

    def news(self, key: str) -> AbstractAsyncContextManager[asyncio.Event]:  # noqa: ARG002  # the port's
        """No other process has any."""
        return nullcontext(asyncio.Event())

    async def close(self) -> None:
        """It holds nothing open."""

    def _next(self) -> int:
        self._version += 1
        return self._version

    def _room(self, kind: str) -> Bounded[str, tuple[Any, float]]:
        return self._kinds.setdefault(kind, Bounded(self._limit))

    def _living(self, kind: str, key: str) -> Any:
        room = self._room(kind)
        found = room.get(key)
        if found is None:
            return None
        value, ends = found
        if ends <= self._clock():
            del room[key]
            return None
        return value

    def _keep(self, kind: str, key: str, value: object, ttl: float) -> None:
        room = self._room(kind)
        self._sweep(room)
        room[key] = value, self._clock() + ttl

    def _sweep(self, room: Bounded[str, tuple[Any, float]]) -> None:
        """Two of the oldest go for each that comes, where they have expired: the dead leave without a timer."""
        now = self._clock()
        for _ in range(2):
            oldest = next(iter(room.values()), None)
            if oldest is None or oldest[1] > now:
                return
            room.popitem(last=False)


def _may_write(standing: Entry | None, expected: int | None, *, new: bool) -> bool:
    if new and standing is not None:
        return False
    return expected is None or (standing is not None and standing.version == expected)
