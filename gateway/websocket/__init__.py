"""What follows a WebSocket's handshake: frames from one side to the other, checked."""

from gateway.websocket.settings import TunnelSettings
from gateway.websocket.tunnels import Tunnels

__all__ = ["TunnelSettings", "Tunnels"]
