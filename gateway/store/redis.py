"""The engine over Redis or Valkey. Each operation is one command, sent once, within a quarter of a second."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from redis.crc import key_slot
from redis.exceptions import NoScriptError

from gateway.core.records import Acquired, Busy, Intent, StoreUnavailable
from gateway.store import scripts
from gateway.store.engine import Claims, Followed, Record
from gateway.store.news import News
from gateway.store.scripts import Script
from gateway.store.topology import Topology
from gateway.store.wire import unavailable

_SLOTS = 16384


class RedisEngine:
    """Implements ``Engine``."""

    def __init__(
        self, topology: Topology, *, timeout: float = 0.25, refused: Callable[[], None] = lambda: None
    ) -> None:
        """For one event loop.

        Args:
            topology: the server, or those that act as one.
            timeout: seconds for one operation, with all that it takes to get a connection (B19).
            refused: hears that we may not listen to what is published.
        """
        self._topology = topology
        self._timeout = timeout
        self._news = News(topology, refused=refused)
        self._tags = _tags() if topology.clustered else []

    async def read(self, name: str) -> Record | None:
        """HMGET."""
        value, version = await self._command(name, "HMGET", name, "v", "g")
        return None if value is None or version is None else Record(value, int(version))

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
        """``scripts.WRITE``."""
        condition = "new" if new else ("" if expected is None else str(expected))
        noted = [] if claims is None else ["claims", *(str(part) for claim in claims for part in claim)]
        return bool(await self._script(scripts.WRITE, [name], value, _milliseconds(ttl), condition, *noted))

    async def erase(self, name: str, version: int | None = None) -> None:
        """DEL, or ``scripts.ERASE``."""
        if version is None:
            await self._command(name, "DEL", name)
        else:
            await self._script(scripts.ERASE, [name], version)

    async def link(
        self, name: str, target: str, number: int, ttl: float, *, mark: bytes = b"", new: bool = False
    ) -> bool:
        """``scripts.LINK``."""
        condition = "new" if new else ""
        return bool(await self._script(scripts.LINK, [name], target, number, mark, _milliseconds(ttl), condition))

    async def follow(self, name: str) -> Followed | None:
        """``scripts.FOLLOW``; on a cluster, where a link and its record may be apart, two commands."""
        if not self._topology.clustered:
            return _followed(await self._script(scripts.FOLLOW, [name]))
        target, number, mark = await self._command(name, "HMGET", name, "f", "n", "m")
        if target is None:
            return None
        return _followed([target, number, mark or b"", *await self._script(scripts.LOOK, [target.decode()])])

    async def claim(self, name: str) -> None:
        """``scripts.CLAIM``; on a cluster two commands."""
        if not self._topology.clustered:
            await self._script(scripts.CLAIM, [name])
            return
        target, number = await self._command(name, "HMGET", name, "f", "n")
        if target is not None:
            await self._script(scripts.NOTE, [target.decode()], number)

    async def acquire(self, lease: str, intent: str, owner: str, ttl: float, *, settling: float) -> Acquired | Busy:
        """``scripts.ACQUIRE``."""
        epoch = self._epoch(lease)
        spans = _milliseconds(ttl), round(settling * 1000)
        taken, *facts = await self._script(scripts.ACQUIRE, [lease, intent, epoch], owner, *spans)
        if not taken:
            return Busy(facts[0] / 1000 or None)
        if not facts:
            return Acquired()
        by, age, ended = facts
        return Acquired(Intent(by.decode(), max(age / 1000, 0.0), bool(ended)))

    async def holder(self, lease: str) -> str | None:
        """GET."""
        owner = await self._command(lease, "GET", lease)
        return None if owner is None else str(owner, "ascii", "replace")

    async def renew(
        self, lease: str, intent: str, owner: str, ttl: float, *, announced: float | None = None, kept: float = 0.0
    ) -> bool:
        """``scripts.RENEW``."""
        age = "" if announced is None else round(announced * 1000)
        spans = _milliseconds(ttl), age, _milliseconds(kept)
        return bool(await self._script(scripts.RENEW, [lease, intent], owner, *spans))

    async def release(self, lease: str, owner: str, channel: str) -> None:
        """``scripts.RELEASE``."""
        await self._script(scripts.RELEASE, [lease], owner, channel)

    async def intend(self, lease: str, intent: str, owner: str, ttl: float) -> bool:
        """``scripts.INTEND``."""
        return bool(await self._script(scripts.INTEND, [lease, intent], owner, _milliseconds(ttl)))

    async def resolve(self, intent: str, owner: str, *, lost: bool) -> None:
        """``scripts.RESOLVE``."""
        await self._script(scripts.RESOLVE, [intent], owner, "1" if lost else "")

    def news(self, channel: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """SUBSCRIBE, on one connection for all."""
        return self._news.of(channel)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._news.close()
        await self._topology.close()

    async def _script(self, script: Script, names: list[str], *arguments: str | bytes | int) -> Any:
        with contextlib.suppress(NoScriptError):  # a server that was restarted has forgotten it
            return await self._command(names[0], "EVALSHA", script.sha, len(names), *names, *arguments)
        return await self._command(names[0], "EVAL", script.text, len(names), *names, *arguments)

    async def _command(self, name: str, *command: str | bytes | int) -> Any:
        """Raises ``StoreUnavailable``; ``NoScriptError`` where the server does not know the script."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._topology.call(name, *command)
        except (NoScriptError, StoreUnavailable):
            raise
        except TimeoutError as error:
            self._topology.doubt()
            raise unavailable(error) from None
        except Exception as error:  # noqa: BLE001  # redis-py raises whatever a broken answer makes it stumble over
            raise unavailable(error) from None

    def _epoch(self, lease: str) -> str:
        """The record of which server gives out leases. On a cluster each slot has one, because slots fail over."""
        if not self._topology.clustered:
            return "evergreen:epoch"
        return f"evergreen:{{{self._tags[key_slot(lease.encode())]}}}:epoch"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _followed(answer: list[Any]) -> Followed | None:
    if not answer:
        return None
    target, number, mark, time, flat = answer
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    if b"v" not in fields or b"g" not in fields:
        return None
    claims = sorted((int(name[2:]), float(at)) for name, at in fields.items() if name.startswith(b"c:"))
    record = Record(fields[b"v"], int(fields[b"g"]), tuple(claims))
    return Followed(target.decode(), int(number), record, time / 1000, mark)


def _tags() -> list[str]:
    """For each slot a text that has it: whatever is named by it is kept in that slot."""
    found: dict[int, str] = {}
    candidate = 0
    while len(found) < _SLOTS:
        found.setdefault(key_slot(b"%x" % candidate), f"{candidate:x}")
        candidate += 1
    return [found[slot] for slot in range(_SLOTS)]
