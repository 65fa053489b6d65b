"""What stands around a connection: its pool, its early end, and the transport that it does not have yet."""

import asyncio
from typing import TYPE_CHECKING, Protocol

from gateway.core.errors import UpstreamUnreachable

if TYPE_CHECKING:
    from gateway.upstream.body import Upload
    from gateway.upstream.connection import Connection
    from gateway.upstream.heads import Heads


class StaleConnection(UpstreamUnreachable):
    """Closed before any byte of the response: on a pooled connection, most likely idle for too long (B16)."""


class Owner(Protocol):
    """The pool, as its connections see it."""

    heads: "Heads"
    """What its connections have in common to read their responses with."""

    def uploading(self, upload: "Upload") -> None:
        """A task has been started."""

    def release(self, connection: "Connection") -> None:
        """Free for the next request."""

    def gone(self, connection: "Connection") -> None:
        """Of no more use: its slot is free. Called once."""

    def lost(self, connection: "Connection") -> None:
        """The socket is closed."""


class Unconnected(asyncio.Transport):
    """A connection may be given up before it has a transport."""

    def abort(self) -> None:
        """Nothing to close."""

    def is_closing(self) -> bool:
        """Not to be written to."""
        return True
