"""Protects the authorization server from us, and us from it (CONTRACT §4.7).

All times are monotonic seconds, given as arguments.
"""

import asyncio

from gateway.core.bounded import Bounded

_REMEMBERED = 100_000


class Breaker:
    """Opens after several failed token requests in a row; lets one through to see whether things are well.

    It counts token requests, never the requests that wait for one, and never an answer of 4xx.
    """

    threshold = 5
    longest = 5.0
    """Seconds between two probes, at most."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0
        self._pause = 1.0
        self._probe_until: float | None = None

    def refuses(self, now: float) -> float | None:
        """Seconds to wait, or None where a token request may go out."""
        if self._failures < self.threshold:
            return None
        if now < self._open_until:
            return self._open_until - now
        if self._probe_until is not None and now < self._probe_until:
            return 1.0
        return None

    def started(self, now: float) -> None:
        """A token request goes out. While the breaker is open, it is the probe, for as long as ``longest``."""
        if self._failures >= self.threshold:
            self._probe_until = now + self.longest

    def succeeded(self) -> None:
        """The server gave an OAuth answer."""
        self._failures, self._pause, self._probe_until = 0, 1.0, None

    def abandoned(self) -> None:
        """It never went out, through no fault of the server's (B27): the next one may be the probe."""
        self._probe_until = None

    def failed(self, now: float) -> None:
        """The server gave none."""
        self._failures += 1
        self._probe_until = None
        if self._failures >= self.threshold:
            self._open_until = now + self._pause
            self._pause = min(self._pause * 2, self.longest)


class Throttle:
    """The server's 429s: for one token first, for all once three different tokens were told so (B5)."""

    many = 3

    def __init__(self) -> None:
        self._until: Bounded[str, float] = Bounded(_REMEMBERED)
        self._longest: list[tuple[float, str]] = []
        self._all_until = 0.0

    def refuses(self, key: str, now: float) -> float | None:
        """Seconds to wait before this token may be presented, or None."""
        until = max(self._until.get(key, 0.0), self._all_until)
        return until - now if until > now else None

    def throttled(self, key: str, seconds: float, now: float) -> None:
        """The server answered 429 for this token."""
        self._until[key] = now + seconds
        waiting = [(until, k) for until, k in self._longest if until > now and k != key]
        self._longest = sorted([*waiting, (now + seconds, key)])[-self.many :]
        if len(self._longest) == self.many:
            self._all_until = max(self._all_until, now + seconds)


class Slots:
    """At most so many token requests at once, and so many that wait for one."""

    def __init__(self, concurrent: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(concurrent)
        self._waiting = 0
        self._most = waiting

    async def acquire(self, patience: float) -> bool:
        """Get a slot; False: none came free in ``patience`` seconds, or too many wait already."""
        if not self._free.locked():
            return await self._free.acquire()
        if self._waiting >= self._most:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(patience):
                return await self._free.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1

    def release(self) -> None:
        """Let the next one in."""
        self._free.release()
