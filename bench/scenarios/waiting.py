"""Many clients of whom nobody is busy: those who wait for a slow API, and those who keep a connection for later."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.asking import get, judge
from bench.load import Client, Reply, connected, in_turn, play
from bench.peers import COMPILED, DIRECT, OURS
from bench.samples import Sample, percentile
from bench.scenarios.base import MIB, Scenario
from bench.scenarios.throughput import entries
from bench.stage import Setting
from bench.targets import Target
from bench.upstream import document
from bench.watch import Seen, watching

_KIB = 1024
_ROUNDS = 2
"""Answers to each of the slow clients, one after the other."""
_BUSY = 64
_SETTLE_SECONDS = 0.3


async def _warm_up(target: Target, client: Client) -> None:
    """One answer: whoever verifies tokens has fetched the keys."""
    judge(target, [await client.send(get(target, "/json"))], document())


@dataclass(frozen=True, kw_only=True)
class Slow(Scenario):
    """The API takes a second: who waits for it must not keep others waiting."""

    columns: Sequence[str] = ("of_ideal", "p50", "p99", "cpu", "kb_request", "peak")
    main: str = "of_ideal"
    restart: bool = True
    clients: int = 1_000

    def measure(self, target: Target, seconds: int) -> tuple[Sample, Seen]:
        """Each client asks twice."""
        del seconds

        return play(partial(self._play, target))

    async def _play(self, target: Target) -> tuple[Sample, Seen]:
        async with connected(target.port, self.clients) as clients:
            await _warm_up(target, clients[0])
            target.forget_peak()
            before = target.resident()
            with watching(target) as seen:
                begun = time.perf_counter()
                replies = await in_turn(clients, [get(target, "/slow")] * self.clients * _ROUNDS)
                elapsed = time.perf_counter() - begun
        judge(target, replies, document())
        return self._figures(target, replies, seen, elapsed, before), seen

    def _figures(self, target: Target, replies: Sequence[Reply], seen: Seen, elapsed: float, before: int) -> Sample:
        times = [reply.seconds * 1e3 for reply in replies]
        sample = {"of_ideal": _ROUNDS / elapsed, "p50": percentile(times, 50), "p99": percentile(times, 99)}
        if target.program:
            peak = target.peak()
            sample |= {"cpu": seen.cpu / len(replies) * 1e6, "peak": peak / MIB}
            sample["kb_request"] = (peak - before) / _KIB / self.clients
        return sample


@dataclass(frozen=True, kw_only=True)
class Idle(Scenario):
    """What a client costs that has been answered and keeps its connection."""

    columns: Sequence[str] = ("kb_client", "peak")
    main: str = "kb_client"
    restart: bool = True
    clients: int = 4_096

    def measure(self, target: Target, seconds: int) -> tuple[Sample, Seen]:
        """Each client asks once, and then nothing."""
        del seconds

        return play(partial(self._play, target))

    async def _play(self, target: Target) -> tuple[Sample, Seen]:
        async with connected(target.port, 1) as (first,):
            await _warm_up(target, first)
            before = target.resident()
            async with connected(target.port, self.clients) as clients:
                with watching(target) as seen:
                    await self._all_once(target, clients)
                await asyncio.sleep(_SETTLE_SECONDS)
                grown = (target.resident() - before) / _KIB / self.clients
        return {"kb_client": grown, "peak": target.peak() / MIB}, seen

    async def _all_once(self, target: Target, clients: Sequence[Client]) -> None:
        """A few at a time: what the connections to the API cost is not to be counted."""
        for start in range(0, len(clients), _BUSY):
            some = clients[start : start + _BUSY]
            judge(target, await in_turn(some, [get(target, "/json")] * len(some)), document())


SLOW = Slow(
    id="slow-1000",
    title="1,000 slow answers at once",
    about="1,000 clients, each with two requests in turn whose answers take the API a second. Ideal would be "
    "1,000 a second.",
    entries=entries((DIRECT, *COMPILED, *OURS), Setting(behind="services")),
)
IDLE = Idle(
    id="idle-4096",
    title="4,096 idle clients",
    about="4,096 clients ask once and keep their connections; what the proxy's memory has grown by for each.",
    entries=entries((*COMPILED, *OURS)),
)
ALL_WAITING = [SLOW, IDLE]
