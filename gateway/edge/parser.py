"""One client's requests: bytes in, heads, bodies and ends out (RFC 9112). No I/O.

llhttp, strict, refuses most of what must not be read: bare CR or LF, obs-fold, NUL and other controls, a blank
before the colon, names that are no tokens, Content-Length with Transfer-Encoding, repeated or odd lengths, codings
that do not end in one ``chunked``, malformed chunks and extensions, non-ASCII in a target. What it lets through is
refused here: other protocols and versions, CONNECT, heads, extensions and trailers without end. Whatever needs only
the finished head is ``core.heads``'s.

- Trailers are read and dropped: the list of header fields is closed when the head is complete (P5).
- A client's heads differ in little but their first line. One whose fields are, byte for byte, those of the request
  before it on this connection is not parsed again: it means what it meant then.
- llhttp stops at an ``Upgrade`` and takes everything behind it for the new protocol's. With a body announced, it is
  told to read on in HTTP; without, the bytes are held until somebody has decided (RFC 9110 §7.8).
"""

from collections.abc import Callable
from typing import Any, Protocol

import httptools

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers, tokens
from gateway.core.heads import FRAMING, Limits
from gateway.edge.block import Block
from gateway.edge.raw_head import RawHead

_SLACK = 1024
"""Bytes of a head that no limit counts: method, version, blanks and line ends."""

_HEEDED = frozenset({b"connection", b"proxy-connection", b"upgrade"})
"""llhttp takes them for the message's even as trailers, where they mean nothing (RFC 9110 §6.5.1)."""
_DIGITS = 15
"""Of a length that is counted here; whoever announces more is left to the C parser."""
_UNKNOWN_METHOD = errors.BAD_REQUEST.because(
    "The request does not begin with a method that the gateway knows, such as GET or POST. Correct it."
)
_INEXACT_LINE = errors.BAD_REQUEST.because("The request line is not well-formed HTTP/1.1. Correct it.")


def _closes(headers: Headers) -> bool:
    """RFC 9112 §9.3: ``close`` wins over ``keep-alive``; llhttp has it the other way round for HTTP/1.0."""
    return b"close" in tokens(headers, b"connection")


def _nobody(*_: object) -> None:
    """Nobody listens any more."""


def _announced(headers: Headers) -> int:
    """The length of the body; 0: none, or one that ``core.heads`` will refuse."""
    lengths = [value for name, value in headers if name == b"content-length"]
    return int(lengths[0]) if len(lengths) == 1 and len(lengths[0]) <= _DIGITS and lengths[0].isdigit() else 0


class Sink(Protocol):
    """Whoever wants the requests."""

    def on_request(self, request: "RequestParser") -> None:
        """A head is complete: ``method``, ``target``, ``version``, ``block`` and the rest are its."""

    def on_body(self, data: bytes) -> None:
        """A piece of the request's body, without its framing."""

    def on_end(self) -> None:
        """The request is complete."""


