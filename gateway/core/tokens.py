"""What is known of an access token, and what its age calls for.

All times are seconds since the Unix epoch; all spans are seconds. The clock is always an argument.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from gateway.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Verified:
    """An access token whose signature, algorithm, issuer and shape of claims were verified.

    Neither ``exp``, ``nbf`` nor the audience is judged yet: they depend on the clock and on the route.
    """

    issuer: str | None
    subject: str | None
    audience: frozenset[str]
    expires_at: float
    issued_at: float | None
    not_before: float | None
    claims: Mapping[str, object]
    key_retired: bool = False
    """Signed by a key that has left the key set: serves to judge an *expired* token only (R22)."""
    sender_bound: bool = False
    """Carries ``cnf``: bound to a client's key (RFC 9449, RFC 8705), never refreshed (T15)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The token fails for a reason other than expiry. ``reason`` is for people and logs; it quotes nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class KeysUnavailable:
    """No key could be had to judge the token with: nothing is known about it."""

    reason: str = "the signing keys could not be fetched"


Judgement = Verified | Rejected | KeysUnavailable


class Age(Enum):
    """Where in its life a token is."""

    EARLY = auto()
    """Before ``nbf``."""
    FRESH = auto()
    AHEAD = auto()
    """Valid; refresh it while the request is on its way."""
    HARD = auto()
    """Valid, but it might expire on the way: refresh it first."""
    EXPIRED = auto()
    FORGOTTEN = auto()
    """Expired for longer than ``max_expired_age``."""

    @property
    def valid(self) -> bool:
        """The token may still be sent to the API."""
        return self in (Age.FRESH, Age.AHEAD, Age.HARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The spans around a token's expiry (CONTRACT §3), in seconds; 0 turns a window off."""

    ahead: float
    hard: float
    leeway: float
    max_expired_age: float
    jitter: float = 0.2
    """The largest share by which ``ahead`` is shortened, so that tokens of one minute are not refreshed at once."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The moments at which one token changes its age."""

    starts_at: float
    ahead_at: float
    hard_at: float
    ends_at: float
    """Expiry, with the leeway on it (T11)."""
    forgotten_at: float

    def age(self, now: float) -> Age:
        """The age at ``now``."""
        if now < self.ahead_at:
            return Age.FRESH if now >= self.starts_at else Age.EARLY
        if now < self.hard_at:
            return Age.AHEAD
        if now < self.ends_at:
            return Age.HARD
        return Age.EXPIRED if now < self.forgotten_at else Age.FORGOTTEN


@dataclass(frozen=True, slots=True)
class Obtained:
    """The gateway itself got this token from the authorization server."""

    at: float
    lifetime: float | None
    """``expires_in`` of the grant, where there was one."""


def schedule(token: str, verified: Verified, windows: Windows, obtained: Obtained | None = None) -> Schedule:
    """When ``token`` is to be refreshed, when it ends and when it is forgotten.

    ``ahead`` is capped at half and ``hard`` at a quarter of the lifetime, and ``ahead`` is shortened by up to
    ``jitter``, always by the same share for one token. A token that was granted already inside its window keeps no
    window at all: the server would grant the same again (R20).
    """
    ends = verified.expires_at
    lifetime = _lifetime(verified, obtained)
    ahead = min(windows.ahead, lifetime / 2) * (1 - windows.jitter * zlib.crc32(token.encode()) / 2**32)
    hard = min(windows.hard, lifetime / 4)
    ahead_at, hard_at = ends - max(ahead, hard), ends - hard
    last = ends + windows.leeway
    if hard == 0:
        hard_at = last
    if ahead == 0:
        ahead_at = hard_at
    if obtained is not None and obtained.at >= ahead_at:
        ahead_at = hard_at = last
    starts = -math.inf if verified.not_before is None else verified.not_before - windows.leeway
    return Schedule(starts, max(ahead_at, starts), hard_at, last, ends + windows.max_expired_age)


def _lifetime(verified: Verified, obtained: Obtained | None) -> float:
    if verified.issued_at is not None:
        return max(verified.expires_at - verified.issued_at, 0)
    if obtained is not None and obtained.lifetime is not None:
        return obtained.lifetime
    return math.inf


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A verified access token with all that is known of it."""

    raw: Secret
    verified: Verified
    schedule: Schedule
    obtained: Obtained | None = None

    @property
    def binding(self) -> tuple[str | None, str | None]:
        """Whose token it is: issuer and subject (R1, R11)."""
        return self.verified.issuer, self.verified.subject

    def meets(self, wanted: frozenset[str]) -> bool:
        """The audience names one of ``wanted``; nothing wanted, nothing checked (T9)."""
        return not wanted or not wanted.isdisjoint(self.verified.audience)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What a client gets after a refresh."""

    access: AccessToken
    refresh: Secret


def patience(token: AccessToken | None, now: float, limit: float) -> float:
    """How long, in seconds, a request may wait for a refresh: ``limit``, or less while its own token still lives.

    The margin lets the request leave while the API still accepts the old token.
    """
    margin = 0.5
    if token is None or token.verified.expires_at - margin <= now:
        return limit
    return min(limit, token.verified.expires_at - margin - now)
