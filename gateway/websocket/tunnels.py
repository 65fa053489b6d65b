"""All tunnels of one gateway."""

import asyncio
from functools import partial

from gateway.core.errors import Overloaded
from gateway.core.websocket import TunnelEnd
from gateway.websocket.frames import Close
from gateway.websocket.relay import Relay
from gateway.websocket.settings import TunnelSettings
from gateway.websocket.side import Port

GOING_AWAY = Close(1001, b"going away")
TOKEN_EXPIRED = Close(4401, b"token expired")
"""A private code (RFC 6455 §7.4.2) that reads as HTTP's 401."""


class Tunnels:
    """Counts them, and runs each."""

    def __init__(self, settings: TunnelSettings) -> None:
        self._settings = settings
        self.open = 0
        """Handshakes under way and tunnels."""

    def enter(self) -> None:
        """Take a place, before the handshake goes to the upstream. Raises: Overloaded: there is none."""
        if self.open >= self._settings.max_connections:
            raise Overloaded
        self.open += 1

    def leave(self) -> None:
        """Give the place back."""
        self.open -= 1

    async def relay(self, client: Port, upstream: Port, lifetime: float | None) -> TunnelEnd:
        """Run one until both sides are closed.

        Args:
            client: the client's side, after its 101. When the server drains, both sides hear 1001.
            upstream: the API's.
            lifetime: seconds after which both sides hear 4401; None: no such end.
        """
        relay = Relay(client, upstream, self._settings)
        client.on_shutdown = partial(relay.stop, GOING_AWAY)
        if lifetime is None:
            return await relay.run()
        timer = asyncio.get_running_loop().call_later(lifetime, relay.stop, TOKEN_EXPIRED)
        try:
            return await relay.run()
        finally:
            timer.cancel()
