"""Heads of responses (RFC 9112 §4, §5): read once the parser has accepted them, and known when they come again.

The lines of an API's answers are few: Server, Date, Content-Type, CORS, and one or two that differ. Each line is
looked at when it first comes. A whole head that has come before, to the byte, is not parsed again: within one
second, the answers to the same question often begin with the same head.
"""

import re

from gateway.core.bounded import Learnt
from gateway.core.errors import UpstreamProtocolError
from gateway.core.headers import Headers
from gateway.core.shapes import Shape, shape_of
from gateway.core.wire import TEXT, TOKEN

_HEADS = 256
_LONGEST_HEAD = 2048
_LINES = 1024
_LONGEST_LINE = 512
"""Bytes, like the one before: what is longer is read anew each time (D6)."""
_SECRET = re.compile(rb"cookie|token|auth|secret|session|key")
"""In a field's name: not remembered. It is somebody's, and another each time."""

BODILESS = (204, 304)
"""RFC 9112 §6.3."""


_MEANING = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"trailer", b"transfer-encoding", b"upgrade", b"location"}
)
"""Fields whose values mean something to the parser, or that cross the gateway changed."""
_DIGITS = 15
"""Of a length that needs no parser."""


class ResponseHead:
    """One head, or several that are equal to the byte."""

    __slots__ = (
        "_headers",
        "base",
        "first",
        "known",
        "lasting",
        "length",
        "lines",
        "persists",
        "shape",
        "size",
        "status",
        "swaps",
        "version",
    )

    def __init__(self, status: int, version: str, shape: Shape, lines: list[bytes], *, lasting: bool) -> None:
        self.status = status
        self.version = version
        """``1.1`` or ``1.0``."""
        self.shape = shape
        self.lines = lines
        """The fields, one for each name of ``shape``, as ``core.wire`` would write them."""
        at = shape.at.get(b"content-length")
        self.length = int(lines[at[0]][_LENGTH_AT:]) if at else None
        """The ``Content-Length``: the parser refuses all but one number."""
        self.lasting = lasting
        """Each of its lines is remembered."""
        self.persists = False
        """The upstream would keep the connection (RFC 9112 §9.3)."""
        self.size = 0
        """Bytes, from the status line to the empty one, of a head that is ``known``."""
        self.known = False
        """It is remembered: the next one that is equal to it is this object."""
        self._headers: Headers | None = None
        self.first = b""
        """The status line, of a head that others may differ from in values only."""
        self.base: ResponseHead | None = None
        """The head that this one differs from in some values, and in nothing else."""
        self.swaps: list[tuple[bytes, bytes]] = []
        """Those lines, there and here."""

    def amended(self, lines: bytes) -> bytes:
        """``lines``, which are some of those of ``base``, each ended, with the values of this head."""
        text = b"\r\n" + lines
        for old, new in self.swaps:
            text = text.replace(b"\r\n%b\r\n" % old, b"\r\n%b\r\n" % new, 1)
        return text[2:]

    def may_say(self, place: int, line: bytes) -> bool:
        """``line`` could stand in the place of one of these, and no parser would see another message in it."""
        name = self.shape.names[place]
        at = len(name) + 2
        value = line[at:]
        if line[:at] != name + b": " or not value or value.translate(None, TEXT) or value != value.strip(b" \t"):
            return False
        lowered = name.lower()
        if lowered == b"content-length":
            return value.isdigit() and len(value) <= _DIGITS
        return lowered not in _MEANING and len(self.shape.at[lowered]) == 1

    @property
    def headers(self) -> Headers:
        """The fields as pairs."""
        if self._headers is None:
            named = zip(self.shape.names, self.lines, strict=True)
            self._headers = [(name, line[len(name) + 2 :]) for name, line in named]
        return self._headers


_LENGTH_AT = len(b"content-length: ")


class Heads:
    """Those of one upstream."""

    def __init__(self) -> None:
        self._heads: Learnt[bytes, ResponseHead] = Learnt(_HEADS)
        self._names: Learnt[bytes, bytes] = Learnt(_LINES)
        """By line."""
        self._last: tuple[bytes, ResponseHead | None] = (b"\0", None)
        self._once: tuple[bytes, ResponseHead | None] = (b"", None)
        """The last one that was new. Only what comes again is remembered: most heads never do."""
        self._base: ResponseHead | None = None
        """The last one that was parsed and that others may differ from in values only."""

    def look(self, data: bytes) -> ResponseHead | bytes:
        """What ``data`` begins with: a known head, or all the bytes of one; empty: of none."""
        start, head = self._last
        if head is not None and data.startswith(start):
            return head
        end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD) + 4
        if end < 4 or not data.startswith(b"HTTP/1.1 "):  # noqa: PLR2004
            return b""
        start = data[:end]
        head = self._heads.get(start)
        if head is None:
            once, head = self._once
            if head is None or start != once:
                return self._varied(start) or start
            head.known = True
            self._heads.learn(start, head)
        self._last = start, head
        return head

    def _varied(self, start: bytes) -> ResponseHead | None:
        """A head that differs from a parsed one in nothing but values that mean nothing to the parser."""
        base = self._base
        if base is None:
            return None
        lines = start[:-4].split(b"\r\n")
        if lines.pop(0) != base.first or len(lines) != len(base.lines):
            return None
        swaps = []
        for place, (old, new) in enumerate(zip(base.lines, lines, strict=True)):
            if old != new:
                if not base.may_say(place, new):
                    return None
                swaps.append((old, new))
        head = ResponseHead(base.status, base.version, base.shape, lines, lasting=False)
        head.persists, head.size, head.base, head.swaps = base.persists, len(start), base, swaps
        self._once = start, head
        return head

    def learn(self, data: bytes, head: ResponseHead) -> None:
        """``data`` was read as ``head``, if that means the same whatever came before and was asked for."""
        framed = head.length is not None or head.status in BODILESS
        if head.lasting and framed and b"proxy-connection" not in head.shape.at:  # which counts for GET, not HEAD
            head.first, head.size = data[: data.find(b"\r\n")], len(data)
            self._base = head
            self._once = data, head

    def read(self, status: int, text: bytes) -> ResponseHead:
        """A head that llhttp has accepted, from its status line to before the empty one.

        Raises:
            UpstreamProtocolError: another version, or a line that must not be passed on.
        """
        version = _VERSIONS.get(text[:9])
        if version is None:
            raise UpstreamProtocolError
        lines = text.split(b"\r\n")
        del lines[0]
        known, names, lasting = self._names, [], True
        for place, line in enumerate(lines):
            name = known.get(line)
            if name is None:
                name, line_lasts = self._learn(lines, place)
                lasting = lasting and line_lasts
            names.append(name)
        return ResponseHead(status, version, shape_of(tuple(names)), lines, lasting=lasting)

    def _learn(self, lines: list[bytes], place: int) -> tuple[bytes, bool]:
        """The name of a line, which is made what ``core.wire`` would write; and whether it is remembered now."""
        line = lines[place]
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not name or name.translate(None, TOKEN) or value.translate(None, TEXT):
            raise UpstreamProtocolError
        written = name + b": " + value
        if written != line:
            lines[place] = written
        elif len(line) <= _LONGEST_LINE and not _SECRET.search(name.lower()):
            self._names.learn(line, name)
            return name, True
        return name, False


_VERSIONS = {b"HTTP/1.1 ": "1.1", b"HTTP/1.0 ": "1.0"}
