"""A replica's way to the store: implements ``gateway.store.engine.Engine``."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar, cast

from gateway.core.records import Acquired, Busy
from gateway.store.engine import Claims, Followed, Record
from simulation.store_server import Call, Server

T = TypeVar("T")

TIMEOUT = 0.25
"""Of one operation, as ``RedisEngine`` has it."""


class StoreEngine:
    """One replica's connections to the server."""

    def __init__(
        self, server: Server, settled: Callable[[str], None] = lambda _: None, *, timeout: float = TIMEOUT
    ) -> None:
        """Args: settled: hears of each refresh token's key whose presentation was resolved, and not as lost."""
        self._timeout = timeout
        self._server = server
        self._settled = settled
        self._twin = server.twin
        self._dead = False
        self._waiting: dict[str, dict[asyncio.Event, None]] = {}

    def die(self) -> None:
        """What was sent is carried out, nothing more is sent."""
        self._dead = True
        for channel in self._waiting:
            self._server.listeners.get(channel, {}).pop(self, None)
        self._waiting.clear()

    async def read(self, name: str) -> Record | None:
        """HMGET."""
        return await self._ask("read", lambda: self._twin.read(name))

    async def write(
        self,
        name: str,
        value: bytes,
        ttl: float,
        *,
        expected: int | None = None,
        new: bool = False,
        claims: Claims | None = None,
    ) -> bool:
        """A script."""
        twin = self._twin
        return await self._ask(
            "write", lambda: twin.write(name, value, ttl, expected=expected, new=new, claims=claims)
        )

    async def erase(self, name: str, version: int | None = None) -> None:
        """DEL, or a script."""
        await self._ask("erase", lambda: self._twin.erase(name, version))

    async def link(
        self, name: str, target: str, number: int, ttl: float, *, mark: bytes = b"", new: bool = False
    ) -> bool:
        """A script."""
        return await self._ask("link", lambda: self._twin.link(name, target, number, ttl, mark=mark, new=new))

    async def follow(self, name: str) -> Followed | None:
        """A script."""
        return await self._ask("follow", lambda: self._twin.follow(name))

    async def claim(self, name: str) -> None:
        """A script."""
        await self._ask("claim", lambda: self._twin.claim(name))

    async def acquire(self, lease: str, intent: str, owner: str, ttl: float, *, settling: float) -> Acquired | Busy:
        """A script."""
        twin = self._twin
        found: Acquired | Busy = await self._ask(
            "acquire", lambda: twin.acquire(lease, intent, owner, ttl, settling=settling)
        )
        if isinstance(found, Acquired) and found.intent is not None and not found.intent.ended:
            self._server.load.takeovers += 1
        return found

    async def holder(self, lease: str) -> str | None:
        """GET."""
        return await self._ask("holder", lambda: self._twin.holder(lease))

    async def renew(
        self, lease: str, intent: str, owner: str, ttl: float, *, announced: float | None = None, kept: float = 0.0
    ) -> bool:
        """A script."""
        twin = self._twin
        held = await self._ask(
            "renew", lambda: twin.renew(lease, intent, owner, ttl, announced=announced, kept=kept)
        )
        self._server.load.leases_lost += not held
        return held

    async def release(self, lease: str, owner: str, channel: str) -> None:
        """A script."""

        def act() -> None:
            self._twin.release(lease, owner)
            self._server.publish(channel)

        await self._ask("release", act)

    async def intend(self, lease: str, intent: str, owner: str, ttl: float) -> bool:
        """A script."""
        held = await self._ask("intend", lambda: self._twin.intend(lease, intent, owner, ttl))
        self._server.load.leases_lost += not held
        return held

    async def resolve(self, intent: str, owner: str, *, lost: bool) -> None:
        """A script."""
        await self._ask("resolve", lambda: self._twin.resolve(intent, owner, lost=lost))
        self.note(intent, lost=lost)

    def note(self, intent: str, *, lost: bool) -> None:
        """A presentation is over."""
        if not lost:
            self._settled(intent[intent.index("{") + 1 : intent.rindex("}")])

    def news(self, channel: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """SUBSCRIBE, where nobody of this replica listens yet, and UNSUBSCRIBE when nobody does any more."""
        return self._news(channel)

    async def close(self) -> None:
        """Nothing to let go of."""

    def listen(self, channel: str) -> None:
        """The server knows us as a listener; what was published before that we have missed."""
        if channel in self._waiting:
            self._server.count("subscribe")
            self._server.listeners.setdefault(channel, {})[self] = None
            self.told(channel)

    def told(self, channel: str) -> None:
        """Something was published."""
        for event in self._waiting.get(channel, ()):
            event.set()

    @asynccontextmanager
    async def _news(self, channel: str) -> AsyncIterator[asyncio.Event]:
        event, server = asyncio.Event(), self._server
        if channel not in self._waiting:
            self._waiting[channel] = {}
            server.loop.call_later(server.weather.store_way.draw(server.dice), self.listen, channel)
        self._waiting[channel][event] = None
        try:
            yield event
        finally:
            waiting = self._waiting.get(channel, {})
            waiting.pop(event, None)
            if not waiting and self._waiting.pop(channel, None) is not None:
                self._forget(channel)

    def _forget(self, channel: str) -> None:
        server = self._server
        server.count("unsubscribe")
        listeners = server.listeners.get(channel, {})
        listeners.pop(self, None)
        if not listeners:
            server.listeners.pop(channel, None)

    async def _ask(self, command: str, act: Callable[[], T]) -> T:
        if self._dead:
            raise asyncio.CancelledError
        server = self._server
        loop, way, dice = server.loop, server.weather.store_way, server.dice
        out, back = way.draw(dice), way.draw(dice)
        lost = dice.random() < server.weather.store_lost
        arrives = not lost or dice.random() < 0.5  # noqa: PLR2004  # a coin
        deadline = loop.time() + self._timeout
        call = Call(command, act, loop.create_future(), deadline=deadline, back=back, reply_lost=lost)
        if arrives:
            loop.call_later(out, server.arrive, call)
        else:
            loop.call_at(deadline, call.fail, "timeout")
        return cast("T", await call.answer)
