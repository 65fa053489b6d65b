"""What happened, as values: the log line (and later the metric and the trace) is made from these.

No event holds a token, a secret or an address of an upstream.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnded:
    """One request of a client's has been answered, or has lost its client."""

    request_id: str
    method: str
    path: str
    route: str
    status: int
    """0: the client left before an answer began."""
    decision: str
    """The name of the state that decided: forward, pass, alongside, refresh, refuse."""
    code: str | None = None
    reason: str | None = None
    refreshed: str | None = None
    """The value of ``X-Token-Refreshed``."""
    duration: float = 0.0
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshEnded:
    """One presentation of a refresh token to the authorization server has ended."""

    outcome: str
    """granted, denied, throttled, misconfigured, unavailable"""
    reason: str | None = None
    """What the server said, or ``answer_lost`` for a denial that followed an ambiguous end (CONTRACT §4.5)."""
    duration: float = 0.0
    """Seconds."""
    ambiguous: bool = False
    """The server may have rotated although no answer could be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Something that an operator should know."""

    what: str
    detail: str = ""
    alarm: bool = False
    """Somebody has to act."""


Event = RequestEnded | RefreshEnded | Noticed
Emit = Callable[[Event], None]
