"""The successor cache: new tokens wait here until their client has them (CONTRACT §4.3)."""

from dataclasses import dataclass

from gateway.core.families import (
    Family,
    Member,
    Stored,
    dump_family,
    dump_member,
    load_family,
    load_member,
)
from gateway.refresher.ports import RefreshSettings, Store

_RACES = 16
"""How often a compare-and-swap is tried: each failure means that another one succeeded."""

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a refresh token stands in its family, as last read."""

    key: str
    family: Family
    family_key: str
    number: int
    version: int


class Successors:
    """Families in the store. Keys are those of ``core.keys``."""

    def __init__(self, store: Store, settings: RefreshSettings) -> None:
        self._store = store
        self._settings = settings

    async def find(self, key: str, now: float) -> Standing | None:
        """The standing of a refresh token whose family may still answer it; None otherwise."""
        standing = await self._standing(key)
        if standing is None or not standing.family.serves(standing.number, now, self._settings.grace):
            return None
        return standing

    async def grow(self, key: str, new_key: str, newest: Stored, *, now: float) -> None:
        """Record what the refresh token under ``key`` was exchanged for, before anybody is answered.

        Without rotation ``new_key`` is ``key``. A newer result is never overwritten: where another one grew
        the family in the meantime, that one stands. Both members are written anew, because the client may still
        come with the old token for as long as its successor waits.
        """
        for _ in range(_RACES):
            standing = await self.find(key, now)
            if standing is None:
                break
            if standing.number != standing.family.number:
                return
            family = standing.family.grown(newest, rotated=new_key != key)
            if await self._write(standing, family):
                await self._enrol(key, Member(standing.family_key, standing.number))
                await self._enrol(new_key, Member(standing.family_key, family.number))
                return
        await self._found(key, new_key, newest)

    async def claim(self, key: str, now: float) -> None:
        """A request carried the refresh token under ``key``: its client has it."""
        for _ in range(_RACES):
            standing = await self._standing(key)
            if standing is None:
                return
            family = standing.family.claimed(standing.number, now, self._settings.grace)
            if family is standing.family or await self._write(standing, family):
                return

    async def keep(self, standing: Standing, newest_key: str) -> None:
        """A client still comes with an old token of a family that nobody has claimed: its successors wait on.

        The newest token is enrolled again too: its claim has to be recorded whenever it comes.
        """
        family = standing.family
        if standing.number == family.number or family.fully_claimed:
            return
        await self._write(standing, family)
        await self._enrol(standing.key, Member(standing.family_key, standing.number))
        await self._enrol(newest_key, Member(standing.family_key, family.number))

    async def _standing(self, key: str) -> Standing | None:
        entry = await self._store.get("member", key)
        if entry is None:
            return None
        member = load_member(entry.value)
        record = await self._store.get("family", member.family)
        if record is None:
            return None
        return Standing(key, load_family(record.value), member.family, member.number, record.version)

    async def _found(self, key: str, new_key: str, newest: Stored) -> None:
        rotated = new_key != key
        family = Family(newest, int(rotated))
        await self._store.put("family", new_key, dump_family(family), self._ttl(family))
        await self._enrol(key, Member(new_key, 0))
        if rotated:
            await self._enrol(new_key, Member(new_key, 1))

    async def _write(self, standing: Standing, family: Family) -> bool:
        data, ttl = dump_family(family), self._ttl(family)
        return await self._store.put("family", standing.family_key, data, ttl, expected=standing.version)

    async def _enrol(self, key: str, member: Member) -> None:
        await self._store.put("member", key, dump_member(member), self._settings.unclaimed)

    def _ttl(self, family: Family) -> float:
        """An unclaimed family waits for its client; a claimed one serves parallel requests a little longer."""
        if not family.fully_claimed:
            return self._settings.unclaimed
        lifetime = family.newest.obtained.lifetime
        useful = (_HOUR if lifetime is None else lifetime) + self._settings.grace
        return min(useful, self._settings.unclaimed)
