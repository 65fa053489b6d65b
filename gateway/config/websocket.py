"""What a WebSocket may cost: ``[websocket]``."""

from gateway.config.scalars import Count, Section, default
from gateway.config.units import Duration, PositiveDuration, Size


class WebSocket(Section):
    """Limits of WebSocket connections. Nothing is compressed through the gateway (docs/websocket.md)."""

    max_connections: Count = default(4096)
    """WebSockets at once; one more handshake is answered 503 `overloaded`. Where several routes can have them, one
    route has three quarters at most. They do not count against the upstream's `max_connections`."""
    max_message: Size = default("0")
    """The largest message; a larger one ends its WebSocket with 1009. `0`: unlimited, for the API to limit."""
    ping_interval: Duration = default("20s")
    """A side that was silent for so long is pinged by the gateway. `0s`: never."""
    ping_timeout: PositiveDuration = default("20s")
    """A pinged side that stays silent for so long is gone, and the WebSocket ends."""
    close_timeout: PositiveDuration = default("5s")
    """How long an ending may take: the answer to a Close and the end of TCP, together."""
