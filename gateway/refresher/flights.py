"""One refresh for each refresh token, whoever asks, whoever leaves (CONTRACT §4.1-4.3).

The way of one flight: look for successors; follow them to the newest; only if that one is no use either, present
its refresh token; store what comes before anybody hears of it. A flight is a task of the gateway's own. Requests
wait beside it with a patience of their own, and each is answered only with tokens of its own user.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace

from gateway.core import errors, keys
from gateway.core.bounded import Bounded
from gateway.core.credentials import Presenter
from gateway.core.families import Stored
from gateway.core.grants import Grant
from gateway.core.lifecycle import Dead, Failed, Mismatched, Outcome, Renewed
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, Age, KeysUnavailable, Obtained, Rejected, TokenSet
from gateway.events import Emit, Noticed
from gateway.refresher.ports import Judge, RefreshSettings, Store, TokenEndpoint
from gateway.refresher.presentation import Presentation
from gateway.refresher.successors import Standing, Successors

_SEEN = 100_000
_ASKED_AGAIN = 3

_NO_SUBJECT = errors.AUTH_SERVER_MISCONFIGURED.because(
    "The access token names no subject, so it cannot be told whose refresh token this is. The operator must set "
    "access_token.subject_claim to a claim that names the user."
)
_TOO_SLOW = errors.AUTH_SERVER_UNAVAILABLE.because(
    "The authorization server has not answered yet. Keep both tokens and try again: its answer is awaited."
)


@dataclass(slots=True, eq=False)
class Flight:
    """One refresh under way, with everybody who asked for it."""

    key: str
    presenter: Presenter
    """The first to ask."""
    presenters: list[Presenter]
    task: "asyncio.Task[Outcome]" = field(init=False)

    def concerns(self, binding: tuple[str | None, str | None]) -> bool:
        """Somebody who asked is the user whom ``binding`` names."""
        return any(p.access is None or p.access.binding == binding for p in self.presenters)

    def knows(self, access: Secret) -> bool:
        """Somebody who asked has this very token already, so it is not what they ask for."""
        return any(p.access is not None and p.access.raw == access for p in self.presenters)


@dataclass(slots=True)
class Ticket:
    """One request's place at a flight."""

    refresher: "Refresher"
    flight: Flight
    presenter: Presenter
    joined: bool

    async def outcome(self, patience: float) -> Outcome:
        """What the flight found, as far as it concerns this request; it waits ``patience`` seconds at most.

        Leaving this wait leaves the flight alone.
        """
        deadline = time.monotonic() + patience
        for _ in range(_ASKED_AGAIN):
            left = max(deadline - time.monotonic(), 0)
            done, _pending = await asyncio.wait({self.flight.task}, timeout=left)
            if not done:
                return Failed(_TOO_SLOW)
            outcome = self._own(self.flight.task.result())
            if outcome is not None:
                return outcome
            again = self.refresher.ask(self.presenter)
            self.flight, self.joined = again.flight, again.joined
        return Failed(errors.AUTH_SERVER_UNAVAILABLE)

    def ready(self) -> bool:
        """The outcome is there: ``outcome`` will not wait."""
        return self.flight.task.done()

    def _own(self, found: Outcome) -> Outcome | None:
        """The flight's outcome for this presenter; None: it found only the token that the presenter has."""
        if not isinstance(found, Renewed):
            return found
        own = self.presenter.access
        if own is not None and own.binding != found.tokens.access.binding:
            return Mismatched()
        if own is not None and own.raw == found.tokens.access.raw:
            return None
        return Renewed(found.tokens, joined=self.joined or found.joined)


