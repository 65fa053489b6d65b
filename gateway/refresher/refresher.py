"""One refresh for each refresh token, whoever asks, whoever leaves (CONTRACT §4.1-4.3)."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine

from gateway.core import errors
from gateway.core.bounded import Bounded
from gateway.core.credentials import Presenter
from gateway.core.outcomes import Failed, Outcome
from gateway.core.records import StoreUnavailable
from gateway.core.secret import Secret
from gateway.events import Emit, fault
from gateway.refresher.flights import Answered, Flight, Flights, Ticket
from gateway.refresher.marks import Marks
from gateway.refresher.ports import Judge, Records, RefreshSettings, TokenEndpoint
from gateway.refresher.presentation import Presentation
from gateway.refresher.renewal import Renewal
from gateway.refresher.successors import Successors
from gateway.refresher.turns import Turns
from gateway.refresher.unsaved import Unsaved

_SEEN = 100_000

_MOST_CLAIMS = 1000
"""Claims on their way to the store, at most."""
_REST = 1.0
"""Seconds without claims once the store did not take one."""

_NO_SUBJECT = errors.AUTH_SERVER_MISCONFIGURED.because(
    "The access token names no subject, so it cannot be told whose refresh token this is. The operator must set "
    "access_token.subject_claim to a claim that names the user."
)


class Refresher:
    """All refreshes of this process."""

    def __init__(
        self,
        endpoint: TokenEndpoint,
        judge: Judge,
        store: Records,
        settings: RefreshSettings,
        *,
        emit: Emit,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Args: clock: Unix seconds (what nobody else sees goes by the event loop's); chance: from 0 to 1."""
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._flights = Flights()
        self._successors = Successors(store, settings)
        self._turns = Turns(store, settings, self._send, chance=chance)
        marks = Marks(store, settings, shared=store.shared)
        self._renewal = Renewal(
            judge=judge,
            flights=self._flights,
            turns=self._turns,
            successors=self._successors,
            unsaved=Unsaved(
                self._successors, settings, errand=self._send, emit=emit, clock=clock, saved=self._forget
            ),
            marks=marks,
            presentation=Presentation(endpoint, marks, settings, emit),
            settings=settings,
            emit=emit,
            clock=clock,
            errand=self._send,
        )
        self._seen: Bounded[int, bool] = Bounded(_SEEN)
        self._claims = 0
        self._claims_rest_until = 0.0
        self._errands: set[asyncio.Task[None]] = set()

    def ask(self, presenter: Presenter) -> Ticket | Answered:
        """Join the flight of this refresh token, or start it. Returns at once."""
        if presenter.access is not None and presenter.access.verified.subject is None:
            return Answered(Failed(_NO_SUBJECT))
        key = self._settings.key(presenter.refresh)
        flight = self._flights.holder(key)
        if flight is None:
            return Ticket(self._flights.start(key, presenter, self._fly), presenter, joined=False)
        flight.join(presenter)
        return Ticket(flight, presenter, joined=True)

    def observe(self, refresh: Secret) -> None:
        """A request carries this refresh token, so its client has it. Costs nothing when seen before.

        Remembered by hash: anybody may send refresh tokens, and long ones must not fill the memory (D6).
        """
        token = hash(refresh.reveal())
        if token in self._seen or self._claims >= _MOST_CLAIMS or _now() < self._claims_rest_until:
            return
        self._seen[token] = True
        self._claims += 1
        self._send(self._claim(refresh))

    async def close(self) -> None:
        """Wait for open flights, up to ``late_answer`` seconds: a rotated token must not be lost in a stop.

        Those that wait for another process end now.
        """
        self._turns.closing = True
        deadline = _now() + self._settings.late_answer
        while self.under_way and _now() < deadline:
            flights = self._flights.all()
            for flight in flights:
                if flight.look is not None:
                    flight.look()
            tasks = {flight.task for flight in flights} | self._errands
            await asyncio.wait(tasks, timeout=deadline - _now())

    @property
    def under_way(self) -> int:
        """Flights and errands that have not ended."""
        return len(self._flights.all()) + len(self._errands)

    @property
    def waiting(self) -> int:
        """How many requests have asked for the flights under way."""
        return sum(flight.asked for flight in self._flights.all())

    async def _fly(self, flight: Flight) -> Outcome:
        try:
            return await self._renewal.find(flight)
        except StoreUnavailable:
            return Failed(errors.STORE_UNAVAILABLE)
        except Exception as error:  # noqa: BLE001  # a bug of ours must answer its waiters (O2)
            self._emit(fault("refresh_failed", error))
            return Failed(errors.INTERNAL_ERROR)

    async def _claim(self, refresh: Secret) -> None:
        """A claim that the store did not take is made again by the next request that carries the token."""
        try:
            await self._successors.claim(self._settings.key(refresh), self._clock())
        except StoreUnavailable:
            self._forget(refresh)
            self._claims_rest_until = _now() + _REST
        finally:
            self._claims -= 1

    def _forget(self, refresh: Secret) -> None:
        self._seen.pop(hash(refresh.reveal()), None)

    def _send(self, errand: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._guarded(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _guarded(self, errand: Coroutine[None, None, None]) -> None:
        try:
            await errand
        except Exception as error:  # noqa: BLE001  # nobody waits for it: it is told or lost
            self._emit(fault("errand_failed", error))


def _now() -> float:
    """The event loop's clock."""
    return asyncio.get_running_loop().time()
