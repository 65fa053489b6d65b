"""What a WebSocket may cost, and what is left of it: limits, slow peers, its end, the server's end."""

import asyncio
from contextlib import AsyncExitStack, suppress

from gateway.websocket.frames import Close, FrameReader
from tests.house import house
from tests.websocket.wire import close, frame

from . import scripted
from .raw_client import connected
from .sockets import (
    BINARY,
    CLOSE,
    OPEN,
    PING,
    PONG,
    Talk,
    api,
    before,
    echoes,
    handshake,
    opened,
    refused,
    switched,
)
from .support import until


async def test_one_more_than_the_limit_is_overloaded_at_once(tmp_path):
    """D5: and served again when one has gone."""
    async with before(tmp_path, websocket={"max_connections": 2}) as (h, behind):
        pair = h.login()
        async with opened(h, "/echo", pair) as first:
            async with opened(h, "/echo", pair):
                status, code, answer = await refused(h, pair)
                assert (status, code) == (503, "overloaded")
                assert answer.values(b"retry-after") == [b"1"]
                assert len(behind.requests) == 2
            await until(lambda: h.gateway.tunnels.open == 1)
            async with opened(h, "/echo", pair) as third:
                assert await echoes(third)
            assert await echoes(first)
        await until(lambda: h.gateway.tunnels.open == 0)


async def _silent_or_open(peer):
    head = await peer.head()
    if b" /silent" not in head:
        await peer.send(OPEN)
    await peer.gone()


async def test_an_api_that_answers_no_handshake_leaves_places_for_the_others(tmp_path):
    """D5: they hold their own route's share; a route that no GET comes by has none."""
    places, routes = {"max_connections": 8}, [{"match": "/silent/*"}, {"match": "/other/*", "methods": ["POST"]}]
    async with (
        scripted.before(tmp_path, _silent_or_open, websocket=places, routes=routes) as (h, _),
        AsyncExitStack() as held,
    ):
        pair = h.login()
        for _ in range(6):
            client = await held.enter_async_context(connected(h))
            await client.send(handshake("/silent/x", pair))
        await until(lambda: h.gateway.tunnels.open == 6)
        assert (await refused(h, pair, "/silent/x"))[:2] == (503, "overloaded")
        async with opened(h, "/echo", pair), opened(h, "/echo", pair):
            assert h.gateway.tunnels.open == 8
            assert (await refused(h, pair))[:2] == (503, "overloaded")
        await until(lambda: h.gateway.tunnels.open == 6)


async def test_a_handshake_that_is_declined_keeps_no_place(tmp_path):
    """D5: its answer may be a long one."""

    async def declines(peer):
        if b" /events" in await peer.head():
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        else:
            await peer.send(OPEN)
        await peer.gone()

    async with scripted.before(tmp_path, declines, websocket={"max_connections": 1}) as (h, _):
        pair = h.login()
        async with connected(h) as client:
            await client.send(handshake("/events", pair))
            assert (await client.head()).status == 200
            assert h.gateway.tunnels.open == 0
            async with opened(h, "/echo", pair):
                assert h.gateway.tunnels.open == 1
        await until(lambda: h.gateway.tunnels.open == 0)


async def test_websockets_take_no_connections_from_requests(tmp_path):
    async with (
        before(tmp_path, upstream={"max_connections": 1, "max_waiting": 0}) as (h, _),
        AsyncExitStack() as open_,
    ):
        pair = h.login()
        talks = [await open_.enter_async_context(opened(h, "/echo", pair)) for _ in range(5)]
        for talk in talks:
            assert await echoes(talk)
        assert h.gateway.upstreams[""].active == 0


async def test_a_message_over_the_limit_ends_it(tmp_path):
    async with before(tmp_path, websocket={"max_message": "64KiB"}) as (h, behind):
        async with opened(h, "/echo", h.login()) as talk:
            assert await echoes(talk, b"x" * 65536)
            await talk.say(frame(BINARY, b"x" * 65537))
            assert [(one.opcode, one.code) for one in await talk.rest()] == [(CLOSE, 1009)]
        await behind.witnesses[0].over.wait()
        assert behind.witnesses[0].code == 1001


async def test_a_silent_client_is_pinged_and_then_gone(tmp_path):
    """D2."""
    spans = {"ping_interval": "50ms", "ping_timeout": "50ms", "close_timeout": "200ms"}
    async with before(tmp_path, websocket=spans) as (h, behind):
        async with opened(h, "/echo", h.login()) as talk:
            heard = [await talk.hear(), await talk.hear()]
            assert [one.opcode for one in heard] == [PING, CLOSE]
            assert await talk.hear() is None
        await behind.witnesses[0].over.wait()
        assert behind.witnesses[0].code == 1006
        await until(h.requests)
        assert [(e.closed_by, e.close_code) for e in h.requests()] == [("client", 1006)]


async def test_a_client_that_answers_pings_stays(tmp_path):
    spans = {"ping_interval": "20ms", "ping_timeout": "30s"}
    async with before(tmp_path, websocket=spans) as (h, behind), opened(h, "/echo", h.login()) as talk:
        for _ in range(5):
            one = await talk.hear()
            assert one.opcode == PING
            await talk.say(frame(PONG, one.payload))
        assert behind.witnesses[0].code is None


