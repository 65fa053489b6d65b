"""The same traffic through both lanes: what clients, upstreams and operators get is the same, byte for byte."""

import asyncio
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given

from tests.e2e.corpus.hearing import Ear, Heard
from tests.e2e.corpus.traffic import Say, Step, plays
from tests.e2e.engine import PATIENCE, Engine, pieces, searching
from tests.e2e.stage import Arrived
from tests.e2e.support import until
from tests.e2e.twins import ROUTES, Book, Side, Twins, twins


@dataclass(frozen=True)
class World:
    """How a pair of gateways is configured, and how many plays it sees."""

    plays: int
    routes: list[dict[str, Any]]
    sections: dict[str, dict[str, Any]]
    verbose: bool = True


WORLDS = {
    "bare": World(60, [], {}),
    "routed": World(
        100,
        ROUTES,
        {
            "server": {"trusted_proxies": ["127.0.0.2/32"], "max_body": "64KiB"},
            "upstream": {"identity_headers": {"X-User": "sub"}},
            "refresh": {"grace": "0s"},
        },
        verbose=False,
    ),
    "browsed": World(
        40,
        [],
        {
            "cors": {"allow_origins": ["https://app.example"], "allow_credentials": True},
            "upstream": {"preserve_host": False},
            "errors": {"envelope": "result"},
            "refresh": {"on_upstream_401": "any"},
        },
    ),
}
SHARE = 0.2
"""Of the requests that are just passed on, at least so many take the express lane: or else these tests compare little.
Which examples are drawn depends on Hypothesis's version, and on what source it finds."""


@dataclass(frozen=True)
class Moment:
    """What one step has led to."""

    heard: tuple[Heard, ...] = ()
    arrived: tuple[Arrived, ...] = ()

    def check(self, other: "Moment") -> None:
        """It is the same on the other side."""
        assert self.arrived == other.arrived
        for mine, theirs in zip(self.heard, other.heard, strict=False):
            assert mine.like(theirs), (mine, theirs)
        assert len(self.heard) == len(other.heard), (self.heard, other.heard)


@dataclass(frozen=True)
class Pair:
    """Two gateways, for all examples of one world."""

    world: World
    engine: Engine
    shared: Twins
    sides: list[Side]


@pytest.fixture(scope="module", params=WORLDS)
def pair(request, tmp_path_factory):
    """Started once."""
    world = WORLDS[request.param]
    folder = tmp_path_factory.mktemp("twins")
    with Engine.running() as engine:
        yield Pair(world, engine, *engine.enter(twins(folder, world.routes, world.sections, verbose=world.verbose)))


def test_both_lanes_do_the_same(pair):
    """P1-P17, N1-N3, C2, C3, X1-X4, R18: no rule is the lane's own."""

    @searching(pair.world.plays)
    @given(steps=plays())
    def search(steps):
        pair.engine.run(_example(pair, steps))

    search()
    ours, theirs = (_forwarded(side) for side in pair.sides)
    assert theirs.keys() == {"asgi"}
    assert ours["express"] >= SHARE * ours.total()


def _forwarded(side: Side) -> Counter[str]:
    """Requests for which nothing was to be decided, by lane."""
    lanes: Counter[str] = Counter()
    for (_, decision, _, lane), times in side.counted().items():
        lanes[lane] += times * (decision in ("forward", "pass"))
    return lanes


async def _example(pair: Pair, steps: list[Step]) -> None:
    before = [side.counted() for side in pair.sides]
    for side in pair.sides:
        side.events.clear()
    async with asyncio.timeout(PATIENCE):
        one, two = [await Player(side, Book(pair.shared)).play(steps) for side in pair.sides]
    for first, second in zip(one, two, strict=True):
        first.check(second)
    told = [side.told() for side in pair.sides]
    assert told[0] == told[1]
    assert [side.stage.faults for side in pair.sides] == [[], []]
    ended = [_by_fate(side.counted() - then) for side, then in zip(pair.sides, before, strict=True)]
    assert ended[0] == ended[1]


def _by_fate(counted: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """Whatever lane it was."""
    fates: Counter[tuple[str, ...]] = Counter()
    for (*fate, _lane), times in counted.items():
        fates[tuple(fate)] += times
    return fates


class Player:
    """Plays on one side."""

    def __init__(self, side: Side, book: Book) -> None:
        self._side = side
        self._book = book
        self._lines: dict[int, tuple[Ear, asyncio.StreamWriter]] = {}

    async def play(self, steps: list[Step]) -> list[Moment]:
        """What each step has led to."""
        try:
            moments = [await self._step(step) for step in steps for _ in range(getattr(step, "times", 1))]
        finally:
            for line in list(self._lines):
                await self._hang_up(line)
        await self._quiet()
        return moments

    async def _step(self, step: Step) -> Moment:
        stage = self._side.stage
        if not isinstance(step, Say):
            stage.meanwhile(step.data, closes=step.closes)
            await self._quiet()
            return Moment()
        stage.arrived.clear()
        stage.acts = deque(step.acts)
        heard = await self._say(step)
        await self._quiet()
        arrived = [self._plain(a if _pooled(step, a) else replace(a, first=False)) for a in stage.arrived]
        return Moment(tuple(self._plain(h) for h in heard), tuple(arrived))

    def _plain(self, what: Any) -> Any:
        plain = self._side.plain
        return replace(what, head=plain(what.head, self._book), body=plain(what.body, self._book))

    async def _say(self, step: Say) -> list[Heard]:
        ear, writer = await self._line(step.line)
        sent = [ask.wire() for ask in step.asks]
        data = b"".join(self._book.fill(wire) for wire in sent)
        writing = asyncio.create_task(pieces(writer, data, list(step.cuts)))
        heard = await ear.answers([ask.request.method for ask in step.asks])
        await writing
        final = [h for h in heard if h.status >= 200]
        for wire, one in zip(sent, final, strict=False):
            self._book.given(wire, one.message)
        if ear.ended:
            await self._hang_up(step.line)
        return heard

    async def _line(self, number: int) -> tuple[Ear, asyncio.StreamWriter]:
        if number not in self._lines:
            address = (f"127.0.0.{1 + number}", 0)
            reader, writer = await asyncio.open_connection("127.0.0.1", self._side.port, local_addr=address)
            self._lines[number] = Ear(reader), writer
        return self._lines[number]

    async def _hang_up(self, number: int) -> None:
        _, writer = self._lines.pop(number)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _quiet(self) -> None:
        """Nothing is under way any more, and the gateway has seen what became of its connections."""
        await _turns()
        await until(lambda: self._side.quiet)


def _pooled(step: Say, arrived: Arrived) -> bool:
    """Its connection does not depend on the clock: on that of a refresh beside it, or of ``unsafe_reuse``."""
    return arrived.head.startswith((b"GET", b"HEAD")) and not step.refreshes


async def _turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)
