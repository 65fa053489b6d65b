"""One connection to the upstream and the exchange on it."""

import asyncio
import select
import socket
from typing import cast

from gateway.core.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from gateway.deadline import Deadline
from gateway.duplex import Duplex
from gateway.upstream.body import BodySource, Upload, WriteGate
from gateway.upstream.parser import ResponseParser
from gateway.upstream.ports import Owner, StaleConnection, Unconnected
from gateway.upstream.response import UpstreamResponse
from gateway.upstream.salvage import fileno, unread
from gateway.upstream.settings import UpstreamSettings


class Connection(asyncio.Protocol):
    """Sends one request at a time and reads its response meanwhile.

    It takes a slot of its pool from its making to ``gone``, which every end leads to exactly once: ``abort``.
    """

    __slots__ = (
        "_ended",
        "_loop",
        "_lost",
        "_owner",
        "_parser",
        "_reading_paused",
        "_response",
        "_settings",
        "_timeout",
        "_upload",
        "closed",
        "cut",
        "deadline",
        "gate",
        "idle_since",
        "plain",
        "reused",
        "transport",
    )

    def __init__(self, owner: Owner, settings: UpstreamSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._settings = settings
        self._loop = loop
        self._parser = ResponseParser(settings.max_head_bytes)
        self.transport: asyncio.Transport = Unconnected()
        self._response: UpstreamResponse | None = None
        self._upload: Upload | None = None
        self._timeout = settings.response_timeout
        self._reading_paused = False
        self._ended = self._lost = False
        self.deadline = Deadline(loop, self._expired)
        self.gate = WriteGate()
        self.closed = False
        self.reused = False
        """It has carried an exchange before."""
        self.plain = True
        """The socket carries HTTP, not TLS."""
        self.cut = False
        """The stream ended without TLS's own end: what was to end with it may be incomplete."""
        self.idle_since = 0.0

    # The exchange.

    def start(
        self, head: bytes, body: BodySource | None, *, for_head: bool, timeout: float, upgrade: bool = False
    ) -> UpstreamResponse:
        """Write ``head`` (and what follows it at once), send ``body`` meanwhile, expect the response."""
        response = self._response = UpstreamResponse(self, self._settings.idle_timeout)
        self._parser.begin(response.chunks, for_head=for_head, upgrade=upgrade)
        self._timeout = timeout
        self.deadline.set(timeout)
        self.transport.write(head)
        if body is not None:
            self._upload = response.upload = Upload(self, body)
            self._owner.uploading(self._upload)
        return response

    def hang_up(self) -> None:
        """Whoever asked has left, or has seen enough."""
        self._detach()
        self.abort()

    def switch(self) -> Duplex:
        """The response was a 101: the transport leaves HTTP, and the pool, for good."""
        self._detach()
        self.closed = True
        self.deadline.cancel()
        self._owner.gone(self)
        self._owner.lost(self)
        duplex = Duplex(self.transport, self._parser.leftover)
        if self._ended:
            duplex.eof_received()
        if self._lost:
            duplex.connection_lost(None)
        return duplex

    def resume(self) -> None:
        """The reader has taken what was buffered."""
        if self._reading_paused:
            self._reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def abort(self) -> None:
        """Close at once and give the slot back. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self.deadline.cancel()
        self.transport.abort()
        self._owner.gone(self)

    def shut(self) -> None:
        """The gateway is going down."""
        self._fail(UpstreamUnreachable(sent=True))

    def usable(self) -> bool:
        """It may still carry a request, for all we know."""
        return not self.closed and not self.transport.is_closing()

    def peer_has_spoken(self) -> bool:
        """The socket has something to read: on an idle connection, its end. One system call."""
        fd = fileno(self.transport)
        if fd < 0:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))

    def _detach(self) -> UpstreamResponse | None:
        """End the exchange on our side; nothing that happens later reaches the response."""
        response, self._response = self._response, None
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.stop()
        return response

    def _fail(self, error: Exception) -> None:
        response = self._detach()
        self.abort()
        if response is not None:
            response.fail(error)

    def _finish(self) -> None:
        parser = self._parser
        reusable = (
            parser.keep_alive
            and not parser.surplus
            and (self._upload is None or self._upload.finished)
            and not self.transport.get_write_buffer_size()
        )
        response = self._detach()
        if response is not None:
            response.finish()
        if reusable and not self.closed:
            self._rest()
        else:
            self.abort()

    def _rest(self) -> None:
        self.reused = True
        self.idle_since = self._loop.time()
        self.deadline.set(self._settings.keepalive)
        self._owner.release(self)

    def _expired(self) -> None:
        if self._response is None:
            self.abort()
        elif not self._parser.ready and self._upload is not None and self._upload.moves():
            self.deadline.set(self._timeout)
        else:
            self._fail(UpstreamTimeout())

    # The upload's side.

    def upload_progressed(self) -> None:
        """The response's time counts from here."""
        if not self._parser.ready:
            self.deadline.set(self._timeout)

    def upload_failed(self, upload: Upload, error: Exception) -> None:
        """The request cannot be completed: nor can the exchange."""
        if self._upload is upload:
            self._upload = None
            self._fail(error)

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Without Nagle's algorithm, which would hold back the end of a body."""
        self.transport = cast("asyncio.Transport", transport)
        if self.closed:
            self.transport.abort()
            return
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Part of the response; unasked, it must not become the answer to the next request."""
        response = self._response
        if response is None:
            self.abort()
            return
        parser = self._parser
        try:
            parser.feed(data)
        except UpstreamProtocolError as error:
            self._fail(error)
            return
        if not parser.ready:
            return
        if not response.status:
            response.http_version, response.headers = parser.version, parser.headers
            response.status = parser.status
        if parser.complete:
            self._finish()
            return
        self.deadline.clear()
        response.buffered += len(data)
        if response.buffered > self._settings.max_buffered or parser.switched:
            self._pause()
        response.wake()

    def _pause(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> None:
        """The upstream closed its side; half-open connections have no use for us."""
        if self._response is not None and not self.cut and self._parser.eof():
            self._finish()
        else:
            self._broke_off()

    def end_is_cut(self) -> None:
        """Do not take the end of the stream for the end of a body."""
        self.cut = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is about to be closed, by whomever."""
        self._lost = True
        if self._response is not None and exc is not None and self.plain:
            for data in unread(self.transport):
                self.data_received(data)
        self._broke_off()
        self._owner.lost(self)

    def _broke_off(self) -> None:
        parser = self._parser
        if self._response is None:
            self.abort()
        elif parser.switched:
            self._ended = True
        elif parser.ready:
            self._fail(UpstreamProtocolError())
        elif parser.started:
            self._fail(UpstreamUnreachable(sent=True))
        else:
            self._fail(StaleConnection(sent=True))

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self.gate.shut()

    def resume_writing(self) -> None:
        """The write buffer has drained."""
        self.upload_progressed()
        self.gate.open()
