"""The same client, straight to a WebSocket server and through the gateway: any difference is a failure.

What is compared: the frames that the client hears, down to their bytes, and what the application behind saw:
messages by their fragments, the close code and its reason.
"""

import asyncio
import hashlib
import os

import pytest

from tests.websocket.wire import close, frame

from .sockets import BINARY, CLOSE, MORE, PING, PONG, TEXT, Talk, before, opened
from .support import until

BYE = close(1000, b"bye")


async def straight_and_through(tmp_path, scenario, path="/echo", *fields):
    """What the client and the application saw, twice."""
    async with before(tmp_path) as (h, behind):
        found = []
        for where, pair in ((behind, None), (h, h.login())):
            async with opened(where, path, pair, *fields) as talk:
                seen = await scenario(talk)
            witness = behind.witnesses[-1]
            await witness.over.wait()
            found.append((seen, witness.heard, witness.code, witness.reason))
        return found


def says(*frames, last=b""):
    """A client that sends these frames, hears as many messages, sends its last word and listens to the end."""

    async def scenario(talk: Talk):
        await talk.say(*frames)
        heard = []
        while last and sum(one.fin and one.opcode != PONG for one in heard) < messages(frames):
            heard.append(await talk.hear())
        await talk.say(last)
        return [*heard, *await talk.rest()]

    return scenario


def messages(frames):
    """How many are complete."""
    return sum(bool(one[0] & 0x80) and one[0] & 0x0F in (TEXT, BINARY, MORE) for one in frames)


SCENARIOS = {
    "text": [frame(TEXT, "grüß dich".encode()), BYE],
    "binary": [frame(BINARY, bytes(range(256))), BYE],
    "empty text": [frame(TEXT), BYE],
    "empty binary": [frame(BINARY), BYE],
    "many in one segment": [frame(TEXT, b"x%d" % n) for n in range(300)] + [BYE],
    "fragments": [frame(TEXT, b"a", fin=False), frame(MORE, b"b", fin=False), frame(MORE, b"c"), BYE],
    "empty fragments": [frame(BINARY, b"", fin=False), frame(MORE, b"", fin=False), frame(MORE, b""), BYE],
    "fragments within a character": [
        frame(TEXT, "é€".encode()[:1], fin=False),
        frame(MORE, "é€".encode()[1:4], fin=False),
        frame(MORE, "é€".encode()[4:]),
        BYE,
    ],
    "pings between fragments": [
        frame(TEXT, b"a", fin=False),
        frame(PING, b"1"),
        frame(MORE, b"b", fin=False),
        frame(PING, b"2"),
        frame(MORE, b"c"),
        BYE,
    ],
    "125 bytes": [frame(BINARY, b"x" * 125), BYE],
    "126 bytes": [frame(BINARY, b"x" * 126), BYE],
    "65535 bytes": [frame(BINARY, b"x" * 65535), BYE],
    "65536 bytes": [frame(BINARY, b"x" * 65536), BYE],
    "ping without content": [frame(PING), BYE],
    "ping of 125 bytes": [frame(PING, os.urandom(125)), BYE],
    "pong that nobody asked for": [frame(PONG, b"hello"), frame(TEXT, b"x"), BYE],
    "close without code": [close()],
    "close without reason": [close(1000)],
    "close with the longest reason": [close(1000, b"r" * 123)],
    "data after close": [close(1000) + frame(TEXT, b"late")],
}


@pytest.mark.parametrize("frames", SCENARIOS.values(), ids=SCENARIOS)
async def test_what_a_client_says_and_hears_is_the_same(tmp_path, frames):
    *first, last = frames
    direct, through = await straight_and_through(tmp_path, says(*first, last=last))
    assert through == direct
    assert direct[0]


CODES = [*range(1000, 1015), 3000, 3001, 3999, 4000, 4401, 4999]


@pytest.mark.parametrize("code", CODES)
async def test_a_close_code_of_the_clients(tmp_path, code):
    direct, through = await straight_and_through(tmp_path, says(close(code, b"weil")))
    if direct[0][0].code == code:
        assert through == direct
        assert through[2:] == (code, "weil")
    else:  # 1004, 1005 and 1006 must not be sent; who found that out says it in its own words
        assert [one.code for one in through[0]] == [one.code for one in direct[0]] == [1002]
        assert through[2] == 1001


@pytest.mark.parametrize("code", [code for code in CODES if code not in (1004, 1005, 1006)])
async def test_a_close_code_of_the_servers(tmp_path, code):
    """The application says it, the client answers."""
    order = frame(TEXT, f"{code} deshalb".encode())
    direct, through = await straight_and_through(tmp_path, says(order), "/close")
    assert through == direct
    assert [one.code for one in through[0]] == [code]


LARGE = {"binary": (BINARY, os.urandom(16 << 20)), "text": (TEXT, ("ß" * (8 << 20)).encode())}


