"""One deadline that moves often and is met seldom."""

import asyncio
import math
from collections.abc import Callable

_NEVER = math.inf


class Deadline:
    """Calls ``expired`` when the time last set has passed.

    A timer per request would cost two heap operations each; here setting a later time is an assignment, and
    the one timer looks at it when it fires.
    """

    __slots__ = ("_at", "_due", "_expired", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._at = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._due = _NEVER
        """When the timer fires."""

    def set(self, seconds: float) -> None:
        """Expire in so many seconds, whatever was set before."""
        self.at(self._loop.time() + seconds)

    def at(self, time: float) -> None:
        """Expire at this time of the loop's, whatever was set before."""
        self._at = time
        if time < self._due:
            self._start(time)

    def clear(self) -> None:
        """Do not expire; the timer may stay, for the next ``set``."""
        self._at = _NEVER

    def cancel(self) -> None:
        """Do not expire and let go of the timer."""
        self._at = self._due = _NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """``cancel``, for good: whoever waited is let go too."""
        self.cancel()
        self._expired = _nothing

    def _start(self, time: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = time
        self._timer = self._loop.call_at(time, self._fired)

    def _fired(self) -> None:
        self._timer = None
        self._due = _NEVER
        if self._at == _NEVER:
            return
        if self._loop.time() < self._at:
            self._start(self._at)
            return
        self._at = _NEVER
        self._expired()


def _nothing() -> None:
    """Nobody waits."""
