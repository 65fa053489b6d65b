"""One presentation of one refresh token: whether it may go out, and what the answer means (CONTRACT §4.4-4.7).

Whoever calls this holds the flight: nobody else presents the same token at the same time.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import assert_never

from gateway.core import errors
from gateway.core.bounded import Bounded
from gateway.core.credentials import Presenter
from gateway.core.errors import Problem
from gateway.core.grants import Answer, Denied, Grant, Misconfigured, Throttled, Unavailable
from gateway.core.lifecycle import Dead, Failed
from gateway.events import Emit, Noticed, RefreshEnded
from gateway.refresher.guard import AddressLimit, Breaker, Slots, Throttle
from gateway.refresher.ports import RefreshSettings, Store, TokenEndpoint

ANSWER_LOST = "answer_lost"
_REMEMBERED = 100_000


@dataclass(slots=True)
class _Clocked:
    """Tells the breaker once, when patience ends or when the answer comes, whichever is first."""

    breaker: Breaker
    told: bool = False

    def overdue(self, now: float) -> None:
        if not self.told:
            self.told = True
            self.breaker.failed(now)


class Presentation:
    """Presents refresh tokens, keeps the marks that outlive a flight, and guards the server."""

    def __init__(self, endpoint: TokenEndpoint, store: Store, settings: RefreshSettings, emit: Emit) -> None:
        self._endpoint = endpoint
        self._store = store
        self._settings = settings
        self._emit = emit
        self._breaker = Breaker()
        self._throttle = Throttle()
        self._addresses = AddressLimit(settings.unknown_burst, settings.unknown_per_second)
        self._slots = Slots(settings.max_concurrent, settings.max_waiting)
        self._good: Bounded[str, bool] = Bounded(_REMEMBERED)

    async def present(self, key: str, presenter: Presenter) -> Grant | Dead | Failed:
        """Ask the server for new tokens. Never raises, but when cancelled."""
        dead = await self._store.get("denied", key)
        if dead is not None:
            return Dead(dead.value.decode() or None)
        refusal = self._refusal(key, presenter.client)
        if refusal is not None:
            return Failed(refusal)
        try:
            async with self._slots.hold(self._settings.timeout):
                return await self._ask(key, presenter)
        except TimeoutError:
            self._give_back(key, presenter)
            return Failed(errors.AUTH_SERVER_UNAVAILABLE.because("Too many refreshes wait. Try again later."))

    def known_good(self, key: str) -> None:
        """The server itself gave us this token: it is no guess of a client's (D3)."""
        self._good[key] = True

    def _refusal(self, key: str, address: str) -> Problem | None:
        now = time.monotonic()
        wait = self._throttle.refuses(key, now)
        if wait is None:
            wait = self._breaker.refuses(now)
        if wait is not None:
            return errors.AUTH_SERVER_UNAVAILABLE.retry(wait)
        if key in self._good:
            return None
        wait = self._addresses.take(address, now)
        return None if wait is None else errors.RATE_LIMITED.retry(wait)

    async def _ask(self, key: str, presenter: Presenter) -> Grant | Dead | Failed:
        wait = self._breaker.refuses(time.monotonic())
        if wait is not None:
            self._give_back(key, presenter)
            return Failed(errors.AUTH_SERVER_UNAVAILABLE.retry(wait))
        started = time.monotonic()
        self._breaker.started(started)
        clocked = _Clocked(self._breaker)
        loop = asyncio.get_running_loop()
        overdue = loop.call_later(self._settings.timeout, lambda: clocked.overdue(started + self._settings.timeout))
        access = presenter.access.raw if presenter.access is not None else None
        try:
            answer = await self._endpoint.redeem(presenter.refresh, access)
        finally:
            overdue.cancel()
        now = time.monotonic()
        self._report(answer, now - started)
        self._tell_breaker(answer, clocked, now)
        return await self._read(answer, key, presenter, now)

    def _tell_breaker(self, answer: Answer, clocked: _Clocked, now: float) -> None:
        if isinstance(answer, Unavailable):
            clocked.overdue(now)
        else:
            self._breaker.succeeded()

    async def _read(self, answer: Answer, key: str, presenter: Presenter, now: float) -> Grant | Dead | Failed:
        match answer:
            case Grant():
                self._give_back(key, presenter)
                await self._store.delete("ambiguous", key)
                return answer
            case Denied(answer_lost=lost):
                lost = lost or await self._store.get("ambiguous", key) is not None
                return Dead(ANSWER_LOST if lost else None)
            case Throttled(retry_after=seconds):
                self._give_back(key, presenter)
                self._throttle.throttled(key, seconds, now)
                return Failed(errors.AUTH_SERVER_UNAVAILABLE.retry(seconds))
            case Misconfigured():
                self._give_back(key, presenter)
                return Failed(errors.AUTH_SERVER_MISCONFIGURED)
            case Unavailable(ambiguous=ambiguous):
                self._give_back(key, presenter)
                if ambiguous:
                    await self._store.put("ambiguous", key, b"", self._settings.max_expired_age)
                return Failed(errors.AUTH_SERVER_UNAVAILABLE)
            case _:
                assert_never(answer)

    async def bury(self, key: str, dead: Dead) -> None:
        """Remember a denial for ``negative`` seconds (B8), once no successor was found after all."""
        await self._store.put("denied", key, (dead.reason or "").encode(), self._settings.negative)

    def _give_back(self, key: str, presenter: Presenter) -> None:
        if key not in self._good:
            self._addresses.give_back(presenter.client)

    def _report(self, answer: Answer, duration: float) -> None:
        match answer:
            case Grant():
                event = RefreshEnded(outcome="granted", duration=duration)
            case Denied(error=error):
                event = RefreshEnded(outcome="denied", reason=error, duration=duration)
            case Throttled():
                event = RefreshEnded(outcome="throttled", duration=duration)
            case Misconfigured(error=error):
                event = RefreshEnded(outcome="misconfigured", reason=error, duration=duration)
                self._emit(Noticed(what="auth_server_misconfigured", detail=error, alarm=True))
            case Unavailable(reason=reason, ambiguous=ambiguous):
                event = RefreshEnded(outcome="unavailable", reason=reason, duration=duration, ambiguous=ambiguous)
            case _:
                assert_never(answer)
        self._emit(event)
