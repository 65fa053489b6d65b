"""One tunnel, from its first frame to its end, between two ports in memory."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from gateway.core.websocket import TunnelEnd
from gateway.websocket import TunnelSettings
from gateway.websocket.frames import WHOLE, Close, FrameReader
from gateway.websocket.relay import Relay

from .wire import FakePort, close, frame, server_frame

TEXT, BINARY, MORE, PING, PONG = 1, 2, 0, 9, 10


class Tunnel:
    """A relay at work, and what its two peers hear."""

    def __init__(self, relay, client, upstream, running):
        self.relay = relay
        self.client = client
        self.upstream = upstream
        self.running = running

    async def end(self):
        async with asyncio.timeout(20):
            return await self.running

    def heard_by_upstream(self):
        return parsed(self.upstream.heard, masked=True)

    def heard_by_client(self):
        return parsed(self.client.heard, masked=False)


def parsed(data, *, masked):
    """What a peer heard: opcode, payload, fin."""
    reader = FrameReader(masked=masked)
    reader.feed(data)
    frames = []
    while (one := reader.next()) is not None:
        frames.append((int(one.opcode), one.payload, one.fin))
    return frames


def said_close(code, reason=b""):
    return (8, Close(code, reason).payload, True)


@asynccontextmanager
async def tunnel(**settings):
    client, upstream = FakePort(), FakePort()
    relay = Relay(client, upstream, TunnelSettings(**{"ping_interval": 0, "close_timeout": 20} | settings))
    running = asyncio.create_task(relay.run())
    try:
        yield Tunnel(relay, client, upstream, running)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert client.ended
        assert upstream.ended


async def test_frames_go_both_ways_one_for_one():
    async with tunnel() as t:
        t.client.say(frame(TEXT, b"a", fin=False), frame(PING, b"?"), frame(MORE, b"b"), frame(BINARY, b""))
        await t.upstream.until(lambda: len(t.heard_by_upstream()) == 4)
        assert t.heard_by_upstream() == [(1, b"a", False), (9, b"?", True), (0, b"b", True), (2, b"", True)]
        t.upstream.say(server_frame(PONG, b"?"), server_frame(TEXT, b"yes"))
        await t.client.until(lambda: len(t.heard_by_client()) == 2)
        assert t.heard_by_client() == [(10, b"?", True), (1, b"yes", True)]


@pytest.mark.parametrize("code", [None, 1000, 1001, 1014, 3000, 4999])
async def test_the_client_closes_and_the_upstream_answers(code):
    async with tunnel() as t:
        reason = b"" if code is None else b"why"
        t.client.say(close(code, reason))
        await t.upstream.until(lambda: t.upstream.heard)
        assert t.heard_by_upstream() == [said_close(code, reason)]
        assert not t.client.heard
        t.upstream.say(server_frame(TEXT, b"on its way"), server_close(code, b"ok" if code else b""))
        t.upstream.leave()
        assert await t.end() == TunnelEnd("client", code or 1005)
        assert t.heard_by_client() == [(1, b"on its way", True), said_close(code, b"ok" if code else b"")]
        assert (t.client.ended, t.upstream.ended) == ("closed", "closed")


def server_close(code=None, reason=b""):
    return close(code, reason, mask=None)


async def test_the_upstream_closes_and_the_client_answers():
    async with tunnel() as t:
        t.upstream.say(server_close(4000, b"bye"))
        await t.client.hears(Close(4000, b"bye").payload)
        t.client.say(frame(TEXT, b"last"), close(4000, b"bye"))
        t.upstream.leave()
        assert await t.end() == TunnelEnd("upstream", 4000)
        assert t.heard_by_upstream() == [(1, b"last", True), said_close(4000, b"bye")]


async def test_the_upstream_ends_tcp_first():
    """RFC 6455 §7.1.1: so that the server keeps the port's TIME_WAIT, not the gateway."""
    async with tunnel() as t:
        t.client.say(close(1000))
        t.upstream.say(server_close(1000))
        await t.client.until(lambda: t.client.ended)
        assert not t.upstream.ended
        t.upstream.leave()
        await t.end()


async def test_a_close_that_is_never_answered_ends_in_its_time():
    async with tunnel(close_timeout=0.05) as t:
        t.client.say(close(1000))
        assert await t.end() == TunnelEnd("client", 1000)
        assert t.client.heard == b""  # nobody said so: to the client that is 1006


@pytest.mark.parametrize("how", ["leave", "vanish"])
async def test_a_client_without_a_word_is_an_upstream_without_one(how):
    """An abrupt end must not look like a clean one."""
    async with tunnel() as t:
        t.client.say(frame(TEXT, b"half", fin=False))
        getattr(t.client, how)()
        assert await t.end() == TunnelEnd("client", 1006)
        assert t.heard_by_upstream() == [(1, b"half", False)]
        assert t.upstream.ended == "finished"


