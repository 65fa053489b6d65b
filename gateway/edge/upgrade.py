"""A WebSocket handshake on its way through the gateway, and the tunnel that it becomes (W1)."""

from gateway.core.errors import ClientGone
from gateway.core.headers import Headers
from gateway.core.heads import Head
from gateway.core.websocket import Handshake, TunnelEnd, asks_for_websocket
from gateway.edge.cycle import Cycle
from gateway.edge.ports import Tunnels
from gateway.edge.upstreams import Response


class Upgrade:
    """One handshake. It holds a place among the tunnels from ``enter`` to ``leave``."""

    def __init__(self, handshake: Handshake, cycle: Cycle, tunnels: Tunnels, lane: int) -> None:
        self.handshake = handshake
        self._cycle = cycle
        self._tunnels = tunnels
        self._lane = lane
        self._inside = False

    @classmethod
    def asked(cls, head: Head, cycle: Cycle | None, tunnels: Tunnels, lane: int) -> "Upgrade | None":
        """The handshake that a request asks for, if it does.

        Under a server that is not ours there is none: the field ``Upgrade`` is ignored.
        ``lane`` is the number of the request's rule.

        Raises:
            GatewayError: it is not a proper one.
        """
        if cycle is None or not asks_for_websocket(head.method, head.version, head.headers, has_body=head.has_body):
            return None
        return cls(Handshake.read(head.headers), cycle, tunnels, lane)

    def enter(self) -> None:
        """Before it goes to the upstream, also when it is replayed. Raises: Overloaded: no place is left."""
        if not self._inside:
            self._tunnels.enter(self._lane)
            self._inside = True

    def leave(self) -> None:
        """It came to nothing, or the tunnel is over. Idempotent."""
        if self._inside:
            self._inside = False
            self._tunnels.leave(self._lane)

    async def tunnel(self, response: Response, headers: Headers, lifetime: float | None) -> TunnelEnd:
        """Both sides leave HTTP; returns when both are closed.

        Args:
            response: the upstream's 101, verified.
            headers: the fields for the client.
            lifetime: seconds, as ``Tunnels.relay``.

        Raises:
            GatewayError: the upstream is lost already.
            ClientGone: the client is.
        """
        if self._cycle.lost:
            raise ClientGone
        upstream = response.switch()
        try:
            client = self._cycle.switch(headers)
        except BaseException:
            upstream.abort()
            raise
        return await self._tunnels.relay(client, upstream, lifetime)
