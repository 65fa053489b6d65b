"""One connection to the upstream and the exchange on it."""

import asyncio
import select
import socket
from typing import cast

from gateway.core.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from gateway.core.response_head import ResponseHead
from gateway.deadline import Deadline
from gateway.duplex import Duplex
from gateway.upstream.body import BodySource, Upload, WriteGate
from gateway.upstream.heads import BODILESS
from gateway.upstream.lanes import Lane
from gateway.upstream.parser import ResponseParser
from gateway.upstream.ports import Owner, StaleConnection, Unconnected
from gateway.upstream.response import UpstreamResponse
from gateway.upstream.salvage import fileno, unread
from gateway.upstream.settings import UpstreamSettings

_AWAITING, _COUNTING, _PARSING = range(3)
"""How the response is read: nothing of it is here yet; its head is, and its body is counted; by the parser."""

_MANY = 64
"""Pieces of a body that are kept apart: each of a byte or two would cost thirty times its size (D4)."""


class Connection:
    """Sends one request at a time and reads its response meanwhile.

    It takes a slot of its pool from its making to ``gone``, which every end leads to exactly once: ``abort``.

    An ``asyncio.Protocol`` by its methods, all that event loops ask for: a class that is compiled may have no base
    that is not (docs/adr/0011).
    """

    __slots__ = (
        "_ended",
        "_for_head",
        "_left",
        "_loop",
        "_lost",
        "_owner",
        "_parser",
        "_persists",
        "_reading_paused",
        "_response",
        "_settings",
        "_stage",
        "_timeout",
        "_upgrade",
        "_upload",
        "closed",
        "cut",
        "deadline",
        "gate",
        "idle_since",
        "lane",
        "plain",
        "reused",
        "transport",
    )

    def __init__(self, owner: Owner, settings: UpstreamSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._settings = settings
        self._loop = loop
        self._parser = ResponseParser(settings.max_head_bytes, owner.heads)
        self.transport: asyncio.Transport = Unconnected()
        self._response: UpstreamResponse | None = None
        self._upload: Upload | None = None
        self._timeout = settings.response_timeout
        self._stage = _AWAITING
        self._left = 0
        """Bytes of the body to come, while they are counted; and then the connection ``_persists``, or not."""
        self._persists = False
        self._for_head = self._upgrade = False
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
        self.lane: Lane[Connection | None] | None = None
        """The pool's: whose place it holds; None: it holds none."""

    # The exchange.

    def start(
        self, head: bytes, body: BodySource | None, *, for_head: bool, timeout: float, upgrade: bool = False
    ) -> UpstreamResponse:
        """Write ``head`` (and what follows it at once), send ``body`` meanwhile, expect the response."""
        response = self._response = UpstreamResponse(self, self._settings.idle_timeout)
        self._stage = _AWAITING
        self._for_head = for_head
        self._upgrade = upgrade
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
        self._release()
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
        if isinstance(self.transport, Unconnected):  # nobody will say that it is lost
            self._release()

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

    def _finish(self, response: UpstreamResponse, *, persists: bool) -> None:
        upload = self._upload
        self._response = self._upload = None
        if upload is not None:
            persists = persists and upload.finished
            upload.stop()
        if persists and not (self.closed or self.transport.get_write_buffer_size()):
            self._rest()
        else:
            self.abort()
        response.finish()  # last: whoever hears of it may start the next exchange on this connection

    def _rest(self) -> None:
        self.reused = True
        if self._reading_paused:
            self.resume()  # to notice its end
        now = self.idle_since = self._loop.time()
        self.deadline.at(now + self._settings.keepalive)
        self._owner.release(self)

    def _expired(self) -> None:
        response = self._response
        if response is None:
            self.abort()
        elif not response.status and self._upload is not None and self._upload.moves():
            self.deadline.set(self._timeout)
        else:
            self._fail(UpstreamTimeout())

    # The upload's side.

    def upload_progressed(self) -> None:
        """The response's time counts from here."""
        if self._response is not None and not self._response.status:
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
        if self._stage == _AWAITING:
            self._receive_first(response, data)
        elif self._stage == _COUNTING:
            self._count(response, data)
        else:
            self._parse(response, data)

    def _receive_first(self, response: UpstreamResponse, data: bytes) -> None:
        head = self._owner.heads.look(data)
        if isinstance(head, ResponseHead):
            self._receive_known(response, head, data)
            return
        self._stage = _PARSING
        self._parser.begin(response.chunks, for_head=self._for_head, upgrade=self._upgrade, first=head)
        self._parse(response, data)

    def _receive_known(self, response: UpstreamResponse, head: ResponseHead, data: bytes) -> None:
        response.received, response.status = head, head.status
        size = head.size
        if head.length and not self._for_head and head.status not in BODILESS:
            size += head.length
        left = size - len(data)
        body = data[head.size : size]
        if body:
            response.chunks.append(body)
        if left > 0:
            self._stage, self._left, self._persists = _COUNTING, left, head.persists
            self._news(response, len(body))
        else:
            self._finish(response, persists=head.persists and not left)

    def _count(self, response: UpstreamResponse, data: bytes) -> None:
        """More of a body whose end is known: without a copy of it."""
        left = self._left = self._left - len(data)
        response.chunks.append(data if left >= 0 else data[:left])
        if left > 0:
            self._news(response, len(data))
        else:
            self._finish(response, persists=self._persists and not left)

    def _parse(self, response: UpstreamResponse, data: bytes) -> None:
        parser = self._parser
        try:
            parser.feed(data)
        except UpstreamProtocolError:
            self._fail(UpstreamProtocolError())  # another: this one holds on to the call that it came from
            return
        head = parser.head
        if head is None:
            return
        if not response.status:
            self._meet(response, head)
        if parser.complete:
            self._finish(response, persists=head.persists and not parser.surplus)
            return
        self._news(response, len(data))
        if parser.switched and self._response is response:
            self._pause()

    def _meet(self, response: UpstreamResponse, head: ResponseHead) -> None:
        parser = self._parser
        response.received, response.status = head, head.status
        if self._for_head or parser.switched:
            return
        if parser.first and not parser.interim:
            self._owner.heads.learn(parser.first, head)
        if head.length is not None and not parser.complete:
            parser.leave()
            self._stage, self._persists = _COUNTING, head.persists
            self._left = head.length - sum(map(len, response.chunks))

    def _news(self, response: UpstreamResponse, size: int) -> None:
        self.deadline.clear()
        response.buffered += size
        response.wake()  # first: a callee may take all of it, or leave
        chunks = response.chunks
        if len(chunks) > _MANY:
            chunks[:] = [b"".join(chunks)]
        if response.buffered > self._settings.max_buffered and self._response is response:
            self._pause()

    def _pause(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> None:
        """The upstream closed its side; half-open connections have no use for us."""
        response = self._response
        if response is not None and self._stage == _PARSING and not self.cut and self._parser.eof():
            self._finish(response, persists=False)
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
        if self._response is None:  # else it was a 101, and ``switch`` may still come
            self._release()

    def _broke_off(self) -> None:
        response = self._response
        if response is None:
            self.abort()
        elif self._stage == _AWAITING:
            self._fail(StaleConnection(sent=True))
        elif self._stage == _PARSING and self._parser.switched:
            self._ended = True
        elif response.status:
            self._fail(UpstreamProtocolError())
        else:
            self._fail(UpstreamUnreachable(sent=True))

    def _release(self) -> None:
        """Nothing will happen any more: let go of whoever refers to this, for the collector would come late."""
        self._parser.close()
        self.deadline.close()

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self.gate.shut()

    def resume_writing(self) -> None:
        """The write buffer has drained."""
        self.upload_progressed()
        self.gate.open()
