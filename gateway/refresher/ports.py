"""What the refresher needs of the world, as small protocols, and its settings."""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.core import keys
from gateway.core.grants import Answer
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, KeysUnavailable, Obtained, Rejected


class Entry(Protocol):
    """A stored value and its generation."""

    @property
    def value(self) -> bytes:
        """What was written."""

    @property
    def version(self) -> int:
        """Changes with every write."""


class Store(Protocol):
    """Records by kind and key, with lifetimes and compare-and-swap."""

    async def get(self, kind: str, key: str) -> Entry | None:
        """The living record, or None."""

    async def put(
        self, kind: str, key: str, value: bytes, ttl: float, *, expected: int | None = None, new: bool = False
    ) -> bool:
        """Write for ``ttl`` seconds, over version ``expected`` only, or only where nothing is."""

    async def delete(self, kind: str, key: str) -> None:
        """Forget the record."""


class TokenEndpoint(Protocol):
    """The authorization server. Neither call raises, but when cancelled."""

    async def redeem(self, refresh_token: Secret, access_token: Secret | None) -> Answer:
        """Present the refresh token once; listen for the answer for ``late_answer`` seconds."""

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
    _index: keys.Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", keys.Index(self.index_key))

    def key(self, refresh: Secret) -> str:
        """The name of a refresh token in flights and in the store (CONTRACT §4.1)."""
        return self._index(self.issuer, self.client_id, refresh.reveal(), self.scope)