async def test_a_client_that_does_not_read_holds_the_api_back(tmp_path):
    """D4: bounded memory, whatever the API would send."""
    sent = 0

    async def flood(peer):
        nonlocal sent
        await peer.head()
        await peer.send(OPEN)
        while sent < 256:
            await peer.send(frame(BINARY, b"x" * (1 << 20), mask=None))
            sent += 1

    async with scripted.before(tmp_path, flood) as (h, _), opened(h, "/echo", h.login()) as talk:
        talk.conversation.writer.transport.pause_reading()
        held = -1
        while held < sent:
            held = sent
            await asyncio.sleep(0.1)
        assert sent < 64  # what the kernel keeps for four sockets
        talk.conversation.writer.transport.resume_reading()
        received = 0
        while received < 256 << 20:
            received += len((await talk.hear()).payload)


async def test_an_api_that_does_not_read_holds_the_client_back(tmp_path):
    """D4."""
    done = asyncio.Event()

    async def deaf(peer):
        await peer.head()
        await peer.send(OPEN)
        await done.wait()

    async with scripted.before(tmp_path, deaf) as (h, _):
        async with opened(h, "/echo", h.login()) as talk:
            sent = 0

            async def flood():
                nonlocal sent
                while sent < 256:
                    await talk.say(frame(BINARY, b"x" * (1 << 20)))
                    sent += 1

            flooding = asyncio.create_task(flood())
            held = -1
            while held < sent:
                held = sent
                await asyncio.sleep(0.1)
            assert sent < 64
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)
        done.set()


async def test_a_client_that_leaves_during_the_handshake_leaves_nothing(tmp_path):
    """B22."""
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def silent(peer):
        await peer.head()
        arrived.set()
        await peer.gone()
        gone.set()

    async with scripted.before(tmp_path, silent) as (h, _):
        async with connected(h) as client:
            await client.send(handshake("/echo", h.login()))
            await arrived.wait()
            assert h.gateway.tunnels.open == 1
            client.abort()
        await gone.wait()
        await until(lambda: h.gateway.tunnels.open == 0)


async def test_what_happened_is_told_once_at_its_end(tmp_path):
    async with before(tmp_path) as (h, _):
        async with opened(h, "/echo?secret=1", h.login()) as talk:
            assert await echoes(talk)
            assert h.requests() == []
            await talk.say(close(4000, b"done"))
            await talk.rest()
        await until(h.requests)
        (ended,) = h.requests()
        assert (ended.status, ended.code, ended.path) == (101, None, "/echo")
        assert (ended.closed_by, ended.close_code) == ("client", 4000)


async def test_a_shutdown_says_goodbye_to_both_sides(tmp_path):
    """B23: 1001, well within the time for streams."""
    async with api() as behind, AsyncExitStack() as outer:
        async with house(tmp_path, upstream={"url": f"http://127.0.0.1:{behind.port}"}) as h:
            talk = await outer.enter_async_context(opened(h, "/echo", h.login()))
            assert await echoes(talk)
            listening = asyncio.create_task(talk.rest())
        assert [(one.opcode, one.code, one.payload[2:]) for one in await listening] == [
            (CLOSE, 1001, b"going away")
        ]
        await behind.witnesses[0].over.wait()
        assert (behind.witnesses[0].code, behind.witnesses[0].reason) == (1001, "going away")
        assert [(e.closed_by, e.close_code) for e in h.requests()] == [("gateway", 1001)]


async def test_a_handshake_that_is_answered_during_a_shutdown_hears_of_it(tmp_path):
    """B23: 1001 on both sides, although it was no WebSocket yet when the shutdown began."""
    asked, draining, heard = asyncio.Event(), asyncio.Event(), []

    async def late(peer):
        await peer.head()
        asked.set()
        await draining.wait()
        await peer.send(OPEN)
        reader = FrameReader(masked=True)
        while not heard:
            reader.feed(await peer.reader.readexactly(1))
            heard.extend([one] if (one := reader.next()) else [])
        await peer.send(close(1001, mask=None))

    async def answered(client, port):
        await _refuses(port)
        draining.set()
        return await Talk(client, await switched(client)).rest()

    async with AsyncExitStack() as outer:
        async with scripted.before(tmp_path, late, server={"shutdown_timeout": "10s"}) as (h, _):
            client = await outer.enter_async_context(connected(h))
            await client.send(handshake("/echo", h.login()))
            await asked.wait()
            talking = asyncio.create_task(answered(client, h.port))
        goodbye = Close(1001, b"going away").payload
        assert [(one.opcode, one.payload) for one in await talking] == [(CLOSE, goodbye)]
        assert [(one.opcode, one.payload) for one in heard] == [(CLOSE, goodbye)]


async def _refuses(port):
    """The shutdown has begun: nobody listens any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        except ConnectionError:
            continue
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_shutdown_waits_for_nobody_who_does_not_answer(tmp_path):
    """B23."""
    async with api() as behind, AsyncExitStack() as outer:
        slow = {"server": {"shutdown_timeout": "300ms"}, "websocket": {"close_timeout": "1h"}}
        async with house(tmp_path, upstream={"url": f"http://127.0.0.1:{behind.port}"}, **slow) as h:
            talk = await outer.enter_async_context(opened(h, "/echo", h.login()))
            assert await echoes(talk)
        assert (await talk.hear()).code == 1001
        assert await talk.hear() is None
