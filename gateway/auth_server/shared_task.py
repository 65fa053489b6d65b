"""One task, whoever waits for it, whoever leaves."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable


class SharedTask:
    """Runs ``work`` at most once at a time. Those who come while it runs wait for the same run.

    The run belongs to nobody: a waiter that is cancelled ends its own wait only. ``work`` handles its own errors.
    """

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """A run is under way."""
        return self._task is not None and not self._task.done()

    def start(self) -> asyncio.Task[None]:
        """The run under way, or a new one."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return self._task

    async def join(self) -> None:
        """Waits for the run under way, or a new one. Its end by ``cancel`` ends the wait, not the waiter."""
        await asyncio.wait({self.start()})

    async def cancel(self) -> None:
        """Ends the run under way."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        await self._work()
