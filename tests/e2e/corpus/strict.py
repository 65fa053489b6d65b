"""HTTP/1.1 messages read by the grammar and nothing else: what the gateway writes may leave no room for another reading.

A second reader, written for these tests from RFC 9112 alone, so that no parser judges itself. It reads what the
gateway sends, to the upstream and to the client: a chunk extension or a trailer in it is already a fault, because
the gateway drops both.
"""

import re
from dataclasses import dataclass, field

from gateway.core.headers import Header, values

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110 §5.6.2."""

_VALUE = rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
"""RFC 9110 §5.5: no control byte but the tab, no blank at either end."""

_FIELD = re.compile(rb"(%b): (%b)[ \t]*" % (TOKEN, _VALUE))
_REQUEST_LINE = re.compile(rb"(%b) (\*|/[\x21-\x22\x24-\x7e\x80-\xff]*) HTTP/1\.[01]" % TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
_BODILESS = (204, 304)


class NotStrictError(AssertionError):
    """The bytes are not HTTP/1.1, or not only HTTP/1.1."""


@dataclass
class Message:
    """A request or an answer."""

    start: bytes
    """The request line or the status line."""
    fields: list[Header] = field(default_factory=list)
    body: bytes = b""
    complete: bool = True
    """False: its body ended with the connection, or was cut."""

    def values(self, name: bytes) -> list[bytes]:
        """Every value of the field ``name`` (in lower case)."""
        return values(self.fields, name)

    @property
    def method(self) -> bytes:
        return self.start.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.start.split(b" ")[1]

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    @property
    def host(self) -> bytes | None:
        return next(iter(self.values(b"host")), None)


def request(data: bytes) -> tuple[Message, bytes] | None:
    """The first request in ``data`` and the rest; None: it is not complete. Raises: NotStrictError."""
    found = _head(data, _REQUEST_LINE)
    return None if found is None else _framed(*found)


def requests(data: bytes) -> tuple[list[Message], bytes]:
    """Every complete request in ``data``, and what follows them."""
    read = []
    while data and (found := request(data)):
        message, data = found
        read.append(message)
    return read, data


def answer(data: bytes, method: bytes, *, ended: bool) -> tuple[Message, bytes] | None:
    """The first answer in ``data``, to a request with ``method``; ``ended``: no more bytes will come."""
    found = _head(data, _STATUS_LINE)
    if found is None:
        return None
    message, rest = found
    framed = message.values(b"content-length") or message.values(b"transfer-encoding")
    if message.status < 200 or message.status in _BODILESS or method == b"HEAD":
        _framing(message)
        return message, rest
    if framed:
        return _framed(message, rest)
    if not ended:
        return None
    message.body, message.complete = rest, False
    return message, b""


def answers(data: bytes, methods: list[bytes], *, ended: bool) -> tuple[list[Message], bytes]:
    """The answers in ``data``, interim ones among them, and the bytes behind the last that is complete.

    ``methods`` are those of the requests, in order; an answer beyond them is read as that to a GET.
    """
    read: list[Message] = []
    final = 0
    while data:
        found = answer(data, methods[final] if final < len(methods) else b"GET", ended=ended)
        if found is None:
            break
        message, data = found
        read.append(message)
        final += message.status >= 200
    return read, data


def _head(data: bytes, line: re.Pattern[bytes]) -> tuple[Message, bytes] | None:
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    start, *lines = head.split(b"\r\n")
    if not line.fullmatch(start):
        raise NotStrictError(start)
    fields = []
    for text in lines:
        matched = _FIELD.fullmatch(text)
        if matched is None:
            raise NotStrictError(text)
        fields.append((matched[1], matched[2]))
    return Message(start, fields), rest


def _framing(message: Message) -> tuple[bytes | None, bool]:
    """The length that is announced, and whether chunks are; never both, each once, and spelled in one way."""
    lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
    if len(lengths) + len(codings) > 1 or any(c != b"chunked" for c in codings):
        raise NotStrictError(message)
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise NotStrictError(message)
    return (lengths[0] if lengths else None), bool(codings)


def _framed(message: Message, rest: bytes) -> tuple[Message, bytes] | None:
    length, chunked = _framing(message)
    if chunked:
        return _chunks(message, rest)
    size = int(length or b"0")
    if len(rest) < size:
        return None
    message.body = rest[:size]
    return message, rest[size:]


def _chunks(message: Message, rest: bytes) -> tuple[Message, bytes] | None:
    pieces = []
    while True:
        line, found, rest = rest.partition(b"\r\n")
        if not found:
            return None
        if not _SIZE.fullmatch(line):
            raise NotStrictError(line)
        size = int(line, 16)
        if len(rest) < size + 2:
            return None
        if rest[size : size + 2] != b"\r\n":
            raise NotStrictError(rest[:64])
        pieces.append(rest[:size])
        rest = rest[size + 2 :]
        if size == 0:
            message.body = b"".join(pieces)
            return message, rest
