"""Connections for one exchange each (docs/adr/0003)."""

import asyncio

import pytest

from gateway.core.errors import BAD_REQUEST, GatewayError, Overloaded, UpstreamProtocolError, UpstreamUnreachable
from gateway.core.wire import request_lines
from gateway.upstream import FreshConnections
from tests.scarcity import no_descriptors

from .certificates import client_context, server_context
from .raw import OK, always_ok, eventually, once, serving, sockets, whole
from .test_garbage import collected

FIELDS = request_lines([(b"Host", b"as.example")])


def fresh(ca="ours", **more):
    return FreshConnections(client_context(ca), **more)


async def ask(connections, server, *, host="127.0.0.1", tls=False, method=b"POST", target=b"/token", body=b"a=1"):
    """One exchange: status and body."""
    connection = await connections.open(host, server.port, tls=tls)
    try:
        response = connection.ask(method, target, FIELDS, body)
        await response.head()
        return response.status, await whole(response)
    finally:
        connection.abort()


async def test_each_exchange_has_a_connection_of_its_own():
    """HARDENING, trap 12: although the server would keep it, none is there to go stale."""
    asked = []

    async def handler(peer):
        asked.append(await peer.request())
        await peer.send(OK)
        await peer.gone()

    async with serving(handler) as server:
        connections = fresh()
        for number in range(1, 4):
            assert await ask(connections, server) == (200, b"ok")
            assert server.connections == number
            await eventually(lambda: server.open == 0)
    assert asked[0] == (b"POST /token HTTP/1.1\r\nHost: as.example\r\nContent-Length: 3\r\n\r\n", b"a=1")


async def test_a_request_without_content_declares_none_and_an_empty_one_does():
    """RFC 9110 §8.6"""
    heads = []

    async def handler(peer):
        heads.append(await peer.head())
        await peer.send(OK)

    async with serving(handler) as server:
        await ask(fresh(), server, method=b"GET", body=None)
        await ask(fresh(), server, body=b"")
    assert b"content-length" not in heads[0].lower()
    assert b"Content-Length: 0\r\n" in heads[1]


@pytest.mark.parametrize("part", [{"method": b"G ET"}, {"target": b"/a\r\nX-Admin: 1"}, {"target": b"/a b"}])
async def test_what_cannot_be_written_is_not(part):
    """P17: not one byte of it."""
    heads = []

    async def handler(peer):
        heads.append(await peer.reader.read())

    async with serving(handler) as server:
        with pytest.raises(GatewayError) as refused:
            await ask(fresh(), server, **part)
        await eventually(lambda: heads)
    assert (refused.value.problem, heads) == (BAD_REQUEST, [b""])


async def test_tls_reaches_a_server_that_is_known_by_its_name():
    """R15: by the configured authorities alone; the same server without TLS is another one."""
    async with serving(always_ok, tls=server_context()) as server, serving(always_ok) as plain:
        connections = fresh()
        assert await ask(connections, server, host="localhost", tls=True) == (200, b"ok")
        assert await ask(connections, plain, host="localhost") == (200, b"ok")
        for strangers in (fresh("others"), connections):
            with pytest.raises(UpstreamUnreachable):
                await ask(
                    strangers, server, tls=True, host="localhost" if strangers is not connections else "127.0.0.1"
                )


async def test_a_body_that_breaks_off_is_none():
    """P15: where the length was declared, it counts."""

    async def handler(peer):
        await peer.request()
        await peer.send(OK[:-1])

    async with serving(handler) as server:
        with pytest.raises(UpstreamProtocolError):
            await ask(fresh(), server)


async def test_bytes_after_the_answer_harm_nobody():
    """B17: they would be the next one's on a connection that is kept."""
    async with serving(once(OK + OK.replace(b"ok", b"no"))) as server:
        connections = fresh()
        assert [await ask(connections, server) for _ in range(2)] == [(200, b"ok")] * 2


async def test_a_server_that_is_down_is_unreachable_and_want_is_ours():
    """B1, B27: told apart."""
    async with serving(always_ok) as server:
        connections = fresh()
        with no_descriptors(), pytest.raises(Overloaded):
            await ask(connections, server)
        assert await ask(connections, server) == (200, b"ok")
    with pytest.raises(UpstreamUnreachable):
        await ask(connections, server)


async def test_a_handshake_without_an_answer_ends():
    """B2: and leaves no socket."""

    async def silent(peer):
        await peer.gone()

    async with serving(silent) as server:
        before = sockets()
        with pytest.raises(UpstreamUnreachable):
            await ask(fresh(connect_timeout=0.05), server, tls=True)
        await eventually(lambda: sockets() == before)


@pytest.mark.parametrize("tls", [False, True], ids=["awaiting the answer", "shaking hands"])
async def test_whoever_leaves_takes_the_connection_along(tls):
    """HARDENING, trap 1."""
    arrived = asyncio.Event()

    async def silent(peer):
        await peer.reader.read(1)
        arrived.set()
        await peer.gone()

    async with serving(silent) as server:
        before = sockets()
        asking = asyncio.create_task(ask(fresh(), server, tls=tls))
        await arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: sockets() == before)


async def given_up(opening, turns):
    """Leaves the opening of a connection after so many turns of the event loop."""
    task = asyncio.create_task(opening)
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.done():
        task.result().abort()
    task.cancel()
    await asyncio.wait({task})


async def test_a_connection_given_up_while_it_is_opened_leaves_no_socket():
    """B22: at whatever moment; the event loops' own last moments are not the same."""
    async with serving(always_ok) as server:
        connections, before = fresh(), sockets()
        for turns in range(12):
            await given_up(connections.open("127.0.0.1", server.port, tls=False), turns)
        await eventually(lambda: sockets() == before)


async def test_a_connection_that_was_never_made_leaves_no_cycle_behind():
    async with serving(always_ok) as server:
        connections = fresh()
        with collected() as garbage:
            for _ in range(5):
                await given_up(connections.open("127.0.0.1", server.port, tls=False), 1)
        assert not garbage


async def test_an_exchange_that_is_over_has_closed_its_connection():
    """Whoever asked may be slow to say so."""
    async with serving(once(OK)) as server:
        connection = await fresh().open("127.0.0.1", server.port, tls=False)
        response = connection.ask(b"POST", b"/", FIELDS, b"")
        await response.head()
        await eventually(lambda: server.connections == 1 and server.open == 0)
        assert await whole(response) == b"ok"
        connection.abort()


@pytest.mark.parametrize(
    "answer", [OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
)
async def test_an_exchange_leaves_no_cycle_behind(answer):
    async with serving(once(answer)) as server:
        connections = fresh()
        await ask(connections, server)
        with collected() as garbage:
            for _ in range(5):
                await ask(connections, server)
            await eventually(lambda: server.open == 0)
        assert not garbage


async def test_the_servers_that_are_remembered_are_few():
    """D6: metadata name them, and might name others each time."""
    connections = fresh(connect_timeout=0.01)
    for port in range(1, 101):
        connections._server("127.0.0.1", port, tls=False)
    assert len(connections._servers) <= 16
    (server, *_) = connections._servers.values()
    assert server.settings.connect_timeout == 0.01
