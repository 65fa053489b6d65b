"""Closing a connection whose client still sends (RFC 9112 §9.6).

A socket that is closed with bytes unread resets its connection, and the reset takes the last answer away from a
client that has not read it yet. So our side is shut first, and the client's is read until its request is complete.
"""

import asyncio
from collections.abc import Callable

from gateway.edge.paused import PausedWatch


class LingeringTransport:
    """The client's transport, as uvicorn's protocol sees it: all of it, but for ``close``."""

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], bool], gone: Callable[[], None]) -> None:
        """Args:
        transport: the real one.
        linger: asked at the first ``close`` whether somebody will call it again when it is time.
        gone: called when the client has left while reading from it was paused.
        """
        self._transport = transport
        self._linger = linger
        self._watch = PausedWatch(transport, gone)
        self._closing = False
        # What is called for each request is bound here, and costs nothing more than before.
        self.write = transport.write
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info

    def pause_reading(self) -> None:
        """Read no more for now, but notice a client that leaves."""
        self._transport.pause_reading()
        self._watch.paused()

    def resume_reading(self) -> None:
        """Read on."""
        self._watch.resumed()
        self._transport.resume_reading()

    def lost(self) -> None:
        """The connection is over."""
        self._watch.resumed()

    @property
    def lingering(self) -> bool:
        """Our side is closed, the client's not yet."""
        return self._closing and not self._transport.is_closing()

    def is_closing(self) -> bool:
        """Nothing more is to be written."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close once everything is written, and at the first call not before the client is done."""
        if self._closing or self._transport.is_closing() or not self._linger():
            self._closing = True
            self._transport.close()
            return
        self._closing = True
        if self._transport.can_write_eof():  # TLS cannot; there the client has to go by the answer's own end
            self._transport.write_eof()
