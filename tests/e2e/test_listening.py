"""The server around the gateway: how it lets clients in, and what it leaves behind."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest
import uvicorn

from gateway import server
from tests.e2e.support import until

CLIENTS = 64


async def application(scope, receive, send) -> None:
    """Knows nothing but its start."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


class Held(asyncio.Protocol):
    """A connection as uvicorn counts it."""

    def __init__(self, config, server_state, app_state) -> None:
        self._connections = server_state.connections

    def connection_made(self, transport) -> None:
        self._connections.add(self)
        self._transport = transport

    def connection_lost(self, exc) -> None:
        self._connections.discard(self)

    def shutdown(self) -> None:
        self._transport.close()


@asynccontextmanager
async def serving(
    *socks: socket.socket, of: type[server.GatewayServer] = server.GatewayServer
) -> AsyncIterator[server.GatewayServer]:
    config = uvicorn.Config(application, http=Held, lifespan="on", ws="none", log_config=None, backlog=CLIENTS)
    started = of(config, [].append, handshake_timeout=1)
    task = asyncio.create_task(started._serve(sockets=list(socks)))
    await until(lambda: started.started)
    try:
        yield started
    finally:
        started.should_exit = True
        await task


def listener(host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.bind((host, 0))
    return sock


async def test_many_clients_are_let_in_in_one_turn_of_the_loop():
    """The event loop lets one in for each descriptor, so that at one the last of a thousand waits for a thousand turns."""
    with listener() as sock, ExitStack() as stack:
        async with serving(sock) as running:
            for _ in range(CLIENTS):
                stack.enter_context(socket.create_connection(sock.getsockname()))
            turns = 0
            while len(running.server_state.connections) < CLIENTS:  # its turns are what is counted
                await asyncio.sleep(0)
                turns += 1
            assert turns <= CLIENTS // 4


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_at_its_end_nothing_listens(host):
    """However many descriptors there were."""
    with listener(host) as sock:
        address = sock.getsockname()[:2]
        async with serving(sock):
            socket.create_connection(address).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


@pytest.fixture
def collector():
    """Leave it as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


async def test_what_is_up_when_it_listens_is_no_more_the_collectors(collector):
    """It looks only at what comes, and less often."""
    thresholds = gc.get_threshold()
    with listener() as sock:
        async with serving(sock, of=server._AnnouncedServer):
            assert gc.get_freeze_count() > 10_000
            assert gc.get_threshold() > thresholds
            assert gc.isenabled()
