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
    state: Pass | Forward | Alongside | Settle | Refresh | Relay | Refuse = decision
    while not isinstance(state, _ENDS):
        try:  # one coroutine for all steps: each more would be paid for by every request
            match state:
                case Forward(token=token):
                    answer = await line.send(token)
                    state = state.next(answer, clock(), replayable=line.replayable)
                    continue
                case Pass():
                    await line.send(None)
                    state = Relay()
                    continue
                case Alongside(token=token):
                    line.ask()
                    answer = await line.send(token)
                    state = state.next(answer, clock(), replayable=line.replayable)
                    continue
                case Settle():
                    state = state.next(await line.outcome(state))
                    continue
                case Refresh():
                    line.ask()
                    outcome = await line.outcome(state)
                    state = replace(state, replayable=state.replayable and line.replayable).next(outcome, clock())
                    continue
                case _:
                    assert_never(state)
        except GatewayError as error:
            problem = error.problem
        if isinstance(state, Alongside):
            await line.outcome(Settle())
        state = Refuse(problem)
    if isinstance(state, Relay):
        await line.relay()
    else:
        await line.refuse(state.problem)
