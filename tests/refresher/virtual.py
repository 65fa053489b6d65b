"""Virtual time: an event loop whose clock jumps to its next timer."""

import asyncio
import functools
import selectors

DAY_ONE = 1_800_000_000.0
"""Unix seconds when a loop starts."""


class StuckError(Exception):
    """Nothing is to be done, and nothing will ever be."""


class _Jumping(selectors.DefaultSelector):
    """Instead of waiting for the next timer, turns the clock to it."""

    loop = None

    def select(self, timeout=None):
        if timeout is None:
            raise StuckError
        self.loop.turn(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own: sleeping takes no time, and a hang is an exception."""

    def __init__(self):
        self._now = 0.0
        selector = _Jumping()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return self._now

    def turn(self, seconds):
        self._now += seconds


def virtual_time(test):
    """Runs an async test in virtual time."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def wall():
    """Unix seconds in virtual time."""
    return DAY_ONE + asyncio.get_running_loop().time()


async def ticks(count=20):
    """Lets everybody do what can be done now."""
    for _ in range(count):
        await asyncio.sleep(0)
