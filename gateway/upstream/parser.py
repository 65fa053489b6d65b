"""One connection's responses: bytes in, head and body out (RFC 9112 §4-§8). No I/O.

llhttp, strict, refuses most of what must not be passed on: Content-Length with Transfer-Encoding, repeated
lengths, bad chunks, obs-fold, bare CR or LF, control bytes in values, names that are no tokens. What it lets
through is refused here: other protocols and versions, status codes outside 100-599, transfer codings other
than one ``chunked``, a 101 that was not asked for, heads and trailers without end. Trailers are dropped (P5).
"""

import httptools

from gateway.core.errors import UpstreamProtocolError
from gateway.core.headers import connection_options
from gateway.core.response_head import ResponseHead
from gateway.core.websocket import SWITCHING_PROTOCOLS
from gateway.upstream.heads import Heads

_NOBODYS = httptools.HttpResponseParser(None)
_MAX_INTERIM = 16
"""Interim responses before a final one; a server that sends more is only keeping us busy."""


class ResponseParser:
    """Reads the responses on one connection, one after another; ``begin`` before each."""

    __slots__ = (
        "_at",
        "_body",
        "_for_head",
        "_head_end",
        "_heads",
        "_http",
        "_max_head_bytes",
        "_raw",
        "_room",
        "_silent",
        "_spent",
        "_upgrade",
        "complete",
        "first",
        "head",
        "interim",
        "leftover",
        "started",
        "surplus",
        "switched",
    )

    def __init__(self, max_head_bytes: int, heads: Heads) -> None:
        self._max_head_bytes = max_head_bytes
        self._heads = heads
        self._spent = False
        self._http = httptools.HttpResponseParser(self)

    def begin(
        self, body: list[bytes], *, for_head: bool = False, upgrade: bool = False, first: bytes = b""
    ) -> None:
        """Expect a response to the next request; its body's pieces are appended to ``body``.

        With ``upgrade`` it may be a 101, after which HTTP has ended on this connection: ``switched``.
        A response to HEAD ends with its head, whatever its fields say (RFC 9112 §6.3). llhttp cannot be told,
        so that its state is of no use afterwards: the next response gets a parser of its own.
        ``first``: what the first data begin with, up to and with the first empty line, if that is known.
        """
        if self._spent:
            self._http = httptools.HttpResponseParser(self)
        self._spent = self._for_head = for_head
        self._upgrade = upgrade
        self.first = first
        self._body = [] if for_head else body
        self._head_end = b""
        self._room = self._max_head_bytes
        self._raw: bytes | bytearray = b""
        """What came, up to the end of the final head."""
        self._at = 0
        """Where in it the present head begins."""
        self.interim = 0
        """Responses before the final one."""
        self.head: ResponseHead | None = None
        """Of the final response."""
        self.started = False
        self.complete = False
        self.surplus = False
        """Bytes came after the end of the response: the connection must not be used again."""
        self.switched = False
        """It was a 101: what follows is no HTTP."""
        self.leftover = b""
        """What followed it already."""

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
        if not self.started:
            self.started = True
            if data[0] not in b"H\r\n":  # llhttp also speaks RTSP and ICE
                raise UpstreamProtocolError
        if self.head is None:
            self._raw = bytearray(self._raw) + data if self._raw else data
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
        head = self.head
        if head is not None and head.length is None and b"transfer-encoding" not in head.shape.at:
            self.complete = not self.switched
        return self.complete

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

    def on_headers_complete(self) -> None:
        """The empty line."""
        http = self._http
        status = http.get_status_code()
        if not 100 <= status <= 599:  # noqa: PLR2004
            raise UpstreamProtocolError
        head = self._heads.read(status, self._text())
        self._check_coding(head)
        if status == SWITCHING_PROTOCOLS:
            if not self._upgrade or not http.should_upgrade() or head.version != "1.1":
                raise UpstreamProtocolError
            self.switched = True
        elif status < 200:  # noqa: PLR2004  # the class of interim responses (RFC 9110 §15.2)
            self.interim += 1
            if self.interim > _MAX_INTERIM:
                raise UpstreamProtocolError
            return
        self.head, self._raw, self._silent = head, b"", False
        if self._for_head:
            self.complete = True
            head.persists = _persists(head)
        else:
            head.persists = http.should_keep_alive()

    def _text(self) -> bytes:
        """The head that has just been completed, without its empty line."""
        if self.first and not self._at:
            text = self.first[:-4]
        else:
            at = self._at
            while self._raw[at] in b"\r\n":
                at += 1
            text = bytes(self._raw[at : self._raw.index(b"\r\n\r\n", at)])
            self._at = at
        self._at += len(text) + 4
        if len(text) > self._max_head_bytes:
            raise UpstreamProtocolError
        return text

    @staticmethod
    def _check_coding(head: ResponseHead) -> None:
        """We sent no TE: nothing but one "chunked" may have been applied. HTTP/1.0 has none (RFC 9112 §6.1)."""
        at = head.shape.at.get(b"transfer-encoding")
        if at is None:
            return
        if len(at) > 1 or head.version == "1.0" or head.lines[at[0]].lower() != b"transfer-encoding: chunked":
            raise UpstreamProtocolError

    def on_body(self, data: bytes) -> None:
        """Content, without its chunks' framing."""
        self._body.append(data)
        self._silent = False

    def on_message_complete(self) -> None:
        """The end of a response, interim ones included."""
        head = self.head
        if head is None:
            return
        if self.complete and b"transfer-encoding" in head.shape.at:
            self.surplus = True  # a last chunk after the head that ended the answer to HEAD
        self.complete = not self.switched


def _persists(head: ResponseHead) -> bool:
    """RFC 9112 §9.3, for the one answer where llhttp's own judgement counts a body that is not there."""
    options = connection_options(head.shape.values(head.headers, b"connection"))
    return b"close" not in options and (head.version == "1.1" or b"keep-alive" in options)
