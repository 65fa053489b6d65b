"""Who waits for which refresh (CONTRACT §4.1, §4.2).

A flight is a task of the gateway's own. Requests wait beside it with a patience of their own, may leave, and each
is answered only with tokens of its own user. A flight holds the keys of the refresh tokens that it may present, so
that no other presents them meanwhile; two flights that turn out to need the same token become one.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from gateway.core import errors
from gateway.core.credentials import Presenter
from gateway.core.outcomes import Failed, Mismatched, Outcome, Renewed
from gateway.core.secret import Secret

_LAST_LOOK = 0.25
"""Seconds of a request's patience, kept for a last look where its flight waits for another process."""

TOO_SLOW = errors.AUTH_SERVER_UNAVAILABLE.because(
    "The authorization server has not answered yet. Keep both tokens and try again: its answer is awaited."
)


@dataclass(slots=True, eq=False)
class Flight:
    """One refresh under way, with everybody who asked for it."""

    keys: set[str]
    first: Presenter
    """Who caused the flight: for its address and its access token."""
    asked: int = 1
    """How many requests have asked, those that have left included."""
    presenters: dict[str | None, Presenter] = field(default_factory=dict, repr=False)
    """By access token: of those who ask with the same one, over and over, one is enough (D6)."""
    considered: int = 0
    """How many had asked when what the store has was last held against them."""
    latest: float = field(init=False)
    """When the last of them asked, by the event loop's clock."""
    awaited_until: float = 0.0
    """When the patience of the last one who waits ends. Who has asked may not wait yet."""
    look: Callable[[], None] | None = field(default=None, repr=False)
    """Where the flight waits for another process: makes it look at once whether that one has ended."""
    task: "asyncio.Task[Outcome]" = field(init=False)

    def __post_init__(self) -> None:
        self._add(self.first)

    def join(self, presenter: Presenter) -> None:
        """One more asks."""
        self.asked += 1
        self._add(presenter)

    def absorb(self, other: "Flight") -> None:
        """All who asked for ``other`` ask for this one."""
        self.asked += other.asked
        self.latest = max(self.latest, other.latest)
        self.awaited_until = max(self.awaited_until, other.awaited_until)
        self.presenters = self.presenters | other.presenters

    def _add(self, presenter: Presenter) -> None:
        self.latest = asyncio.get_running_loop().time()
        access = presenter.access
        self.presenters[None if access is None else access.raw.reveal()] = presenter

    def concerns(self, binding: tuple[str | None, str | None]) -> bool:
        """Somebody who asked is the user whom ``binding`` names."""
        return any(p.access is None or p.access.binding == binding for p in self.presenters.values())

    def knows(self, access: Secret) -> bool:
        """Somebody who asked has this very token already, so it is not what they ask for."""
        return access.reveal() in self.presenters


class Flights:
    """The flights under way, by the keys that they hold."""

    def __init__(self) -> None:
        self._holders: dict[str, Flight] = {}

    def all(self) -> list[Flight]:
        """Each flight once."""
        return list({id(flight): flight for flight in self._holders.values()}.values())

    def holder(self, key: str) -> Flight | None:
        """The flight that holds ``key`` and has not ended."""
        flight = self._holders.get(key)
        return None if flight is None or flight.task.done() else flight

    def start(
        self, key: str, presenter: Presenter, fly: Callable[[Flight], Coroutine[None, None, Outcome]]
    ) -> Flight:
        """A new flight that holds ``key``. It runs until its end, whoever leaves."""
        flight = Flight({key}, presenter)
        flight.task = asyncio.create_task(fly(flight))
        self._holders[key] = flight
        flight.task.add_done_callback(lambda _: self._landed(flight))
        return flight

    def take(self, flight: Flight, key: str) -> Flight | None:
        """``flight`` goes on with the token under ``key``. Returns the flight that holds it already, if one does:
        that one then works for all who asked for ``flight``, and for all who still will.
        """
        other = self.holder(key)
        if other is None or other is flight:
            self._hold(flight, {key})
            return None
        self._hold(other, flight.keys)
        other.absorb(flight)
        return other

    def _hold(self, flight: Flight, keys: set[str]) -> None:
        flight.keys |= keys
        for key in keys:
            self._holders[key] = flight

    def _landed(self, flight: Flight) -> None:
        for key in flight.keys:
            if self._holders.get(key) is flight:
                del self._holders[key]


@dataclass(frozen=True, slots=True)
class Ticket:
    """One request's place at a flight."""

    flight: Flight
    presenter: Presenter
    joined: bool
    """Another one asked first."""

    async def outcome(self, patience: float) -> Outcome:
        """What the flight found, as far as it concerns this request; it waits ``patience`` seconds at most.

        Leaving this wait leaves the flight alone.
        """
        if not await self._landed(patience):
            return Failed(TOO_SLOW)
        found = self.flight.task.result()
        if not isinstance(found, Renewed):
            return found
        own = self.presenter.access
        if own is not None and own.binding != found.tokens.access.binding:
            return Mismatched()
        return Renewed(found.tokens, joined=self.joined or found.joined)

    async def _landed(self, patience: float) -> bool:
        """Before patience ends the flight looks once more: whatever was to wake it may have been lost."""
        flight, last = self.flight, min(patience / 4, _LAST_LOOK)
        flight.awaited_until = max(flight.awaited_until, asyncio.get_running_loop().time() + patience)
        await asyncio.wait({flight.task}, timeout=patience - last)
        if not flight.task.done():
            if flight.look is not None:
                flight.look()
            await asyncio.wait({flight.task}, timeout=last)
        return flight.task.done()


@dataclass(frozen=True, slots=True)
class Answered:
    """A ticket for which no flight was needed."""

    found: Outcome

    async def outcome(self, patience: float) -> Outcome:  # noqa: ARG002  # nothing is waited for
        """What is known already."""
        return self.found
