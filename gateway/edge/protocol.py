"""uvicorn's HTTP protocol with what a gateway needs of its client's connection.

- The request target reaches the application byte for byte (uvicorn's scope loses an empty query and more).
- The header list is closed when the head is complete: chunked trailers never become headers (P5).
- The application can abort the connection, so that a truncated body never looks complete, and it is told when
  the client leaves.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "evergreen"
_CONNECTION = "connection"


class ClientConnection:
    """The client's connection, for one request."""

    __slots__ = ("_transport", "on_lost", "over", "target")

    def __init__(self, target: bytes, transport: asyncio.Transport) -> None:
        self.target = target
        self._transport = transport
        self.on_lost: Callable[[], None] | None = None
        """Called when the client leaves before its answer is complete."""
        self.over = False
        """The request has been answered."""

    def abort(self) -> None:
        """Cut the connection at once: the client sees that its answer is incomplete."""
        self._transport.abort()


class GatewayProtocol(HttpToolsProtocol):
    """Given to uvicorn as its ``http=`` class."""

    _requests: tuple[ClientConnection, ...] = ()
    """Those under way: more than one only when a client pipelines."""

    def on_headers_complete(self) -> None:
        """The head is complete: hand it over as it stands."""
        request = ClientConnection(self.url, self.transport)
        self._requests = (*(r for r in self._requests if not r.over), request)
        self.scope["extensions"] = {EXTENSION: {_CONNECTION: request}}
        super().on_headers_complete()
        self.headers = []

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        super().connection_lost(exc)
        for request in self._requests:
            if request.on_lost is not None:
                request.on_lost()


def connection_of(scope: Any) -> ClientConnection | None:
    """The request's connection under our protocol; None under another server."""
    extension = (scope.get("extensions") or {}).get(EXTENSION) or {}
    found = extension.get(_CONNECTION)
    return found if isinstance(found, ClientConnection) else None
