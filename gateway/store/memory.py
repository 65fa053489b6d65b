"""The store of one process: bounded, with lifetimes, and with the compare-and-swap that a shared one has.

A restart forgets it. Nothing in it is sealed, because it never leaves the process's memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.bounded import Bounded


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and its generation, which every write changes."""

    value: bytes
    version: int


class MemoryStore:
    """Implements the refresher's ``Store`` port.

    Each kind of record has its own room for ``limit`` entries, so that a flood of one kind cannot push out
    another; within a kind the oldest goes first.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        """Args: limit: entries for each kind; clock: monotonic seconds."""
        self._limit = limit
        self._clock = clock
        self._kinds: dict[str, Bounded[str, tuple[Entry, float]]] = {}
        self._version = 0

    def __len__(self) -> int:
        return sum(len(room) for room in self._kinds.values())

    async def get(self, kind: str, key: str) -> Entry | None:
        """The living entry under ``key``, or None."""
        return self._living(self._room(kind), key)

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
        room = self._room(kind)
        standing = self._living(room, key)
        if new and standing is not None:
            return False
        if expected is not None and (standing is None or standing.version != expected):
            return False
        self._version += 1
        self._sweep(room)
        room[key] = Entry(value, self._version), self._clock() + ttl
        return True

    async def delete(self, kind: str, key: str) -> None:
        """Forget the entry."""
        self._room(kind).pop(key, None)

    def _room(self, kind: str) -> Bounded[str, tuple[Entry, float]]:
        return self._kinds.setdefault(kind, Bounded(self._limit))

    def _living(self, room: Bounded[str, tuple[Entry, float]], key: str) -> Entry | None:
        found = room.get(key)
        if found is None:
            return None
        entry, ends = found
        if ends <= self._clock():
            del room[key]
            return None
        return entry

    def _sweep(self, room: Bounded[str, tuple[Entry, float]]) -> None:
        """Two of the oldest go for each that comes, where they have expired: the dead leave without a timer."""
        now = self._clock()
        for _ in range(2):
            oldest = next(iter(room.values()), None)
            if oldest is None or oldest[1] > now:
                return
            room.popitem(last=False)
