"""The authorization server: its endpoints over HTTP, its faults, and what a test may ask it."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.routing import Route, Router

from upstream_stub import auth_endpoints as endpoints
from upstream_stub import fault_answers, faults
from upstream_stub.asgi import Endpoint, Exchange
from upstream_stub.faults import Fault, FaultBoard, Twist
from upstream_stub.issuer import Issuer
from upstream_stub.oauth import Answer, OAuthError, Received, json_answer, parse_json_object
from upstream_stub.records import Records, TokenRequest, outcome_of, refresh_token_of, token_request
from upstream_stub.serving import Serving

__all__ = ["AuthServer", "TokenRequest"]

Process = Callable[[Received, Twist], Answer]


@dataclass(eq=False)
class AuthServer(Issuer):
    """An OAuth 2.0 authorization server with faults on demand. See ``Issuer`` for its settings."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.records = Records()
        self._board = FaultBoard()
        self.login_app = self._endpoint("login", lambda r, _: endpoints.login(self, r))
        self.app = Router(self._routes(), redirect_slashes=False)

    @asynccontextmanager
    async def serve(self, **options: Any) -> AsyncIterator[Serving]:
        """Listen (options as for ``Serving``); an issuer that was left open becomes the listener's URL."""
        async with Serving(self.app, **options) as listener:
            self.issuer = self.issuer or listener.url
            yield listener

    def fault(self, kind: str, times: int | None = 1, *, endpoint: str = "token", **options: Any) -> Fault:
        """Let the next ``times`` requests of ``endpoint`` (None: all, until ``clear``) meet a fault.

        The kinds and their options are in ``faults.KINDS`` and ``faults.TWISTS``.

        Raises:
            ValueError: no such kind, endpoint or option.
        """
        fault = faults.make(kind, times, endpoint, options)
        self._board.add(fault)
        return fault

    def clear(self, endpoint: str | None = None) -> None:
        """Forget the faults to come, of one endpoint or of all, and release what is held by them."""
        self._board.clear(endpoint)

    @property
    def token_requests(self) -> deque[TokenRequest]:
        """The requests for new tokens, oldest first; logins are not among them."""
        return self.records.token_requests

    @property
    def revocations(self) -> deque[str]:
        """The ids (see ``token_id``) of the tokens revoked at the endpoint."""
        return self.records.revocations

    @property
    def jwks_requests(self) -> int:
        """How often the keys were asked for, faults included."""
        return self.records.counts["jwks"]

    @property
    def metadata_requests(self) -> int:
        """How often the metadata were asked for, faults included."""
        return self.records.counts["metadata"]

    @property
    def introspections(self) -> int:
        """How often a token was introspected, faults included."""
        return self.records.counts["introspect"]

    @property
    def concurrent_presentations(self) -> int:
        """The most requests that ever presented one and the same refresh token at the same time."""
        return self.records.concurrent_presentations

    def presented(self, refresh_token: str) -> int:
        """How often this refresh token was presented, faults included."""
        return self.records.presented(refresh_token)

    def family_alive(self, refresh_token: str) -> bool:
        """Whether the login that this refresh token, current or rotated, comes from is not revoked."""
        known = self.families.find(refresh_token)
        return known is not None and not known.family.revoked

    def stats(self) -> dict[str, Any]:
        """Counts for a demonstration."""
        records = self.records
        return {
            "requests": dict(records.counts),
            "refreshes": dict(records.outcomes),
            "families_alive": self.families.alive(),
            "families_reused": self.families.reused(),
            "revocations": len(records.revocations),
            "concurrent_presentations": records.concurrent_presentations,
            "faults": self._board.coming(),
        }

    def _routes(self) -> list[Route]:
        metadata = self._endpoint("metadata", lambda _r, _t: json_answer(endpoints.metadata(self)))
        jwks = self._endpoint("jwks", lambda _r, _t: Answer(200, json_answer(self.jwks()).body))
        token = self._endpoint("token", lambda r, t: endpoints.token(self, r, t))
        introspect = self._endpoint("introspect", lambda r, _: endpoints.introspect(self, r))
        access_refresh = self._endpoint("access_refresh", lambda r, t: endpoints.access_refresh(self, r, t))
        refresh = self._endpoint("refresh", lambda r, t: endpoints.query_refresh(self, r, t))
        return [
            Route("/token", token, methods=["POST"]),
            Route("/jwks", jwks, methods=["GET"]),
            Route("/revoke", self._endpoint("revoke", self._revoke), methods=["POST"]),
            Route("/introspect", introspect, methods=["POST"]),
            Route("/login", self.login_app, methods=["POST"]),
            Route("/access/refresh", access_refresh, methods=["GET"]),
            Route("/refresh", refresh, methods=["GET"]),
            # An issuer with a path: RFC 8414 §3 inserts the well-known part, OpenID Discovery §4 appends it.
            Route("/.well-known/oauth-authorization-server{issuer_path:path}", self._of_issuer(metadata)),
            Route("/{issuer_path:path}.well-known/openid-configuration", self._of_issuer(metadata)),
            Route("/stats", Endpoint(self._show_stats), methods=["GET"]),
            Route("/control", Endpoint(self._control), methods=["POST"]),
        ]

    def _endpoint(self, name: str, process: Process) -> Endpoint:
        async def handle(exchange: Exchange) -> None:
            body = await exchange.body()
            request = Received(exchange.method, exchange.headers, exchange.query, body, exchange.client)
            self.records.counts[name] += 1
            await exchange.while_here(self._answer(name, request, exchange, process))

        return Endpoint(handle)

    async def _answer(self, name: str, request: Received, exchange: Exchange, process: Process) -> None:
        fault = self._board.take(name)
        twist = (fault and fault.twist) or faults.PLAIN
        record = self._record(name, request, fault)

        def processed() -> Answer:
            try:
                answer = process(request, twist)
            except OAuthError as error:
                answer = error.answer()
            if record is not None:
                record.outcome = outcome_of(answer)
                self.records.outcomes[record.outcome] += 1
            return answer

        with self.records.presenting(refresh_token_of(name, request)):
            if fault is not None and fault.twist is None:
                await fault_answers.perform(fault, exchange, processed)
            else:
                answer = processed()
                if fault is not None:
                    fault.arrived.set()
                await fault_answers.send(exchange, answer)
            if record is not None:
                record.answered = True

    def _record(self, name: str, request: Received, fault: Fault | None) -> TokenRequest | None:
        if name not in {"token", "access_refresh", "refresh"}:
            return None
        record = token_request(name, request, fault.kind if fault else None)
        if record is not None:
            self.records.token_requests.append(record)
        return record

    def _revoke(self, request: Received, _: Twist) -> Answer:
        if (revoked := endpoints.revoke(self, request)) is not None:
            self.records.revocations.append(revoked)
        return Answer(200)

    def _of_issuer(self, metadata: Endpoint) -> Endpoint:
        async def handle(exchange: Exchange) -> None:
            if exchange.scope["path_params"]["issuer_path"].strip("/") != urlsplit(self.issuer).path.strip("/"):
                await exchange.answer(404, b"not this server's issuer")
                return
            await metadata(exchange.scope, exchange.receive, exchange.send)

        return Endpoint(handle)

    async def _show_stats(self, exchange: Exchange) -> None:
        await exchange.json(200, self.stats())

    async def _control(self, exchange: Exchange) -> None:
        """Asking for JSON keeps web pages out: a browser sends it across origins only after a preflight."""
        if (exchange.value(b"content-type") or "").split(";")[0] != "application/json":
            await exchange.json(415, {"error": "send application/json"})
            return
        command = parse_json_object(await exchange.body())
        try:
            self._obey(command)
        except (TypeError, ValueError) as error:
            await exchange.json(400, {"error": str(error)})
            return
        await exchange.json(200, self.stats())

    def _obey(self, command: dict[str, Any]) -> None:
        """``{"fault": KIND, "times": 1, …}``, ``{"clear": true}``, ``{"rotate_keys": true, "keep_old": …}``."""
        if command.pop("clear", False):
            self.clear()
        if command.pop("rotate_keys", False):
            self.rotate_keys(keep_old=bool(command.pop("keep_old", False)))
        if "fault" in command:
            self.fault(command.pop("fault"), **command)
        elif command:
            raise ValueError(f"unknown: {', '.join(sorted(command))}")
