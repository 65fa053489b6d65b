"""One request through its states: the story of the gateway (CONTRACT §3).

``core.lifecycle`` decides, the line acts. Whatever ends a request, the new tokens of a refresh go out with the
answer, whoever's answer it is.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, assert_never

from gateway.core.errors import GatewayError, Problem
from gateway.core.lifecycle import (
    Alongside,
    Decision,
    Forward,
    Pass,
    Refresh,
    Refuse,
    Relay,
    Settle,
    UpstreamAnswer,
)
from gateway.core.outcomes import Outcome
from gateway.core.tokens import AccessToken

_State = Pass | Forward | Alongside | Settle | Refresh
_ENDS = (Relay, Refuse)  # a union would be made anew each time


class Line(Protocol):
    """One client's request, with an upstream at its other end."""

    @property
    def replayable(self) -> bool:
        """The request could be sent once more from its first byte."""

    async def send(self, token: AccessToken | None) -> UpstreamAnswer:
        """Send the request with this token (None: as it came). Raises: GatewayError, ClientGone."""

    def ask(self) -> None:
        """Start or join a refresh, without waiting. Once for a request: asked again, it is the same one."""

    async def outcome(self, state: Refresh | Settle) -> Outcome:
        """Wait for the refresh, as long as ``state`` has patience, and keep its tokens for the answer."""

    async def relay(self) -> None:
        """The upstream's answer goes to the client."""

    async def refuse(self, problem: Problem) -> None:
        """An answer of our own goes to the client; the upstream's, if there is one, is dropped."""


async def drive(decision: Decision, line: Line, clock: Callable[[], float]) -> None:
    """Answer one request, from the decision that its arrival led to.

    Raises:
        ClientGone: nobody is left to answer.
        GatewayError: the upstream's answer broke off after its head had gone to the client.
    """
    state: _State | Relay | Refuse = decision
    while not isinstance(state, _ENDS):
        try:
            state = await _step(state, line, clock)
        except GatewayError as error:
            problem = error.problem
        else:
            continue
        if isinstance(state, Alongside):
            await line.outcome(Settle())
        state = Refuse(problem)
    if isinstance(state, Relay):
        await line.relay()
    else:
        await line.refuse(state.problem)


async def _step(state: _State, line: Line, clock: Callable[[], float]) -> _State | Relay | Refuse:
    match state:
        case Pass():
            await line.send(None)
            return Relay()
        case Forward(token=token):
            answer = await line.send(token)
            return state.next(answer, clock(), replayable=line.replayable)
        case Alongside(token=token):
            line.ask()
            answer = await line.send(token)
            return state.next(answer, clock(), replayable=line.replayable)
        case Settle():
            return state.next(await line.outcome(state))
        case Refresh():
            line.ask()
            outcome = await line.outcome(state)
            return replace(state, replayable=state.replayable and line.replayable).next(outcome, clock())
        case _:
            assert_never(state)
