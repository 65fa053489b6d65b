"""Connecting: addresses, refusals, TLS, time."""

import asyncio
import socket

import pytest

from gateway.core.errors import UpstreamProtocolError, UpstreamUnreachable
from gateway.upstream import UpstreamSettings
from gateway.upstream.connection import Connection
from gateway.upstream.dial import dial
from gateway.upstream.names import Names
from gateway.upstream.pool import Pool

from .certificates import client_context, server_context
from .raw import OK, Server, always_ok, eventually, get, once, serving, sockets, talking_to, upstream_of, whole

OURS = {"tls": client_context("ours"), "server_hostname": "localhost"}


async def test_a_refused_connection_is_unreachable_and_nothing_was_sent():
    """B12: 502."""
    async with serving(always_ok) as server:
        pass
    async with upstream_of(server) as upstream:
        with pytest.raises(UpstreamUnreachable) as refused:
            await upstream.send(get())
        assert (refused.value.sent, upstream.active) == (False, 0)


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
async def test_a_name_that_is_none_is_unreachable(host):
    """B12"""
    async with upstream_of(Server(always_ok), host=host, port=1) as upstream:
        with pytest.raises(UpstreamUnreachable) as refused:
            await upstream.send(get())
        assert (refused.value.sent, upstream.active) == (False, 0)


async def test_every_address_of_a_name_is_tried():
    async with talking_to(always_ok, host="localhost") as (_, upstream):
        assert (await upstream.send(get())).status == 200


async def test_small_writes_are_not_held_back():
    async with talking_to(always_ok) as (_, upstream):
        await upstream.send(get())
        (connection,) = upstream._pool._sockets
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_silent_handshake_times_out():
    """B12: within ``connect_timeout``."""

    async def silent(peer):
        await peer.gone()

    async with talking_to(silent, connect_timeout=0.05, **OURS) as (server, upstream):
        with pytest.raises(UpstreamUnreachable) as refused:
            await upstream.send(get())
        assert (refused.value.sent, upstream.active) == (False, 0)
        await server.closed.wait()


async def test_tls_with_a_ca_of_our_own():
    """X8: only what the configured context trusts; and connections are kept."""
    async with (
        serving(always_ok, tls=server_context()) as server,
        upstream_of(server, **OURS) as upstream,
    ):
        for _ in range(3):
            assert await whole(await upstream.send(get())) == b"ok"
        assert (server.connections, upstream.idle) == (1, 1)


UNTRUSTED = {
    "unknown CA": {"tls": client_context("others"), "server_hostname": "localhost"},
    "another name": {"tls": client_context("ours"), "server_hostname": "example.org"},
    "the address instead of the name": {"tls": client_context("ours")},
}


@pytest.mark.parametrize("settings", UNTRUSTED.values(), ids=UNTRUSTED)
async def test_a_server_that_is_not_trusted_is_unreachable(settings):
    """B12: nothing is sent to it."""
    async with serving(always_ok, tls=server_context()) as server, upstream_of(server, **settings) as upstream:
        with pytest.raises(UpstreamUnreachable) as refused:
            await upstream.send(get())
        assert (refused.value.sent, upstream.active, server.connections) == (False, 0, 0)


async def test_plain_http_where_tls_was_expected_is_unreachable():
    async def shout(peer):
        await peer.send(OK)
        await peer.gone()

    async with talking_to(shout, **OURS) as (_, upstream):
        with pytest.raises(UpstreamUnreachable):
            await upstream.send(get())
        assert upstream.active == 0


@pytest.mark.parametrize("clean", [True, False], ids=["close_notify", "cut"])
async def test_within_tls_a_body_that_ends_with_the_connection_needs_a_clean_end(clean):
    """P15: RFC 9112 §9.8."""

    async def handler(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await read.wait()
        if not clean:
            peer.end()
            await peer.gone()

    read = asyncio.Event()
    async with serving(handler, tls=server_context()) as server, upstream_of(server, **OURS) as upstream:
        response = await upstream.send(get())
        assert await response.read() == b"hello"
        read.set()
        if clean:
            assert await response.read() == b""
        else:
            with pytest.raises(UpstreamProtocolError):
                await response.read()
        assert upstream.active == 0


async def test_within_tls_a_stale_connection_is_replaced():
    """B16"""
    async with serving(once(OK), tls=server_context()) as server, upstream_of(server, **OURS) as upstream:
        await upstream.send(get())
        await server.stop()
        await upstream.send(get())
        assert server.connections == 2


async def test_an_upstream_that_speaks_before_it_is_asked_is_not_believed():
    """B17: not even on a new connection."""

    async def eager(peer):
        await peer.send(OK.replace(b"ok", b"no"))
        await asyncio.sleep(0)
        await always_ok(peer)

    async with talking_to(eager) as (_, upstream):
        connection = await upstream._pool.acquire()
        await eventually(lambda: connection.closed)
        assert upstream.active == 0


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_connection_given_up_while_it_is_opened_leaves_no_socket(tls):
    """B17, B22: its request was cancelled, or it spoke before its handshake had ended."""
    async with serving(always_ok, tls=server_context() if tls else None) as server:
        settings = UpstreamSettings(host="127.0.0.1", port=server.port, **(OURS if tls else {}))
        pool = Pool(settings)
        connection = Connection(pool, settings, asyncio.get_running_loop())
        connection.abort()
        before = sockets()
        await dial(connection, settings, Names(settings.host, settings.port))
        await eventually(lambda: sockets() == before)
        assert (pool.active, pool.idle) == (0, 0)
