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
from gateway.core.shapes import shape_of
from gateway.core.websocket import SWITCHING_PROTOCOLS

_BLANK = 0x20
_NOBODYS = httptools.HttpResponseParser(None)
_MAX_INTERIM = 16
"""Interim responses before a final one; a server that sends more is only keeping us busy."""


class ResponseParser:
    """Reads the responses on one connection, one after another; ``begin`` before each."""

    __slots__ = (
        "_body",
        "_fields",
        "_for_head",
        "_head_end",
        "_http",
        "_max_head_bytes",
        "_received",
        "_room",
        "_silent",
        "_spent",
        "_upgrade",
        "complete",
        "headers",
        "interim",
        "keep_alive",
        "leftover",
        "length",
        "ready",
        "shape",
        "status",
        "surplus",
        "switched",
        "version",
    )

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self._spent = False
        self._http = httptools.HttpResponseParser(self)
        self.headers: Headers = []
        self._fields = self.headers
        """Where fields go: of a head, to ``headers``."""

    def begin(self, body: list[bytes], *, for_head: bool = False, upgrade: bool = False) -> None:
        """Expect a response to the next request; its body's pieces are appended to ``body``.

        With ``upgrade`` it may be a 101, after which HTTP has ended on this connection: ``switched``.
        A response to HEAD ends with its head, whatever its fields say (RFC 9112 §6.3). llhttp cannot be told,
        so that its state is of no use afterwards: the next response gets a parser of its own.
        """
        if self._spent:
            self._http = httptools.HttpResponseParser(self)
        self._spent = self._for_head = for_head
        self._upgrade = upgrade
        self._body = [] if for_head else body
        self._head_end = b""
        self._room = self._max_head_bytes
        self._received = 0
        self.interim = 0
        """Responses before the final one."""
        self.ready = False
        """``status``, ``version``, ``headers``, their ``shape`` and ``length`` are those of the final response."""
        self.complete = False
        self.surplus = False
        """Bytes came after the end of the response: the connection must not be used again."""
        self.switched = False
        """It was a 101: what follows is no HTTP."""
        self.leftover = b""
        """What followed it already."""
        self.length: int | None = None
        """The ``Content-Length``."""

    def leave(self) -> None:
        """The rest of the body is somebody else's to count."""
        self._spent = True

    def close(self) -> None:
        """Nothing more comes: else the two parsers would keep each other until a full collection."""
        self._http, self._spent = _NOBODYS, True

    def feed(self, data: bytes) -> None:
        """Take what the upstream sent.

        Raises:
            UpstreamProtocolError: it is not a response that may be passed on.
        """
        if self.switched:
            self.leftover += data
            return
        if not self._received and data[0] not in b"H\r\n":  # llhttp also speaks RTSP and ICE
            raise UpstreamProtocolError
        self._received += len(data)
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
        return self.length is None and b"transfer-encoding" not in self.shape.at

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
        self.headers = self._fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field, of the head or of the trailers."""
        if not value or value[-1] <= _BLANK:  # llhttp leaves the blanks at a value's end
            value = value.rstrip(b" \t")
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The empty line."""
        http = self._http
        status, version, headers = http.get_status_code(), http.get_http_version(), self.headers
        shape = self.shape = shape_of(tuple([name for name, _ in headers]))
        if self._received > self._max_head_bytes:
            check_size(headers, self._max_head_bytes)
        check_head(status, version, shape.values(headers, b"transfer-encoding"))
        if status == SWITCHING_PROTOCOLS:
            if not self._upgrade or not http.should_upgrade() or version != "1.1":
                raise UpstreamProtocolError
            self.switched = True
        elif status < 200:  # noqa: PLR2004  # the class of interim responses (RFC 9110 §15.2)
            self.interim += 1
            if self.interim > _MAX_INTERIM:
                raise UpstreamProtocolError
            return
        self.status, self.version, self.ready, self._silent = status, version, True, False
        self._fields = []  # of the trailers: dropped
        lengths = shape.values(headers, b"content-length")
        if lengths:
            self.length = int(lengths[0])  # llhttp refuses all but one number
        if self._for_head:
            self.complete = True
            self.keep_alive = _persists(version, headers)
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


def check_head(status: int, version: str, codings: Sequence[bytes]) -> None:
    """What llhttp does not refuse in a response head.

    Raises:
        UpstreamProtocolError: an impossible status or version, or a transfer coding that we cannot take off.
    """
    if not 100 <= status <= 599 or version not in ("1.1", "1.0"):  # noqa: PLR2004
        raise UpstreamProtocolError
    # We sent no TE, so nothing but one "chunked" may have been applied; HTTP/1.0 has none (RFC 9112 §6.1).
    if codings and (len(codings) > 1 or codings[0].strip().lower() != b"chunked" or version == "1.0"):
        raise UpstreamProtocolError


def check_size(headers: Sequence[Header], max_bytes: int) -> None:
    """Raises: UpstreamProtocolError: there are more than ``max_bytes`` of fields."""
    if sum(len(name) + len(value) + 4 for name, value in headers) > max_bytes:
        raise UpstreamProtocolError


def _persists(version: str, headers: Sequence[Header]) -> bool:
    """RFC 9112 §9.3, for the one answer where llhttp's own judgement counts a body that is not there."""
    options = tokens(headers, b"connection")
    return b"close" not in options and (version == "1.1" or b"keep-alive" in options)
