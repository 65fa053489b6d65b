"""Whose turn it is to present a refresh token, in the whole fleet (CONTRACT §4.1, §4.5).

*A token whose presentation may have reached the authorization server is not presented again while the answer may
still come.* Two records see to it. The **lease** says who is at it now; it is renewed while held, and where its
holder dies it ends by itself. The **intent** is a journal: it is written before the request leaves and taken away
when an answer was read. So whoever gets the lease of a dead process knows whether the token may have been spent.
A lease may be lost; what keeps the rule then is the intent.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Final, Self

from gateway.core.records import Acquired, Busy, Intent, StoreUnavailable
from gateway.refresher.ports import Leases, RefreshSettings

Errand = Callable[[Coroutine[None, None, None]], None]
"""Runs a coroutine that nobody waits for."""

RETRY: Final = 0.2
"""Seconds between two tries at a store that is away, at first."""

_MOST_TIDYING = 1000
"""Records that are taken back later, at once: what is left of others ends by itself."""


class Turns:
    """Leases, asked for by this process."""

    def __init__(
        self,
        leases: Leases,
        settings: RefreshSettings,
        errand: Errand,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Args: chance: from 0 to 1; makes waits differ, so that many do not come back at once."""
        self.leases = leases
        self.settings = settings
        self.chance = chance
        self.closing = False
        """The process stops: nobody waits for others any more."""
        self._errand = errand
        self._tidying = 0

    async def acquire(self, key: str) -> "Turn | Busy":
        """Take the lease, if nobody has it. Raises ``StoreUnavailable``: then it is given back if it was taken."""
        owner, asked_at = secrets.token_hex(16), _now()
        try:
            found = await self.leases.acquire(key, owner, self.settings.lease)
        except StoreUnavailable:
            self.later(lambda: self.leases.release(key, owner))
            raise
        return Turn(self, key, owner, found.intent, asked_at) if isinstance(found, Acquired) else found

    def later(self, *steps: Callable[[], Awaitable[None]]) -> None:
        """What the store did not do now, it is asked again for as long as a lease lasts."""
        if self._tidying < _MOST_TIDYING:
            self._tidying += 1
            self._errand(self._tidy(steps))

    async def _tidy(self, steps: tuple[Callable[[], Awaitable[None]], ...]) -> None:
        try:
            deadline = _now() + self.settings.lease
            left = list(steps)
            while left and _now() < deadline:
                if await _done(left[0]):
                    del left[0]
                else:
                    await asyncio.sleep(RETRY * (1 + self.chance()))
        finally:
            self._tidying -= 1


class Turn:
    """One lease that is held: within ``async with`` it is renewed, and given back at the end.

    A task that is cancelled gives nothing back: its request may be on the way, and who comes next must know.
    """

    def __init__(self, turns: Turns, key: str, owner: str, intent: Intent | None, asked_at: float) -> None:
        self._turns = turns
        self._leases = turns.leases
        self._key = key
        self._owner = owner
        self._shared = turns.leases.shared
        self._before = None if intent is None else intent.owner
        self._sure_since = asked_at
        self._announced = False
        self._announced_at: float | None = None
        self._kept = False
        self._renewals: asyncio.TimerHandle | asyncio.Task[None] | None = None
        settings = turns.settings
        self._until = _now() + 2 * settings.late_answer + settings.timeout + settings.lease
        self.doubt = intent is not None
        """An earlier presentation has no answer: the server may have rotated, and a denial is no wonder."""
        self.hold = 0.0
        """Seconds for which that answer may still come."""
        if intent is not None and not intent.ended and self._shared:
            self.hold = max(settings.late_answer - intent.age, settings.confirmation)

    @property
    def contested(self) -> bool:
        """Others may have acted before the lease was ours: what was read then has to be read again."""
        return self._shared

    @property
    def doubtful(self) -> bool:
        """It is so long since the lease was given to us that it may have been another's meanwhile: lost while this
        process slept, and taken anew by a renewal. See ``reassure``.
        """
        return self._shared and _now() - self._sure_since > self._turns.settings.confirmation

    async def reassure(self) -> bool:
        """The lease is ours now, and nobody has left an intent since it was given to us; what else others have left
        is to be read again. False: the turn is lost. Raises ``StoreUnavailable``.
        """
        asked_at = _now()
        found = await self._leases.acquire(self._key, self._owner, self._turns.settings.lease)
        if isinstance(found, Busy) or (found.intent is not None and found.intent.owner != self._before):
            return False
        self._sure_since = asked_at
        return True

    async def __aenter__(self) -> Self:
        if self._shared:
            loop = asyncio.get_running_loop()
            self._renewals = loop.call_later(self._turns.settings.renewal, self._start_renewing)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._stop_renewing()
        elif not self._kept:
            await self.end(lost=True)

    def keep(self) -> None:
        """Somebody else calls ``end``. The lease is renewed until then."""
        self._kept = True

    async def intend(self) -> bool:
        """The token is presented next. False: it must not be, because the turn has gone to another.

        Raises ``StoreUnavailable``: then it must not be presented either.
        """
        self._announced = True
        try:
            self._announced = await self._leases.intend(
                self._key, self._owner, self._turns.settings.max_expired_age
            )
        except StoreUnavailable:
            self._turns.later(self._resolving(lost=self.doubt), self._releasing)
            self._announced = False
            raise
        self._announced_at = _now()
        if self.doubtful:
            self._announced = (
                False  # our intent may lie over another's: it stays, and who comes next waits for both
            )
        return self._announced

    async def resolve(self, *, lost: bool) -> None:
        """The presentation is over. ``lost``: no answer of it, or of an earlier one, could be read."""
        if not self._announced:
            return
        self._announced = False
        step = self._resolving(lost=lost)
        if not await _done(step):
            self._turns.later(step)

    async def end(self, *, lost: bool) -> None:
        """Give the turn back. ``lost``: as in ``resolve``, where nobody has said so yet."""
        await self.resolve(lost=lost)
        self._stop_renewing()
        if self._shared and not await _done(self._releasing):
            self._turns.later(self._releasing)

    def prolong(self, seconds: float) -> None:
        """Renew the lease for ``seconds`` from now at the least: its work has not ended."""
        self._until = max(self._until, _now() + seconds)

    def _resolving(self, *, lost: bool) -> Callable[[], Awaitable[None]]:
        return lambda: self._leases.resolve(self._key, self._owner, lost=lost)

    def _releasing(self) -> Awaitable[None]:
        return self._leases.release(self._key, self._owner)

    def _start_renewing(self) -> None:
        """Most flights end before: only the others cost a task."""
        self._renewals = asyncio.create_task(self._renew())

    def _stop_renewing(self) -> None:
        if self._renewals is not None:
            self._renewals.cancel()

    def _renewed(self) -> Awaitable[bool]:
        settings = self._turns.settings
        age = _now() - self._announced_at if self._announced and self._announced_at is not None else None
        kept = settings.max_expired_age
        return self._leases.renew(self._key, self._owner, settings.lease, announced=age, kept=kept)

    async def _renew(self) -> None:
        """Until the end, or until another has the lease. A presentation under way goes on even so."""
        settings = self._turns.settings
        while _now() < self._until:
            try:
                if not await self._renewed():
                    return
                pause = settings.renewal
            except StoreUnavailable:
                pause = RETRY
            await asyncio.sleep(pause)


async def _done(step: Callable[[], Awaitable[None]]) -> bool:
    try:
        await step()
    except StoreUnavailable:
        return False
    return True


def _now() -> float:
    return asyncio.get_running_loop().time()
