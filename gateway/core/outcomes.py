"""What came of a refresh: values, because they are inputs to a decision (CONTRACT §4)."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.core.errors import Problem
from gateway.core.tokens import TokenSet


class Cause(StrEnum):
    """Why new tokens came: the values of ``X-Token-Refreshed``."""

    JOINED = "joined"
    REJECTED = "rejected"
    EXPIRED = "expired"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True)
class Renewed:
    """New tokens."""

    tokens: TokenSet
    joined: bool
    """They came from another request's flight or from the successor cache."""


@dataclass(frozen=True, slots=True)
class Dead:
    """The authorization server no longer accepts the refresh token."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Mismatched:
    """The new tokens are another user's."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No new tokens now; the credentials stay usable."""

    problem: Problem


Outcome = Renewed | Dead | Mismatched | Failed
