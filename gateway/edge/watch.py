"""Notices that a client has left, so that nothing is asked of an upstream for nobody (B22).

An ASGI application that only sends never learns it. Our own protocol class tells (``edge.cycle``); under any
other server a task listens, but only once the answer has kept us waiting and the request's body has been read:
a task for each request would cost a quarter of the speed, and listening earlier would eat the body.
"""

import asyncio
from typing import Any

from gateway.edge.body import Receive, RequestBody
from gateway.edge.cycle import Cycle

_PATIENCE = 0.05
"""Seconds until a request counts as one that waits."""


class Watch:
    """Cancels the current task when the client leaves; ``gone`` then says why."""

    __slots__ = ("_body", "_cycle", "_listener", "_receive", "_task", "_timer", "gone")

    def __init__(self, cycle: Cycle | None, receive: Receive, body: RequestBody | None) -> None:
        self._cycle = cycle
        self._receive = receive
        self._body = body
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._listener: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.gone = False
        if cycle is None:
            self._later()
        elif cycle.lost:
            self._left()
        else:
            cycle.on_lost = self._left

    def stop(self) -> None:
        """The request is over."""
        if self._cycle is not None:
            self._cycle.on_lost = None
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()

    def forgive(self) -> None:
        """The cancellation has been heard: the task may be used for something else."""
        if self._task is not None:
            self._task.uncancel()

    def _later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._look)

    def _look(self) -> None:
        if self._body is None or self._body.complete:
            self._listener = asyncio.create_task(self._listen())
        else:
            self._later()

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left()

    def _left(self) -> None:
        self.gone = True
        if self._task is not None:
            self._task.cancel()
