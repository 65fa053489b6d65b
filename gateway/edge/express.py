"""The express lane: from the client's connection to the upstream's, without ASGI and without a task.

It takes requests whose way is known at once: by the same functions as the ASGI lane, which takes all others and
whatever turns out not to be plain. The lane has no rule of its own, and no answer of its own.

A request's way: ``Lane.take`` → an idle connection → the answer's head and body, as they come → the client. It
leaves the lane, with the upstream's answer in its hand, where that is not simply to be relayed: a 401 that asks for
new tokens, or a failure before the first byte.
"""

import asyncio
from time import monotonic
from typing import Any

from gateway.core.errors import GatewayError, Problem
from gateway.core.headers import is_invalid_token
from gateway.core.lifecycle import Forward, Pass, Relay, UpstreamAnswer
from gateway.edge.crossing import answer_lines, usual_lines
from gateway.edge.cycle import Cycle
from gateway.edge.cycle_ports import Transport
from gateway.edge.fittings import Fittings
from gateway.edge.passage import Passage
from gateway.edge.reception import Reception
from gateway.edge.telling import new_request_id, path_told
from gateway.edge.upstreams import Response
from gateway.events import Events, RequestEnded, fault, is_plain

_PLAIN = (Forward, Pass)
_UNAUTHORIZED = 401


class Express:
    """The lane of one gateway."""

    def __init__(self, reception: Reception, fittings: Fittings, prefix: str, emit: Events) -> None:
        """Args: prefix: of the gateway's own endpoints."""
        self.reception = reception
        self.fit = fittings
        self.prefix = prefix.encode()
        self.emit = emit

    def lane(self, room: Transport, tasks: set[Any]) -> "Lane":
        """For one client's connection.

        Args:
            room: the way to the client.
            tasks: what the server waits for, and cancels when its patience ends.
        """
        return Lane(self, room, tasks)


