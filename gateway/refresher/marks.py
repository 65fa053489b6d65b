"""What outlives a flight that brought no new tokens, for whoever comes next (CONTRACT §4.6).

A denial is remembered for all. A failure is shared between processes only: those who waited for the flight in
another one answer the same, and do not ask the authorization server one after the other. In one process they have
its outcome anyway, and the next request may try.
"""

import json
from contextlib import suppress
from typing import Final

from gateway.core import errors
from gateway.core.errors import Problem
from gateway.core.outcomes import Dead, Failed
from gateway.core.records import StoreUnavailable
from gateway.refresher.ports import RefreshSettings, Store

_KIND = "mark"

_PASSING: Final = {
    problem.code: problem for problem in (errors.AUTH_SERVER_UNAVAILABLE, errors.AUTH_SERVER_MISCONFIGURED)
}
"""The problems that are the authorization server's: what one process suffers from is not told to the others."""


class Marks:
    """One mark for each refresh token. Keys are those of ``core.keys``."""

    def __init__(self, store: Store, settings: RefreshSettings, *, shared: bool) -> None:
        self._store = store
        self._settings = settings
        self._shared = shared

    async def read(self, key: str) -> Dead | Failed | None:
        """What the last flight of this token ended with, while that holds. Raises ``StoreUnavailable``."""
        entry = await self._store.get(_KIND, key)
        return None if entry is None else _load(entry.value)

    async def bury(self, key: str, dead: Dead) -> None:
        """Remember a denial for ``negative`` seconds (B8), once no successor was found after all."""
        with suppress(StoreUnavailable):
            await self._store.put(_KIND, key, _dump({"dead": dead.reason}), self._settings.negative)

    async def pause(self, key: str, problem: Problem, seconds: float) -> None:
        """The server could not answer: for ``seconds`` this is everybody's answer."""
        if not self._shared or problem.code not in _PASSING:
            return
        data = _dump({"code": problem.code, "retry_after": problem.retry_after})
        with suppress(StoreUnavailable):
            await self._store.put(_KIND, key, data, seconds, new=True)


def _dump(mark: dict[str, str | float | None]) -> bytes:
    return json.dumps(mark, separators=(",", ":")).encode()


def _load(data: bytes) -> Dead | Failed | None:
    """None also for what another version of the gateway may have written."""
    mark = json.loads(data)
    if "dead" in mark:
        return Dead(mark["dead"])
    problem = _PASSING.get(mark.get("code"))
    if problem is None:
        return None
    seconds = mark.get("retry_after")
    return Failed(problem if seconds is None else problem.retry(seconds))
