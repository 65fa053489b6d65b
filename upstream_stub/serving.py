"""Runs an ASGI application by uvicorn inside the current event loop, on a real socket that can go and come back."""

import asyncio
import os
import socket
from typing import Any, Self, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from upstream_stub.asgi import WIRE, Wire

BACKLOG = 2048
CUT_AFTER = 0.1
"""Seconds that ``stop`` leaves to answers in progress before it cuts their connections."""
CANCEL_AFTER = 0.5
"""Seconds that ``stop`` leaves to applications whose connection was cut before it cancels them."""


class WireProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also tells what ASGI does not: the raw target, fields, trailers, the connection.

    uvicorn appends trailers to ``scope["headers"]``; here they stay apart, because a server that mixes them
    would hide a proxy's mistake or blame it for one.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """A client has connected."""
        super().connection_made(transport)
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whomever."""
        super().connection_lost(exc)
        self.closed.set()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._wire = Wire(self.transport, self.closed)
        cast("dict[str, Any]", self.scope)[WIRE] = self._wire

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer field once the head is complete."""
        if self._wire.head_complete:
            self._wire.trailers.append((name, value))
            return
        self._wire.headers.append((name, value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._wire.target = self.url
        self._wire.head_complete = True
        super().on_headers_complete()


class Serving:
    """An ASGI application listening on ``host``, as an async context manager.

    ``stop()`` makes the port refuse connections and ``start()`` takes the same port again; in between the port
    stays bound but not listening, so that no other program can take it. Open connections are cut within a second.
    No signal handlers, no access log, no lifespan.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certfile: str | os.PathLike[str] | None = None,
        keyfile: str | os.PathLike[str] | None = None,
        keep_alive: int = 5,
    ) -> None:
        """Port 0 takes any free one; ``keep_alive`` is how many seconds an idle connection is kept."""
        self.app = app
        self.host = host
        self.port = port
        self._tls = {"ssl_certfile": certfile, "ssl_keyfile": keyfile}
        self._keep_alive = keep_alive
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._clock: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:41234``, without a slash at its end."""
        return f"{'https' if self._tls['ssl_certfile'] else 'http'}://{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._server.server_state.connections) if self._server else 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. Does nothing if it listens already.

        Raises:
            OSError: the port is taken.
        """
        if self._server is not None:
            return
        self._reserve()
        server = uvicorn.Server(self._config())
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup(sockets=[cast("socket.socket", self._socket)])
        await server.on_tick(0)
        self._server = server
        self._clock = asyncio.create_task(_keep_date(server))

    async def stop(self) -> None:
        """Refuse connections and cut the open ones, but keep the port bound for the next ``start``."""
        await self._shut()
        self._reserve()

    async def close(self) -> None:
        """Stop for good and free the port."""
        await self._shut()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _config(self) -> uvicorn.Config:
        config = uvicorn.Config(
            self.app,
            http=WireProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=self._keep_alive,
            **cast("dict[str, Any]", self._tls),
        )
        config.load()
        return config

    def _reserve(self) -> None:
        if self._socket is not None:
            return
        # Without the protocol's number asyncio leaves Nagle's algorithm on: 40 ms for each answer in two writes.
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setblocking(False)
            bound.bind((self.host, self.port))
        except OSError:
            bound.close()
            raise
        self.port = bound.getsockname()[1]
        self._socket = bound

    async def _shut(self) -> None:
        server, clock = self._server, self._clock
        if server is None or clock is None:
            return
        self._server = self._clock = None
        clock.cancel()
        await asyncio.gather(clock, return_exceptions=True)
        for listener in server.servers:
            listener.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        await _end_requests(server)
        for listener in server.servers:
            await listener.wait_closed()


async def _keep_date(server: uvicorn.Server) -> None:
    """Renew the Date field: part of uvicorn's main loop, which is not run because it polls ten times a second."""
    while True:
        await asyncio.sleep(1)
        await server.on_tick(0)


async def _end_requests(server: uvicorn.Server) -> None:
    state = server.server_state
    for connection in list(state.connections):
        connection.shutdown()
    await _wait(state.tasks, CUT_AFTER)
    while connections := [c for c in state.connections if isinstance(c, WireProtocol)]:
        for connection in connections:
            connection.transport.abort()
        await asyncio.gather(*(connection.closed.wait() for connection in connections))
    await _wait(state.tasks, CANCEL_AFTER)
    for task in list(state.tasks):
        task.cancel()
    await _wait(state.tasks, CANCEL_AFTER)


async def _wait(tasks: set[asyncio.Task[None]], seconds: float) -> None:
    if tasks:
        await asyncio.wait(set(tasks), timeout=seconds)
