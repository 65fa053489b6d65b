"""One deadline that moves often and is met seldom."""

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls ``expired`` when the time last set has passed.

    A timer per request would cost two heap operations each; here setting a later time is an assignment, and
    the one timer looks at it when it fires.
    """

    __slots__ = ("_at", "_expired", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Expire in so many seconds, whatever was set before."""
        at = self._at = self._loop.time() + seconds
        timer = self._timer
        if timer is not None:
            if timer.when() <= at:
                return
            timer.cancel()
        self._timer = self._loop.call_at(at, self._fired)

    def clear(self) -> None:
        """Do not expire; the timer may stay, for the next ``set``."""
        self._at = None

    def cancel(self) -> None:
        """Do not expire and let go of the timer."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """``cancel``, for good: whoever waited is let go too."""
        self.cancel()
        self._expired = _nothing

    def _fired(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._fired)
            return
        self._at = None
        self._expired()


def _nothing() -> None:
    """Nobody waits."""
