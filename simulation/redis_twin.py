"""What a Redis server does with the engine's commands, in Python: the twin of ``gateway.store.scripts``.

tests/simulation holds it against a real server.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.core.records import Acquired, Busy, Intent
from gateway.store.engine import Claims, Followed, Record


@dataclass(slots=True)
class _Kept:
    ends: float


K = TypeVar("K", bound=_Kept)


@dataclass(slots=True)
class _Record(_Kept):
    value: bytes
    version: int
    claims: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Link(_Kept):
    target: str
    number: int
    mark: bytes


@dataclass(slots=True)
class _Lease(_Kept):
    owner: str


@dataclass(slots=True)
class _Intent(_Kept):
    owner: str
    at: float
    ended: bool


class RedisTwin:
    """The data of one server. Every operation is one step."""

    def __init__(self, clock: Callable[[], float], *, age: float | None = None) -> None:
        """Args: clock: Unix seconds, the server's own; age: for how many seconds an empty one runs already. None:
        it has been in use for so long that all leases have settled.
        """
        self._clock = clock
        self._started = clock() - (age or 0.0)
        self._run = 0
        self._epoch: tuple[int, float] | None = (0, self._started) if age is None else None
        """The run that last gave out leases, and until when it gives out none."""
        self._records: dict[str, _Record] = {}
        self._links: dict[str, _Link] = {}
        self._leases: dict[str, _Lease] = {}
        self._intents: dict[str, _Intent] = {}

    def empty(self) -> None:
        """FLUSHALL."""
        self._epoch = None
        for kept in (self._records, self._links, self._leases, self._intents):
            kept.clear()

    def restart(self) -> None:
        """Another process takes over, and has nothing."""
        self.empty()
        self._run += 1
        self._started = self._clock()

    def read(self, name: str) -> Record | None:
        """HMGET."""
        found = self._record(name)
        return None if found is None else Record(found.value, found.version)

    def write(
        self, name: str, value: bytes, ttl: float, *, expected: int | None, new: bool, claims: Claims | None
    ) -> bool:
        """``scripts.WRITE``."""
        found, now = self._record(name), self._clock()
        if new:
            if found is not None:
                return False
        elif expected is not None and (found is None or found.version != expected):
            return False
        if found is None:
            self._records[name] = _Record(now + ttl, value, round(now * 1e6), dict(claims or ()))
            return True
        found.value, found.version, found.ends = value, found.version + 1, now + ttl
        if claims is not None:
            found.claims = dict(claims)
        return True

    def erase(self, name: str, version: int | None) -> None:
        """DEL, or ``scripts.ERASE``."""
        if version is None:
            self._links.pop(name, None)
        found = self._record(name)
        if found is not None and version in (None, found.version):
            del self._records[name]

    def link(self, name: str, target: str, number: int, ttl: float, *, mark: bytes, new: bool) -> bool:
        """``scripts.LINK``."""
        there = self._living(self._links, name)
        if new and there is not None and there.target != target:
            return False
        self._links[name] = _Link(self._clock() + ttl, target, number, mark)
        return True

    def follow(self, name: str) -> Followed | None:
        """``scripts.FOLLOW``."""
        link = self._living(self._links, name)
        found = None if link is None else self._record(link.target)
        if link is None or found is None:
            return None
        claims = tuple(sorted(found.claims.items()))
        record = Record(found.value, found.version, claims)
        return Followed(link.target, link.number, record, self._clock(), link.mark)

    def claim(self, name: str) -> None:
        """``scripts.CLAIM``."""
        link = self._living(self._links, name)
        found = None if link is None else self._record(link.target)
        if link is None or found is None or link.number <= 0 or max(found.claims, default=0) >= link.number:
            return
        found.claims[link.number] = self._clock()
        found.version += 1

    def acquire(self, lease: str, intent: str, owner: str, ttl: float, *, settling: float) -> Acquired | Busy:
        """``scripts.ACQUIRE``."""
        now = self._clock()
        wait = self._unsettled(now, settling)
        held = self._living(self._leases, lease)
        if held is None or held.owner != owner:
            if wait > 0:
                return Busy(wait)
            if held is not None:
                return Busy()
        self._leases[lease] = _Lease(now + ttl, owner)
        left = self._living(self._intents, intent)
        return Acquired(None if left is None else Intent(left.owner, now - left.at, left.ended))

    def holder(self, lease: str) -> str | None:
        """GET."""
        held = self._living(self._leases, lease)
        return None if held is None else held.owner

    def renew(
        self, lease: str, intent: str, owner: str, ttl: float, *, announced: float | None, kept: float
    ) -> bool:
        """``scripts.RENEW``."""
        held, now = self._living(self._leases, lease), self._clock()
        if held is not None and held.owner != owner:
            return False
        self._leases[lease] = _Lease(now + ttl, owner)
        if held is None and announced is not None and self._living(self._intents, intent) is None:
            self._intents[intent] = _Intent(now + kept, owner, now - announced, ended=False)
        return True

    def release(self, lease: str, owner: str) -> None:
        """``scripts.RELEASE``, without its news."""
        if self.holder(lease) == owner:
            del self._leases[lease]

    def intend(self, lease: str, intent: str, owner: str, ttl: float) -> bool:
        """``scripts.INTEND``."""
        if self.holder(lease) != owner:
            return False
        now = self._clock()
        self._intents[intent] = _Intent(now + ttl, owner, now, ended=False)
        return True

    def resolve(self, intent: str, owner: str, *, lost: bool) -> None:
        """``scripts.RESOLVE``."""
        left = self._living(self._intents, intent)
        if left is None or left.owner != owner:
            return
        if lost:
            left.ended = True
        else:
            del self._intents[intent]

    def _unsettled(self, now: float, settling: float) -> float:
        """Seconds for which it may have lost leases that somebody holds."""
        if self._epoch is None or self._epoch[0] != self._run:
            age = math.floor(now - self._started)
            ready = now + settling
            if self._epoch is None and age < settling:
                ready -= age
            self._epoch = (self._run, ready)
        return self._epoch[1] - now

    def _record(self, name: str) -> _Record | None:
        return self._living(self._records, name)

    def _living(self, kept: dict[str, K], name: str) -> K | None:
        found = kept.get(name)
        if found is not None and found.ends <= self._clock():
            del kept[name]
            return None
        return found
