"""What the refresher needs of the world, as small protocols, and its settings."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from gateway.core import keys
from gateway.core.grants import Answer
from gateway.core.records import Acquired, Busy, Entry, FamilyRecord
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, KeysUnavailable, Obtained, Rejected


class Store(Protocol):
    """Records by kind and key, with lifetimes and compare-and-swap. Each call may raise ``StoreUnavailable``.

    Keys are names that ``core.keys`` made; spans are seconds, and ``now`` is Unix seconds.
    """

    async def get(self, kind: str, key: str) -> Entry | None:
        """The living record, or None. The kind is ``mark``: what outlives a flight that brought no tokens."""

    async def put(
        self, kind: str, key: str, value: bytes, ttl: float, *, expected: int | None = None, new: bool = False
    ) -> bool:
        """Write for ``ttl`` seconds, over version ``expected`` only, or only where nothing is."""

    async def delete(self, kind: str, key: str) -> None:
        """Forget the record."""

    async def family(self, key: str) -> FamilyRecord | None:
        """The family of the refresh token under ``key``, in one command. None: it is in none that lives."""

    async def claim(self, key: str, now: float) -> None:
        """The client has the refresh token under ``key``: where that is a member, its family notes its number and
        ``now`` (or the store's own time: ``FamilyRecord.time``), unless it has noted that number or a later one
        before. What is noted changes the family's version.
        One command; nothing is read first.
        """

    async def put_family(
        self,
        name: str,
        value: bytes,
        ttl: float,
        *,
        expected: int | None,
        claims: tuple[tuple[int, float], ...] | None = None,
    ) -> bool:
        """Write the family over version ``expected``; None: only where nothing is. False: it was not so.

        Args:
            name: the family's own.
            value: its newest tokens.
            ttl: seconds until it is gone.
            expected: the version that was read.
            claims: these and no others are noted from now on. None: those that are noted stay.
        """

    async def enrol(self, key: str, name: str, number: int, ttl: float, *, new: bool = False) -> bool:
        """The refresh token under ``key`` is number ``number`` of the family ``name``, for ``ttl`` seconds.

        ``new``: unless it is enrolled in another family already; then False.
        """


class Leases(Protocol):
    """Whose turn it is to present a refresh token, across processes. Each call may raise ``StoreUnavailable``.

    A lease is for liveness only; that nobody presents a token whose answer may still come is the intent's doing.
    Whoever gets ``StoreUnavailable`` does not know whether it was done.
    """

    @property
    def shared(self) -> bool:
        """Other processes ask for these leases too. If not, whoever asks has them; none is renewed or awaited."""

    async def acquire(self, key: str, owner: str, ttl: float) -> Acquired | Busy:
        """Take the lease for ``ttl`` seconds, where nobody has it."""

    async def holder(self, key: str) -> str | None:
        """Who has it. Nobody gets it by asking this."""

    async def renew(
        self, key: str, owner: str, ttl: float, *, announced: float | None = None, kept: float = 0.0
    ) -> bool:
        """Hold it for ``ttl`` seconds from now, also where it has vanished. False: another has it.

        ``announced``: seconds since this owner's intent was written, which is not resolved; None: there is none.
        Where it has vanished with the lease it is written again, with that age, for ``kept`` seconds.
        """

    async def release(self, key: str, owner: str) -> None:
        """Give it back where it is still this owner's, and publish news of ``key``."""

    async def intend(self, key: str, owner: str, ttl: float) -> bool:
        """Write down, before the request leaves, that ``owner`` presents the token; kept for ``ttl`` seconds.

        False: the lease is not this owner's (any more), and nothing was written. A process that slept for longer
        than its lease must not go on as if it had it.
        """

    async def resolve(self, key: str, owner: str, *, lost: bool) -> None:
        """The presentation is over. An OAuth answer was read: the intent goes; ``lost``: it stays, as ended.
        Another owner's intent is left alone.
        """

    def news(self, key: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set whenever a lease of ``key`` was given back. It may miss some: poll too."""


class Records(Store, Leases, Protocol):
    """One store for both."""


class TokenEndpoint(Protocol):
    """The authorization server. Neither call raises, but when cancelled."""

    async def redeem(self, refresh_token: Secret, access_token: Secret | None, *, since: float) -> Answer:
        """Present the refresh token once; listen for the answer until ``late_answer`` seconds after ``since``, the
        event loop's time when the presentation was announced, and send nothing in the second half of them.
        """

    async def revoke(self, token: Secret) -> None:
        """RFC 7009, best effort."""


class Judge(Protocol):
    """Verifies what the authorization server has granted."""

    async def granted(self, token: Secret, obtained: Obtained) -> AccessToken | Rejected | KeysUnavailable:
        """Judge a token that we got at ``obtained.at``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshSettings:
    """The clocks and bounds of CONTRACT §4; spans in seconds."""

    issuer: str
    client_id: str
    scope: str = ""
    index_key: bytes = field(repr=False)
    """Names records and flights (R6)."""
    timeout: float = 10.0
    late_answer: float = 30.0
    grace: float = 30.0
    unclaimed: float = 86_400.0
    negative: float = 30.0
    min_interval: float = 30.0
    max_expired_age: float = 30 * 86_400.0
    max_concurrent: int = 16
    max_waiting: int = 1024
    unknown_burst: int = 100
    unknown_per_second: float = 10.0
    lease: float = 6.0
    """How long a lease outlives its holder; renewed at a third."""
    poll: float = 0.25
    """Between two looks of those who wait for another process, at first; then more, up to ``poll_most``."""
    poll_most: float = 1.0
    transient: float = 1.0
    """How long a failure is everybody's answer: no longer than they were told to wait."""
    _index: keys.Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", keys.Index(self.index_key))

    @property
    def renewal(self) -> float:
        """Between two renewals of a lease: two may fail."""
        return self.lease / 3

    @property
    def confirmation(self) -> float:
        """How long a lease must have been nobody's before it may be taken from a holder who did not give it back: a
        store that lost it (a restart, a failover) gets it back with its holder's next renewal, which takes up to
        ``renewal`` and two operations of the store.
        """
        return self.lease / 2

    def key(self, refresh: Secret) -> str:
        """The name of a refresh token in flights and in the store (CONTRACT §4.1)."""
        return self._index(self.issuer, self.client_id, refresh.reveal(), self.scope)
