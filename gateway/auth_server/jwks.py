"""The authorization server's own keys: fetched, kept, and remembered after they left (RFC 7517 §5).

* The last good set serves while a new one is fetched, and for ``last_good`` seconds of failures (B11).
* A token with an unknown key asks for one shared refetch, at most once per ``unknown_interval`` (T12).
* A key that has left the set is remembered for ``max_expired_age``, for tokens that have expired (R22).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.auth_server.discovery import Endpoint
from gateway.auth_server.keys import MAX_KEYS, KeySet, VerificationKey, read_jwks
from gateway.auth_server.sender import Lost, Sender, Unsent
from gateway.auth_server.shared_task import SharedTask
from gateway.core import strict_json
from gateway.core.token_requests import TokenRequest
from gateway.events import Emit, Noticed

MAX_JWKS: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class JwksSettings:
    """Spans in seconds."""

    algorithms: tuple[str, ...] = ("RS256",)
    max_age: float = 300.0
    """After which the set is fetched again."""
    unknown_interval: float = 10.0
    """At most one fetch in this time for tokens of unknown keys."""
    granted_interval: float = 1.0
    """The same for a token that the server has just granted, and while there are no keys at all."""
    retry_interval: float = 10.0
    """Between two background attempts while fetches fail."""
    last_good: float = 86_400.0
    """How long keys serve while they cannot be fetched."""
    max_expired_age: float = 30 * 86_400.0
    """How long a key is remembered after it left the set."""
    timeout: float = 5.0
    """For one fetch."""


class JwksKeys:
    """A ``KeySource`` over ``jwks_uri``: ``start`` keeps it fresh in the background, ``close`` ends that."""

    def __init__(
        self,
        sender: Sender,
        uri: Endpoint,
        settings: JwksSettings,
        *,
        emit: Emit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._uri = uri
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._keys: KeySet | None = None
        self._retired: dict[VerificationKey, float] = {}
        self._loaded_at = 0.0
        self._tried_at: float | None = None
        self._asked_at: float | None = None
        self._fetch = SharedTask(self._load)
        self._keeper: asyncio.Task[None] | None = None
        self.generation = 0
        self.doubtful = False

    def start(self) -> None:
        """Fetches now and then every ``max_age``, whether or not anyone asks."""
        self._keeper = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Ends the background work and a fetch in flight."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._fetch.cancel()

    def current(self) -> KeySet | None:
        """The last good keys, unless they are too old to trust. Old ones are renewed beside the request."""
        self._forget()
        stale = self._keys is not None and self._clock() - self._loaded_at > self._settings.max_age
        if stale and self._passed(self._tried_at, self._settings.retry_interval):
            self._fetch.start()
        return self._keys

    async def refetch(self, *, granted: bool) -> None:
        """One fetch for all who ask at the same time, as often as the throttle allows. Never raises."""
        if not self._fetch.running:
            if self._keys is None or granted:
                due = self._passed(self._tried_at, self._settings.granted_interval)
            else:
                due = self._passed(self._asked_at, self._settings.unknown_interval)
                self._asked_at = self._clock() if due else self._asked_at
            if not due:
                return
        await self._fetch.join()

    def _passed(self, since: float | None, interval: float) -> bool:
        return since is None or self._clock() - since >= interval

    async def _keep_fresh(self) -> None:
        while True:
            await self._fetch.join()
            self._forget()
            await asyncio.sleep(self._settings.retry_interval if self.doubtful else self._settings.max_age)

    async def _load(self) -> None:
        self._tried_at = self._clock()
        try:
            found = await self._get()
        except (Unsent, Lost, ValueError) as failure:
            self.doubtful = True
            self._emit(Noticed(what="keys_not_fetched", detail=str(failure)))
        else:
            self.doubtful = False
            self._adopt(found)

    async def _get(self) -> list[VerificationKey]:
        url = await self._uri()
        if url is None:
            raise ValueError("their address is not known")
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        request = TokenRequest("GET", url, ((b"accept", b"application/jwk-set+json, application/json"),), b"")
        reply = await self._sender.send(request, deadline=deadline, max_body=MAX_JWKS)
        if reply.status != 200:  # noqa: PLR2004
            raise ValueError(f"status {reply.status}")
        keys = read_jwks(strict_json.parse(reply.body), self._settings.algorithms, symmetric=False)
        if not keys:
            raise ValueError("none of them is usable")
        return keys

    def _adopt(self, found: Sequence[VerificationKey]) -> None:
        now = self._loaded_at = self._clock()
        before = self._keys.keys if self._keys is not None else ()
        if set(before) == set(found):
            return
        self._retired |= dict.fromkeys(before, now)
        for key in found:
            self._retired.pop(key, None)
        while len(self._retired) > MAX_KEYS:
            del self._retired[next(iter(self._retired))]
        self._replace(KeySet(found, self._retired))

    def _forget(self) -> None:
        """Drops keys that could not be confirmed for ``last_good``, and retired ones past their time."""
        now = self._clock()
        if self._keys is None:
            return
        if now - self._loaded_at > self._settings.last_good:
            self._retired |= dict.fromkeys(self._keys.keys, now)
            self._replace(None)
            return
        expired = [key for key, at in self._retired.items() if now - at > self._settings.max_expired_age]
        if expired:
            for key in expired:
                del self._retired[key]
            self._replace(KeySet(self._keys.keys, self._retired))

    def _replace(self, keys: KeySet | None) -> None:
        self._keys = keys
        self.generation += 1
