"""Runs the gateway: one uvicorn server, or one in each worker; our own signals, exit status 0 (CONTRACT §8)."""

import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import uvicorn
import uvloop

from gateway import log
from gateway.app import build
from gateway.config import Config
from gateway.descriptors import client_connections, raise_limit
from gateway.edge.protocol import GatewayProtocol
from gateway.events import Emit, Event, Noticed
from gateway.serving import AnnouncedServer, GatewayServer, WorkerServer, announce
from gateway.settings import listening, named, pools
from gateway.sockets import BACKLOG, bound, several
from gateway.workers import Line, Supervisor
from gateway.writing import Turns


def run(config: Config) -> int:
    """Serve until a signal. Returns the exit status."""
    listen, workers = config.server.listen, config.server.workers
    try:
        sockets = [bound(listen.host, listen.port)] if workers == 1 else several(listen.host, listen.port, workers)
    except OSError as error:
        reason = error.strerror or "it cannot be used"
        remedy = "Free it or set server.listen."
        print(f"gateway: cannot listen on {listen}: {reason}. {remedy}", file=sys.stderr)  # noqa: T201
        return 1
    return _run(config, sockets[0]) if workers == 1 else _supervise(config, sockets)


def _run(config: Config, sock: socket.socket) -> int:
    told = log.configure(config.log.level, config.log.format)
    try:
        return _serve(config, told, sock, _most_clients(config, told), AnnouncedServer)
    finally:
        told.close()


def _supervise(config: Config, sockets: list[socket.socket]) -> int:
    """Workers do the same in processes of their own. To clients and upstreams all are one gateway."""
    config, turns = named(config), Turns()
    told = log.configure(config.log.level, config.log.format, turns)
    address = sockets[0].getsockname()[:2]

    def emit(event: Event) -> None:
        told(event)
        told.close()  # there is no event loop that would try again

    most = _most_clients(config, emit)

    def work(sock: socket.socket, line: Line) -> int:
        own = log.configure(config.log.level, config.log.format, turns)
        try:
            return _serve(config, own, sock, most, partial(WorkerServer, line=line))
        finally:
            own.close()

    ready = partial(announce, address, tls=config.server.tls is not None)
    return Supervisor(work, sockets, partial(bound, *address, together=True), ready=ready, emit=emit).run()


def _serve(config: Config, emit: Emit, sock: socket.socket, most: int, kind: Callable[..., GatewayServer]) -> int:
    gateway = build(config, emit, verbose=config.log.level == "debug")
    uvicorns = settings(config, gateway.application, max_connections=most)
    server = kind(uvicorns, emit, handshake_timeout=config.server.header_timeout, max_connections=most)

    async def serve() -> None:
        try:
            await server.serve(sockets=[sock])
        finally:
            await gateway.store.close()  # where an operator insisted, nothing else has

    uvloop.run(serve())
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
        backlog=BACKLOG,
        ssl_certfile=str(tls.cert) if tls is not None else None,
        ssl_keyfile=str(tls.key) if tls is not None else None,
    )
