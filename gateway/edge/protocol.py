"""uvicorn's HTTP protocol with what a gateway needs of its client's connection.

- The request target reaches the application byte for byte (uvicorn's scope loses an empty query and more).
- The header list is closed when the head is complete: chunked trailers never become headers (P5).
- The application can abort the connection, so that a truncated body never looks complete, and it is told when
  the client leaves.
- What is not HTTP is answered in our own words, and never in the middle of another answer.
- An ``Upgrade`` that nobody takes up ends nothing (RFC 9110 §7.8): the body and the next request are still read.
- HTTP/1.0 gets no chunks.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.core import errors
from gateway.core.errors import GatewayError, Problem
from gateway.core.headers import Headers
from gateway.edge.linger import LingeringTransport
from gateway.edge.unchunked import unchunked

EXTENSION = "evergreen"
_CONNECTION = "connection"
_FRAMING = (b"content-length", b"transfer-encoding")
_HEAD_LIMIT = 64 * 1024
_READ = 256 * 1024
"""What one read may bring of the next requests behind a head that is within its limit."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST. A plain end would look like the end of the body."""


class ClientConnection:
    """The client's connection, for one request."""

    __slots__ = ("_transport", "_unframed", "lost", "on_lost", "target")

    def __init__(self, target: bytes, transport: asyncio.Transport, *, unframed: bool) -> None:
        """Args: unframed: the answer may end with the connection: HTTP/1.0."""
        self.target = target
        self._transport = transport
        self._unframed = unframed
        self.on_lost: Callable[[], None] | None = None
        """Called when the client leaves before its answer is complete."""
        self.lost = False
        """The client has left."""

    def abort(self) -> None:
        """Cut the connection at once: the client sees that its answer is incomplete (RFC 9112 §8)."""
        if self._unframed:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()


@runtime_checkable
class Answerer(Protocol):
    """An application that has words for what never became a request."""

    @property
    def head_limit(self) -> int:
        """The largest head that it takes, target included; bytes."""

    def malformed(self, problem: Problem) -> tuple[Headers, bytes]:
        """Header fields and body of the answer."""


