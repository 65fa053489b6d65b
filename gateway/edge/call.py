"""One request on the proxied path, from its arrival to its end."""

import asyncio
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from gateway.core import errors
from gateway.core.cors import origin_of
from gateway.core.errors import (
    ClientGone,
    GatewayError,
    Problem,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.core.headers import Headers, values
from gateway.core.heads import Head
from gateway.core.lifecycle import Decision
from gateway.core.methods import IDEMPOTENT
from gateway.core.policy import Auth, OnUpstream401, Policy
from gateway.edge.block import Block
from gateway.edge.body import Receive, RequestBody
from gateway.edge.cycle import Cycle, cycle_of
from gateway.edge.fittings import Arrival, Fittings
from gateway.edge.line import ASGISend, ProxyLine
from gateway.edge.options import own_answer
from gateway.edge.passage import Passage, Reading
from gateway.edge.place import Place
from gateway.edge.reception import Reception
from gateway.edge.telling import new_request_id, path_told
from gateway.edge.watch import Watch
from gateway.events import Events, RequestEnded, fault, is_plain
from gateway.exchange import drive

_WELL_FRAMED = frozenset(p.code for p in (errors.AMBIGUOUS_PATH, errors.BODY_TOO_LARGE, errors.LOOP_DETECTED))
"""The rest of such a request is read and dropped: a client that sends first and reads later gets its answer."""


class AnswerBroken(Exception):  # noqa: N818
    """Under a server that cannot abort a connection, this exception makes it do so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """What the proxied path is made of."""

    reception: Reception
    fittings: Fittings
    replay_body: int
    """Bytes of a body that are kept for a replay."""
    max_body: int
    """The largest body accepted, in bytes; 0: any."""
    emit: Events


class Call:
    """One request from its arrival to its end."""

    # Defaults of the class: what is not set for a request costs it nothing.
    _line: ProxyLine | None = None
    _passage: Passage | None = None
    _arrival: Arrival | None = None
    _early_id = ""
    _early: Problem | None = None
    _decision = "refuse"
    _cut_by: str | None = None
    _broken: Problem | None = None
    """Why an answer broke off."""
    _answered = 0
    """The status of an answer in place of the upstream's; 0: none."""

    def __init__(
        self, settings: ProxySettings, scope: MutableMapping[str, Any], receive: Receive, send: ASGISend
    ) -> None:
        self._settings = settings
        self._scope = scope
        self._receive = receive
        self._send = send
        self._cycle = cycle_of(scope)
        self._started = (self._cycle.since if self._cycle is not None else 0.0) or time.monotonic()

    async def run(self) -> None:
        """Whatever happens, the client gets one answer, or a connection that is seen to break; then it is told."""
        try:
            admitted = self._admit()
            if isinstance(admitted, Arrival):
                await self._serve(admitted)
            elif isinstance(admitted, Problem):
                await self._refuse_early(admitted)
            else:
                await self._answer_here(admitted)
        except AnswerBroken:
            raise
        except Exception as error:
            self._settings.emit(fault("internal_error", error))
            raise
        finally:
            self._tell()

    def _admit(self) -> Arrival | Problem | Headers:
        """What goes to an upstream; why it is refused; or the fields of an answer in the upstream's place."""
        settings, cycle = self._settings, self._cycle
        request = cycle or Foreign(self._scope)
        reception = settings.reception
        read = self._read(request)
        if isinstance(read, Problem):
            return read
        head, reading = read
        if head.method == "OPTIONS":
            fields = own_answer(settings.fittings.cors, head.headers)
            if fields is not None:
                return fields
        rule = reception.find(head.method, head.path)
        if rule is None:
            return errors.AMBIGUOUS_PATH
        place = request.place
        passage = self._passage = reception.detour(reading, rule, head, place) or reception.passage(reading, rule)
        body = self._body(head, rule.policy) if head.has_body else None
        arrival = self._arrival = Arrival(
            head, request.block, passage, body, cycle, upgrade=reading.upgrade, at=self._started
        )
        return arrival

    def _read(self, request: "Cycle | Foreign") -> tuple[Head, Reading] | Problem:
        reception = self._settings.reception
        try:
            head = reception.head(request)
            reading = reception.read(request.block, head.fields, request.place)
        except GatewayError as error:
            return error.problem
        return errors.LOOP_DETECTED if reading.loops else (head, reading)

    async def _serve(self, arrival: Arrival) -> None:
        settings, fit, passage, body = self._settings, self._settings.fittings, arrival.passage, arrival.body
        watch = Watch(self._cycle, self._receive, body)
        failed = False
        try:
            decision = self._decide(arrival) or await settings.reception.judge(passage)
            self._line = ProxyLine(fit, arrival, self._send)
            self._decision = passage.decided
            await drive(decision, self._line, fit.clock)
        except asyncio.CancelledError:
            if not watch.gone:
                self._cut_by = "gateway"
                self._cut()
                raise
            self._cut_by = "client"
            watch.forgive()
        except ClientGone:
            self._cut_by = "client"
        except (UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable) as error:
            self._break_off("upstream", error.problem)
        except GatewayError as error:
            expired = self._line is not None and self._line.problem is not None
            self._break_off("gateway" if expired else "client", error.problem)
        except Exception as error:  # noqa: BLE001  # fail closed: a bug never forwards (O2)
            settings.emit(fault("internal_error", error, arrival.request_id))
            failed = True
        finally:
            watch.stop()
            if self._line is not None:
                self._line.close()
            if body is not None:
                body.release()
        if failed:
            await self._fail()

    def _decide(self, arrival: Arrival) -> Decision | None:
        """What the request's arrival leads to; None: its token has to be judged."""
        passage, body, refresh = arrival.passage, arrival.body, arrival.refresh
        if refresh is not None:
            self._settings.fittings.refresher.observe(refresh)
        if body is not None and refresh is None and arrival.head.method not in IDEMPOTENT:
            body.keep_nothing()
        decision = self._cycle.decision if self._cycle is not None else None
        return self._settings.reception.known(passage) if decision is None else decision

    def _body(self, head: Head, policy: Policy) -> RequestBody:
        settings = self._settings
        may_replay = policy.auth is not Auth.OFF and policy.on_upstream_401 is not OnUpstream401.NEVER
        keep = settings.replay_body if may_replay or head.method in IDEMPOTENT else 0
        limit = settings.max_body
        return RequestBody(self._receive, self._cycle, length=head.content_length, keep=keep, limit=limit)

    async def _refuse_early(self, problem: Problem) -> None:
        """Nothing is under way yet. Where the request's end is not sure to be found, the connection closes."""
        self._early = problem
        fit, fields = self._settings.fittings, self._scope["headers"]
        headers, body = fit.problems.render(problem, self._request_id())
        asked = self._passage.target.name if self._passage is not None else ""
        headers += fit.cors.for_problem(asked, origin_of(fields))
        if problem.code not in _WELL_FRAMED or values(fields, b"expect"):
            headers.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def _answer_here(self, fields: Headers) -> None:
        """204 in place of the upstream: nothing is judged, nothing forwarded (R17)."""
        self._decision, self._answered = "answer", 204
        headers = [*fields, (b"connection", b"close")] if values(self._scope["headers"], b"expect") else fields
        await self._send({"type": "http.response.start", "status": self._answered, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def _fail(self) -> None:
        if self._line is None:
            await self._refuse_early(errors.INTERNAL_ERROR)
        elif self._line.status:
            self._abort()
        else:
            await self._line.refuse(errors.INTERNAL_ERROR)

    def _break_off(self, by: str, problem: Problem) -> None:
        self._cut_by, self._broken = by, problem
        self._abort()

    def _abort(self) -> None:
        """The head is out and the body cannot be completed: the client must see that (P15)."""
        if self._cycle is None:
            raise AnswerBroken
        self._cycle.abort()

    def _cut(self) -> None:
        """The gateway is going down and its time is over. The server would say 500, or end the body cleanly."""
        if self._cycle is not None:
            self._cycle.abort()

    def _tell(self) -> None:
        """What happened, for log, metric and trace."""
        emit, line, passage = self._settings.emit, self._line, self._passage
        problem = self._broken or (line.problem if line is not None else self._early)
        code = problem.code if problem is not None else None
        refreshed = line.refreshed if line is not None else None
        status, seconds = self._status(), time.monotonic() - self._started
        route = passage.route if passage is not None else ""
        plain = is_plain(status=status, code=code, refreshed=refreshed, cut_by=self._cut_by)
        if plain and not emit.verbose:
            emit.passed(route, self._decision, status, seconds, False)
            return
        tunnel = line.tunnel if line is not None else None
        emit(
            RequestEnded(
                request_id=self._request_id(),
                method=self._scope["method"],
                path=self._path(),
                route=route,
                status=status,
                decision=self._decision,
                code=code,
                reason=problem.reason if problem is not None else None,
                detail=problem.detail if problem is not None else None,
                refreshed=refreshed.value if refreshed is not None else None,
                client=passage.peer.client
                if passage is not None
                else (self._cycle or Foreign(self._scope)).place.address,
                duration=seconds,
                cut_by=self._cut_by,
                closed_by=tunnel.by if tunnel is not None else None,
                close_code=tunnel.code if tunnel is not None else None,
            )
        )

    def _request_id(self) -> str:
        if self._arrival is not None:
            return self._arrival.request_id
        if not self._early_id:
            self._early_id = new_request_id()
        return self._early_id

    def _path(self) -> str:
        target = self._cycle.target if self._cycle is not None else b""
        return path_told(target) or str(self._scope["path"])

    def _status(self) -> int:
        if self._line is not None:
            return self._line.status
        return self._early.status if self._early is not None else self._answered


class Foreign:
    """A request under a server that is not ours: as near to the client's bytes as ASGI keeps it."""

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope["query_string"]
        self.method: str = scope["method"]
        self.target = path + b"?" + query if query else path
        self.version: str = scope["http_version"]
        self.block = Block([(name, value) for name, value in scope["headers"]])  # ASGI: iterables of two
        self.place = Place(_address(scope.get("server")), _address(scope.get("client")), scope["scheme"])


def _address(said: Any) -> tuple[str, int] | None:
    """As ASGI has it: an iterable of host and port, or nothing. A Unix socket's port is nothing too."""
    host, port = said or (None, None)
    return None if host is None else (str(host), int(port or 0))
