"""Runs the gateway: one uvicorn server, our own signals, exit status 0 (CONTRACT §8)."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn
import uvloop

from gateway import log
from gateway.app import build
from gateway.config import Config
from gateway.edge.protocol import GatewayProtocol
from gateway.events import Emit, Noticed

_BACKLOG = 4096


class _Server(uvicorn.Server):
    """uvicorn's, with signals that end in status 0 instead of being raised again."""

    _serving: asyncio.Task[object] | None = None

    def __init__(self, config: uvicorn.Config, emit: Emit) -> None:
        super().__init__(config)
        self._emit = emit

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the first signal has drained everything, or the second one has come."""
        with contextlib.suppress(asyncio.CancelledError):
            await super().serve(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
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
        if self.should_exit and self._serving is not None:
            self._serving.cancel()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Says where it listens once it does."""
        await super().startup(sockets=sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            scheme = "https" if self.config.is_ssl else "http"
            shown = f"[{host}]" if ":" in host else host
            print(f"gateway: listening on {scheme}://{shown}:{port}", flush=True)  # noqa: T201


def run(config: Config) -> int:
    """Serve until a signal. Returns the exit status."""
    emit = log.configure(config.log.level, config.log.format)
    try:
        sock = _listen(config)
    except OSError as error:
        reason = error.strerror or "it cannot be used"
        remedy = "Free it or set server.listen."
        print(f"gateway: cannot listen on {config.server.listen}: {reason}. {remedy}", file=sys.stderr)  # noqa: T201
        return 1
    server = _Server(settings(config, build(config, emit).application), emit)
    uvloop.run(server.serve(sockets=[sock]))
    return 0 if server.started else 1


def settings(config: Config, application: object) -> uvicorn.Config:
    """Uvicorn's configuration: what it adds on its own is off."""
    tls = config.server.tls
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # an ASGI 3 callable
        http=GatewayProtocol,
        ws="none",
        loop="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=config.server.idle_timeout,  # type: ignore[arg-type]  # asyncio takes fractions too
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