class Lane:
    """One client's connection: its requests, one after another."""

    __slots__ = ("_cycle", "_express", "_passage", "_response", "_room", "_started", "_tasks")
    _cycle: Cycle
    _passage: Passage
    _response: Response

    def __init__(self, express: Express, room: Transport, tasks: set[Any]) -> None:
        self._express = express
        self._room = room
        self._tasks = tasks
        self._started = 0.0

    def take(self, cycle: Cycle) -> bool:
        """Answer this request, whose turn it is, if it is for this lane. False: nothing has happened."""
        express = self._express
        try:
            passage = self._admit(express, cycle)
            body = cycle.whole() if cycle.framed else None
            if passage is None or (cycle.framed and body is None):
                return False
            rule, block, lines = passage.rule, cycle.block, passage.lines
            if lines is None:
                lines = usual_lines(express.fit, express.reception.head(cycle), block, passage)
            elif block.base is not None:
                lines = block.amended(lines)
            response = passage.target.begin(
                cycle.method.encode(),
                passage.target.target(cycle.target, rule),
                lines,
                body=body,
                lane=rule.lane,
                response_timeout=rule.response_timeout,
            )
        except Exception:  # noqa: BLE001  # the application refuses it in its words, and reports a mistake of ours (O2)
            return False
        if response is None:
            return False
        self._cycle, self._passage, self._response = cycle, passage, response
        self._started = monotonic()
        self._tasks.add(self)
        cycle.on_lost = self._lost
        response.on_news = self._news
        return True

    def _admit(self, express: Express, cycle: Cycle) -> Passage | None:
        """The request's way, if it is plain. Raises: GatewayError: it is to be refused."""
        reception, target = express.reception, cycle.target
        block = cycle.block
        reading = block.reading or reception.remembered(block)
        if reading is None:
            reading = reception.read(block, reception.head(cycle).fields, cycle.place)
        path = target.partition(b"?")[0]
        # An escape may hide the prefix of our own endpoints. Not "/": an absolute form, whose host is another.
        if not reading.plain or cycle.method == "OPTIONS" or b"%" in path or path.startswith(express.prefix):
            return None
        rule = reception.find(cycle.method, path)
        if rule is None or path[:1] != b"/":
            return None
        passage = reception.passage(reading, rule)
        decision = reception.known(passage)
        if passage.lasting and isinstance(decision, _PLAIN):
            if passage.carried.refresh is not None:
                express.fit.refresher.observe(passage.carried.refresh)
            return passage
        return None

    def cancel(self, msg: object = None) -> None:  # noqa: ARG002  # as asyncio.Task has it
        """The server's patience has ended: what is not complete is cut."""
        asyncio.get_running_loop().call_soon(self._cut)  # not now: the server is walking through its tasks

    # What happens.

    def _news(self) -> None:
        """Something came from the upstream, or the client has room again."""
        cycle = self._cycle
        try:
            if cycle.started:
                self._relay(b"")
            else:
                self._begin()
        except Exception as error:  # noqa: BLE001  # fail closed: nothing may be left half done (O2)
            self._failed(cycle, error)

    def _failed(self, cycle: Cycle, error: Exception) -> None:
        """A mistake of ours. The application answers in its place, where that is possible."""
        if not cycle.started:
            self._leave()
            return
        self._express.emit(fault("internal_error", error))
        if cycle.answered or cycle is not self._cycle:
            cycle.abort()  # it came to an end, and the mistake was made with what follows it
        else:
            self._break_off("gateway", None)

    def _begin(self) -> None:
        """The head of the answer, if there is one to be relayed."""
        response = self._response
        status = response.status
        if status and not (status == _UNAUTHORIZED and self._calls_for_tokens()):
            self._relay(self._cycle.open(status, answer_lines(self._express.fit, self._passage, response)))
        elif status or response.error is not None:
            self._leave()

    def _calls_for_tokens(self) -> bool:
        decision = self._passage.decision
        if not isinstance(decision, Forward):
            return False
        answer = UpstreamAnswer(_UNAUTHORIZED, is_invalid_token(self._response.headers))
        return not isinstance(decision.next(answer, self._express.fit.clock(), replayable=True), Relay)

    def _relay(self, head: bytes) -> None:
        """``head``, and as much of the body as is there, if the client reads."""
        response, cycle, room = self._response, self._cycle, self._room
        if room.write_paused and not head:
            room.on_room = self._news
            return
        try:
            data = response.take() or b""
        except GatewayError as error:
            if head:
                cycle.write(b"", more=True, head=head)
            self._break_off("upstream", error.problem)
            return
        if response.at_end:
            self._end(None, None)
            cycle.write(data, more=False, head=head)
            return
        if data or head:
            cycle.write(data, more=True, head=head)
        if room.write_paused or response.error is not None:
            self._relay(b"")
        else:
            response.expect()

    def _lost(self) -> None:
        """The client has left."""
        self._response.close()
        self._end("client", None)

    def _cut(self) -> None:
        if self in self._tasks:
            self._break_off("gateway", None)

    # Its ends.

    def _leave(self) -> None:
        """To the ASGI lane, with what the upstream has answered."""
        self._let_go()
        cycle = self._cycle
        cycle.at_hand, cycle.decision, cycle.since = self._response, self._passage.decision, self._started
        cycle.hand_over()

    def _break_off(self, by: str, problem: Problem | None) -> None:
        """The answer cannot be completed: the client must see that (P15)."""
        self._response.close()
        self._end(by, problem)
        self._cycle.abort()

    def _let_go(self) -> None:
        self._tasks.discard(self)
        self._cycle.on_lost = self._response.on_news = self._room.on_room = None

    def _end(self, cut_by: str | None, problem: Problem | None) -> None:
        self._let_go()
        self._cycle.release()
        emit, passage, seconds = self._express.emit, self._passage, monotonic() - self._started
        status = self._response.status if self._cycle.started else 0
        if problem is None and cut_by is None and not emit.verbose:
            emit.passed(passage.route, passage.decided, status, seconds, True)
        else:
            self._tell(status, seconds, cut_by, problem)

    def _tell(self, status: int, seconds: float, cut_by: str | None, problem: Problem | None) -> None:
        emit, cycle, passage = self._express.emit, self._cycle, self._passage
        code = problem.code if problem is not None else None
        if not emit.verbose and is_plain(status=status, code=code, refreshed=None, cut_by=cut_by):
            emit.passed(passage.route, passage.decided, status, seconds, True)
            return
        emit(
            RequestEnded(
                request_id=new_request_id(),
                method=cycle.method,
                path=path_told(cycle.target),
                route=passage.route,
                status=status,
                decision=passage.decided,
                code=code,
                detail=problem.detail if problem is not None else None,
                client=passage.peer.client,
                duration=seconds,
                cut_by=cut_by,
                express=True,
            )
        )
