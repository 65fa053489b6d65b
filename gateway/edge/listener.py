"""What a client may do to its connection, as data. Precedents of the values: docs/limits.md."""

from dataclasses import dataclass, field

from gateway.core.heads import Limits

LINGER = 30.0
"""Seconds, as nginx's ``lingering_time``."""
SHORT_LINGER = 1.0
"""Seconds, for who was too slow, for some of those who are too many (B27), and while the server drains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """One listener's. Times are seconds, rates bytes a second."""

    limits: Limits = field(default_factory=Limits)
    header_timeout: float = 10.0
    idle_timeout: float = 75.0
    body_timeout: float = 30.0
    send_timeout: float = 30.0
    linger: float = LINGER
    """How long the rest of a request is read after its answer."""
    min_data_rate: float = 240.0
    """Of a body, and of an answer's being read; 0: any progress will do."""
    max_connections: int = 0
    """0: any number."""
    express: bool = True
    """What needs no decision is answered without the ASGI application."""
