"""The store's server: its data, its one thread, and who listens to what."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from gateway.core.records import StoreUnavailable
from simulation.redis_twin import RedisTwin
from simulation.virtual_time import DAY_ONE
from simulation.weather import Weather

_RECONNECTED = (0.05, 0.3)
"""Seconds after which a subscriber has its connection back."""


class Listener(Protocol):
    """Who waits for what is published."""

    def listen(self, channel: str) -> None:
        """Subscribe again, where it still waits."""

    def told(self, channel: str) -> None:
        """Something was published."""


@dataclass(slots=True)
class Load:
    """What a server was asked for."""

    commands: Counter[str] = field(default_factory=Counter)
    by_second: Counter[int] = field(default_factory=Counter)
    leases_lost: int = 0
    """Leases that somebody wanted to renew, or to present under, and that were another's."""
    takeovers: int = 0
    """Leases that came with an open intent."""


class Call:
    """One command under way."""

    __slots__ = ("act", "answer", "back", "command", "deadline", "reply_lost")

    def __init__(
        self,
        command: str,
        act: Callable[[], Any],
        answer: "asyncio.Future[Any]",
        *,
        deadline: float,
        back: float,
        reply_lost: bool,
    ) -> None:
        """Args: act: what the server does; deadline: by the loop's clock; back: seconds that the reply takes."""
        self.command = command
        self.act = act
        self.answer = answer
        self.deadline = deadline
        self.back = back
        self.reply_lost = reply_lost

    def answered(self, found: Any) -> None:
        """Its reply is here."""
        if not self.answer.done():
            self.answer.set_result(found)

    def fail(self, reason: str) -> None:
        """There is no reply in time."""
        if not self.answer.done():
            self.answer.set_exception(StoreUnavailable(reason))


class Server:
    """One Redis server: its data, its one thread, and who listens to what."""

    def __init__(
        self, weather: Weather, dice: Random, loop: asyncio.AbstractEventLoop, *, age: float | None = None
    ) -> None:
        """Args: age: as ``RedisTwin`` has it."""
        self.twin = RedisTwin(lambda: DAY_ONE + loop.time(), age=age)
        self.weather = weather
        self.dice = dice
        self.loop = loop
        self.load = Load()
        self.listeners: dict[str, dict[Listener, None]] = {}
        self._busy_until = 0.0
        self._stopped: list[Callable[[], None]] | None = None
        self._down = False

    async def pause(self, seconds: float) -> None:
        """SIGSTOP and SIGCONT: what arrives meanwhile is done afterwards."""
        waiting: list[Callable[[], None]] = []
        self._stopped = waiting
        try:
            await asyncio.sleep(seconds)
        finally:
            self._stopped = None
            for do in waiting:
                do()

    async def restart(self, seconds: float) -> None:
        """Away for so long, then empty. Whoever listened connects again."""
        self._down = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self._down = False
        self.twin.restart()
        listening, self.listeners = self.listeners, {}
        for channel, engines in listening.items():
            for engine in engines:
                self.loop.call_later(self.dice.uniform(*_RECONNECTED), engine.listen, channel)

    def arrive(self, call: Call) -> None:
        """A command is here."""
        if self._down:
            self.loop.call_later(self.weather.store_way.usual, call.fail, "ConnectionError")
        elif self._stopped is not None:
            self._stopped.append(lambda: self.arrive(call))
            self.loop.call_at(call.deadline, call.fail, "timeout")
        else:
            self._carry_out(call)

    def count(self, command: str) -> None:
        """One more command."""
        self.load.commands[command] += 1
        self.load.by_second[int(self.loop.time())] += 1

    def publish(self, channel: str) -> None:
        """Tell whoever listens; some never hear of it."""
        for engine in self.listeners.get(channel, ()):
            if self.dice.random() >= self.weather.news_lost:
                self.loop.call_later(self.weather.store_way.draw(self.dice), engine.told, channel)

    def _carry_out(self, call: Call) -> None:
        now = self.loop.time()
        self.count(call.command)
        self._busy_until = max(now, self._busy_until) + self.weather.store_work
        found = call.act()
        back = self._busy_until + call.back
        if call.reply_lost or back >= call.deadline:
            self.loop.call_at(call.deadline, call.fail, "timeout")
        else:
            self.loop.call_at(back, call.answered, found)
