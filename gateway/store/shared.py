"""The store of a fleet: records sealed, named by HMACs, and leases, over any ``Engine`` (CONTRACT §4.1, X10)."""

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from gateway.core.records import Acquired, Busy, Entry, FamilyRecord, StoreUnavailable
from gateway.store.engine import Claims, Engine
from gateway.store.health import Health
from gateway.store.links import Links
from gateway.store.sealing import KeyRing, UnknownKeyError

T = TypeVar("T")


class SharedStore:
    """Implements the refresher's ``Store`` and ``Leases`` ports.

    Everything about one refresh token (marks, membership, lease, intent) bears its name in braces, so that a
    cluster keeps it together; a family is under a name of its own.
    """

    shared = True
    """Other processes ask for its leases."""

    def __init__(self, engine: Engine, ring: KeyRing, links: Links, health: Health, *, settling: float) -> None:
        """Args: settling: seconds in which whoever holds a lease renews it for certain. For so long none is given
        out by a server that may have lost some.
        """
        self._engine = engine
        self._ring = ring
        self._links = links
        self._health = health
        self._settling = settling

    async def get(self, kind: str, key: str) -> Entry | None:
        """The living record, or None. A corrupt one is forgotten; one under an unknown key is
        kept, and ``StoreUnavailable`` (B21).
        """
        name = _name(key, kind)
        record = await self._asked("get", self._engine.read(name))
        if record is None:
            return None
        value = await self._opened(name, record.value, record.version)
        return None if value is None else Entry(value, record.version)

    async def put(
        self, kind: str, key: str, value: bytes, ttl: float, *, expected: int | None = None, new: bool = False
    ) -> bool:
        """Write for ``ttl`` seconds, over version ``expected`` only, or only where nothing is."""
        name = _name(key, kind)
        sealed = self._ring.seal(name, value)
        return await self._asked("put", self._engine.write(name, sealed, ttl, expected=expected, new=new))

    async def delete(self, kind: str, key: str) -> None:
        """Forget the record."""
        await self._asked("delete", self._engine.erase(_name(key, kind)))

    async def family(self, key: str) -> FamilyRecord | None:
        """The family of the refresh token under ``key``; None: it is in none that lives, or that opens."""
        member = _name(key, "member")
        found = await self._asked("family", self._engine.follow(member))
        if found is None:
            return None
        if not self._links.vouch(found.mark, member, found.target, found.number):
            self._health.dropped()
            await self._asked("drop", self._engine.erase(member))
            return None
        record = found.record
        value = await self._opened(found.target, record.value, record.version)
        if value is None:
            return None
        return FamilyRecord(_key(found.target), found.number, value, record.version, record.claims, found.time)

    async def claim(self, key: str, now: float) -> None:  # noqa: ARG002  # the port's: here the server's clock counts
        """Note that the client has the refresh token under ``key``, unless it or a later one was noted before."""
        await self._asked("claim", self._engine.claim(_name(key, "member")))

    async def put_family(
        self, name: str, value: bytes, ttl: float, *, expected: int | None, claims: Claims | None = None
    ) -> bool:
        """Write the family over version ``expected``; None: only where nothing is. False: it was not so."""
        record = _name(name, "family")
        sealed = self._ring.seal(record, value)
        write = self._engine.write(record, sealed, ttl, expected=expected, new=expected is None, claims=claims)
        return await self._asked("put_family", write)

    async def enrol(self, key: str, name: str, number: int, ttl: float, *, new: bool = False) -> bool:
        """The refresh token under ``key`` is number ``number`` of the family ``name``; ``new``: see the port."""
        member, family = _name(key, "member"), _name(name, "family")
        mark = self._links.mark(member, family, number)
        return await self._asked("enrol", self._engine.link(member, family, number, ttl, mark=mark, new=new))

    async def acquire(self, key: str, owner: str, ttl: float) -> Acquired | Busy:
        """Take the lease, where nobody has it and the server knows that nobody has it."""
        names = _name(key, "lease"), _name(key, "intent")
        return await self._asked("acquire", self._engine.acquire(*names, owner, ttl, settling=self._settling))

    async def holder(self, key: str) -> str | None:
        """Who has it."""
        return await self._asked("holder", self._engine.holder(_name(key, "lease")))

    async def renew(
        self, key: str, owner: str, ttl: float, *, announced: float | None = None, kept: float = 0.0
    ) -> bool:
        """Hold it for ``ttl`` seconds from now, also where it has vanished; then its intent is written again too.
        False: another has it.
        """
        names = _name(key, "lease"), _name(key, "intent")
        return await self._asked("renew", self._engine.renew(*names, owner, ttl, announced=announced, kept=kept))

    async def release(self, key: str, owner: str) -> None:
        """Give it back where it is still this owner's, and publish that."""
        await self._asked("release", self._engine.release(_name(key, "lease"), owner, _name(key, "news")))

    async def intend(self, key: str, owner: str, ttl: float) -> bool:
        """Write down that ``owner`` presents the token. False: the lease is not this owner's."""
        names = _name(key, "lease"), _name(key, "intent")
        return await self._asked("intend", self._engine.intend(*names, owner, ttl))

    async def resolve(self, key: str, owner: str, *, lost: bool) -> None:
        """The presentation is over; where its answer was ``lost``, the intent stays, as ended."""
        await self._asked("resolve", self._engine.resolve(_name(key, "intent"), owner, lost=lost))

    def news(self, key: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set whenever a lease of ``key`` was given back, and when one may have been."""
        return self._engine.news(_name(key, "news"))

    async def close(self) -> None:
        """Let go of every connection."""
        await self._engine.close()

    async def _opened(self, name: str, sealed: bytes, version: int) -> bytes | None:
        try:
            value = self._ring.open(name, sealed)
        except UnknownKeyError:
            self._health.unreadable()
            raise
        if value is None:
            self._health.dropped()
            await self._asked("drop", self._engine.erase(name, version))
        return value

    async def _asked(self, operation: str, answer: Awaitable[T]) -> T:
        try:
            found = await answer
        except StoreUnavailable as error:
            self._health.failed(operation, error)
            raise
        self._health.worked()
        return found


def _name(key: str, kind: str) -> str:
    return f"evergreen:{{{key}}}:{kind}"


def _key(name: str) -> str:
    return name[name.index("{") + 1 : name.rindex("}")]
