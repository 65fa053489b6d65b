"""The server around the gateway: how it lets clients in, and what it leaves behind."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from types import SimpleNamespace

import pytest
import trustme
import uvicorn

from gateway import server
from gateway.accepting import AT_LEAST, SHARE, Accepting
from gateway.serving import AnnouncedServer
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
    *socks: socket.socket,
    of: type[server.GatewayServer] = server.GatewayServer,
    backlog: int = CLIENTS,
    max_connections: int = 0,
) -> AsyncIterator[server.GatewayServer]:
    config = uvicorn.Config(application, http=Held, lifespan="on", ws="none", log_config=None, backlog=backlog)
    started = of(config, [].append, handshake_timeout=1, max_connections=max_connections)
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


@asynccontextmanager
async def crowd(sock: socket.socket, number: int) -> AsyncIterator[list[socket.socket]]:
    """Clients that have connected, as far as they know: nobody has let them in yet."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(sock.getsockname())) for _ in range(number)]


def ended(client: socket.socket) -> bool:
    """The other side has closed this connection."""
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


async def test_many_clients_are_let_in_in_one_turn_of_the_loop():
    """The event loop itself lets one in, so that the last of a thousand would wait for a thousand turns."""
    with listener() as sock:
        async with serving(sock) as running, crowd(sock, CLIENTS):
            turns = 0
            while len(running.server_state.connections) < CLIENTS:
                await asyncio.sleep(0)
                turns += 1
            assert turns <= CLIENTS // 16


async def test_a_crowd_does_not_come_in_at_once():
    """Those who are served would wait for it."""
    with listener() as sock:
        async with serving(sock, backlog=4 * AT_LEAST) as running, crowd(sock, 4 * AT_LEAST):
            inside = running.server_state.connections
            while not inside:  # noqa: ASYNC110  # turn by turn: what one of them brings is looked at
                await asyncio.sleep(0)
            assert len(inside) <= AT_LEAST + 1
            first = len(inside)
            await until(lambda: len(inside) > first)
            assert len(inside) <= first + 2 * (AT_LEAST + len(inside) // SHARE)
            await until(lambda: len(inside) == 4 * AT_LEAST)


async def test_beyond_the_limit_they_come_one_by_one():
    """B27: each that is refused has a descriptor for a moment."""
    with listener() as sock:
        async with serving(sock, max_connections=8) as running, crowd(sock, CLIENTS):
            inside = running.server_state.connections
            turns, most = 0, 0
            while len(inside) < CLIENTS:
                before = len(inside)
                await asyncio.sleep(0)
                turns += 1
                most = max(most, len(inside) - before) if before >= 8 else most
            assert turns >= CLIENTS - 8
            assert 1 <= most <= 2


async def test_clients_that_speak_no_tls_keep_nobody_out(tmp_path, caplog):
    """However many come at once; nothing is told of them, and they are let go."""
    ca = trustme.CA()
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(ours)
    connected: set[object] = set()
    state = SimpleNamespace(connections=connected)
    with listener() as sock:
        accepting = Accepting(sock, partial(Held, None, state, None), connected, ssl=ours, ssl_handshake_timeout=30)
        listening = await accepting.listen(CLIENTS)
        async with crowd(sock, CLIENTS) as strangers:
            for stranger in strangers:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            theirs = ssl.create_default_context()
            ca.configure_trust(theirs)
            _, writer = await asyncio.open_connection(*sock.getsockname(), ssl=theirs, server_hostname="localhost")
            await until(lambda: len(connected) == 1)
            await until(lambda: all(ended(stranger) for stranger in strangers))
            assert not accepting._connecting
            writer.close()
            await until(lambda: not connected)
        listening.close()
    assert caplog.text == ""


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
        async with serving(sock, of=AnnouncedServer):
            assert gc.get_freeze_count() > 10_000
            assert gc.get_threshold() > thresholds
            assert gc.isenabled()
