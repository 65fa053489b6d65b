"""One presentation of one refresh token: whether it may go out, and what the answer means (CONTRACT §4.4-4.7).

Whoever calls this holds the flight and the turn: nobody else presents the same token at the same time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import assert_never

from gateway.core import errors
from gateway.core.bounded import Bounded
from gateway.core.credentials import Presenter
from gateway.core.errors import Problem
from gateway.core.grants import Answer, Denied, Grant, Misconfigured, Throttled, Unavailable, answer_lost
from gateway.core.outcomes import Dead, Failed
from gateway.core.secret import Secret
from gateway.events import Emit, Noticed, RefreshEnded
from gateway.refresher.addresses import AddressLimit, network
from gateway.refresher.guard import Breaker, Slots, Throttle
from gateway.refresher.marks import Marks
from gateway.refresher.ports import RefreshSettings, TokenEndpoint
from gateway.refresher.turns import Turn

ANSWER_LOST = "answer_lost"
_REMEMBERED = 100_000


class Presentation:
    """Presents refresh tokens, and guards the server."""

    def __init__(self, endpoint: TokenEndpoint, marks: Marks, settings: RefreshSettings, emit: Emit) -> None:
        self._endpoint = endpoint
        self._marks = marks
        self._settings = settings
        self._emit = emit
        self._breaker = Breaker()
        self._throttle = Throttle()
        self._addresses = AddressLimit(settings.unknown_burst, settings.unknown_per_second, settings.max_waiting)
        self._slots = Slots(settings.max_concurrent, settings.max_waiting)
        self._good: Bounded[str, bool] = Bounded(_REMEMBERED)

    async def present(
        self, key: str, presenter: Presenter, turn: Turn, *, announce: Callable[[], Awaitable[bool]] | None = None
    ) -> Grant | Dead | Failed | None:
        """Ask the server for new tokens, unless it must not be asked by now. None: nothing was sent, because
        ``announce`` said no. That is the last step before; by default it is the turn's ``intend``.

        A refresh token that was never seen good counts against its client's address once it is denied (D3). Where
        tokens are granted, the turn is not resolved yet: they have to be stored first. Raises ``StoreUnavailable``
        only before anything is sent.
        """
        with ExitStack() as places:
            return await self._in_turn(key, presenter, turn, places, announce or turn.intend)

    def refuses(self, key: str) -> Failed | None:
        """Whether the server must not be asked about this token now."""
        wait = self._throttle.refuses(key, _now())
        wait = wait if wait is not None else self._breaker.refuses(_now())
        return None if wait is None else Failed(errors.AUTH_SERVER_UNAVAILABLE.retry(wait))

    def known_good(self, key: str) -> None:
        """The server itself gave us this token: it is no guess of a client's (D3)."""
        self._good[key] = True

    async def revoke(self, token: Secret) -> None:
        """RFC 7009, best effort."""
        await self._endpoint.revoke(token)

    async def _in_turn(
        self,
        key: str,
        presenter: Presenter,
        turn: Turn,
        places: ExitStack,
        announce: Callable[[], Awaitable[bool]],
    ) -> Grant | Dead | Failed | None:
        """Whoever closes ``places`` lets the next ones in."""
        guesser = None if key in self._good else network(presenter.client)
        problem = await self._admitted(guesser, places)
        if problem is not None:
            return Failed(problem)
        refused = self.refuses(key)
        if refused is not None:
            return refused
        started = _now()  # others count from the intent: whatever holds us up from here on is our time, not theirs
        if not await announce():
            return None
        answer = await self._ask(presenter, started, places.close)
        if guesser is not None and isinstance(answer, Denied):
            self._addresses.charge(guesser)
        found = await self._read(answer, key, turn)
        self._report(answer, found, _now() - started)
        return found

    async def _admitted(self, guesser: str | None, places: ExitStack) -> Problem | None:
        """Waits for leave of the address, where it counts, and for a slot: ``timeout`` seconds at most."""
        deadline = _now() + self._settings.timeout
        if guesser is not None:
            problem = await self._addresses.enter(guesser, self._settings.timeout)
            if problem is not None:
                return problem
            places.callback(self._addresses.leave, guesser)
        if not await self._slots.acquire(deadline - _now()):
            return errors.AUTH_SERVER_UNAVAILABLE.because("Too many refreshes wait. Try again later.")
        places.callback(self._slots.release)
        return None

    async def _ask(self, presenter: Presenter, started: float, give_way: Callable[[], None]) -> Answer:
        """The breaker hears of a failure when the answer comes or when patience ends, whichever is first (B2).

        When patience ends, others get this one's places, although its answer is listened for: a hung server must
        not keep everybody out for ``late_answer`` seconds.
        """
        late = started + self._settings.timeout

        def end_patience() -> None:
            self._breaker.failed(late)
            give_way()

        self._breaker.started(started)
        overdue = asyncio.get_running_loop().call_at(late, end_patience)
        access = presenter.access.raw if presenter.access is not None else None
        try:
            answer = await self._endpoint.redeem(presenter.refresh, access, since=started)
        finally:
            overdue.cancel()
        now = _now()
        if not isinstance(answer, Unavailable) or answer.client_error:
            self._breaker.succeeded()
        elif answer.exhausted:
            self._breaker.abandoned()
        elif now < late:
            self._breaker.failed(now)
        return answer

    async def _read(self, answer: Answer, key: str, turn: Turn) -> Grant | Dead | Failed:
        """A doubt that an earlier presentation has left ends with a grant only."""
        if isinstance(answer, Grant):
            return answer
        lost = turn.doubt or answer_lost(answer)
        found = self._meaning(answer, key, lost=lost)
        if isinstance(found, Failed):
            seconds = answer.retry_after if isinstance(answer, Throttled) else self._settings.transient
            await self._marks.pause(key, found.problem, seconds)
        await turn.resolve(lost=lost)
        return found

    def _meaning(
        self, answer: Denied | Throttled | Misconfigured | Unavailable, key: str, *, lost: bool
    ) -> Dead | Failed:
        match answer:
            case Denied():
                return Dead(ANSWER_LOST if lost else None)
            case Throttled(retry_after=seconds):
                self._throttle.throttled(key, seconds, _now())
                return Failed(errors.AUTH_SERVER_UNAVAILABLE.retry(seconds))
            case Misconfigured():
                return Failed(errors.AUTH_SERVER_MISCONFIGURED)
            case Unavailable(exhausted=ours):
                return Failed(errors.OVERLOADED if ours else errors.AUTH_SERVER_UNAVAILABLE)
            case _:
                assert_never(answer)

    def _report(self, answer: Answer, found: Grant | Dead | Failed, duration: float) -> None:
        match answer:
            case Grant():
                event = RefreshEnded(outcome="granted", duration=duration)
            case Denied(error=error):
                reason = found.reason if isinstance(found, Dead) else None
                event = RefreshEnded(outcome="denied", reason=reason or error, duration=duration)
            case Throttled():
                event = RefreshEnded(outcome="throttled", duration=duration, ambiguous=answer_lost(answer))
            case Misconfigured(error=error):
                lost = answer_lost(answer)
                event = RefreshEnded(outcome="misconfigured", reason=error, duration=duration, ambiguous=lost)
                self._emit(Noticed(what="auth_server_misconfigured", detail=error, alarm=True))
            case Unavailable(reason=reason, ambiguous=ambiguous):
                event = RefreshEnded(outcome="unavailable", reason=reason, duration=duration, ambiguous=ambiguous)
            case _:
                assert_never(answer)
        self._emit(event)


def _now() -> float:
    """The event loop's clock, which its timers run by too."""
    return asyncio.get_running_loop().time()
