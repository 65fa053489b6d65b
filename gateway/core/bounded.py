"""Dictionaries that cannot grow without end (D6)."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(OrderedDict[K, V], Generic[K, V]):
    """Holds at most ``limit`` entries; the one written first goes first.

    Eviction is by age, not by use, so that reading writes nothing. An OrderedDict, because taking the first
    entry of a plain dict again and again is linear in what was deleted before.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)


class Learnt(dict[K, V], Generic[K, V]):
    """What can be found out again at any time. Holds at most ``limit`` entries; full, it forgets them all.

    Write with ``learn`` only.
    """

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def learn(self, key: K, value: V) -> None:
        """Remember this."""
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
