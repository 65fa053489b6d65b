"""A flight's place behind the flight of another process (CONTRACT §4.1).

Whoever finds the lease taken waits, and looks again when it was given back, or now and then, because news may be
lost. It never presents the token in the holder's place: it ends with what that one left, or gets a turn of its own.

A lease that has vanished without news was perhaps lost by the store, and its holder lives. So it is taken only
after it was seen to be nobody's for the ``confirmation`` span, in which a living holder renews it.
"""

import asyncio
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self

from gateway.core.outcomes import Failed
from gateway.core.records import StoreUnavailable
from gateway.refresher.flights import TOO_SLOW, Flight
from gateway.refresher.turns import RETRY, Turn, Turns

_GROWTH: Final = 1.5
"""From one pause between two looks to the next."""


class Place:
    """To be entered with ``async with``. ``turn`` is called whenever a look at the store found nothing."""

    def __init__(self, turns: Turns, key: str, flight: Flight) -> None:
        self._turns = turns
        self._settings = turns.settings
        self._key = key
        self._flight = flight
        self._may_ask = True
        self._urged = False
        self._news: asyncio.Event | None = None
        """What wakes us; None: we do not wait."""
        self._subscription: AsyncExitStack | None = None
        self._holder: str | None = None
        self._vacant_since: float | None = None
        self._away_since: float | None = None
        self._ask_at: float | None = None
        """Where the store gives out no leases yet: when it will."""
        self._pause = self._settings.poll

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._subscription is not None:
            self._flight.look = None
            with suppress(StoreUnavailable):  # it has forgotten us already
                await self._subscription.aclose()

    async def turn(self) -> Turn | Failed | None:
        """Our turn, or that we have waited for too long. None: look again, something may have changed.

        Raises ``StoreUnavailable``; see ``bear``.
        """
        if self._may_ask or self._news is None:
            return await self._ask()
        while not self._turns.closing and _now() < self._flight.latest + self._settings.late_answer:
            changed = await self._changed(told=await self._told(self._news))
            self._away_since = None
            if changed:
                return None
        return Failed(TOO_SLOW)

    def passed_over(self) -> None:
        """The turn that we had has gone to another."""
        self._may_ask = True

    async def bear(self) -> bool:
        """The store is away. Whoever waits goes on, unless that has lasted for long; others give up (B18)."""
        now = _now()
        self._vacant_since = None
        self._away_since = now if self._away_since is None else self._away_since
        if self._news is None or self._turns.closing or now - self._away_since > self._settings.confirmation:
            return False
        await asyncio.sleep(RETRY * (1 + self._turns.chance()))
        return True

    async def _ask(self) -> Turn | None:
        found = await self._turns.acquire(self._key)
        self._may_ask = False
        if isinstance(found, Turn):
            return found
        self._vacant_since = None
        self._ask_at = None if found.wait is None else _now() + found.wait
        if self._news is None:
            await self._subscribe()
        return None

    async def _subscribe(self) -> None:
        self._news = asyncio.Event()
        self._subscription = AsyncExitStack()
        self._flight.look = self._urge
        with suppress(StoreUnavailable):  # polling will do
            self._news = await self._subscription.enter_async_context(self._turns.leases.news(self._key))

    def _urge(self) -> None:
        self._urged = True
        if self._news is not None:
            self._news.set()

    async def _changed(self, *, told: bool) -> bool:
        """Whether it is worth a look. While one and the same holds the lease it is not: a poll is one command."""
        if self._urged:
            self._urged = False
            return True
        if told:
            self._may_ask = True
            return True
        if self._ask_at is not None:
            self._may_ask = _now() >= self._ask_at
            return True
        before, self._holder = self._holder, await self._turns.leases.holder(self._key)
        if self._holder is None:
            self._may_ask = self._confirmed()
            return True
        self._vacant_since = None
        return self._holder != before

    def _confirmed(self) -> bool:
        """Nobody has the lease. Whether that is true for long enough."""
        if self._vacant_since is None:
            self._vacant_since = _now()
        return _now() - self._vacant_since >= self._settings.confirmation

    async def _told(self, news: asyncio.Event) -> bool:
        """Waits for news, but no longer than until the next poll."""
        pause = self._pause * (1 + self._turns.chance()) / 2
        self._pause = min(self._pause * _GROWTH, self._settings.poll_most)
        if self._ask_at is not None:
            pause = min(pause, max(self._ask_at - _now(), 0))
        try:
            async with asyncio.timeout(pause):
                await news.wait()
        except TimeoutError:
            return False
        news.clear()
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
