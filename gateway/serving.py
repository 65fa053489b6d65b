"""uvicorn's server, with our own signals, listeners and leave-taking: alone in its process, or one of several."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from gateway import runtime
from gateway.accepting import Accepting
from gateway.events import Emit, Noticed
from gateway.workers import INSIST, READY, Line


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
        handlers = self._handlers()
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _handlers(self) -> Mapping[signal.Signals, Callable[[], None]]:
        return {signal.SIGINT: self._stop, signal.SIGTERM: self._stop, signal.SIGHUP: self._cannot_reload}

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


class AnnouncedServer(GatewayServer):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets=sockets)
        if self.started and sockets:
            runtime.settle()
            announce(sockets[0].getsockname()[:2], tls=self.config.is_ssl)


class WorkerServer(GatewayServer):
    """One of several: it stops when its supervisor says so, or is gone. A signal is only ever the first word."""

    def __init__(self, config: uvicorn.Config, emit: Emit, line: Line, **bounds: Any) -> None:
        """Args: line: to the supervisor; the others: as ``GatewayServer``."""
        super().__init__(config, emit, **bounds)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell the supervisor."""
        await super().startup(sockets=sockets)
        if self.started:
            runtime.settle()
            self._line.say(READY)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain. The supervisor has the socket too: unless it stops listening, clients would wait there in vain."""
        for sock in sockets or []:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Orders too."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._line, self._listen_to_supervisor)
        try:
            with super().capture_signals():
                yield
        finally:
            loop.remove_reader(self._line)

    def _handlers(self) -> Mapping[signal.Signals, Callable[[], None]]:
        return {signal.SIGINT: self._begin, signal.SIGTERM: self._begin, signal.SIGHUP: lambda: None}

    def _begin(self) -> None:
        if not self.should_exit:
            self._stop()

    def _listen_to_supervisor(self) -> None:
        for word in self._line.heard():
            self._begin()
            if word == INSIST:
                self._stop()
            elif not word:
                asyncio.get_running_loop().remove_reader(self._line)


def announce(address: tuple[str, int], *, tls: bool) -> None:
    """Say on standard output where clients are let in."""
    host, port = address
    shown = f"[{host}]" if ":" in host else host
    print(f"gateway: listening on {'https' if tls else 'http'}://{shown}:{port}", flush=True)  # noqa: T201