class GatewayProtocol(HttpToolsProtocol):
    """Given to uvicorn as its ``http=`` class."""

    _refusal = errors.BAD_REQUEST
    _in_body = False
    """A head was read, and not yet the end of its body."""
    _body_follows = False
    """The parser left off at an upgrade, before the body."""
    _continuing = False
    """The parser is being told a head that we have read already."""
    _head_read = 0
    """Bytes read since the last head was complete, outside of bodies."""
    _trailers_read = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """A client has connected."""
        self._door = LingeringTransport(transport, self._linger, self._left_unheard)
        self._leaving: asyncio.TimerHandle | None = None
        super().connection_made(cast("asyncio.Transport", self._door))
        self._head_limit = self.app.head_limit if isinstance(self.app, Answerer) else _HEAD_LIMIT
        self._requests: deque[ClientConnection] = deque()
        """Those not answered yet, in order: more than one only when a client pipelines."""

    def data_received(self, data: bytes) -> None:
        """Bytes of the client's. Those of a request that is answered already do not prolong its connection."""
        if not self._answered_early():
            self._unset_keepalive_if_required()
        if not self._in_body and self._head_floods(len(data)):
            return
        while data and self.parser is not None:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._continue()
            except httptools.HttpParserError:
                if self._door.is_closing():
                    self._door.close()
                else:
                    self._malformed()
                return
            else:
                return

    def _head_floods(self, more: int) -> bool:
        """A head without end, or fields after a body without end, must not fill the memory (D6).

        The exact limits are the application's to judge; here is only where waiting for a head's end stops.
        """
        self._head_read += more
        if self._head_read <= self._head_limit + _READ:
            return False
        self._refusal = errors.HEADERS_TOO_LARGE
        self._malformed()
        self.parser = None  # type: ignore[assignment]  # as uvicorn does: nothing more is read
        return True

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._continuing:
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        if not self._continuing:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head or of the trailers."""
        if self._continuing:
            return
        if not self._in_body:
            super().on_header(name, value)
            return
        self._trailers_read += len(name) + len(value)
        if self._trailers_read > self._head_limit:
            self._refusal = errors.HEADERS_TOO_LARGE
            raise GatewayError(self._refusal)

    def on_headers_complete(self) -> None:
        """The head is complete: hand it over as it stands."""
        if self._continuing:
            return
        if self._door.is_closing():
            raise GatewayError(errors.BAD_REQUEST)  # RFC 9112 §9.6: nothing after the last answer is a request
        if self.parser.get_method() == b"CONNECT":
            self._refusal = errors.METHOD_NOT_SUPPORTED
            raise GatewayError(self._refusal)
        old = self.parser.get_http_version() == "1.0"
        request = ClientConnection(self.url, self.transport, unframed=old)
        self._requests.append(request)
        self.scope["extensions"] = {EXTENSION: {_CONNECTION: request}}
        self._body_follows = self.parser.should_upgrade() and any(n in _FRAMING for n, _ in self.headers)
        self.expect_100_continue &= not old  # RFC 9110 §10.1.1
        self._unset_keepalive_if_required()
        super().on_headers_complete()
        self.headers = []
        self._in_body = True
        self._head_read = self._trailers_read = 0

    def on_message_complete(self) -> None:
        """The request is complete, unless the parser only thinks so."""
        if self._body_follows:
            return
        if self._door.lingering:
            self._door.close()
        elif self._answered_early():
            self._rest()
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is complete: that to the oldest request, whoever gave it."""
        if self._requests:
            self._requests.popleft()
        super().on_response_complete()

    def _answered_early(self) -> bool:
        """The answer is complete, the request is not: the rest of its body is dropped."""
        return self._in_body and self.cycle.response_complete

    def _rest(self) -> None:
        """Between two requests, for ``idle_timeout`` at most."""
        self._unset_keepalive_if_required()
        handler = self.timeout_keep_alive_handler
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, handler)

    def _linger(self) -> bool:
        """The last answer is out, the request is not complete: read on, for ``idle_timeout`` at most."""
        if not self._in_body or len(self._requests) > 1:
            return False
        self.flow.resume_reading()
        self._leaving = self.loop.call_later(self.timeout_keep_alive, self._door.close)
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, unchunked(cycle, app) if cycle.scope["http_version"] == "1.0" else app)

    def _continue(self) -> None:
        """The parser stops at an upgrade and takes a body for the new protocol's bytes: read on in HTTP."""
        if not self._body_follows:
            return
        self._body_follows = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        fields = [b"%b: %b\r\n" % field for field in self.scope["headers"] if field[0] in _FRAMING]
        self._continuing = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(fields))
        self._continuing = False

    def _malformed(self) -> None:
        """RFC 9112 §2.2: answer 400 and close, but never within or in place of another request's answer."""
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn does not say that it starts as None
        if cycle is None or cycle.response_complete:
            if self._in_body:
                self.transport.close()
            else:
                self._refuse()
        elif not self._in_body:
            cycle.keep_alive = False
        elif cycle.response_started or len(self._requests) > 1:
            self.transport.abort()
        else:
            cycle.disconnected = True  # whatever its application still says comes after our last word
            cycle.message_event.set()
            self._lose_requests()
            self._refuse()

    def _refuse(self) -> None:
        head, body = self._words()
        lines = [b"%b: %b\r\n" % field for field in [*head, (b"connection", b"close")]]
        status = STATUS_LINE[self._refusal.status]
        self.transport.write(b"%b%b\r\n%b" % (status, b"".join(lines), body))
        self.transport.close()

    def _words(self) -> tuple[Headers, bytes]:
        application = self.app
        if isinstance(application, Answerer):
            return application.malformed(self._refusal)
        return [(b"content-length", b"0")], b""

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        super().connection_lost(exc)
        self._door.lost()
        if self._leaving is not None:
            self._leaving.cancel()
        self._lose_requests()

    def _left_unheard(self) -> None:
        """The client left while reading from it was paused."""
        self._lose_requests()
        self.transport.abort()

    def _lose_requests(self) -> None:
        """Nobody waits for the answers any more."""
        while self._requests:
            request = self._requests.popleft()
            request.lost = True
            if request.on_lost is not None:
                request.on_lost()


def connection_of(scope: Any) -> ClientConnection | None:
    """The request's connection under our protocol; None under another server."""
    extension = (scope.get("extensions") or {}).get(EXTENSION) or {}
    found = extension.get(_CONNECTION)
    return found if isinstance(found, ClientConnection) else None
