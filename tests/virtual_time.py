"""Tests in virtual time."""

import asyncio
import functools

from simulation.virtual_time import DAY_ONE, StuckError, VirtualLoop, wall

__all__ = ["DAY_ONE", "StuckError", "VirtualLoop", "ticks", "virtual_time", "wall"]


def virtual_time(test):
    """Runs an async test in virtual time."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


async def ticks(count=20):
    """Lets everybody do what can be done now."""
    for _ in range(count):
        await asyncio.sleep(0)
