"""Users who go on working while everything around them breaks, and what became of them.

Replicas are killed and started again, Redis stands still, answers of the authorization server are lost, late or 5xx,
and clients hang up. What counts is counted at the authorization server: who was denied and why that is no wonder, how
many presented one token at the same time, and to whom tokens went.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.fleet.client import Answer, Pair, claims
from tests.fleet.support import Fleet, Replica
from tests.redis_servers import RedisServer

_FAULTS = (
    ("lost", {}),
    ("status", {"status": 502, "processed": True}),
    ("status", {"status": 500}),
    ("down", {}),
    ("slow", {"delay": 0.7}),
    ("throttle", {"retry_after": 1}),
)
_WITHOUT_ANSWER = {"lost", "status"}
"""Where these took effect, the server has rotated, and its client does not know."""
_BEFORE_A_KILL = 5.0
"""Seconds within which a replica has stored what it was granted, Redis's pauses included."""
_AFTER_A_KILL = 3.0
"""Seconds within which the authorization server has read what a replica had sent when it was killed."""


@dataclass(eq=False)
class User:
    name: str
    pair: Pair
    logouts: int = 0
    answers: int = 0
    wrongs: list[str] = field(default_factory=list)
    """What must not happen."""


class Chaos:
    """One run over a fleet that has been started."""

    def __init__(self, fleet: Fleet, redis: RedisServer, *, users: int, seed: int) -> None:
        self._fleet = fleet
        self._redis = redis
        self._random = random.Random(seed)  # noqa: S311  # chance, no secrets
        self.users = [User(f"user-{number}", fleet.auth.login(f"user-{number}")) for number in range(users)]
        self.counts: Counter[str] = Counter()
        self._kills: list[tuple[float, Replica]] = []
        self._over = False

    async def run(self, seconds: float) -> None:
        """Break things for so long, mend them, and see that everybody can go on."""
        breaking = (self._kill_replicas, self._pause_redis, self._break_answers)
        async with asyncio.TaskGroup() as tasks:
            for user in self.users:
                tasks.create_task(self._work(user))
            async with asyncio.TaskGroup() as faults:
                ends = asyncio.get_running_loop().time() + seconds
                for fault in breaking:
                    faults.create_task(self._until(ends, fault))
            self._fleet.auth.clear()
            self._over = True
        await asyncio.gather(*(self._goes_on(user) for user in self.users))

    def wrongs(self) -> list[str]:
        """All that must not happen and did."""
        return [wrong for user in self.users for wrong in user.wrongs]

    # What users do

    async def _work(self, user: User) -> None:
        while not self._over:
            await asyncio.sleep(self._random.uniform(0.5, 2.0))
            many = self._random.choice((1, 1, 1, 2, 3))
            pair = user.pair
            asked = [asyncio.create_task(self._ask(user, pair)) for _ in range(many)]
            if self._random.random() < 0.05:
                await asyncio.sleep(self._random.uniform(0, 0.05))
                asked[0].cancel()
            for answer in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(answer, Answer):
                    self._take(user, pair, answer)
                elif isinstance(answer, BaseException) and not isinstance(answer, asyncio.CancelledError):
                    raise answer

    async def _ask(self, user: User, pair: Pair) -> Answer | None:
        """None: the replica is dead, or died meanwhile."""
        replica = self._random.choice(self._fleet.replicas)
        with suppress(OSError, EOFError):
            return await replica.ask(pair, f"/echo?user={user.name}")
        self.counts["no answer"] += 1
        return None

    def _take(self, user: User, asked: Pair, answer: Answer) -> None:
        """What a well-behaved client does with an answer to a request with the pair ``asked``."""
        user.answers += 1
        self.counts[str(answer.status)] += 1
        if answer.status == 200:
            self._check(user, asked, answer)
            user.pair = answer.pair(user.pair)
        elif answer.status == 401:
            self._check_denial(user, asked, answer)
            if user.pair == asked:
                user.logouts += 1
                user.pair = self._fleet.auth.login(user.name)
        elif answer.status != 503 or answer.code not in {"auth_server_unavailable", "store_unavailable"}:
            user.wrongs.append(f"{answer.status} {answer.body!r}")

    def _check(self, user: User, asked: Pair, answer: Answer) -> None:
        """Nobody gets another user's token, and the API sees nobody else's."""
        access, refresh = answer.pair(asked)
        family = self._fleet.auth.families.find(refresh)
        seen = answer.json()
        token = next(value for name, value in seen["headers"] if name.lower() == "authorization").split()[1]
        path = parse_qs(urlsplit(seen["target"]).query)["user"][0]
        names = {path, claims(access)["sub"], claims(token)["sub"], family and family.family.subject}
        if names != {user.name}:
            user.wrongs.append(f"tokens of {names} for {user.name}")

    def _check_denial(self, user: User, asked: Pair, answer: Answer) -> None:
        """Logged out: only where an answer was lost, and then it is said."""
        problem = answer.json()
        if (problem["code"], problem.get("reason")) != ("refresh_rejected", "answer_lost"):
            user.wrongs.append(f"401 {problem}")
        if not self._lost_an_answer(asked):
            user.wrongs.append("logged out, and no answer was lost")

    def _lost_an_answer(self, pair: Pair) -> bool:
        """The server has rotated a token of this login, and nobody who lives has read the answer."""
        auth = self._fleet.auth
        known = auth.families.find(pair[1])
        assert known is not None
        for number, request in enumerate(auth.token_requests):
            spent = auth.families.find_id(request.refresh_token_id)
            if request.outcome != "granted" or spent is None or spent.family is not known.family:
                continue
            if request.fault in _WITHOUT_ANSWER or not request.answered:
                return True
            by = self._fleet.asked_by(number)
            if any(
                replica is by and -_AFTER_A_KILL < at - request.time < _BEFORE_A_KILL for at, replica in self._kills
            ):
                return True
        return False

    async def _goes_on(self, user: User) -> None:
        """When all is well again. One last logout may have been waiting."""
        for _ in range(2):
            pair = user.pair
            answer = await self._fleet.insist(self._fleet.replicas[0], pair, f"/echo?user={user.name}")
            self._take(user, pair, answer)
            if answer.status == 200:
                return
        user.wrongs.append("cannot go on")

    # What breaks

    async def _until(self, ends: float, step: Callable[[], Awaitable[None]]) -> None:
        while asyncio.get_running_loop().time() < ends:
            await step()

    async def _kill_replicas(self) -> None:
        await asyncio.sleep(self._random.uniform(1.0, 4.0))
        victim = self._random.choice(self._fleet.replicas)
        self._kills.append((asyncio.get_running_loop().time(), victim))
        self.counts["kills"] += 1
        await victim.kill()
        await victim.start()

    async def _pause_redis(self) -> None:
        await asyncio.sleep(self._random.uniform(1.0, 4.0))
        self.counts["pauses"] += 1
        self._redis.pause()
        await asyncio.sleep(self._random.uniform(0.1, 1.0))
        self._redis.resume()

    async def _break_answers(self) -> None:
        await asyncio.sleep(self._random.uniform(0.05, 0.4))
        kind, options = self._random.choice(_FAULTS)
        self.counts[kind] += 1
        self._fleet.auth.fault(kind, **options)