class RequestParser:
    """Reads the requests of one connection, one after another."""

    __slots__ = (
        "_begun",
        "_boundary",
        "_bypassed",
        "_cap",
        "_continuing",
        "_fields",
        "_http",
        "_limits",
        "_raw",
        "_silent",
        "_sink_body",
        "_sink_end",
        "_sink_request",
        "_skip",
        "block",
        "framed",
        "held",
        "in_body",
        "left",
        "method",
        "partial",
        "persists",
        "target",
        "version",
    )

    def __init__(self, sink: Sink, limits: Limits) -> None:
        self._sink_request: Callable[[RequestParser], None] = sink.on_request
        self._sink_body: Callable[[bytes], None] = sink.on_body
        self._sink_end: Callable[[], None] = sink.on_end
        self._limits = limits
        self._cap = limits.header_bytes + limits.target_bytes + _SLACK
        self._raw = RawHead(self._cap)
        self._http: Any = self._parser()
        self._continuing = False
        """The parser is being told a head that we have read already."""
        self._skip = False
        """The parser left off at an upgrade, before the body: its end of the message is none."""
        self.held: bytes | None = None
        """The bytes behind an upgrade that nobody has decided on; None: no such decision is due."""
        self._begun = False
        """A request has begun within the bytes at hand."""
        self._boundary = True
        """They begin where a request may begin."""
        self._silent = 0
        """Bytes since the last one of a body, or since the head."""
        self._fields: Headers = []
        """Those of the head, or of the trailers, that is being read."""
        self.partial = False
        """A head has begun and is not complete."""
        self.in_body = False
        """A head was read, and not yet the end of its body."""
        self.left = 0
        """Bytes of a body of known length that are still to come."""
        self._bypassed = False
        """Some of them the C parser has not seen."""
        self.method = ""
        self.target = b""
        self.version = "1.1"
        self.block = Block([])
        """The fields of the head."""
        self.framed = False
        """A body was announced, be it an empty one."""
        self.persists = True
        """The client keeps the connection (RFC 9112 §9.3)."""

    def _parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # Bytes after a request that ends the connection are nobody's, and no reason to drop its answer.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def feed(self, data: bytes) -> None:
        """Take what the client sent; the sink is told what it means.

        Raises:
            GatewayError: it is not a request, or too large. Nothing can be read after that.
        """
        if self.held is not None:
            self.held += data
            return
        if self.left and (self._bypassed or len(data) < self.left):
            self._count(data)
            return
        boundary = self._boundary = not (self.partial or self.in_body)
        if boundary and (not self.persists or self._repeats(data)):
            return  # nothing after the last request is one (RFC 9112 §9.6)
        self._begun = False
        self._silent += len(data)
        self._raw.feed(data)
        try:
            self._parse(data)
        except httptools.HttpParserInvalidMethodError:
            raise GatewayError(_UNKNOWN_METHOD) from None
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None  # ours: a refusal, or a mistake
        except httptools.HttpParserError:
            raise GatewayError(errors.BAD_REQUEST) from None
        self._look_back(data, boundary=boundary)

    def _count(self, data: bytes) -> None:
        """A body of known length needs no parsing, and large pieces of it no copy."""
        body = data if len(data) <= self.left else data[: self.left]
        self.left -= len(body)
        self._bypassed = True
        self._raw.skip(body)
        self._sink_body(body)
        if self.left:
            return
        self._bypassed = False
        self._http = self._parser()
        self.on_message_complete()
        if len(body) < len(data):
            self.feed(data[len(body) :])

    def _repeats(self, data: bytes) -> bool:
        """``data`` is the last request over again, but for its first line; then that is all to be read."""
        repeated = self.block.repeated(data, self._limits.target_bytes)
        if repeated is None:
            return False
        known = self.block
        self.method, self.target, self.block = repeated
        self.framed = False
        self._sink_request(self)
        self._sink_end()
        self.block = known
        return True

    def _look_back(self, data: bytes, *, boundary: bool) -> None:
        """What ``data`` has left behind. Raises: GatewayError: too much that is not complete."""
        if self.in_body:
            if self._silent > self._cap or (self._fields and self._too_many_trailers()):
                raise GatewayError(errors.HEADERS_TOO_LARGE)  # or an extension without end
        elif self.partial:
            self._raw.unfinished()
        elif boundary and not self._begun:
            self.block.forget()  # ``RawHead`` has to see the request that follows these lines
            self._raw.blank()
        elif self._raw.plain and self.persists and self.version == "1.1" and not self.framed:
            self.block.remember(data, self._raw.at)

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self._http.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            else:
                return
            if not self._skip:
                self.held = data
                return
            self._read_on()
            if not data:
                return

    def close(self) -> None:
        """Nothing more will be read. The C parser refers back to this one, and this one to the connection."""
        self._http = None
        self._sink_request = self._sink_body = self._sink_end = _nobody

    def proceed(self) -> bytes:
        """The upgrade was not taken up: what was held is HTTP, and to be fed again."""
        held, self.held = self.held, None
        self._http = self._parser()
        return held or b""

    def _read_on(self) -> None:
        """Another parser, in the state in which this one should be: at the beginning of the body."""
        self._skip = False
        self._http = self._parser()
        fields = [b"%b: %b\r\n" % field for field in self.block.headers if field[0] in FRAMING]
        self._continuing = True
        self._http.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(fields))
        self._continuing = False

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._continuing:
            return
        self._raw.begun(alone=self._boundary and not self._begun)
        self.partial = self._begun = True
        self.target = b""
        self._fields = []

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        if self._continuing:
            return
        self.target += url
        if len(self.target) > self._limits.target_bytes:
            raise GatewayError(errors.TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of the trailers."""
        if value[-1:] <= b" ":  # the parser leaves blanks at a value's end to it; this is cheap before exact
            value = value.rstrip(b" \t")
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete: hand it over as it stands."""
        if self._continuing:
            self._fields = []
            return
        http = self._http
        method = http.get_method()
        line = b"".join((method, b" ", self.target, b" HTTP/1.1\r\n"))
        self.method = method.decode("ascii")
        if self._raw.plain and self._raw.data.startswith(line):  # does for nearly all
            self.version = "1.1"
            self._raw.at = len(line)
        else:
            self._check(line)
        if self.method == "CONNECT":
            raise GatewayError(errors.METHOD_NOT_SUPPORTED)
        headers, self._fields = self._fields, []  # those that come now are trailers
        self.block = Block(headers)
        self.persists = http.should_keep_alive() and (self.version == "1.1" or not _closes(headers))
        self.framed = any(n in FRAMING for n, _ in headers)
        self._skip = self.framed and http.should_upgrade()
        self.left = _announced(headers) if self.framed else 0
        self._raw.complete(headers)
        self.partial, self.in_body = False, True
        self._silent = 0
        self._sink_request(self)

    def _check(self, line: bytes) -> None:
        """RFC 9112 §3: one blank between the words; and of the other protocols, only HTTP/1.0."""
        version = self._http.get_http_version()
        if version not in ("1.0", "1.1"):
            raise GatewayError(errors.BAD_REQUEST.because("The gateway speaks HTTP/1.1. Use it."))
        if not self._raw.has_line(line if version == "1.1" else line.removesuffix(b"1\r\n") + b"0\r\n"):
            raise GatewayError(_INEXACT_LINE)
        self.version = version

    def on_body(self, data: bytes) -> None:
        """Content, without its chunks' framing."""
        self._silent = 0
        self.left -= min(len(data), self.left)
        self._sink_body(data)

    def on_message_complete(self) -> None:
        """The end of a request, unless the parser only thinks so."""
        if self._skip:
            return
        if self._fields:
            self._check_trailers()
        self.in_body = False
        self.left = 0
        self._sink_end()

    def _check_trailers(self) -> None:
        if self._too_many_trailers():
            raise GatewayError(errors.HEADERS_TOO_LARGE)
        trailers, self._fields = self._fields, []
        if any(name in _HEEDED for name, _ in trailers):
            raise GatewayError(errors.BAD_REQUEST.because("A trailer may not govern the connection. Leave it out."))

    def _too_many_trailers(self) -> bool:
        limits, trailers = self._limits, self._fields
        size = sum(len(name) + len(value) for name, value in trailers[: limits.header_fields])
        return len(trailers) > limits.header_fields or size > limits.header_bytes
