"""What a tunnel may cost. Times are seconds, sizes bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSettings:
    """``[websocket]``."""

    max_connections: int = 4096
    """Tunnels at once; the next handshake is ``Overloaded`` at once."""
    lanes: tuple[int, ...] = (0,)
    """The rules that take handshakes, by number: each has a share of them (``gateway.core.places``)."""
    max_message: int = 0
    """0: any, as behind nginx and Envoy. A larger message ends its connection with 1009."""
    ping_interval: float = 20.0
    """A side that was silent for so long is pinged; 0: never. ``websockets`` and uvicorn have the same."""
    ping_timeout: float = 20.0
    """A side that was pinged and stays silent for so long is gone."""
    close_timeout: float = 5.0
    """How long an ending may take: the closing handshake and the end of TCP, together."""
