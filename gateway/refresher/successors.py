"""The successor cache: new tokens wait here until their client has them (CONTRACT §4.3)."""

from dataclasses import dataclass

from gateway.core.families import Family, Stored, dump_family, load_family
from gateway.core.records import StoreUnavailable
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
    now: float
    """Unix seconds, by the clock that claims are noted by."""


class Successors:
    """Families in the store. Keys are those of ``core.keys``. Each call may raise ``StoreUnavailable``."""

    def __init__(self, store: Store, settings: RefreshSettings) -> None:
        self._store = store
        self._settings = settings

    async def find(self, key: str, now: float) -> Standing | None:
        """The standing of a refresh token whose family may still answer it; None otherwise."""
        record = await self._store.family(key)
        if record is None:
            return None
        try:
            family = load_family(record.value, record.claims)
        except ValueError:  # another version of the gateway wrote it
            raise StoreUnavailable("a family of another version") from None
        now = now if record.time is None else record.time
        if not family.serves(record.number, now, self._settings.grace):
            return None
        return Standing(key, family, record.name, record.number, record.version, now)

    async def grow(self, key: str, new_key: str, newest: Stored, *, now: float, late: bool = False) -> bool:
        """Record what the refresh token under ``key`` was exchanged for, before anybody is answered.

        Without rotation ``new_key`` is ``key``. A newer result is never overwritten: where another one grew
        the family in the meantime, that one stands. Both members are written anew, because the client may still
        come with the old token for as long as its successor waits. What broke off is finished by ``grow_late``.

        ``late``: somebody may have gone on with the new refresh token; that stands, and the answer is False.
        """
        for _ in range(_RACES):
            standing = await self.find(key, now)
            if standing is None:
                break
            if standing.number != standing.family.number:
                if standing.family.newest != newest:
                    return True
                return await self._enrol(new_key, standing.family_key, standing.family.number, new=late)
            grown = await self._grown(standing, new_key, newest, late=late)
            if grown is not None:
                return grown
        return await self._found(key, new_key, newest, late=late)

    async def grow_late(self, key: str, new_key: str, newest: Stored, *, now: float) -> None:
        """The same, where an earlier attempt may have got anywhere, and its client may have the new tokens since:
        who has gone on with the new refresh token stands, and the old one only leads there.
        """
        for _ in range(_RACES):
            further = None if new_key == key else await self._store.family(new_key)
            if further is not None:
                await self._enrol(key, further.name, further.number - 1)
                return
            if await self.grow(key, new_key, newest, now=now, late=True):
                return

    async def claim(self, key: str, now: float) -> None:
        """A request carried the refresh token under ``key``: its client has it."""
        await self._store.claim(key, now)

    async def keep(self, standing: Standing, newest_key: str, now: float) -> None:
        """A client still comes with an old token of a family that nobody has claimed: its successors wait on.

        The newest token is enrolled again too: its claim has to be recorded whenever it comes. What was written a
        moment ago is left alone, because all who waited for a refresh come here at the same time.
        """
        family = standing.family
        recent = now - family.newest.obtained.at < self._settings.unclaimed / 24
        if recent or standing.number == family.number or family.fully_claimed:
            return
        data = dump_family(family)
        await self._store.put_family(standing.family_key, data, self._settings.unclaimed, expected=standing.version)
        await self._enrol(standing.key, standing.family_key, standing.number)
        await self._enrol(newest_key, standing.family_key, family.number)

    async def _grown(self, standing: Standing, new_key: str, newest: Stored, *, late: bool) -> bool | None:
        """None: another one has changed the family. False: as ``grow``."""
        rotated = new_key != standing.key
        known, grace = standing.family, self._settings.grace
        family = known.grown(newest, standing.key, rotated=rotated, now=standing.now, grace=grace)
        data, ttl = dump_family(family), self._ttl(family)
        name = standing.family_key
        if not await self._store.put_family(name, data, ttl, expected=standing.version, claims=family.claims):
            return None
        await self._enrol(standing.key, name, standing.number)
        if not rotated:
            return True
        enrolled = await self._enrol(new_key, name, family.number, new=late)
        if known.before and known.has_claimed(standing.number):  # nobody needs it for long (D6)
            await self._store.enrol(known.before, name, standing.number - 1, grace)
        return enrolled

    async def _found(self, key: str, new_key: str, newest: Stored, *, late: bool) -> bool:
        """A new family, named for the newest token. The way to it is laid first: should we die before the end, who
        comes with the old token finds it all the same (B24). One of that name is what a server left that hands out
        tokens again.
        """
        rotated = new_key != key
        family = Family(newest, int(rotated), before=key if rotated else "")
        data, ttl = dump_family(family), self._ttl(family)
        await self._enrol(key, new_key, 0)
        expected = None
        for _ in range(_RACES):
            if await self._store.put_family(new_key, data, ttl, expected=expected, claims=()):
                break
            record = await self._store.family(key)
            expected = None if record is None else record.version
        return not rotated or await self._enrol(new_key, new_key, 1, new=late)

    async def _enrol(self, key: str, name: str, number: int, *, new: bool = False) -> bool:
        return await self._store.enrol(key, name, number, self._settings.unclaimed, new=new)

    def _ttl(self, family: Family) -> float:
        """An unclaimed family waits for its client; a claimed one serves parallel requests a little longer."""
        if not family.fully_claimed:
            return self._settings.unclaimed
        lifetime = family.newest.obtained.lifetime
        useful = (_HOUR if lifetime is None else lifetime) + self._settings.grace
        return min(useful, self._settings.unclaimed)
