"""The whole gateway as one ASGI 3 application.

The prefix is looked at before anything else, so that the proxied path pays nothing for Starlette: its ``Mount``
alone costs a quarter of the speed.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.types import ASGIApp

from gateway.core.errors import Problem
from gateway.core.headers import Headers
from gateway.edge.body import Receive
from gateway.edge.express import Express
from gateway.edge.line import ASGISend
from gateway.edge.proxy import Dispatch, Proxy
from gateway.events import Emit, fault

Step = Callable[[], Awaitable[None]]


class Application:
    """Dispatches between the proxy and the gateway's own endpoints, and opens and closes the house."""

    def __init__(
        self, proxy: Proxy, express: Express, own: ASGIApp, prefix: str, *, start: Step, stop: Step, emit: Emit
    ) -> None:
        """Args: prefix: ``/_gateway/``; start, stop: called once each by the server's lifespan."""
        self.express = express
        """For our own protocol class: what may answer in this application's place."""
        self.http = Dispatch(proxy, own, prefix, emit)
        """For the same: this application for ``http`` alone. A call less."""
        self._proxy = proxy
        self._start = start
        self._stop = stop
        self._emit = emit

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: ASGISend) -> None:
        """ASGI 3: ``http`` and ``lifespan``.

        A handshake of a WebSocket comes as ``http`` under our own protocol class. Another server's ``websocket``
        is refused: there frames cannot be passed on as they are.
        """
        kind = scope["type"]
        if kind == "http":
            await self.http(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1011})

    def malformed(self, problem: Problem, client: str) -> tuple[Headers, bytes]:
        """The answer to bytes of ``client`` that are no request (``edge.protocol``)."""
        return self._proxy.malformed(problem, client)

    async def _lifespan(self, receive: Receive, send: ASGISend) -> None:
        await receive()
        try:
            await self._start()
        except Exception as error:  # noqa: BLE001  # ASGI says how a failed start is told
            self._emit(fault("start_failed", error))
            await send({"type": "lifespan.startup.failed", "message": type(error).__name__})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})
