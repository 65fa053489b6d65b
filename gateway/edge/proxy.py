"""The proxied path as a pure ASGI application: no framework between the client and the upstream."""

import time
from collections.abc import Awaitable, MutableMapping
from typing import Any

from starlette.types import ASGIApp

from gateway.core import errors
from gateway.core.errors import GatewayError, Problem
from gateway.core.headers import Headers
from gateway.edge.body import Receive
from gateway.edge.call import Call, Foreign, ProxySettings
from gateway.edge.cycle import cycle_of
from gateway.edge.line import ASGISend
from gateway.edge.telling import new_request_id
from gateway.events import Emit, Repeated, RequestEnded, fault


class Proxy:
    """Answers every request that is not for the gateway itself."""

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        remedy = "clients beyond server.max_connections are answered 503"
        self._full = Repeated(what="too_many_clients", detail=remedy)

    def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: ASGISend) -> Awaitable[None]:
        """One HTTP request (ASGI 3)."""
        return Call(self._settings, scope, receive, send).run()

    def accepts(self, scope: MutableMapping[str, Any]) -> bool:
        """The request's head is one that may be answered at all."""
        try:
            self._settings.reception.head(cycle_of(scope) or Foreign(scope))
        except GatewayError:
            return False
        return True

    def malformed(self, problem: Problem, client: str) -> tuple[Headers, bytes]:
        """Header fields and body of the answer to what never became a request."""
        request_id = new_request_id()
        self._emit_unread(problem, request_id, client)
        fit = self._settings.fittings
        headers, body = fit.problems.render(problem, request_id)
        return headers + fit.cors.for_problem("", None), body

    def _emit_unread(self, problem: Problem, request_id: str, client: str) -> None:
        if problem is errors.OVERLOADED:
            notice = self._full.happened(time.monotonic())
            if notice is not None:
                self._settings.emit(notice)
            return
        unread = RequestEnded(
            request_id=request_id,
            method="",
            path="",
            route="",
            status=problem.status,
            decision="refuse",
            code=problem.code,
            detail=problem.detail,
            client=client,
        )
        self._settings.emit(unread)


class Dispatch:
    """An ASGI 3 application for ``http``: the proxy, and under ``prefix`` the gateway's own endpoints."""

    def __init__(self, proxy: Proxy, own: ASGIApp, prefix: str, emit: Emit) -> None:
        self._proxy = proxy
        self._own = own
        self._prefix = prefix
        self._emit = emit

    def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: ASGISend) -> Awaitable[None]:
        """One HTTP request."""
        if scope["path"].startswith(self._prefix) and self._proxy.accepts(scope):
            return self._endpoint(scope, receive, send)
        return self._proxy(scope, receive, send)

    async def _endpoint(self, scope: MutableMapping[str, Any], receive: Receive, send: ASGISend) -> None:
        try:
            await self._own(scope, receive, send)
        except Exception as error:
            self._emit(fault("internal_error", error))
            raise
