"""TLS below a connection, with two things that the event loops' own layer leaves out.

An answer that a failed write left unread is still handed up (B15), as on a plain socket; and an end of the
stream without ``close_notify`` is told apart from a clean one, because a body that ends with the connection
may have been cut there (RFC 9112 §9.8).
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from gateway.upstream.salvage import unread


class _Bare(asyncio.Protocol):
    """Holds the socket's place until the handshake begins."""


class _Watch(asyncio.BufferedProtocol):
    """Stands between the socket and the event loop's TLS layer and passes everything on."""

    def __init__(self, raw: asyncio.Transport, layer: asyncio.BufferedProtocol, cut: Callable[[], None]) -> None:
        self._raw = raw
        self._layer = layer
        self._cut = cut
        self.get_buffer = layer.get_buffer  # type: ignore[method-assign]  # bound once: called for each read
        self.buffer_updated = layer.buffer_updated  # type: ignore[method-assign]  # the same
        self.pause_writing = layer.pause_writing  # type: ignore[method-assign]  # the same
        self.resume_writing = layer.resume_writing  # type: ignore[method-assign]  # the same

    def eof_received(self) -> bool | None:
        """The peer closed the socket; had it said so within TLS before, nobody would listen any more."""
        self._cut()
        return self._layer.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is about to be closed."""
        if exc is not None:
            for data in unread(self._raw):
                self._feed(data)
        self._layer.connection_lost(exc)

    def _feed(self, data: bytes) -> None:
        while data:
            room = memoryview(self._layer.get_buffer(len(data)))
            size = min(len(room), len(data))
            room[:size] = data[:size]
            self._layer.buffer_updated(size)
            data = data[size:]


async def connect_tls(
    protocol: asyncio.Protocol,
    host: str,
    port: int,
    *,
    context: ssl.SSLContext,
    server_hostname: str,
    cut: Callable[[], None],
) -> None:
    """Connect, shake hands, and call ``protocol.connection_made``.

    ``cut`` is called when the stream ends without ``close_notify``.

    Raises:
        OSError: as ``loop.create_connection``; ``ssl.SSLError`` is one.
    """
    loop = asyncio.get_running_loop()
    raw, _ = await loop.create_connection(_Bare, host, port)
    try:
        transport = await loop.start_tls(raw, protocol, context, server_hostname=server_hostname)
    except BaseException:
        raw.abort()
        raise
    if transport is None:
        raise ConnectionAbortedError
    layer = cast("asyncio.BufferedProtocol", raw.get_protocol())
    raw.set_protocol(_Watch(raw, layer, cut))
    protocol.connection_made(transport)
