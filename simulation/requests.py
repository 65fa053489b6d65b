"""One request at one replica, through the gateway's own states (``gateway.core.lifecycle``, ``gateway.exchange``),
with an API that always answers.
"""

import asyncio
from dataclasses import dataclass

from gateway.core.credentials import Presenter
from gateway.core.errors import Problem
from gateway.core.lifecycle import Decision, Refresh, Settle, UpstreamAnswer
from gateway.core.outcomes import Dead, Outcome, Renewed
from gateway.core.policy import Policy
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, TokenSet, patience
from gateway.exchange import drive
from gateway.refresher import Ticket
from gateway.refresher.flights import Answered
from simulation.auth_server import Login
from simulation.figures import Tally
from simulation.fleet import Replica
from simulation.virtual_time import wall

POLICY = Policy()
AHEAD_WAIT = 1.0
"""``refresh.ahead_wait``"""

_OK = UpstreamAnswer(200, invalid_token=False)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What a client sends."""

    login: Login
    access: AccessToken
    refresh: Secret


class Request:
    """Implements ``gateway.exchange.Line``."""

    replayable = True

    def __init__(self, replica: Replica, pair: Pair, tally: Tally, api: float) -> None:
        """Args: api: seconds that the API takes."""
        self.tokens: TokenSet | None = None
        """What goes out with the answer."""
        self._replica = replica
        self._pair = pair
        self._tally = tally
        self._api = api
        self._ticket: Ticket | Answered | None = None
        self._deadline = _now() + replica.patience

    async def run(self, decision: Decision) -> None:
        """To its end."""
        await drive(decision, self, wall)

    async def send(self, token: AccessToken | None) -> UpstreamAnswer:
        """The API takes any token that has not expired."""
        if token is None or wall() >= token.schedule.ends_at:
            self._tally.expired_at_api += 1
        await asyncio.sleep(self._api)
        return _OK

    def ask(self) -> None:
        """Start or join a refresh, once."""
        if self._ticket is None:
            pair = self._pair
            presenter = Presenter(refresh=pair.refresh, access=pair.access, client=pair.login.user)
            self._ticket = self._replica.refresher.ask(presenter)

    async def outcome(self, state: Refresh | Settle) -> Outcome:
        """Wait as ``gateway.edge.line`` does."""
        if self._ticket is None:
            raise RuntimeError("no refresh was asked for")
        started = _now()
        found = await self._ticket.outcome(self._patience(state))
        self._tally.waited(_now() - started, blocked=isinstance(state, Refresh))
        self._note(found)
        return found

    async def relay(self) -> None:
        """The client gets the API's answer."""

    async def refuse(self, problem: Problem) -> None:
        """The client gets ours."""
        self._tally.refused[problem.code] += 1

    def _patience(self, state: Refresh | Settle) -> float:
        if isinstance(state, Settle):
            return AHEAD_WAIT
        return patience(state.token, wall(), max(self._deadline - _now(), 0))

    def _note(self, found: Outcome) -> None:
        if isinstance(found, Renewed):
            self.tokens = found.tokens
            if found.tokens.access.verified.subject != self._pair.login.user:
                self._tally.foreign += 1
        elif isinstance(found, Dead):
            self._tally.logged_out(self._pair.login, found.reason)


def _now() -> float:
    return asyncio.get_running_loop().time()
