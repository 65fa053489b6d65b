"""What a route asks of its requests (CONTRACT §3, §6)."""

from dataclasses import dataclass
from enum import StrEnum


class Auth(StrEnum):
    """What a route asks of a request."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    OFF = "off"


class OnExpired(StrEnum):
    """What an expired token leads to."""

    REFRESH = "refresh"
    SIGNAL = "signal"
    REJECT = "reject"


class OnUpstream401(StrEnum):
    """Which 401 of the API's leads to a refresh."""

    INVALID_TOKEN = "invalid_token"  # noqa: S105  # the error code of RFC 6750 §3.1
    ANY = "any"
    NEVER = "never"


class OnOpenStream(StrEnum):
    """What becomes of an open WebSocket or event stream when its access token expires (W2)."""

    KEEP = "keep"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for one route."""

    auth: Auth = Auth.REQUIRED
    on_expired: OnExpired = OnExpired.REFRESH
    on_upstream_401: OnUpstream401 = OnUpstream401.INVALID_TOKEN
    on_open_stream: OnOpenStream = OnOpenStream.KEEP
    audience: frozenset[str] = frozenset()
    allow_refresh_alone: bool = False
    pass_sender_bound: bool = False
    min_interval: float = 30.0
    signal_status: int = 511
