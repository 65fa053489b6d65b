"""All tunnels of one gateway."""

import asyncio
from functools import partial

from gateway.core.errors import Overloaded
from gateway.core.places import Places
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
        self._places = Places(settings.max_connections, len(settings.lanes))
        self._shares = {lane: self._places.share(None) for lane in settings.lanes}

    @property
    def open(self) -> int:
        """Handshakes under way and tunnels."""
        return self._settings.max_connections - self._places.free

    def enter(self, lane: int) -> None:
        """Take a place, before the handshake goes to the upstream: an API that answers none must not take them all.

        Args:
            lane: the rule's number; one of ``TunnelSettings.lanes``.

        Raises:
            Overloaded: there is none for this lane.
        """
        share = self._shares[lane]
        if not self._places.open_to(share):
            raise Overloaded
        self._places.take(share)

    def leave(self, lane: int) -> None:
        """Give the place back."""
        self._places.give(self._shares[lane])

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
