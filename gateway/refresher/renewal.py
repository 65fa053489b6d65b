"""The way of one flight, from a refresh token to new tokens (CONTRACT §4.3, §4.4).

Look for successors of the token; where the newest of them cannot be used, go on with *its* refresh token; only the
newest is presented to the authorization server. What comes is stored before anybody hears of it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import assert_never

from gateway.core import errors
from gateway.core.errors import Problem
from gateway.core.families import Stored
from gateway.core.grants import Grant
from gateway.core.outcomes import Dead, Failed, Mismatched, Outcome, Renewed
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, Age, KeysUnavailable, Obtained, Rejected, TokenSet
from gateway.events import Emit, Noticed
from gateway.refresher.flights import Flight, Flights
from gateway.refresher.ports import Judge, RefreshSettings
from gateway.refresher.presentation import Presentation
from gateway.refresher.successors import Successors

_Judged = AccessToken | Rejected | KeysUnavailable


class Renewal:
    """Finds the outcome of a flight."""

    def __init__(
        self,
        *,
        judge: Judge,
        flights: Flights,
        successors: Successors,
        presentation: Presentation,
        settings: RefreshSettings,
        emit: Emit,
        clock: Callable[[], float],
        errand: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        """Args: errand: runs a coroutine that nobody waits for; clock: Unix seconds."""
        self._judge = judge
        self._flights = flights
        self._successors = successors
        self._presentation = presentation
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._errand = errand

    async def find(self, flight: Flight) -> Outcome:
        """New tokens, from the store or from the server, or why there are none.

        A denial is believed only once the store was read again: perhaps another one won the race and its
        successor is there by now (R12, B10).
        """
        refresh, denied = flight.first.refresh, None
        while True:
            key = self._settings.key(refresh)
            found = await self._among_successors(flight, key)
            if isinstance(found, Secret):
                holder = self._flights.take(flight, self._settings.key(found))
                if holder is not None:
                    return await _landing(holder)
                refresh, denied = found, None
            elif found is not None:
                return found
            elif denied is not None:
                await self._presentation.bury(key, denied)
                return denied
            else:
                presented = await self._present(flight, key, refresh)
                if not isinstance(presented, Dead):
                    return presented
                denied = presented

    async def _among_successors(self, flight: Flight, key: str) -> Outcome | Secret | None:
        """What the token's family has for this flight: an outcome, or a newer refresh token to go on with. None:
        the token is the one to present.
        """
        standing = await self._successors.find(key, self._clock())
        if standing is None:
            return None
        newest = standing.family.newest
        newest_key = self._settings.key(newest.refresh)
        self._presentation.known_good(newest_key)
        judged = await self._judged(newest)
        if isinstance(judged, AccessToken) and not flight.concerns(judged.binding):
            return Mismatched()
        await self._successors.keep(standing, newest_key)
        # From this look at who asked to the end of the flight nothing is awaited: nobody who has this very token
        # can join in between and be handed it again.
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

    async def _present(self, flight: Flight, key: str, refresh: Secret) -> Outcome:
        answer = await self._presentation.present(key, replace(flight.first, refresh=refresh))
        if not isinstance(answer, Grant):
            return answer
        now = self._clock()
        stored = Stored(answer.access_token, answer.refresh_token or refresh, Obtained(now, _lifetime(answer, now)))
        try:
            judged = await self._judged(stored)
        except Exception:
            await self._store(key, stored)
            raise
        if isinstance(judged, AccessToken) and not flight.concerns(judged.binding):
            return self._discard(stored.refresh)
        await self._store(key, stored)
        self._note_scope(flight, judged, answer)
        return self._granted(judged, stored.refresh)

    async def _judged(self, stored: Stored) -> _Judged:
        """A token that names nobody could be handed to anybody (R11)."""
        judged = await self._judge.granted(stored.access, stored.obtained)
        if isinstance(judged, AccessToken) and judged.verified.subject is None:
            return Rejected("the granted token names no subject")
        return judged

    async def _store(self, key: str, stored: Stored) -> None:
        new_key = self._settings.key(stored.refresh)
        self._presentation.known_good(new_key)
        await self._successors.grow(key, new_key, stored, now=self._clock())
        await self._presentation.forget_doubt(key)

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


def _lifetime(grant: Grant, now: float) -> float | None:
    if grant.expires_in is not None:
        return grant.expires_in
    return None if grant.expires_at is None else max(grant.expires_at - now, 0)
