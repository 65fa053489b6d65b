"""Runs the gateway: one uvicorn server, our own signals, exit status 0 (CONTRACT §8)."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import uvicorn
import uvloop
from uvicorn.server import ServerState

from gateway import log, runtime
from gateway.accepting import Accepting
from gateway.app import build
from gateway.config import Config
from gateway.descriptors import client_connections, raise_limit
from gateway.edge.protocol import GatewayProtocol
from gateway.events import Emit, Noticed
from gateway.settings import listening, pools

_BACKLOG = 4096


class GatewayState(ServerState):
    """uvicorn's, shared by all connections."""

    draining = False
    """The server takes leave: a connection that is only just made serves one request at most (B23)."""


class GatewayServer(uvicorn.Server):
    """uvicorn's, with signals that end in status 0 instead of being raised again."""

    _serving: asyncio.Task[object] | None = None

    def __init__(
        self, config: uvicorn.Config, emit: Emit, *, handshake_timeout: float, max_connections: int = 0
    ) -> None:
        """Args:
        config: uvicorn's.
        emit: hears what an operator should know.
        handshake_timeout: how long a TLS handshake may take; seconds.
        max_connections: of clients, that are served; 0: any number.
        """
        super().__init__(config)
        self.server_state = self._shared = GatewayState()
        self._emit = emit
        self._handshake_timeout = handshake_timeout
        self._max_connections = max_connections

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the first signal has drained everything, or the second one has come."""
        with contextlib.suppress(asyncio.CancelledError):
            await super().serve(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours while serving: drain, and reload."""
        loop = asyncio.get_running_loop()
        self._serving = asyncio.current_task()
        handlers = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop, signal.SIGHUP: self._cannot_reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _cannot_reload(self) -> None:
        """SIGHUP ends a process that does not handle it, and with it what clients have not fetched yet."""
        self._emit(
            Noticed(what="reload_not_supported", detail="the file is read at start only; restart to apply it")
        )

    def _stop(self) -> None:
        """The first signal drains; a second one waits for nothing, not even for open flights."""
        if self.should_exit:
            self.force_exit = True
            if self._shared.draining and self._serving is not None:
                self._serving.cancel()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on ``sockets``: as uvicorn's own, but for the time that a TLS handshake may take (D2)."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            print("gateway: the start failed; the log says why", file=sys.stderr)  # noqa: T201
            self.should_exit = True
            return
        config = self.config
        protocol = partial(
            cast("Any", config.http_protocol_class),
            config=config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        tls = {"ssl": config.ssl, "ssl_handshake_timeout": self._handshake_timeout} if config.is_ssl else {}
        inside, most = self.server_state.connections, self._max_connections
        self.servers = [
            await Accepting(sock, protocol, inside, most=most, **cast("Any", tls)).listen(config.backlog)
            for sock in sockets or []
        ]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain."""
        self._shared.draining = True
        await super().shutdown(sockets=sockets)


class _AnnouncedServer(GatewayServer):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            scheme = "https" if self.config.is_ssl else "http"
            shown = f"[{host}]" if ":" in host else host
            runtime.settle()
            print(f"gateway: listening on {scheme}://{shown}:{port}", flush=True)  # noqa: T201


def run(config: Config) -> int:
    """Serve until a signal. Returns the exit status."""
    told = log.configure(config.log.level, config.log.format)
    try:
        return _run(config, told)
    finally:
        told.close()


def _run(config: Config, emit: Emit) -> int:
    try:
        sock = _listen(config)
    except OSError as error:
        reason = error.strerror or "it cannot be used"
        remedy = "Free it or set server.listen."
        print(f"gateway: cannot listen on {config.server.listen}: {reason}. {remedy}", file=sys.stderr)  # noqa: T201
        return 1
    most = _most_clients(config, emit)
    gateway = build(config, emit, verbose=config.log.level == "debug")
    uvicorns = settings(config, gateway.application, max_connections=most)
    timeout = config.server.header_timeout
    server = _AnnouncedServer(uvicorns, emit, handshake_timeout=timeout, max_connections=most)
    uvloop.run(server.serve(sockets=[sock]))
    return 0 if server.started else 1


def _most_clients(config: Config, emit: Emit) -> int:
    """How many may be connected at once: what the file says, as far as the descriptors suffice (B27)."""
    possible = client_connections(raise_limit(), pools(config))
    wanted = config.server.max_connections
    if wanted > possible:
        remedy = f"server.max_connections is {wanted}, and {possible} fit in; raise the process's limit (ulimit -n)"
        emit(Noticed(what="few_descriptors", detail=remedy))
    return min(wanted or possible, possible)


def settings(config: Config, application: object, *, max_connections: int = 0) -> uvicorn.Config:
    """Uvicorn's configuration: what it adds on its own is off. ``max_connections``: of clients; 0: any number."""
    tls = config.server.tls
    listener = replace(listening(config), max_connections=max_connections or config.server.max_connections)
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # an ASGI 3 callable
        http=cast("Any", partial(GatewayProtocol, settings=listener)),
        ws="none",
        loop="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=config.server.shutdown_timeout,  # type: ignore[arg-type]  # the same
        backlog=_BACKLOG,
        ssl_certfile=str(tls.cert) if tls is not None else None,
        ssl_keyfile=str(tls.key) if tls is not None else None,
    )


def _listen(config: Config) -> socket.socket:
    listen = config.server.listen
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio looks at it for TCP_NODELAY
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((listen.host, listen.port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