@pytest.mark.parametrize(("opcode", "data"), LARGE.values(), ids=LARGE)
async def test_a_message_of_16_mb_both_ways(tmp_path, opcode, data):
    """In fragments perhaps, but the same message."""

    async def scenario(talk):
        sending = asyncio.create_task(talk.say(frame(opcode, data)))
        opcodes, digest, done = set(), hashlib.sha256(), False
        while not done:
            one = await talk.hear()
            opcodes.add(one.opcode)
            digest.update(one.payload)
            done = one.fin
        await sending
        await talk.say(BYE)
        return opcodes - {MORE}, digest.hexdigest(), await talk.rest()

    direct, through = await straight_and_through(tmp_path, scenario, "/count")
    assert through == direct
    assert through[0][:2] == ({opcode}, hashlib.sha256(data).hexdigest())


WRONG = {
    "invalid UTF-8": [frame(TEXT, b"\xff\xff")],
    "invalid UTF-8 in a later fragment": [frame(TEXT, b"ok", fin=False), frame(MORE, b"\xed\xa0\x80")],
    "invalid UTF-8 in a reason": [close(1000, b"\xff")],
    "reserved opcode": [frame(3)],
    "reserved control opcode": [frame(11)],
    "reserved bit": [frame(TEXT, b"x", bits=0x40)],
    "no mask": [frame(TEXT, b"x", mask=None)],
    "control frame of 126 bytes": [frame(PING, b"x" * 126)],
    "fragmented ping": [frame(PING, b"", fin=False)],
    "continuation of nothing": [frame(MORE, b"x")],
    "half a close code": [frame(CLOSE, b"\x03")],
}


@pytest.mark.parametrize("frames", WRONG.values(), ids=WRONG)
async def test_a_client_that_breaks_the_protocol_hears_the_same_code(tmp_path, frames):
    """The reason is in each server's own words; the application behind the gateway hears that its client is gone."""
    direct, through = await straight_and_through(tmp_path, says(frame(TEXT, b"first"), last=b"".join(frames)))
    assert [one.code for one in through[0] if one.opcode == CLOSE] == [
        one.code for one in direct[0] if one.opcode == CLOSE
    ]
    assert through[0][0] == direct[0][0]  # the echo of what came before
    assert through[2] == 1001


async def test_a_client_that_vanishes_is_1006_to_the_application(tmp_path):
    for abrupt in (True, False):

        async def scenario(talk, abrupt=abrupt):
            await talk.say(frame(TEXT, b"there"))
            heard = await talk.hear()
            await talk.say(frame(TEXT, b"half", fin=False))
            if abrupt:
                talk.conversation.abort()
            else:
                talk.conversation.writer.write_eof()
            return heard

        direct, through = await straight_and_through(tmp_path, scenario)
        assert through == direct
        assert through[2] == 1006


async def test_a_server_that_vanishes_is_1006_to_the_client(tmp_path):
    """The connection ends, and no Close frame says so."""
    direct, through = await straight_and_through(tmp_path, says(frame(TEXT, b"now")), "/vanish")
    assert through[0] == direct[0] == []


@pytest.mark.parametrize(
    ("offered", "known"),
    [(b"chat", ["chat"]), (b"a, b", ["b"]), (b"a", []), (b"superchat, chat", ["chat", "superchat"])],
)
async def test_subprotocols(tmp_path, offered, known):
    """The client's offer reaches the server, the server's choice the client."""

    def first_of_the_clients(_ws, protocols):
        return next((p for p in protocols if p in known), None)

    chosen = []
    async with before(tmp_path, {"subprotocols": known or None, "select_subprotocol": first_of_the_clients}) as (
        h,
        behind,
    ):
        for where, pair in ((behind, None), (h, h.login())):
            async with opened(where, "/echo", pair, (b"Sec-WebSocket-Protocol", offered)) as talk:
                chosen.append(talk.answer.values(b"sec-websocket-protocol"))
    assert chosen[0] == chosen[1]
    assert bool(chosen[0]) == bool(known)


async def test_five_hundred_at_once(tmp_path):
    """Each gets its own words back, straight and through."""

    async def one(where, pair, number):
        async with opened(where, "/echo", pair) as talk:
            await everyone.wait()
            for turn in range(3):
                await talk.say(frame(TEXT, b"%d %d" % (number, turn)))
                assert (await talk.hear()).payload == b"%d %d" % (number, turn)
            await talk.say(BYE)
            return [one.code for one in await talk.rest()]

    async with before(tmp_path, {"open_timeout": 60}) as (h, behind):
        pair = h.login()
        for where, token in ((behind, None), (h, pair)):
            everyone = asyncio.Barrier(500)
            codes = await asyncio.gather(*(one(where, token, n) for n in range(500)))
            assert codes == [[1000]] * 500
        await until(lambda: h.gateway.tunnels.open == 0)
        assert len(behind.witnesses) == 1000