async def test_an_upstream_without_a_word_is_a_client_without_one():
    async with tunnel() as t:
        t.upstream.say(server_frame(TEXT, b"last"))
        t.upstream.vanish()
        assert await t.end() == TunnelEnd("upstream", 1006)
        assert t.heard_by_client() == [(1, b"last", True)]
        assert t.client.ended == "finished"


async def test_a_client_that_closes_and_is_gone_before_the_answer():
    async with tunnel() as t:
        t.client.say(close(1001))
        t.client.vanish()
        await t.upstream.hears(b"")
        t.upstream.say(server_close(1001))
        t.upstream.leave()
        assert await t.end() == TunnelEnd("client", 1001)


async def test_the_last_words_of_an_upstream_that_is_gone_are_heard():
    """Writing to it fails while its Close still waits to be read."""
    async with tunnel() as t:
        t.upstream.lost = True
        t.client.say(frame(TEXT, b"lost"))
        for _ in range(20):
            await asyncio.sleep(0)
        t.upstream.say(server_close(1008, b"policy"))
        await t.client.hears(Close(1008, b"policy").payload)
        t.client.say(close(1008, b"policy"))
        t.upstream.leave()
        assert await t.end() == TunnelEnd("upstream", 1008)


async def test_a_client_that_breaks_the_protocol():
    async with tunnel() as t:
        t.client.say(frame(TEXT, b"good") + frame(TEXT, b"bad", mask=None))
        await t.client.until(lambda: t.client.heard)
        assert t.heard_by_client() == [said_close(1002, b"protocol error")]
        await t.upstream.until(lambda: len(t.heard_by_upstream()) == 2)
        assert t.heard_by_upstream() == [(1, b"good", True), said_close(1001, b"client connection failed")]
        await t.client.until(lambda: t.client.ended)
        assert (t.client.ended, t.upstream.ended) == ("finished", "")  # it may answer
        t.upstream.say(server_frame(TEXT, b"more"), server_close(1001))
        t.upstream.leave()
        assert await t.end() == TunnelEnd("client", 1002)
        assert t.upstream.ended == "closed"
        assert len(t.heard_by_client()) == 1


async def test_an_upstream_that_breaks_the_protocol():
    async with tunnel() as t:
        t.upstream.say(frame(TEXT, b"masked"))
        await t.client.until(lambda: t.client.heard)
        assert t.heard_by_client() == [said_close(1011, b"upstream connection failed")]
        assert t.heard_by_upstream() == [said_close(1002, b"protocol error")]
        t.client.say(frame(TEXT, b"more"), close(1011))
        assert await t.end() == TunnelEnd("upstream", 1002)
        assert len(t.heard_by_upstream()) == 1


async def test_an_upstream_that_breaks_the_protocol_in_its_answer_to_a_close():
    async with tunnel() as t:
        t.client.say(close(1000))
        t.upstream.say(server_close(1005))
        assert await t.end() == TunnelEnd("client", 1000)
        assert t.heard_by_client() == [said_close(1011, b"upstream connection failed")]


async def test_text_that_is_no_utf8():
    async with tunnel() as t:
        t.client.say(frame(TEXT, b"\xff"))
        await t.client.until(lambda: t.client.heard)
        assert t.heard_by_client() == [said_close(1007, b"invalid UTF-8")]
        t.upstream.leave()
        await t.end()
        assert t.heard_by_upstream() == [said_close(1001, b"client connection failed")]


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(3)[:2], 1002),
        (frame(TEXT, mask=None), 1002),
        (frame(TEXT, bits=0x40)[:2], 1002),
        (frame(PING, fin=False)[:2], 1002),
        (frame(TEXT, b"\xff"), 1007),
    ],
    ids=["opcode", "mask", "RSV1", "fragmented ping", "UTF-8"],
)
async def test_nothing_behind_a_violation_goes_on(broken, code):
    """W1: also what came in the same read, cut so that it could be taken for frames; the first code counts."""
    async with tunnel() as t:
        t.client.say(frame(TEXT, b"one") + broken + frame(BINARY, b"after") + frame(TEXT, b"\xff"))
        await t.client.until(lambda: t.client.heard)
        t.upstream.leave()
        assert await t.end() == TunnelEnd("client", code)
        assert [payload[:2] for _, payload, _ in t.heard_by_client()] == [code.to_bytes(2, "big")]
        assert t.heard_by_upstream() == [(1, b"one", True), said_close(1001, b"client connection failed")]


