"""Generated answers of an upstream through a whole gateway: they cross unchanged, or the client sees that they broke."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lanes
from tests.e2e.corpus import making, servers, strict
from tests.e2e.corpus.replies import FLAWS, OURS, Fate, Reply, replies, series
from tests.e2e.corpus.strict import Message
from tests.e2e.engine import PATIENCE, Engine, pieces, searching
from tests.house import House, house

SOUND = b"/p/sound"
VERSIONS = st.sampled_from([b"1.1"] * 7 + [b"1.0"])


class Stage:
    """An upstream that says what the example tells it to, and a plain answer to ``SOUND``."""

    def __init__(self) -> None:
        self.reply = Reply()
        self.cuts: list[int] = []
        self.port = 0

    @asynccontextmanager
    async def listening(self):
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            await listener.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while (request := await _request(reader)) is not None:
                if request.target == SOUND:
                    writer.write(servers.answer(request.method, SOUND, b""))
                    continue
                reply = self.reply
                await pieces(writer, reply.wire, self.cuts)
                if reply.closes:
                    break
        writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()


async def _request(reader: asyncio.StreamReader) -> Message | None:
    data = b""
    while more := await reader.read(1 << 16):
        data += more
        if found := strict.request(data):
            return found[0]
    return None


class Line:
    """A gateway, its upstream, and a token."""

    def __init__(self, engine: Engine, h: House, stage: Stage) -> None:
        self.engine = engine
        self.h = h
        self.stage = stage
        self.token = h.login()[0].encode()


@pytest.fixture(scope="module", params=["warm", "asgi"])
def line(request, tmp_path_factory):
    """One gateway for all examples."""
    with lanes.lane(request.param), Engine.running() as engine:
        stage = engine.enter(Stage().listening())
        upstream = {"url": f"http://127.0.0.1:{stage.port}"}
        h = engine.enter(house(tmp_path_factory.mktemp("gateway"), upstream=upstream))
        yield Line(engine, h, stage)
        assert any(e.express for e in h.requests()) == (request.param == "warm")


@searching(200)
@given(reply=replies(), cuts=making.cuts(), version=VERSIONS)
def test_answers_cross_as_they_were_given(line, reply, cuts, version):
    """P5, P8, P10-P12, P17: never a hang, a 500, or another's answer."""
    line.engine.run(_example(line, reply, cuts, version))


@searching(40)
@given(given=series())
def test_an_answer_that_comes_again_crosses_as_if_for_the_first_time(line, given):
    """P10, P11, X4: with other values, another status, another body."""
    for reply in given:
        line.engine.run(_example(line, reply, [], b"1.1"))


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.name)
def test_a_broken_answer_is_seen_to_be_one(line, flaw):
    """P15, P17, B17: 502, or a body that breaks off; and nothing of it in the next answer."""

    @searching(6)
    @given(reply=replies(flaw), cuts=making.cuts(), version=st.sampled_from([b"1.1", b"1.0"]))
    def search(reply, cuts, version):
        line.engine.run(_example(line, reply, cuts, version))

    search()


async def _example(line: Line, reply: Reply, cuts: list[int], version: bytes) -> None:
    line.stage.reply, line.stage.cuts = reply, cuts
    async with asyncio.timeout(PATIENCE), _Client.to(line) as client:
        client.ask(reply.method, b"/p/x", version)
        message = await client.answer(reply.method)
        _check(reply, message, version, reset=client.reset)
        again = message is not None and message.complete and version == b"1.1"
        async with _Client.to(line) as other:
            asker = client if again else other
            asker.ask(b"GET", SOUND, b"1.1")
            message = await asker.answer(b"GET")
            assert message is not None
            assert (message.status, message.body) == (200, servers.reply(b"GET", SOUND, b""))


def _check(reply: Reply, message: Message | None, version: bytes, *, reset: bool) -> None:
    if reply.fate is Fate.REFUSED:
        assert message is not None
        assert (message.status, message.complete) == (502, True)
        return
    if message is not None and message.status == 502 and reply.fate is Fate.CUT:
        assert message.complete
        return
    if reply.fate is Fate.CUT:
        assert message is None or (reset and version == b"1.0")
        return
    assert message is not None
    assert message.status == reply.status
    theirs = [f for f in message.fields if f[0].lower() not in OURS]
    assert theirs == reply.crosses
    assert message.body == (b"" if reply.bodiless else reply.body)
    assert [len(message.values(name)) for name in (b"via", b"date")] == [1, 1]


class _Client:
    """One connection to the gateway."""

    def __init__(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._line = line
        self._reader = reader
        self._writer = writer
        self._raw = b""
        self.reset = False

    @classmethod
    @asynccontextmanager
    async def to(cls, line: Line):
        reader, writer = await asyncio.open_connection("127.0.0.1", line.h.port)
        try:
            yield cls(line, reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def ask(self, method: bytes, target: bytes, version: bytes) -> None:
        head = b"%b %b HTTP/%b\r\nHost: gateway.example\r\nAuthorization: Bearer %b\r\n%b\r\n"
        body = b"Content-Length: 0\r\n" if method == b"POST" else b""
        self._writer.write(head % (method, target, version, self._line.token, body))

    async def answer(self, method: bytes) -> Message | None:
        """The next final answer; None: the connection ended in it."""
        while True:
            try:
                more = await self._reader.read(1 << 16)
            except ConnectionError:
                more, self.reset = b"", True
            self._raw += more
            read, rest = strict.answers(self._raw, [method], ended=not more)
            final = [a for a in read if a.status >= 200]
            assert {a.status for a in read if a.status < 200} <= {100, 102, 103}
            if final:
                assert rest == b""
                self._raw = b""
                return final[0]
            if not more:
                return None