class Refresher:
    """All flights of this process."""

    def __init__(
        self, endpoint: TokenEndpoint, judge: Judge, store: Store, settings: RefreshSettings, emit: Emit
    ) -> None:
        self._endpoint = endpoint
        self._judge = judge
        self._settings = settings
        self._emit = emit
        self._successors = Successors(store, settings)
        self._presentation = Presentation(endpoint, store, settings, emit)
        self._flights: dict[str, Flight] = {}
        self._seen: Bounded[str, bool] = Bounded(_SEEN)
        self._errands: set[asyncio.Task[None]] = set()

    def ask(self, presenter: Presenter) -> Ticket:
        """Join the flight of this refresh token, or start it. Returns at once."""
        key = self._key(presenter.refresh)
        flight = self._flights.get(key)
        if flight is not None and not flight.task.done():
            flight.presenters.append(presenter)
            return Ticket(self, flight, presenter, joined=True)
        flight = Flight(key, presenter, [presenter])
        flight.task = asyncio.create_task(self._fly(flight))
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._landed(flight))
        return Ticket(self, flight, presenter, joined=False)

    def observe(self, refresh: Secret) -> None:
        """A request carries this refresh token, so its client has it. Costs nothing when seen before."""
        token = refresh.reveal()
        if token not in self._seen:
            self._seen[token] = True
            self._send(self._successors.claim(self._key(refresh), time.time()))

    async def close(self) -> None:
        """Wait for open flights, up to ``late_answer`` seconds: a rotated token must not be lost in a stop."""
        tasks = {flight.task for flight in self._flights.values()} | self._errands
        if tasks:
            await asyncio.wait(tasks, timeout=self._settings.late_answer)

    @property
    def under_way(self) -> int:
        """Flights and errands that have not ended."""
        return len(self._flights) + len(self._errands)

    def _key(self, refresh: Secret) -> str:
        s = self._settings
        return keys.index(s.index_key, s.issuer, s.client_id, refresh.reveal(), s.scope)

    def _landed(self, flight: Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _send(self, errand: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _fly(self, flight: Flight) -> Outcome:
        try:
            return await self._find(flight)
        except Exception as error:  # noqa: BLE001  # a bug of ours must answer its waiters (O2)
            self._emit(Noticed(what="refresh_failed", detail=type(error).__name__, alarm=True))
            return Failed(errors.INTERNAL_ERROR)

    async def _find(self, flight: Flight) -> Outcome:
        if flight.presenter.access is not None and flight.presenter.access.verified.subject is None:
            return Failed(_NO_SUBJECT)
        standing = await self._successors.find(flight.key, time.time())
        if standing is not None:
            self._presentation.known_good(flight.key)
            found = await self._succeed(flight, standing)
            if found is not None:
                return found
        found = await self._present(flight)
        if isinstance(found, Dead):
            return await self._reread(flight, found)
        return found

    async def _succeed(self, flight: Flight, standing: Standing) -> Outcome | None:
        """What the family has for this flight; None where this flight's own token is the one to present."""
        newest = standing.family.newest
        judged = await self._judge.granted(newest.access, newest.obtained)
        if isinstance(judged, AccessToken):
            if not flight.concerns(judged.binding):
                return Mismatched()
            if self._useful(judged) and not flight.knows(newest.access):
                await self._successors.keep(flight.key)
                return Renewed(TokenSet(judged, newest.refresh), joined=True)
        problem = self._unusable(judged, newest)
        if problem is not None:
            return Failed(problem)
        if newest.refresh == flight.presenter.refresh:
            return None
        return await self._follow(flight, newest.refresh)

    def _useful(self, token: AccessToken) -> bool:
        return token.schedule.age(time.time()) in (Age.FRESH, Age.AHEAD) or (
            token.obtained is not None and token.schedule.hard_at == token.schedule.ends_at > time.time()
        )

    def _unusable(self, judged: AccessToken | Rejected | KeysUnavailable, newest: Stored) -> errors.Problem | None:
        """Why a stored grant is neither used nor refreshed again now (R2, R21); None: refresh it."""
        recent = time.time() - newest.obtained.at < self._settings.min_interval
        match judged:
            case KeysUnavailable():
                return errors.AUTH_SERVER_UNAVAILABLE
            case Rejected():
                return errors.AUTH_SERVER_MISCONFIGURED if recent else None
            case AccessToken():
                early = judged.schedule.age(time.time()) is Age.EARLY
                return errors.AUTH_SERVER_UNAVAILABLE if early else None

    async def _follow(self, flight: Flight, newest: Secret) -> Outcome:
        """Present the newest refresh token of the family, in the flight that is that token's own."""
        tickets = [self.ask(replace(presenter, refresh=newest)) for presenter in list(flight.presenters)]
        task = tickets[0].flight.task
        await asyncio.wait({task})
        found = task.result()
        await self._successors.keep(flight.key)
        return Renewed(found.tokens, found.joined or tickets[0].joined) if isinstance(found, Renewed) else found

    async def _present(self, flight: Flight) -> Outcome:
        asked_at = time.time()
        answer = await self._presentation.present(flight.key, flight.presenter)
        if not isinstance(answer, Grant):
            return answer
        obtained = Obtained(time.time(), _lifetime(answer, asked_at))
        judged = await self._judge.granted(answer.access_token, obtained)
        refresh = answer.refresh_token or flight.presenter.refresh
        if isinstance(judged, AccessToken) and judged.verified.subject is not None:
            if not flight.concerns(judged.binding):
                return self._discard(refresh)
            self._note_scope(flight.presenter.access, judged, answer)
        return await self._keep(flight, Stored(answer.access_token, refresh, obtained), judged)

    async def _keep(
        self, flight: Flight, stored: Stored, judged: AccessToken | Rejected | KeysUnavailable
    ) -> Outcome:
        new_key = self._key(stored.refresh)
        self._presentation.known_good(new_key)
        await self._successors.grow(flight.key, new_key, stored, now=time.time())
        match judged:
            case AccessToken() if judged.verified.subject is None:
                return Failed(_NO_SUBJECT)
            case AccessToken() if judged.schedule.age(time.time()).valid:
                return Renewed(TokenSet(judged, stored.refresh), joined=False)
            case Rejected(reason=reason):
                self._emit(Noticed(what="grant_not_accepted", detail=reason, alarm=True))
                return Failed(errors.AUTH_SERVER_MISCONFIGURED)
            case KeysUnavailable() | AccessToken():
                self._emit(Noticed(what="grant_not_verifiable", detail="keys unavailable or clocks apart"))
                return Failed(errors.AUTH_SERVER_UNAVAILABLE)

    async def _reread(self, flight: Flight, dead: Dead) -> Outcome:
        """Denied: perhaps another one won the race and its successor is there by now (R12, B10)."""
        standing = await self._successors.find(flight.key, time.time())
        if standing is not None and standing.family.newest.refresh != flight.presenter.refresh:
            found = await self._succeed(flight, standing)
            if found is not None:
                return found
        await self._presentation.bury(flight.key, dead)
        return dead

    def _discard(self, refresh: Secret) -> Mismatched:
        """Nobody who asked is this user: nothing is stored and the grant is revoked (R1)."""
        self._emit(Noticed(what="subject_mismatch", detail="the grant is revoked", alarm=True))
        self._send(self._endpoint.revoke(refresh))
        return Mismatched()

    def _note_scope(self, old: AccessToken | None, new: AccessToken, grant: Grant) -> None:
        """A wider scope than before is worth a line (R2)."""
        if old is None:
            return
        before = old.verified.claims.get("scope")
        after = grant.scope or new.verified.claims.get("scope")
        if isinstance(before, str) and isinstance(after, str) and set(after.split()) - set(before.split()):
            self._emit(Noticed(what="scope_widened"))


def _lifetime(grant: Grant, now: float) -> float | None:
    if grant.expires_in is not None:
        return grant.expires_in
    return None if grant.expires_at is None else max(grant.expires_at - now, 0)
