"""One refresh for each refresh token, whoever asks, whoever leaves (CONTRACT §4.1-4.3)."""

import asyncio
import time
from collections.abc import Callable, Coroutine

from gateway.core import errors
from gateway.core.bounded import Bounded
from gateway.core.credentials import Presenter
from gateway.core.outcomes import Failed, Outcome
from gateway.core.secret import Secret
from gateway.events import Emit, fault
from gateway.refresher.flights import Answered, Flight, Flights, Ticket
from gateway.refresher.ports import Judge, RefreshSettings, Store, TokenEndpoint
from gateway.refresher.presentation import Presentation
from gateway.refresher.renewal import Renewal
from gateway.refresher.successors import Successors

_SEEN = 100_000

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
        store: Store,
        settings: RefreshSettings,
        *,
        emit: Emit,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Args: clock: Unix seconds. Spans that nobody else sees are taken from the event loop's clock."""
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._flights = Flights()
        self._successors = Successors(store, settings)
        self._renewal = Renewal(
            judge=judge,
            flights=self._flights,
            successors=self._successors,
            presentation=Presentation(endpoint, store, settings, emit),
            settings=settings,
            emit=emit,
            clock=clock,
            errand=self._send,
        )
        self._seen: Bounded[int, bool] = Bounded(_SEEN)
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
        if token not in self._seen:
            self._seen[token] = True
            self._send(self._successors.claim(self._settings.key(refresh), self._clock()))

    async def close(self) -> None:
        """Wait for open flights, up to ``late_answer`` seconds: a rotated token must not be lost in a stop."""
        now = asyncio.get_running_loop().time
        deadline = now() + self._settings.late_answer
        while self.under_way and now() < deadline:
            tasks = {flight.task for flight in self._flights.all()} | self._errands
            await asyncio.wait(tasks, timeout=deadline - now())

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
        except Exception as error:  # noqa: BLE001  # a bug of ours must answer its waiters (O2)
            self._emit(fault("refresh_failed", error))
            return Failed(errors.INTERNAL_ERROR)

    def _send(self, errand: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._guarded(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _guarded(self, errand: Coroutine[None, None, None]) -> None:
        try:
            await errand
        except Exception as error:  # noqa: BLE001  # nobody waits for it: it is told or lost
            self._emit(fault("errand_failed", error))