async def test_a_message_over_the_limit():
    async with tunnel(max_message=10) as t:
        t.upstream.say(server_frame(BINARY, b"x" * 11))
        await t.client.until(lambda: t.client.heard)
        assert t.heard_by_client() == [said_close(1011, b"upstream connection failed")]
        assert t.heard_by_upstream() == [said_close(1009, b"message too big")]
        t.client.say(close(1011))
        assert await t.end() == TunnelEnd("upstream", 1009)


async def test_the_gateway_ends_it_on_both_sides_at_once():
    async with tunnel() as t:
        t.relay.stop(Close(1001, b"going away"))
        t.relay.stop(Close(4401))
        assert t.heard_by_client() == t.heard_by_upstream() == [said_close(1001, b"going away")]
        t.client.say(frame(TEXT, b"too late"), close(1001))
        t.upstream.say(server_frame(TEXT, b"too late"), server_close(1001))
        t.upstream.leave()
        assert await t.end() == TunnelEnd("gateway", 1001)
        assert len(t.heard_by_client()) == len(t.heard_by_upstream()) == 1


async def test_peers_that_ignore_a_close_are_cut_in_their_time():
    async with tunnel(close_timeout=0.05) as t:
        t.relay.stop(Close(1001))
        t.client.answers_end = t.upstream.answers_end = False
        assert await t.end() == TunnelEnd("gateway", 1001)
        assert t.client.within < 0.01  # waiting for their Close took all the time that there is
        assert t.upstream.within < 0.01


async def test_a_slow_sink_stops_its_source():
    """D4: what is not taken is not read."""
    async with tunnel() as t:
        t.upstream.room.clear()
        for _ in range(10):
            t.client.say(frame(BINARY, b"x" * WHOLE))
        await t.upstream.until(lambda: t.upstream.heard)
        for _ in range(50):
            await asyncio.sleep(0)
        assert t.client.reads == 1
        t.upstream.room.set()
        await t.upstream.until(lambda: len(t.heard_by_upstream()) == 10)


async def test_two_peers_that_both_stop_reading_are_gone():
    """D4: each side waits for the other; no place is taken for ever."""
    async with tunnel(ping_interval=0.02, ping_timeout=0.02, close_timeout=0.05) as t:
        t.client.room.clear()
        t.upstream.room.clear()
        t.client.say(frame(BINARY, b"x"))
        t.upstream.say(server_frame(BINARY, b"x"))
        assert (await t.end()).code == 1006


async def test_the_other_way_is_free_meanwhile():
    async with tunnel() as t:
        t.upstream.room.clear()
        t.client.say(frame(BINARY, b"x"))
        t.upstream.say(server_frame(TEXT, b"free"))
        await t.client.hears(b"free")


async def test_a_flood_of_small_frames_leaves_others_their_turn():
    async with tunnel() as t:
        t.client.say(frame(BINARY, b"") * 20_000)
        turns = 0
        while len(t.upstream.heard) < 20_000 * 6:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100


async def test_cancelled_it_cuts_both():
    async with tunnel() as t:
        t.client.say(frame(TEXT, b"x"))
        await t.upstream.until(lambda: t.upstream.heard)
        t.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await t.running
        assert (t.client.ended, t.upstream.ended) == ("aborted", "aborted")


async def test_a_silent_client_is_pinged_and_its_answer_is_for_nobody_else():
    async with tunnel(ping_interval=0.02) as t:
        await t.client.until(lambda: t.client.heard)
        opcode, payload, _ = t.heard_by_client()[0]
        assert opcode == PING
        t.client.say(frame(PONG, payload), frame(PONG, b"its own"))
        await t.upstream.until(lambda: (PONG, b"its own", True) in t.heard_by_upstream())
        assert (PONG, payload, True) not in t.heard_by_upstream()


async def test_a_client_that_stays_silent_is_gone():
    async with tunnel(ping_interval=0.02, ping_timeout=0.02) as t:
        talking = asyncio.create_task(_talk(t.upstream))
        assert await t.end() == TunnelEnd("client", 1006)
        talking.cancel()
        assert t.heard_by_client()[-1] == said_close(1011, b"keepalive ping timeout")
        assert 8 not in {opcode for opcode, _, _ in t.heard_by_upstream()}  # to the upstream that is 1006


async def _talk(port):
    while True:
        port.say(server_frame(PONG, b""))
        await asyncio.sleep(0.001)


async def test_an_upstream_that_stays_silent_is_gone():
    async with tunnel(ping_interval=0.02, ping_timeout=0.02) as t:

        async def talk():
            while True:
                t.client.say(frame(PONG, b""))
                await asyncio.sleep(0.001)

        talking = asyncio.create_task(talk())
        assert await t.end() == TunnelEnd("upstream", 1006)
        talking.cancel()
        assert 8 not in {opcode for opcode, _, _ in t.heard_by_client()}
