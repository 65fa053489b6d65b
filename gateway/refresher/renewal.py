"""The way of one flight, from a refresh token to new tokens (CONTRACT §4.3, §4.4).

Look for successors of the token; where the newest of them cannot be used, go on with *its* refresh token; only the
newest is presented to the authorization server, by whoever's turn it is in the fleet. What comes is stored before
anybody hears of it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import assert_never

from gateway.core import errors
from gateway.core.errors import Problem
from gateway.core.families import Stored
from gateway.core.grants import Grant
from gateway.core.outcomes import Dead, Failed, Mismatched, Outcome, Renewed
from gateway.core.records import StoreUnavailable
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, Age, KeysUnavailable, Obtained, Rejected, TokenSet
from gateway.events import Emit, Noticed
from gateway.refresher.flights import TOO_SLOW, Flight, Flights
from gateway.refresher.marks import Marks
from gateway.refresher.place import Place
from gateway.refresher.ports import Judge, RefreshSettings
from gateway.refresher.presentation import Presentation
from gateway.refresher.successors import Standing, Successors
from gateway.refresher.turns import Errand, Turn, Turns
from gateway.refresher.unsaved import Unsaved

_Judged = AccessToken | Rejected | KeysUnavailable


class Renewal:
    """Finds the outcome of a flight."""

    def __init__(
        self,
        *,
        judge: Judge,
        flights: Flights,
        turns: Turns,
        successors: Successors,
        unsaved: Unsaved,
        marks: Marks,
        presentation: Presentation,
        settings: RefreshSettings,
        emit: Emit,
        clock: Callable[[], float],
        errand: Errand,
    ) -> None:
        """Args: errand: runs a coroutine that nobody waits for; clock: Unix seconds."""
        self._judge = judge
        self._flights = flights
        self._turns = turns
        self._successors = successors
        self._unsaved = unsaved
        self._marks = marks
        self._presentation = presentation
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._errand = errand

    async def find(self, flight: Flight) -> Outcome:
        """New tokens, from the store or from the server, or why there are none.

        Raises ``StoreUnavailable`` where it cannot be known whether the token may be presented.
        """
        refresh = flight.first.refresh
        key = self._settings.key(refresh)
        while True:
            async with Place(self._turns, key, flight) as place:
                found = await self._in_place(place, flight, key, refresh)
            if isinstance(found, Secret):
                refresh, key = found, self._settings.key(found)
                holder = self._flights.take(flight, key)
                if holder is not None:
                    return await _landing(holder)
            elif not _outdated(found, flight):
                return found

    async def _in_place(self, place: Place, flight: Flight, key: str, refresh: Secret) -> Outcome | Secret:
        """Look, and wait for a turn, until one of them ends it. A secret: go on with that newer refresh token."""
        while True:
            found: Outcome | Secret | Turn | None
            try:
                found = await self._known(flight, key) or await place.turn()
            except StoreUnavailable:
                if not await place.bear():
                    raise
                continue
            if isinstance(found, Turn):
                async with found as turn:
                    found = await self._in_turn(turn, flight, key, refresh)
                place.passed_over()
            if found is not None:
                return found

    async def _known(self, flight: Flight, key: str) -> Outcome | Secret | None:
        """What this or another process has found out about the token."""
        found = await self._among_successors(flight, key)
        return found or await self._marks.read(key) or self._presentation.refuses(key)

    async def _in_turn(self, turn: Turn, flight: Flight, key: str, refresh: Secret) -> Outcome | Secret | None:
        """Nobody else presents the token now. None: somebody does, after all.

        A denial is believed only once the store was read again: perhaps another one won the race and its
        successor is there by now (R12, B10).
        """
        found = await self._after_others(turn, flight, key)
        if found is not None:
            return found
        presented = await self._present(turn, flight, key, refresh)
        if not isinstance(presented, Dead):
            return presented
        found = await self._among_successors(flight, key)
        if found is None:
            await self._marks.bury(key, presented)
        return found or presented

    async def _after_others(self, turn: Turn, flight: Flight, key: str) -> Outcome | Secret | None:
        """What others have left since we looked, or leave while an answer to one of them may still come (B24).

        Where nobody waits any more, the next one who asks presents the token: its client may have the new tokens
        from the one who died, will never ask with this one again, and a denial would end its session.
        """
        if not turn.contested:
            return None
        found = await self._known(flight, key)
        if found is not None or not turn.hold:
            return found
        ends = _now() + turn.hold
        while found is None and _now() < ends:
            if self._turns.closing:
                return Failed(TOO_SLOW)
            await asyncio.sleep(min(self._settings.poll_most, ends - _now()))
            with suppress(StoreUnavailable):
                found = await self._among_successors(flight, key)
        if found is None and _now() >= max(flight.awaited_until, flight.latest + self._settings.timeout):
            return Failed(TOO_SLOW)
        return found or await self._known(flight, key)

    async def _among_successors(self, flight: Flight, key: str) -> Outcome | Secret | None:
        """What the token's family has for this flight: an outcome, or a newer refresh token to go on with. None:
        the token is the one to present.
        """
        newest, standing = self._unsaved.find(key), None
        if newest is None:
            standing = await self._successors.find(key, self._clock())
            if standing is None:
                return None
            newest = standing.family.newest
        return await self._offered(flight, newest, standing)

    async def _offered(self, flight: Flight, newest: Stored, standing: Standing | None) -> Outcome | Secret | None:
        newest_key = self._settings.key(newest.refresh)
        self._presentation.known_good(newest_key)
        judged = await self._judged(newest)
        flight.considered = flight.asked
        if isinstance(judged, AccessToken) and not flight.concerns(judged.binding):
            return Mismatched()
        if standing is not None:
            with suppress(StoreUnavailable):
                await self._successors.keep(standing, newest_key, self._clock())
        if isinstance(judged, AccessToken) and self._useful(judged) and not flight.knows(newest.access):
            return Renewed(TokenSet(judged, newest.refresh), joined=True)
        problem = self._withheld(judged, newest)
        if problem is not None:
            return Failed(problem)
        return None if newest_key in flight.keys else newest.refresh

    def _useful(self, token: AccessToken) -> bool:
        return token.schedule.age(self._clock()) in (Age.FRESH, Age.AHEAD) and not token.verified.key_retired

    def _withheld(self, judged: _Judged, newest: Stored) -> Problem | None:
        """Why a stored grant is neither used nor exchanged again now (R2, R21); None: exchange it."""
        now = self._clock()
        recent = now - newest.obtained.at < self._settings.min_interval
        match judged:
            case KeysUnavailable():
                return errors.AUTH_SERVER_UNAVAILABLE
            case Rejected():
                return errors.AUTH_SERVER_MISCONFIGURED if recent else None
            case AccessToken(schedule=schedule, verified=verified):
                doubtful = verified.key_retired or schedule.ends_at <= newest.obtained.at
                early = schedule.age(now) is Age.EARLY
                return errors.AUTH_SERVER_UNAVAILABLE if early or (recent and doubtful) else None
            case _:
                assert_never(judged)

    async def _present(self, turn: Turn, flight: Flight, key: str, refresh: Secret) -> Outcome | Secret | None:
        """Where the turn has waited long for its place, others may have had it meanwhile: look once more."""
        found: Outcome | Secret | None = None

        async def announce() -> bool:
            nonlocal found
            late = turn.doubtful
            if (late and not await turn.reassure()) or not await turn.intend():
                return False
            if late:
                found = await self._once_more(turn, flight, key)
            return found is None

        presenter = replace(flight.first, refresh=refresh)
        answer = await self._presentation.present(key, presenter, turn, announce=announce)
        if not isinstance(answer, Grant):
            return answer or found
        now = self._clock()
        stored = Stored(answer.access_token, answer.refresh_token or refresh, Obtained(now, _lifetime(answer, now)))
        try:
            judged = await self._judged(stored)
        except Exception:
            await self._store(turn, key, stored)
            raise
        if isinstance(judged, AccessToken) and not flight.concerns(judged.binding):
            flight.considered = flight.asked
            await turn.resolve(lost=False)
            return self._discard(stored.refresh)
        await self._store(turn, key, stored)
        self._note_scope(flight, judged, answer)
        return self._granted(judged, stored.refresh)

    async def _once_more(self, turn: Turn, flight: Flight, key: str) -> Outcome | Secret | None:
        """What there is, once others can tell that the token is about to be presented; then it will not be."""
        found: Outcome | Secret | None = None
        try:
            found = await self._known(flight, key)
        except StoreUnavailable:
            await turn.resolve(lost=turn.doubt)
            raise
        if found is not None:
            await turn.resolve(lost=turn.doubt and isinstance(found, Dead | Failed))
        return found

    async def _judged(self, stored: Stored) -> _Judged:
        """A token that names nobody could be handed to anybody (R11)."""
        judged = await self._judge.granted(stored.access, stored.obtained)
        if isinstance(judged, AccessToken) and judged.verified.subject is None:
            return Rejected("the granted token names no subject")
        return judged

    async def _store(self, turn: Turn, key: str, stored: Stored) -> None:
        """Whoever asked here gets the new tokens also where the store does not take them (B20)."""
        new_key = self._settings.key(stored.refresh)
        self._presentation.known_good(new_key)
        try:
            await self._successors.grow(key, new_key, stored, now=self._clock())
        except StoreUnavailable:
            self._unsaved.keep(key, new_key, stored, turn)
        else:
            await turn.resolve(lost=False)

    def _granted(self, judged: _Judged, refresh: Secret) -> Outcome:
        match judged:
            case AccessToken() if judged.schedule.age(self._clock()).valid:
                return Renewed(TokenSet(judged, refresh), joined=False)
            case Rejected(reason=reason):
                self._emit(Noticed(what="grant_not_accepted", detail=reason, alarm=True))
                return Failed(errors.AUTH_SERVER_MISCONFIGURED)
            case KeysUnavailable() | AccessToken():
                self._emit(Noticed(what="grant_not_verifiable", detail="keys unavailable or clocks apart"))
                return Failed(errors.AUTH_SERVER_UNAVAILABLE)
            case _:
                assert_never(judged)

    def _discard(self, refresh: Secret) -> Mismatched:
        """Nobody who asked is this user: nothing is stored and the grant is revoked (R1)."""
        self._emit(Noticed(what="subject_mismatch", detail="the grant is revoked", alarm=True))
        self._errand(self._presentation.revoke(refresh))
        return Mismatched()

    def _note_scope(self, flight: Flight, new: _Judged, grant: Grant) -> None:
        """A wider scope than before is worth a line (R2)."""
        old = flight.first.access
        if old is None or not isinstance(new, AccessToken):
            return
        before = old.verified.claims.get("scope")
        after = grant.scope or new.verified.claims.get("scope")
        if isinstance(before, str) and isinstance(after, str) and set(after.split()) - set(before.split()):
            self._emit(Noticed(what="scope_widened"))


async def _landing(flight: Flight) -> Outcome:
    """What another flight finds. Whoever waits for it must not cancel it."""
    await asyncio.wait({flight.task})
    found = flight.task.result()
    return Renewed(found.tokens, joined=True) if isinstance(found, Renewed) else found


def _outdated(found: Outcome, flight: Flight) -> bool:
    """Somebody has joined since whom it does not suit: who is the user after all, or has this very token."""
    if isinstance(found, Renewed):
        return found.joined and flight.knows(found.tokens.access.raw)
    return isinstance(found, Mismatched) and flight.asked > flight.considered


def _lifetime(grant: Grant, now: float) -> float | None:
    if grant.expires_in is not None:
        return grant.expires_in
    return None if grant.expires_at is None else max(grant.expires_at - now, 0)


def _now() -> float:
    return asyncio.get_running_loop().time()
