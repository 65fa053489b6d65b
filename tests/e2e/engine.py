"""A loop in a thread of its own, for tests that are no coroutines: Hypothesis calls its examples one after another."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress
from typing import Any, TypeVar

import uvloop
from hypothesis import HealthCheck, Phase, settings

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds for one example; only a test that fails waits so long."""


def searching(quick: int) -> settings:
    """``quick`` examples in ``make test``; in ``make soak`` many times as many, and the least that fails.

    Each failing example may wait for ``PATIENCE``, so that looking for a smaller one is not for every day.
    """
    profile = settings.default
    assert profile is not None
    soak = not profile.derandomize
    return settings(
        profile,
        max_examples=quick * (profile.max_examples // 200) if soak else quick,
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if soak else [])],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


class Engine:
    """Runs coroutines for a thread that has no loop."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._stack = AsyncExitStack()

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["Engine"]:
        engine = cls()
        engine._thread.start()
        try:
            yield engine
            engine.run(engine._stack.aclose())
        finally:
            engine.loop.call_soon_threadsafe(engine.loop.stop)
            engine._thread.join()
            engine.loop.close()

    def run(self, work: Coroutine[Any, Any, T], within: float = 3 * PATIENCE) -> T:
        """What ``work`` returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(within)

    def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Held open until the engine ends."""
        return self.run(self._stack.enter_async_context(context))


async def pieces(writer: asyncio.StreamWriter, data: bytes, cuts: list[int]) -> None:
    """Write ``data`` cut at ``cuts``, with time between for the other side to read each piece on its own."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
    start = 0
    with suppress(ConnectionError, RuntimeError):  # uvloop's word for a connection that is closed
        for place in places:
            writer.write(data[start:place])
            await writer.drain()
            start = place
            for _ in range(3):
                await asyncio.sleep(0)
