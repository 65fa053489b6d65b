"""Generated requests through a whole gateway: they arrive unchanged, or they are refused; the next one is not harmed."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lanes
from tests.e2e.corpus import making, servers, strict
from tests.e2e.corpus.requests import FLAWS, OURS, Request, requests, series
from tests.e2e.corpus.servers import Read, Witness, reply
from tests.e2e.corpus.strict import Message
from tests.e2e.engine import PATIENCE, Engine, pieces, searching
from tests.house import House, house

SOUND = Request(target=b"/p/sound", connection=[b"close"])
"""Asked at the end of each connection that is still open."""


class Line:
    """A gateway, an upstream that keeps what it reads, and a token for it."""

    def __init__(self, engine: Engine, h: House, upstream: Witness) -> None:
        self.engine = engine
        self.h = h
        self.upstream = upstream
        self.token = h.login()[0].encode()


@pytest.fixture(scope="module", params=["warm", "asgi"])
def line(request, tmp_path_factory):
    """One gateway for all examples."""
    with lanes.lane(request.param), Engine.running() as engine:
        upstream = engine.enter(servers.strictly())
        h = engine.enter(house(tmp_path_factory.mktemp("gateway"), upstream={"url": upstream.url}))
        yield Line(engine, h, upstream)
        assert any(e.express for e in h.requests()) == (request.param == "warm")


@searching(200)
@given(sent=st.lists(requests(), min_size=1, max_size=5), cuts=making.cuts())
def test_requests_arrive_as_they_were_sent(line, sent, cuts):
    """P5, P8, P10, P11, P16: never a hang, a 500, another's answer, or a request that nobody sent."""
    line.engine.run(_example(line, sent, cuts))


@searching(60)
@given(sent=series())
def test_a_head_that_comes_again_is_read_as_if_for_the_first_time(line, sent):
    """P8, P10, P11: with other values, another target; on one connection, each after the other's answer."""
    line.engine.run(_series(line, sent))


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.name)
def test_a_broken_request_is_refused_wherever_it_stands(line, flaw):
    """P1-P4, P6, P7, D1, P16: those before it are answered, it is refused, nothing behind it is read."""

    @searching(6)
    @given(
        before=st.lists(requests(), max_size=2),
        broken=requests(flaw),
        behind=st.lists(requests(), max_size=1),
        cuts=making.cuts(),
    )
    def search(before, broken, behind, cuts):
        line.engine.run(_example(line, [*before, broken, *behind], cuts))

    search()


async def _example(line: Line, sent: list[Request], cuts: list[int]) -> None:
    line.upstream.read.clear()
    line.upstream.faults.clear()
    answered = sent[: next((n for n, r in enumerate(sent) if r.last), len(sent) - 1) + 1]
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", line.h.port)
        try:
            data = b"".join(r.wire(line.token) for r in sent)
            talk = _Talk(reader, answered)
            writing = asyncio.create_task(pieces(writer, data, cuts))
            await talk.until(len(answered))
            await writing
            if not answered[-1].last:
                answered = [*answered, SOUND]
                talk.sent = answered
                await pieces(writer, SOUND.wire(line.token), [])
            await talk.until(None)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
    _check(line, answered, talk)


async def _series(line: Line, sent: list[Request]) -> None:
    line.upstream.read.clear()
    line.upstream.faults.clear()
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", line.h.port)
        try:
            talk = _Talk(reader, [])
            for request in [*sent, SOUND]:
                talk.sent = [*talk.sent, request]
                writer.write(request.wire(line.token))
                await talk.until(None if request.last else len(talk.sent))
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
    _check(line, talk.sent, talk)


class _Talk:
    """What the client hears."""

    def __init__(self, reader: asyncio.StreamReader, sent: list[Request]) -> None:
        self._reader = reader
        self.sent = sent
        self.raw = b""
        self.ended = False

    async def until(self, count: int | None) -> None:
        """Until so many final answers have come, or the connection ends; None: until it ends."""
        while not self.ended and (count is None or len(self.answers()) < count):
            try:
                more = await self._reader.read(1 << 16)
            except ConnectionError:
                more = b""
            self.raw += more
            self.ended = not more

    def answers(self) -> list[Message]:
        methods = [b"GET" if r.flaw is not None else r.method for r in self.sent]
        read, rest = strict.answers(self.raw, methods, ended=self.ended)
        assert not (self.ended and rest), rest
        assert {a.status for a in read if a.status < 200} <= {100}
        return [a for a in read if a.status >= 200]


def _check(line: Line, sent: list[Request], talk: _Talk) -> None:
    answers = talk.answers()
    assert [a.status in r.statuses for a, r in zip(answers, sent, strict=False)] == [True] * len(sent), talk.raw
    assert len(answers) == len(sent)
    assert not line.upstream.faults
    arrived = [r for r in sent if r.forwarded]
    assert len(line.upstream.read) == len(arrived)
    for request, read in zip(arrived, line.upstream.read, strict=True):
        _check_arrival(request, read, line.token)
    for request, answer in zip(sent, answers, strict=True):
        if request.forwarded:
            body = reply(request.method, request.target, request.body or b"")
            assert answer.body == (b"" if request.method == b"HEAD" else body)


def _check_arrival(request: Request, read: Read, token: bytes) -> None:
    assert read.identity == (request.method, request.target, request.host, request.body or b"")
    lower = [(n.lower(), v) for n, v in read.fields]
    theirs = [f for f in lower if f[0] not in OURS and not f[0].startswith(b"x-forwarded-")]
    assert theirs == request.arrives
    assert [v for n, v in lower if n == b"authorization"] == [b"Bearer " + token]
    framing = [f for f in lower if f[0] in (b"content-length", b"transfer-encoding")]
    if request.body is None:
        assert framing == []
    elif request.chunked is not None:
        assert framing == [(b"transfer-encoding", b"chunked")]
    else:
        assert framing == [(b"content-length", b"%d" % len(request.body))]
