"""One request on the proxied path, from its arrival to its end."""

import asyncio
import os
import re
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.core import errors
from gateway.core.cors import origin_of
from gateway.core.credentials import Carried
from gateway.core.errors import (
    ClientGone,
    GatewayError,
    Problem,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.core.forwarding import Forwarding, Peer
from gateway.core.headers import Headers, is_preflight, values
from gateway.core.heads import Head, Limits, read_head
from gateway.core.lifecycle import Absent, Arrived, Presented
from gateway.core.methods import IDEMPOTENT
from gateway.core.policy import Auth, OnUpstream401, Policy
from gateway.core.routes import Router, Rule
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken
from gateway.edge.body import Receive, RequestBody
from gateway.edge.cycle import cycle_of
from gateway.edge.fittings import Arrival, Fittings
from gateway.edge.line import ASGISend, ProxyLine
from gateway.edge.options import own_answer
from gateway.edge.ports import Judge
from gateway.edge.upstreams import Target
from gateway.edge.watch import Watch
from gateway.events import Emit, RequestEnded, fault
from gateway.exchange import drive

_WELL_FRAMED = frozenset(p.code for p in (errors.AMBIGUOUS_PATH, errors.BODY_TOO_LARGE, errors.LOOP_DETECTED))
"""The rest of such a request is read and dropped: a client that sends first and reads later gets its answer."""

_NOTHING = Carried(Absent.MISSING, None)


class AnswerBroken(Exception):  # noqa: N818
    """Under a server that cannot abort a connection, this exception makes it do so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """What the proxied path is made of."""

    limits: Limits
    replay_body: int
    """Bytes of a body that are kept for a replay."""
    fittings: Fittings
    judge: Judge
    router: Router
    targets: Mapping[str, Target]
    """By name; the default upstream's name is empty."""
    forwarding: Forwarding
    emit: Emit


class Call:
    """One request from its arrival to its end."""

    def __init__(
        self, settings: ProxySettings, scope: MutableMapping[str, Any], receive: Receive, send: ASGISend
    ) -> None:
        self._settings = settings
        self._scope = scope
        self._receive = receive
        self._send = send
        self._cycle = cycle_of(scope)
        self._started = time.monotonic()
        self._request_id = os.urandom(16).hex()
        self._line: ProxyLine | None = None
        self._early: Problem | None = None
        self._route = ""
        self._upstream = ""
        self._decision = "refuse"
        client = scope.get("client")
        self._client: str = client[0] if client else "unknown"
        self._cut_by: str | None = None
        self._broken: Problem | None = None
        """Why an answer broke off."""
        self._answered = 0
        """The status of an answer in place of the upstream's; 0: none."""
        self.spoke_untrusted = False

    async def answer(self) -> None:
        """Whatever happens, the client gets one answer, or a connection that is seen to break."""
        try:
            head = head_of(self._scope, self._settings.limits)
        except GatewayError as error:
            await self._refuse_early(error.problem)
            return
        fit = self._settings.fittings
        if fit.via.loops(head.headers):
            await self._refuse_early(errors.LOOP_DETECTED)
            return
        fields = own_answer(fit.cors, head.headers) if head.method == "OPTIONS" else None
        if fields is not None:
            await self._answer_here(fields)
            return
        rule = self._settings.router.find(head.method, head.path)
        if rule is None:
            await self._refuse_early(errors.AMBIGUOUS_PATH)
            return
        self._route = rule.match.decode("utf-8", "replace")
        self._upstream = rule.upstream
        body = self._body(head, rule.policy)
        watch = Watch(self._cycle, self._receive, body)
        try:
            await self._guarded(head, rule, body, watch)
        finally:
            watch.stop()
            if self._line is not None:
                self._line.close()
            if body is not None:
                body.release()

    async def _guarded(self, head: Head, rule: Rule, body: RequestBody | None, watch: Watch) -> None:
        try:
            await self._serve(head, rule, body)
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
            self._settings.emit(fault("internal_error", error, self._request_id))
            await self._fail()

    async def _serve(self, head: Head, rule: Rule, body: RequestBody | None) -> None:
        settings = self._settings
        preflight = is_preflight(head.method, head.headers)
        policy = replace(rule.policy, auth=Auth.OFF) if preflight else rule.policy
        carried = _NOTHING if policy.auth is Auth.OFF else settings.fittings.credentials.read(head.headers)
        if carried.refresh is not None:
            settings.fittings.refresher.observe(carried.refresh)
        if body is not None and carried.refresh is None and head.method not in IDEMPOTENT:
            body.keep_nothing()
        access = carried.access
        judged = await self._judge(access) if isinstance(access, Secret) else access
        arrival = Arrival(
            head=head,
            peer=self._peer(head),
            rule=rule,
            target=settings.targets[rule.upstream],
            body=body,
            own=judged if isinstance(judged, AccessToken) else None,
            refresh=carried.refresh,
            preflight=preflight,
            request_id=self._request_id,
            at=self._started,
            cycle=self._cycle,
        )
        self._line = ProxyLine(settings.fittings, arrival, self._send)
        decision = Arrived(policy, judged, carried.refresh is not None).next(settings.fittings.clock())
        self._decision = type(decision).__name__.lower()
        await drive(decision, self._line, settings.fittings.clock)

    async def _judge(self, token: Secret) -> Presented:
        known = self._settings.judge.known(token.reveal())
        return known if known is not None else await self._settings.judge.judge(token)

    def _peer(self, head: Head) -> Peer:
        peer = self._settings.forwarding.read(head.headers, self._client, self._scope["scheme"], head.host)
        self._client = peer.client
        self.spoke_untrusted = peer.spoke_untrusted
        return peer

    def _body(self, head: Head, policy: Policy) -> RequestBody | None:
        if not head.has_body:
            return None
        settings = self._settings
        may_replay = policy.auth is not Auth.OFF and policy.on_upstream_401 is not OnUpstream401.NEVER
        keep = settings.replay_body if may_replay or head.method in IDEMPOTENT else 0
        limit = settings.limits.body_bytes
        return RequestBody(self._receive, self._cycle, length=head.content_length, keep=keep, limit=limit)

    async def _refuse_early(self, problem: Problem) -> None:
        """Nothing is under way yet. Where the request's end is not sure to be found, the connection closes."""
        self._early = problem
        fit, fields = self._settings.fittings, self._scope["headers"]
        headers, body = fit.problems.render(problem, self._request_id)
        headers += fit.cors.for_problem(self._upstream, origin_of(fields))
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

    def ended(self) -> RequestEnded:
        """What happened, for log, metric and trace."""
        line = self._line
        problem = self._broken or (line.problem if line is not None else self._early)
        refreshed = line.refreshed if line is not None else None
        tunnel = line.tunnel if line is not None else None
        return RequestEnded(
            request_id=self._request_id,
            method=self._scope["method"],
            path=self._path(),
            route=self._route,
            status=self._status(),
            decision=self._decision,
            code=problem.code if problem is not None else None,
            reason=problem.reason if problem is not None else None,
            detail=problem.detail if problem is not None else None,
            refreshed=refreshed.value if refreshed is not None else None,
            client=self._client,
            duration=time.monotonic() - self._started,
            cut_by=self._cut_by,
            closed_by=tunnel.by if tunnel is not None else None,
            close_code=tunnel.code if tunnel is not None else None,
        )

    def _path(self) -> str:
        """Undecoded, so that the log shows what made a path ambiguous; without query and fragment (X9)."""
        target = self._cycle.target if self._cycle is not None else b""
        if not target.startswith(b"/"):
            return str(self._scope["path"])
        return re.split(rb"[?#]", target, maxsplit=1)[0].decode("latin-1")

    def _status(self) -> int:
        if self._line is not None:
            return self._line.status
        return self._early.status if self._early is not None else self._answered


def head_of(scope: MutableMapping[str, Any], limits: Limits) -> Head:
    """The checked head of an ASGI request. Raises: GatewayError: it is refused."""
    cycle = cycle_of(scope)
    target = cycle.target if cycle is not None else _rebuilt(scope)
    return read_head(scope["method"], target, scope["http_version"], list(scope["headers"]), limits)


def _rebuilt(scope: MutableMapping[str, Any]) -> bytes:
    """The target under a server that is not ours: as near to the client's bytes as ASGI keeps it."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path
