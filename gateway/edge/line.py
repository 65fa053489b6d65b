"""One client's request with an upstream at its other end: what ``exchange.drive`` acts on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, cast

from gateway.core.answers import AnswerFields, Written
from gateway.core.credentials import Presenter
from gateway.core.errors import EXPIRED_TOKEN, GatewayError, Problem
from gateway.core.headers import Header, Headers, is_event_stream, is_invalid_token, values
from gateway.core.lifecycle import Refresh, Settle, UpstreamAnswer
from gateway.core.methods import IDEMPOTENT
from gateway.core.outcomes import Cause, Failed, Outcome, Renewed
from gateway.core.policy import OnOpenStream
from gateway.core.tokens import AccessToken, patience
from gateway.core.websocket import SWITCHING_PROTOCOLS, Handshake, TunnelEnd
from gateway.core.wire import FieldLines
from gateway.edge.crossing import answer_lines, request_fields, response_fields, usual_lines, written
from gateway.edge.fittings import Arrival, Fittings
from gateway.edge.ports import Ticket
from gateway.edge.upgrade import Upgrade
from gateway.edge.upstreams import Outgoing, Response

ASGISend = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_UNAUTHORIZED = 401
_PLAIN = {status: UpstreamAnswer(status, invalid_token=False) for status in range(100, 600)}
_DROPPED = 64 * 1024
"""Bytes of a dropped 401 that are read so that its connection can serve the replay."""


class ProxyLine:
    """Implements ``exchange.Line`` over ASGI."""

    def __init__(self, fittings: Fittings, arrival: Arrival, send: ASGISend) -> None:
        self._fit = fittings
        self._arrival = arrival
        self._send = send
        self._ticket: Ticket | None = None
        self._response: Response | None = None
        self._upgrade: Upgrade | None = None
        self._sent: AccessToken | None = None
        self._whole = False
        """The request went up by the express lane: all of it."""
        self._tokens: Headers = []
        self._deadline = arrival.at + fittings.timeout
        self.status = 0
        """What the client was answered; 0: nothing yet."""
        self.problem: Problem | None = None
        self.refreshed: Cause | None = None
        self.tunnel: TunnelEnd | None = None

    @property
    def replayable(self) -> bool:
        """The body, if there is one, is kept from its first byte, and is of a size that may be."""
        body = self._arrival.body
        return body is None or (body.replayable and (body.small or not self._whole))

    async def send(self, token: AccessToken | None) -> UpstreamAnswer:
        """Send the request; a 401 that is at hand from an earlier send is dropped first."""
        if self._response is not None:
            await self._drop()
        held = self._held()
        if held is not None and held.status and token is not self._arrival.passage.own:
            await held.drain(_DROPPED)
            held = None
        self._sent = token
        repeatable = self._arrival.head.method in IDEMPOTENT
        lost = held is not None and held.stale and repeatable
        self._whole = held is not None and not lost
        if held is None:
            held = self._sent_at_once(token)
        if held is not None and not lost:
            try:
                await held.head()
            except GatewayError:
                lost, self._whole = held.stale and repeatable, False
                if not lost:
                    raise
        if held is None or lost:
            held = await self._dispatch(token, again=lost)
        self._response = held
        status = held.status
        return UpstreamAnswer(status, is_invalid_token(held.headers)) if status == _UNAUTHORIZED else _PLAIN[status]

    def _sent_at_once(self, token: AccessToken | None) -> Response | None:
        """The answer to come, where there is no body, and a connection that waits; else None: nothing was sent."""
        arrival = self._arrival
        if arrival.body is not None or arrival.upgrade:
            return None
        passage, head = arrival.passage, arrival.head
        rule, target = passage.rule, passage.target
        return target.begin(
            head.method.encode("ascii"),
            target.target(head.target, rule),
            self._fields(token),
            lane=rule.lane,
            response_timeout=rule.response_timeout,
        )

    def _held(self) -> Response | None:
        """The answer to what the express lane has sent, once."""
        cycle = self._arrival.cycle
        if cycle is None or cycle.at_hand is None:
            return None
        held, cycle.at_hand = cast("Response", cycle.at_hand), None
        return held

    async def _dispatch(self, token: AccessToken | None, *, again: bool) -> Response:
        arrival, upgrade = self._arrival, self._upgrading()
        head, passage = arrival.head, arrival.passage
        rule = passage.rule
        outgoing = Outgoing(
            method=head.method.encode("ascii"),
            target=passage.target.target(head.target, rule),
            fields=self._fields(token),
            body=arrival.body,
            response_timeout=rule.response_timeout,
            lane=rule.lane,
            upgrade=upgrade is not None,
            again=again,
        )
        response = await passage.target.send(outgoing)
        self._response = response
        if upgrade is not None and response.status == SWITCHING_PROTOCOLS:
            upgrade.handshake.verify(response.headers)
        elif upgrade is not None:
            upgrade.leave()
        return response

    def _fields(self, token: AccessToken | None) -> FieldLines:
        fit, head, passage = self._fit, self._arrival.head, self._arrival.passage
        if token is passage.own and self._ticket is None and self._upgrade is None:
            return usual_lines(fit, head, self._arrival.block, passage)
        refreshing = self._ticket is not None
        return written(request_fields(fit, head, passage, token, handshake=self._handshake, refreshing=refreshing))

    def _upgrading(self) -> Upgrade | None:
        if not self._arrival.upgrade:
            return None
        if self._upgrade is None:
            arrival = self._arrival
            lane = arrival.passage.rule.lane
            self._upgrade = Upgrade.asked(arrival.head, arrival.cycle, self._fit.tunnels, lane)
        if self._upgrade is not None:
            self._upgrade.enter()
        return self._upgrade

    def ask(self) -> None:
        """Start or join a refresh, once."""
        refresh = self._arrival.refresh
        if self._ticket is None and refresh is not None:
            passage = self._arrival.passage
            presenter = Presenter(refresh=refresh, access=passage.own, client=passage.peer.client)
            self._ticket = self._fit.refresher.ask(presenter)

    async def outcome(self, state: Refresh | Settle) -> Outcome:
        """Wait for the refresh and keep what it brought for the answer."""
        if self._ticket is None:
            raise RuntimeError("no refresh was asked for")
        if isinstance(state, Settle):
            outcome, cause = await self._ticket.outcome(self._fit.ahead_wait), Cause.AHEAD
        else:
            outcome, cause = await self._ticket.outcome(self._patience(state)), state.cause
        if isinstance(outcome, Renewed):
            self.refreshed = Cause.JOINED if outcome.joined else cause
            self._tokens = self._fit.credentials.tokens(outcome.tokens, self._arrival.refresh, self.refreshed)
        elif isinstance(outcome, Failed):
            self.problem = outcome.problem
        return outcome

    def _patience(self, state: Refresh) -> float:
        """A token that the API has refused already is worth no hurry."""
        left = max(self._deadline - time.monotonic(), 0)
        return left if state.cause is Cause.REJECTED else patience(state.token, self._fit.clock(), left)

    async def relay(self) -> None:
        """Head and body of the upstream's answer, chunk by chunk, as they come; or a tunnel, to its end.

        Raises:
            GatewayError: the body broke off; the client must not take it for complete (P15).
        """
        response = self._response
        if response is None:
            raise RuntimeError("there is no answer to relay")
        self.status, self.problem = response.status, None
        upgrade, closing = self._upgrade, self._closing()
        if upgrade is not None or self._tokens or closing:
            passage = self._arrival.passage
            headers = response_fields(self._fit, passage, response, self._tokens, self._handshake) + closing
            if upgrade is not None and response.status == SWITCHING_PROTOCOLS:
                self.tunnel = await upgrade.tunnel(response, headers, self._lifetime())
                return
            await self._begin(response.status, headers)
        else:
            fields = answer_lines(self._fit, self._arrival.passage, response)
            if self._written_at_once(response, fields):
                return
            await self._begin(response.status, Written(fields))
        lifetime = self._lifetime()
        if lifetime is not None and is_event_stream(response.headers):
            await self._copy_within(lifetime, response)
        else:
            await self._copy(response)

    def _written_at_once(self, response: Response, fields: AnswerFields) -> bool:
        """All of the answer is here, and nobody stands between us and our own protocol: it needs no messages."""
        cycle = self._arrival.cycle
        if cycle is None or cycle.lost or not response.complete or self._send != cycle.send:
            return False
        head = cycle.open(response.status, fields)
        cycle.write(response.take() or b"", more=False, head=head)
        return True

    async def _begin(self, status: int, headers: Iterable[Header]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _copy_within(self, lifetime: float, response: Response) -> None:
        try:
            async with asyncio.timeout(lifetime):
                await self._copy(response)
        except TimeoutError:
            self.problem = EXPIRED_TOKEN.because("The access token expired while this stream was open.")
            raise GatewayError(self.problem) from None

    def _lifetime(self) -> float | None:
        """Seconds that an open stream has left with the token that it was opened with (W2); None: any."""
        if self._sent is None or self._arrival.passage.policy.on_open_stream is OnOpenStream.KEEP:
            return None
        return max(self._sent.schedule.ends_at - self._fit.clock(), 0)

    async def _copy(self, response: Response) -> None:
        more = True
        while more:
            data = response.take()
            if data is None:
                data = await response.read()
            more = not response.at_end
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def refuse(self, problem: Problem) -> None:
        """An answer of our own, with new tokens if there are any."""
        self.close()
        arrival, fit = self._arrival, self._fit
        self.status, self.problem = problem.status, problem
        headers, body = fit.problems.render(problem, arrival.request_id)
        headers += fit.cors.for_problem(arrival.passage.target.name, arrival.passage.origin)
        if self._tokens:
            headers += [(b"vary", fit.vary), *self._tokens]
        headers += self._closing()
        await self._begin(problem.status, headers)
        await self._send({"type": "http.response.body", "body": body})

    def close(self) -> None:
        """Let go of the upstream; idempotent, safe at any moment."""
        response, self._response = self._response, None
        if response is not None:
            response.close()
        if self._upgrade is not None:
            self._upgrade.leave()

    async def _drop(self) -> None:
        response, self._response = self._response, None
        if response is None:
            return
        body = self._arrival.body
        if body is not None and not body.complete and not self._whole:
            response.close()  # its connection is lost anyway; reading on could outgrow what is kept for the replay
        self._whole = False
        await response.drain(_DROPPED)

    def _closing(self) -> Headers:
        """A client that was not told to go on may or may not send its body: only a new connection is sure."""
        arrival = self._arrival
        if arrival.body is None or arrival.body.asked_for or not values(arrival.head.headers, b"expect"):
            return []
        return [(b"connection", b"close")]

    @property
    def _handshake(self) -> Handshake | None:
        return None if self._upgrade is None else self._upgrade.handshake
