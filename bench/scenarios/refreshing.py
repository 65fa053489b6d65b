"""Refreshes in flight. No other proxy here does them: they are measured against limits, not against peers."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.asking import get, judge
from bench.errors import WrongAnswerError
from bench.load import Client, Reply, at_once, at_rate, connected, in_turn, play
from bench.peers import EXPRESS, OURS
from bench.programs import LOOPBACK
from bench.samples import Sample, percentile
from bench.scenarios.base import MIB, Scenario
from bench.scenarios.throughput import entries
from bench.stage import Setting, Stage
from bench.targets import Target
from bench.tokens import Pair
from bench.upstream import document
from bench.watch import Seen, watching


@dataclass(frozen=True, slots=True)
class Told:
    """What the token endpoint has counted."""

    token_requests: int
    denied: int
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Refreshing(Scenario):
    """Each user once, and each answer looked at."""

    main: str = "cpu_refresh"
    reference: str = ""
    restart: bool = True
    needs_users: bool = field(default=True, init=False)
    path: str = "/json"
    token_seconds: float = 0.0
    """How long the token endpoint takes."""
    clients: int = 64

    def users(self, stage: Stage) -> list[Pair]:
        """Who asks."""
        return stage.expired

    def measure(self, target: Target, seconds: int) -> tuple[Sample, Seen]:
        """One round: a new process, and refresh tokens as good as new."""
        del seconds
        pairs = self.users(target.stage)
        requests = [get(target, self.path, pair.access, f"X-Refresh-Token: {pair.refresh}") for pair in pairs]
        return play(partial(self._play, target, pairs, requests))

    async def _play(self, target: Target, pairs: list[Pair], requests: list[bytes]) -> tuple[Sample, Seen]:
        await _ask_endpoint(target.stage, f"/reset?{self.token_seconds}")
        loop = asyncio.get_running_loop()
        async with connected(target.port, self.clients) as clients:
            await clients[0].send(get(target, "/json"))  # the keys are fetched on the first token
            with watching(target) as seen:
                begun = loop.time()
                replies = await self.send(clients, requests)
                elapsed = loop.time() - begun
        told = Told(**json.loads((await _ask_endpoint(target.stage, "/told")).body))
        self.judge(target, pairs, replies, told)
        sample = self.figures(pairs, replies, told, seen, elapsed)
        return {**sample, "peak": target.peak() / MIB}, seen

    async def send(self, clients: Sequence[Client], requests: Sequence[bytes]) -> list[Reply]:
        """All requests, in the manner of the scenario."""
        return await in_turn(clients, requests)

    def judge(self, target: Target, pairs: Sequence[Pair], replies: Sequence[Reply], told: Told) -> None:
        """Every user has the API's answer and new tokens, for one token request each."""
        _judge_tokens(target, pairs, replies)
        if told.token_requests != len(pairs) or told.denied:
            raise WrongAnswerError(f"{target.label}: {told.token_requests} token requests for {len(pairs)} users")

    def figures(
        self, pairs: Sequence[Pair], replies: Sequence[Reply], told: Told, seen: Seen, elapsed: float
    ) -> Sample:
        """What this round has told."""
        del pairs, told
        times = [reply.seconds * 1e3 for reply in replies]
        return {
            "refreshes": len(replies) / elapsed,
            "cpu_refresh": seen.cpu / len(replies) * 1e3,
            "p50": percentile(times, 50),
            "p99": percentile(times, 99),
        }


@dataclass(frozen=True, kw_only=True)
class Replayed(Refreshing):
    """The API refuses a token that looks fresh."""

    path: str = "/guarded"

    def users(self, stage: Stage) -> list[Pair]:
        """Their tokens were never granted here."""
        return stage.refused


