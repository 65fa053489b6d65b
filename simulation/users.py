"""Clients: they come in bursts of a few requests to any replica, as a page does that loads its parts."""

import asyncio
import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from gateway.core.lifecycle import Arrived, Forward
from gateway.core.tokens import TokenSet
from simulation.auth_server import AuthServer
from simulation.figures import Tally
from simulation.fleet import Fleet, Replica
from simulation.requests import POLICY, Pair, Request
from simulation.virtual_time import wall
from simulation.weather import Weather


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Of all users; spans in seconds."""

    think: float = 60.0
    """Between two bursts of one user, on average."""
    burst: int = 4
    """Requests in a burst."""
    spread: float = 0.3
    """All of a burst are sent within so long, and most do not wait for the others' answers."""
    herd: float | None = None
    """Everybody has signed in within so many seconds. None: over a token's whole life."""


class Crowd:
    """All users. Each takes the newest tokens that an answer brings, and signs in again when told to."""

    def __init__(
        self,
        count: int,
        habits: Habits,
        *,
        weather: Weather,
        server: AuthServer,
        fleet: Fleet,
        tally: Tally,
        lifetime: float,
        dice: Random,
    ) -> None:
        """Args: lifetime: of access tokens, in seconds."""
        self._habits = habits
        self._weather = weather
        self._server = server
        self._fleet = fleet
        self._tally = tally
        self._lifetime = lifetime
        self._dice = dice
        self._pairs = [self._sign_in(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", self._age()) for n in range(count)]
        self._plans = list(self._first_plans())
        """(when, tie-break, user, requests that follow in this burst), a heap."""
        heapq.heapify(self._plans)
        self._ties = itertools.count(count)

    async def live(self, until: float) -> None:
        """Send requests until this time of the loop."""
        plans, loop = self._plans, asyncio.get_running_loop()
        while plans and plans[0][0] < until:
            when, _, user, left = heapq.heappop(plans)
            if when > loop.time():
                await asyncio.sleep(when - loop.time())
            self._act(user)
            if left:
                after = self._dice.random() * 2 * self._habits.spread / self._habits.burst
            else:
                after, left = self._dice.expovariate(1 / self._habits.think), self._habits.burst
            heapq.heappush(plans, (when + after, next(self._ties), user, left - 1))

    def _first_plans(self) -> Iterator[tuple[float, int, int, int]]:
        start = self._server.loop.time()
        for user in range(len(self._pairs)):
            yield start + self._dice.random() * self._habits.think, user, user, self._habits.burst - 1

    def _age(self) -> float:
        herd = self._habits.herd
        return self._dice.random() * (self._lifetime if herd is None else herd)

    def _sign_in(self, user: str, age: float) -> Pair:
        return Pair(*self._server.login(user, self._lifetime - age))

    def _act(self, user: int) -> None:
        """One request. What is plainly forwarded needs no task, as in the express lane."""
        pair, replica = self._pairs[user], self._fleet.pick()
        self._tally.requests += 1
        replica.refresher.observe(pair.refresh)
        decision = Arrived(POLICY, pair.access, has_refresh_token=True).next(wall())
        if isinstance(decision, Forward):
            return
        request = Request(replica, pair, self._tally, self._weather.api)
        task = asyncio.create_task(request.run(decision))
        replica.requests[task] = None
        task.add_done_callback(lambda task: self._answered(task, request, replica, user))

    def _answered(self, task: "asyncio.Task[None]", request: Request, replica: Replica, user: int) -> None:
        del replica.requests[task]
        if task.cancelled():
            self._tally.refused["no answer: its replica died"] += 1
            return
        task.result()
        if self._pairs[user].login.out:
            self._pairs[user] = self._sign_in(self._pairs[user].login.user, 0.0)
        elif request.tokens is not None and self._dice.random() >= self._weather.client_lost:
            self._take(user, request.tokens)

    def _take(self, user: int, tokens: TokenSet) -> None:
        """Unless it has newer ones by now."""
        pair = self._pairs[user]
        login = self._server.login_of(tokens.refresh.reveal())
        if login is pair.login and tokens.access.schedule.ends_at > pair.access.schedule.ends_at:
            access = self._server.seen(tokens.access)
            self._pairs[user] = Pair(login, access, tokens.refresh)
