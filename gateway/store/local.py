"""``on_failure = "local"``: with the shared store away each process goes on alone, as with ``memory://``.

Then two processes may present one refresh token at the same time; whoever sets this has one process that matters,
or an authorization server that does not mind. What was written meanwhile stays in this process, is found first, and
moves to the shared store with its next change.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from gateway.core.families import load_family
from gateway.core.records import Acquired, Busy, Entry, FamilyRecord, StoreUnavailable
from gateway.store.engine import Claims
from gateway.store.memory import MemoryStore
from gateway.store.sealing import UnknownKeyError
from gateway.store.shared import SharedStore

T = TypeVar("T")

RETRY = 1.0
"""Seconds for which a store that failed is not asked again: each question may take the whole timeout."""


class LocalStore:
    """Implements the refresher's ``Store`` and ``Leases`` ports: what the shared store says, or its own memory."""

    shared = True
    """Other processes ask for its leases, whenever they can."""

    def __init__(
        self,
        store: SharedStore,
        memory: MemoryStore,
        clock: Callable[[], float],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Args: memory: takes what the shared store does not; clock: monotonic seconds; wall: Unix seconds."""
        self._store = store
        self._memory = memory
        self._clock = clock
        self._wall = wall
        self._ask_again = float("-inf")
        self._ahead: float | None = None
        """Seconds by which the server's clock is ahead of ours, as last seen."""

    async def get(self, kind: str, key: str) -> Entry | None:
        """The living record, this process's own first: it is there only because the shared one was away."""
        own = await self._memory.get(kind, key)
        if own is not None:
            return own
        return await self._either(lambda: self._store.get(kind, key), lambda: self._memory.get(kind, key))

    async def put(
        self, kind: str, key: str, value: bytes, ttl: float, *, expected: int | None = None, new: bool = False
    ) -> bool:
        """Write where the record that is meant is; a new one where the shared store takes it."""
        own = await self._memory.get(kind, key)
        if own is not None and (new or expected is not None):
            return await self._memory.put(kind, key, value, ttl, expected=expected, new=new)
        if own is not None:
            await self._memory.delete(kind, key)
        return await self._either(
            lambda: self._store.put(kind, key, value, ttl, expected=expected, new=new),
            lambda: self._memory.put(kind, key, value, ttl, new=True),
        )

    async def delete(self, kind: str, key: str) -> None:
        """Forget the record."""
        await self._memory.delete(kind, key)
        await self._either(lambda: self._store.delete(kind, key), _nothing)

    async def family(self, key: str) -> FamilyRecord | None:
        """The family of the refresh token under ``key``: where both have one, that which has gone on further from
        there. This process's own was the newer one when it was written; once the shared store is back, another
        process may exchange its newest token, and knows nothing of ours.
        """
        own = await self._memory.family(key)
        found = await self._either(lambda: self._store.family(key), _no_family)
        if found is not None and found.time is not None:
            self._ahead = found.time - self._wall()
        if own is None or (found is not None and _further(found) > _further(own)):
            if own is not None and found is not None and own.name == found.name:
                await self._memory.delete("family", own.name)
            return found
        return own

    async def claim(self, key: str, now: float) -> None:
        """Note that the client has the refresh token under ``key``, wherever that is known."""
        await self._memory.claim(key, now)
        await self._either(lambda: self._store.claim(key, now), _nothing)

    async def put_family(
        self, name: str, value: bytes, ttl: float, *, expected: int | None, claims: Claims | None = None
    ) -> bool:
        """Write the family; one of this process's own goes to the shared store, as soon as that takes it."""
        own = await self._memory.peek(name)
        if own is None:
            return await self._either(
                lambda: self._store.put_family(name, value, ttl, expected=expected, claims=claims),
                lambda: self._memory.put_family(name, value, ttl, expected=None, claims=self._timed(claims, -1)),
            )
        if own.version != expected:
            return False
        noted = own.claims if claims is None else claims
        moved = await self._either(lambda: self._moved(name, value, ttl, self._timed(noted, 1) or ()), _no)
        if moved:
            await self._memory.delete("family", name)
            return True
        return await self._memory.put_family(name, value, ttl, expected=expected, claims=noted)

    async def enrol(self, key: str, name: str, number: int, ttl: float, *, new: bool = False) -> bool:
        """The refresh token under ``key`` is number ``number`` of the family ``name``, wherever that family is."""
        if await self._memory.peek(name) is not None:
            return await self._memory.enrol(key, name, number, ttl, new=new)
        if new and await self._memory.family(key) is not None:
            return False
        await self._memory.delete("member", key)
        return await self._either(
            lambda: self._store.enrol(key, name, number, ttl, new=new),
            lambda: self._memory.enrol(key, name, number, ttl, new=new),
        )

    async def acquire(self, key: str, owner: str, ttl: float) -> Acquired | Busy:
        """Take the lease; with the shared store away it is this process's. Its own intent tells more, if any."""
        own = await self._memory.acquire(key, owner, ttl)
        found = await self._either(lambda: self._store.acquire(key, owner, ttl), lambda: _value(own))
        return own if isinstance(found, Acquired) and found.intent is None else found

    async def holder(self, key: str) -> str | None:
        """Who has it, as far as the shared store says."""
        return await self._either(lambda: self._store.holder(key), _none)

    async def renew(
        self, key: str, owner: str, ttl: float, *, announced: float | None = None, kept: float = 0.0
    ) -> bool:
        """Hold it. With the shared store away nobody takes it."""
        return await self._either(lambda: self._store.renew(key, owner, ttl, announced=announced, kept=kept), _yes)

    async def release(self, key: str, owner: str) -> None:
        """Give it back; one that cannot be given back ends by itself."""
        await self._either(lambda: self._store.release(key, owner), _nothing)

    async def intend(self, key: str, owner: str, ttl: float) -> bool:
        """Write down that ``owner`` presents the token, where that can be done."""
        return await self._either(
            lambda: self._store.intend(key, owner, ttl), lambda: self._memory.intend(key, owner, ttl)
        )

    async def resolve(self, key: str, owner: str, *, lost: bool) -> None:
        """The presentation is over."""
        await self._memory.resolve(key, owner, lost=lost)
        await self._either(lambda: self._store.resolve(key, owner, lost=lost), _nothing)

    def news(self, key: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """The shared store's."""
        return self._store.news(key)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._store.close()

    async def _moved(self, name: str, value: bytes, ttl: float, claims: Claims) -> bool:
        """The shared store may have an older state of the same family; it knows less."""
        await self._store.delete("family", name)
        return await self._store.put_family(name, value, ttl, expected=None, claims=claims)

    def _timed(self, claims: Claims | None, direction: int) -> Claims | None:
        """Claims of ours by the server's clock (1), or the server's by ours (-1). Where the difference is not known
        they are dropped: the next request with the newest token is noted anew.
        """
        if claims is None or self._ahead is None:
            return None
        return tuple((number, at + direction * self._ahead) for number, at in claims)

    async def _either(self, ask: Callable[[], Awaitable[T]], own: Callable[[], Awaitable[T]]) -> T:
        if self._clock() >= self._ask_again:
            try:
                return await ask()
            except UnknownKeyError:  # the store is there, and to act without what it has would log somebody out
                raise
            except StoreUnavailable:
                self._ask_again = self._clock() + RETRY
        return await own()


def _further(record: FamilyRecord) -> int:
    """By how many tokens the family has gone on from the one that was looked up."""
    try:
        return load_family(record.value, ()).number - record.number
    except ValueError:
        return -1


async def _value(value: T) -> T:
    return value


async def _nothing() -> None:
    return None


async def _no_family() -> FamilyRecord | None:
    return None


async def _none() -> str | None:
    return None


async def _yes() -> bool:
    return True


async def _no() -> bool:
    return False
