"""New tokens that the store did not take (B20).

The authorization server has rotated, so they are all that is left of the session. Who asked in this process gets
them all the same. They are kept here, and written as soon as the store is back; until then the lease is renewed,
and the intent stays, so that no other process presents the old token meanwhile.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.core.bounded import Bounded
from gateway.core.families import Stored
from gateway.core.records import StoreUnavailable
from gateway.core.secret import Secret
from gateway.events import Emit, Noticed
from gateway.refresher.ports import RefreshSettings
from gateway.refresher.successors import Successors
from gateway.refresher.turns import RETRY, Errand, Turn

_MOST: Final = 10_000
"""Each is the fruit of a token request under way when the store went, so there are few."""


@dataclass(frozen=True, slots=True, eq=False)
class _Grant:
    stored: Stored
    new_key: str
    turn: Turn


class Unsaved:
    """Grants of this process that are in no store yet, by the key of the token that they came for."""

    def __init__(
        self,
        successors: Successors,
        settings: RefreshSettings,
        *,
        errand: Errand,
        emit: Emit,
        clock: Callable[[], float],
        saved: Callable[[Secret], None],
    ) -> None:
        """Args: saved: hears of a new refresh token that only now is in the store; clock: Unix seconds."""
        self._successors = successors
        self._settings = settings
        self._errand = errand
        self._emit = emit
        self._clock = clock
        self._saved = saved
        self._grants: Bounded[str, _Grant] = Bounded(_MOST)

    def find(self, key: str) -> Stored | None:
        """What the token under ``key`` was exchanged for."""
        grant = self._grants.get(key)
        return None if grant is None else grant.stored

    def keep(self, key: str, new_key: str, stored: Stored, turn: Turn) -> None:
        """The store did not take it. The turn is kept until it does."""
        turn.keep()
        grant = self._grants[key] = _Grant(stored, new_key, turn)
        self._emit(Noticed(what="new_tokens_not_stored", detail="kept in memory until the store takes them"))
        self._errand(self._save(key, grant))

    async def _save(self, key: str, grant: _Grant) -> None:
        """For as long as its client may come for it. A lease that is nobody's is given out later than we try."""
        ends = _now() + self._settings.unclaimed
        pause = RETRY
        while self._grants.get(key) is grant and _now() < ends:
            grant.turn.prolong(self._settings.lease)
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._settings.poll_most)
            try:
                await self._successors.grow_late(key, grant.new_key, grant.stored, now=self._clock())
            except StoreUnavailable:
                continue
            self._saved(grant.stored.refresh)
            self._emit(Noticed(what="new_tokens_stored"))
            await grant.turn.resolve(lost=False)
            break
        if self._grants.get(key) is grant:
            del self._grants[key]
        await grant.turn.end(lost=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
