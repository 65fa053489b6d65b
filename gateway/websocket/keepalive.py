"""Pings for a silent side (RFC 6455 §5.5.2): a peer that vanished without a word must not be kept for ever."""

import asyncio
from collections.abc import Callable

from gateway.websocket.side import Side


class Keepalive:
    """Pings ``side`` when it is silent for ``interval`` and calls ``silent`` when ``timeout`` brings no answer.

    Only silence that we could have heard counts: not while we let it wait, because the other side is slow, nor
    while it is still taking bytes that stand before the ping. Where each waits for the other and neither takes
    anything, it counts: else two peers that both stopped reading would be kept for ever.
    """

    def __init__(
        self,
        side: Side,
        other: Side,
        interval: float,
        timeout: float,
        silent: Callable[[Side], None],
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Args: interval, timeout: seconds; an interval of 0 turns pings off. ``other``: where its words go."""
        self._side = side
        self._other = other
        self._interval = interval
        self._timeout = timeout
        self._silent = silent
        self._loop = loop
        self._asked_at: float | None = None
        self._pending = 0
        self._theirs = -1
        self._timer = self._loop.call_later(interval, self._look) if interval else None

    def stop(self) -> None:
        """The tunnel is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if self._excused():
            self._side.heard_at = now
        due = self._due(now)
        if due is None:
            self._silent(self._side)
        else:
            self._timer = self._loop.call_at(due, self._look)

    def _due(self, now: float) -> float | None:
        """When to look again; None: its time is over."""
        side, asked_at = self._side, self._asked_at
        if asked_at is not None and side.heard_at < asked_at:
            end = asked_at + self._timeout
            return end if now < end else None
        self._asked_at = None
        due = side.heard_at + self._interval
        if now < due:
            return due
        side.ping()
        self._asked_at, self._pending = now, side.port.pending
        return now + min(self._interval, self._timeout)

    def _excused(self) -> bool:
        """It takes bytes that stand before the ping, or waits for the other side, which is heard or takes some."""
        mine, theirs = self._side.port.pending, self._other.port.pending
        moved = 0 < mine != self._pending
        waits = not self._side.listening and (self._other.listening or theirs != self._theirs)
        self._pending, self._theirs = mine, theirs
        return moved or waits
