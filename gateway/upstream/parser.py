"""One connection's responses: bytes in, head and body out (RFC 9112 §4-§8). No I/O.

llhttp, strict, refuses most of what must not be passed on: Content-Length with Transfer-Encoding, repeated
lengths, bad chunks, obs-fold, bare CR or LF, control bytes in values, names that are no tokens. What it lets
through is refused here: other protocols and versions, status codes outside 100-599, transfer codings other
than one ``chunked``, a 101 that was not asked for, heads and trailers without end. Trailers are dropped (P5).
"""

from collections.abc import Sequence

import httptools

from gateway.core.errors import UpstreamProtocolError
from gateway.core.headers import Header, Headers, tokens, values
from gateway.core.websocket import SWITCHING_PROTOCOLS

_MAX_INFORMATIONAL = 16
"""Interim responses before a final one; a server that sends more is only keeping us busy."""


class ResponseParser:
    """Reads the responses on one connection, one after another; ``begin`` before each."""

    __slots__ = (
        "_body",
        "_for_head",
        "_head_end",
        "_http",
        "_informational",
        "_max_head_bytes",
        "_room",
        "_silent",
        "_upgrade",
        "complete",
        "headers",
        "keep_alive",
        "leftover",
        "ready",
        "started",
        "status",
        "surplus",
        "switched",
        "version",
    )

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self._for_head = False
        self._http = httptools.HttpResponseParser(self)

    def begin(self, body: list[bytes], *, for_head: bool = False, upgrade: bool = False) -> None:
        """Expect a response to the next request; its body's pieces are appended to ``body``.

        With ``upgrade`` it may be a 101, after which HTTP has ended on this connection: ``switched``.
        A response to HEAD ends with its head, whatever its fields say (RFC 9112 §6.3). llhttp cannot be told,
        so that its state is of no use afterwards: the next response gets a parser of its own.
        """
        if self._for_head:
            self._http = httptools.HttpResponseParser(self)
        self._for_head = for_head
        self._upgrade = upgrade
        self._body = [] if for_head else body
        self._head_end = b""
        self._room = self._max_head_bytes
        self._informational = 0
        self._silent = True
        self.started = False
        """A byte of the response has arrived."""
        self.ready = False
        """``status``, ``version`` and ``headers`` are those of the final response."""
        self.complete = False
        self.surplus = False
        """Bytes came after the end of the response: the connection must not be used again."""
        self.switched = False
        """It was a 101: what follows is no HTTP."""
        self.leftover = b""
        """What followed it already."""
        self.keep_alive = False
        self.headers: Headers = []
        self.status = 0
        self.version = ""

    def feed(self, data: bytes) -> None:
        """Take what the upstream sent.

        Raises:
            UpstreamProtocolError: it is not a response that may be passed on.
        """
        if self.switched:
            self.leftover += data
            return
        if not self.started:
            self.started = True
            if data[0] not in b"H\r\n":  # llhttp also speaks RTSP and ICE
                raise UpstreamProtocolError
        self._silent = True
        try:
            self._http.feed_data(data)
        except httptools.HttpParserUpgrade as end:
            self.leftover = data[end.args[0] :]
        except httptools.HttpParserError:
            if not self.complete:
                raise UpstreamProtocolError from None
            self.surplus = True
        if self._for_head:
            self._check_end_of_head(data)
        if self._silent and not self.complete:
            self._charge(len(data))

    def eof(self) -> bool:
        """The upstream closed: is the response complete? A body without any framing is (RFC 9112 §6.3)."""
        if self.ready and not self.switched and self._delimited_by_close:
            self.complete = True
        return self.complete

    @property
    def _delimited_by_close(self) -> bool:
        return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def _charge(self, size: int) -> None:
        """Bytes that are no body (half a head, trailers, chunk extensions) are allowed up to a head's size."""
        self._room -= size
        if self._room < 0:
            raise UpstreamProtocolError

    def _check_end_of_head(self, data: bytes) -> None:
        self._head_end = (self._head_end + data[-4:])[-4:]
        if self.complete and (self._body or self._head_end != b"\r\n\r\n"):
            self.surplus = True

    # Callbacks of httptools. What they raise ends ``feed_data`` with an HttpParserCallbackError.

    def on_message_begin(self) -> None:
        """The first byte of a response, interim ones included."""
        if self.complete:
            raise UpstreamProtocolError
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field, of the head or of the trailers."""
        if not self.ready:
            if value[-1:] <= b" ":  # llhttp leaves the blanks at a value's end; this is cheap before exact
                value = value.rstrip(b" \t")
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The empty line."""
        http = self._http
        status = http.get_status_code()
        version = http.get_http_version()
        check_head(status, version, self.headers, self._max_head_bytes)
        if status == SWITCHING_PROTOCOLS:
            if not self._upgrade or not http.should_upgrade() or version != "1.1":
                raise UpstreamProtocolError
            self.switched = True
        elif status < 200:  # noqa: PLR2004  # the class of interim responses (RFC 9110 §15.2)
            self._informational += 1
            if self._informational > _MAX_INFORMATIONAL:
                raise UpstreamProtocolError
            return
        self.status, self.version, self.ready, self._silent = status, version, True, False
        if self._for_head:
            self.complete = True
            self.keep_alive = _persists(version, self.headers)
        else:
            self.keep_alive = http.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """Content, without its chunks' framing."""
        self._body.append(data)
        self._silent = False

    def on_message_complete(self) -> None:
        """The end of a response, interim ones included."""
        if self.complete and values(self.headers, b"transfer-encoding"):
            self.surplus = True  # a last chunk after the head that ended the answer to HEAD
        self.complete = self.ready and not self.switched


def check_head(status: int, version: str, headers: Sequence[Header], max_bytes: int) -> None:
    """What llhttp does not refuse in a response head.

    Raises:
        UpstreamProtocolError: an impossible status or version, a transfer coding that we cannot take off, or
            more than ``max_bytes`` of fields.
    """
    if not 100 <= status <= 599 or version not in ("1.1", "1.0"):  # noqa: PLR2004
        raise UpstreamProtocolError
    size = codings = 0
    for name, value in headers:
        size += len(name) + len(value) + 4
        if len(name) == 17 and name.lower() == b"transfer-encoding":  # noqa: PLR2004  # cheap before exact
            codings += 1
            # We sent no TE, so nothing else may have been applied; HTTP/1.0 has none (RFC 9112 §6.1).
            if value.strip().lower() != b"chunked" or codings > 1 or version == "1.0":
                raise UpstreamProtocolError
    if size > max_bytes:
        raise UpstreamProtocolError


def _persists(version: str, headers: Sequence[Header]) -> bool:
    """RFC 9112 §9.3, for the one answer where llhttp's own judgement counts a body that is not there."""
    options = tokens(headers, b"connection")
    return b"close" not in options and (version == "1.1" or b"keep-alive" in options)
