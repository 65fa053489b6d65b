"""Virtual time: an event loop whose clock jumps to its next timer."""

import asyncio
import selectors

DAY_ONE = 1_800_000_000.0
"""Unix seconds when a loop starts."""


class StuckError(Exception):
    """Nothing is to be done, and nothing will ever be."""


class _Jumping(selectors.SelectSelector):
    """Instead of waiting for the next timer, turns the clock to it. It watches no file: there are none."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError
        self._loop.turn(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own: sleeping takes no time, and a hang is an exception.

    It opens no sockets and waits for no threads.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def turn(self, seconds: float) -> None:
        """Let so much time pass."""
        self._now += seconds


def wall() -> float:
    """Unix seconds in virtual time."""
    return DAY_ONE + asyncio.get_running_loop().time()