@dataclass(frozen=True, kw_only=True)
class Rate(Refreshing):
    """So many users a second, who do not wait for each other."""

    token_seconds: float = 0.01
    clients: int = 200
    per_second: int = 200
    main: str = "added_p99"

    def users(self, stage: Stage) -> list[Pair]:
        """Three seconds' worth."""
        return stage.expired[: 3 * self.per_second]

    async def send(self, clients: Sequence[Client], requests: Sequence[bytes]) -> list[Reply]:
        """An open loop."""
        return await at_rate(clients, requests, self.per_second)

    def figures(
        self, pairs: Sequence[Pair], replies: Sequence[Reply], told: Told, seen: Seen, elapsed: float
    ) -> Sample:
        """Each user's time above what the token endpoint itself took for that user."""
        added = [(r.seconds - told.seconds[p.user]) * 1e3 for p, r in zip(pairs, replies, strict=True)]
        usual = Refreshing.figures(self, pairs, replies, told, seen, elapsed)
        return {**usual, "added_p50": percentile(added, 50), "added_p99": percentile(added, 99)}


@dataclass(frozen=True, kw_only=True)
class Crowd(Refreshing):
    """One user's application, all at once."""

    token_seconds: float = 0.05
    clients: int = 1_000
    main: str = "p99"

    def users(self, stage: Stage) -> list[Pair]:
        """The same one, a thousand times."""
        return [stage.expired[0]] * self.clients

    async def send(self, clients: Sequence[Client], requests: Sequence[bytes]) -> list[Reply]:
        """Now."""
        return await at_once(clients, requests)

    def judge(self, target: Target, pairs: Sequence[Pair], replies: Sequence[Reply], told: Told) -> None:
        """All have the same new tokens, for one token request."""
        _judge_tokens(target, pairs, replies)
        if told.token_requests != 1:
            raise WrongAnswerError(f"{target.label}: {told.token_requests} token requests for one token")

    def figures(
        self, pairs: Sequence[Pair], replies: Sequence[Reply], told: Told, seen: Seen, elapsed: float
    ) -> Sample:
        """There is one refresh, and many that wait for it."""
        usual = Refreshing.figures(self, pairs, replies, told, seen, elapsed)
        del usual["refreshes"], usual["cpu_refresh"]
        return {**usual, "cpu": seen.cpu / len(replies) * 1e6, "token_requests": told.token_requests}


async def _ask_endpoint(stage: Stage, path: str) -> Reply:
    async with connected(stage.auth_port, 1) as (client,):
        return await client.send(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode())


def _judge_tokens(target: Target, pairs: Sequence[Pair], replies: Sequence[Reply]) -> None:
    """The API's answer, and beside it what the token endpoint has granted."""
    judge(target, replies, document())
    for pair, reply in zip(pairs, replies, strict=True):
        if reply.fields.get(b"x-access-token") != pair.granted.encode():
            raise WrongAnswerError(f"{target.label}: {pair.user} has not got the tokens that were granted")


EXPIRED = Refreshing(
    id="expired",
    title="2,000 expired users, one refresh each",
    about="Each of 2,000 users comes with an expired token, over 64 connections, as fast as answers come. The "
    "processor time is the gateway's own for the whole request, with the verification of both tokens.",
    entries=[*entries(OURS), *entries((EXPRESS,), Setting(shared=True), "Redis")],
    columns=("refreshes", "cpu_refresh", "p50", "p99", "peak"),
    quick=True,
)
RATE = Rate(
    id="expired-200",
    title="200 refreshes a second",
    about="600 expired users come at 200 a second; the token endpoint takes 10 ms for each. Added: above what "
    "it itself took for the same user.",
    entries=entries(OURS),
    columns=("added_p50", "added_p99", "cpu_refresh"),
)
CROWD = Crowd(
    id="crowd",
    title="1,000 at once on one expired token",
    about="1,000 connections send the same expired token at the same moment; the token endpoint takes 50 ms.",
    entries=entries(OURS),
    columns=("token_requests", "p50", "p99", "cpu", "peak"),
)
REJECTED = Replayed(
    id="rejected",
    title="The API says 401: refresh and replay",
    about="2,000 users whose token looks fresh and is refused by the API (`invalid_token`); over 64 connections.",
    entries=entries(OURS, Setting(behind="services")),
    columns=("refreshes", "cpu_refresh", "p50", "p99"),
)
ALL_REFRESHING = [EXPIRED, RATE, CROWD, REJECTED]
