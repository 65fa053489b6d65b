"""Connections for one exchange each: for requests that nobody may repeat (docs/adr/0003).

They read and write as the pool's do, and are dialled alike; but none is kept, and none has been used before.
"""

import asyncio
import math
import ssl

from gateway.core.bounded import Learnt
from gateway.core.errors import UpstreamUnreachable
from gateway.core.wire import FieldLines
from gateway.upstream.body import Upload
from gateway.upstream.connection import Connection
from gateway.upstream.dial import dial
from gateway.upstream.heads import Heads
from gateway.upstream.names import Names
from gateway.upstream.response import UpstreamResponse
from gateway.upstream.settings import UpstreamSettings
from gateway.upstream.wire import body_framing, request_head

_SERVERS = 16


class FreshConnections:
    """Opens them. ``tls`` is for the servers that are to be reached by it."""

    def __init__(self, tls: ssl.SSLContext, *, connect_timeout: float = 3.0) -> None:
        """Args: connect_timeout: seconds for name resolution, TCP and TLS together."""
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._servers: Learnt[tuple[str, int, bool], _Server] = Learnt(_SERVERS)

    async def open(self, host: str, port: int, *, tls: bool) -> "FreshConnection":
        """One connection; end it with ``abort``.

        Raises:
            Overloaded: this system has nothing left to connect with (B27).
            UpstreamUnreachable: it cannot be opened.
        """
        server = self._server(host, port, tls=tls)
        connection = Connection(server, server.settings, asyncio.get_running_loop())
        try:
            reached = await dial(connection, server.settings, server.names)
        except BaseException:
            connection.abort()
            raise
        if not reached or not connection.usable():
            connection.abort()
            raise UpstreamUnreachable
        return FreshConnection(connection)

    def _server(self, host: str, port: int, *, tls: bool) -> "_Server":
        key = host, port, tls
        server = self._servers.get(key)
        if server is None:
            server = _Server(self._settings(host, port, tls=tls))
            self._servers.learn(key, server)
        return server

    def _settings(self, host: str, port: int, *, tls: bool) -> UpstreamSettings:
        """Without clocks of its own: whoever asks knows until when the answer is of use."""
        return UpstreamSettings(
            host=host,
            port=port,
            tls=self._tls if tls else None,
            connect_timeout=self._connect_timeout,
            response_timeout=math.inf,
            idle_timeout=math.inf,
        )


class FreshConnection:
    """A connection for one request."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, method: bytes, target: bytes, fields: FieldLines, body: bytes | None) -> UpstreamResponse:
        """Write the request. ``body`` goes up with its length; None: there is none.

        Raises:
            GatewayError: ``BAD_REQUEST``, before any byte: method or target cannot be written as such (P17).
        """
        framing = b"" if body is None else body_framing(len(body))
        message = request_head(method, target, fields, framing) + (body or b"")
        return self._connection.start(message, None, for_head=method == b"HEAD", timeout=math.inf)

    def abort(self) -> None:
        """Close it, at once. Idempotent."""
        self._connection.abort()


class _Server:
    """One server, as its connections see it: an ``Owner`` that keeps none of them."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self.settings = settings
        self.names = Names(settings.host, settings.port)
        self.heads = Heads()

    def release(self, connection: Connection) -> None:
        """It is not used again."""
        connection.abort()

    def gone(self, connection: Connection) -> None:
        """It held no place."""

    def lost(self, connection: Connection) -> None:
        """Nobody waits for its end."""

    def uploading(self, upload: Upload) -> None:
        """Bodies go with their heads: there is no task to keep."""
