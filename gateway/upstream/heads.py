"""Heads of responses (RFC 9112 §4, §5): read once the parser has accepted them, and known when they come again.

The lines of an API's answers are few: Server, Date, Content-Type, CORS, and one or two that differ. Each line is
looked at when it first comes. A whole head that has come before, to the byte, is not parsed again: within one
second, the answers to the same question often begin with the same head.
"""

import re

from gateway.core.bounded import Learnt
from gateway.core.errors import UpstreamProtocolError
from gateway.core.response_head import ResponseHead, pattern_of
from gateway.core.shapes import shape_of
from gateway.core.wire import TEXT, TOKEN

_HEADS = 256
_LONGEST_HEAD = 2048
_LINES = 1024
_KINDS = 8
"""Answers of one API that differ in more than values: each further one costs a look."""
_LONGEST_LINE = 512
"""Bytes, like the one before: what is longer is read anew each time (D6)."""
_SECRET = re.compile(rb"cookie|token|auth|secret|session|key")
"""In a field's name: not remembered. It is somebody's, and another each time."""

_LENGTH_AT = len(b"content-length: ")

BODILESS = (204, 304)
"""RFC 9112 §6.3."""


class Heads:
    """Those of one upstream."""

    def __init__(self) -> None:
        self._heads: Learnt[bytes, ResponseHead] = Learnt(_HEADS)
        self._names: Learnt[bytes, bytes] = Learnt(_LINES)
        """By line."""
        self._last: tuple[bytes, ResponseHead | None] = (b"\0", None)
        self._once: tuple[bytes, ResponseHead | None] = (b"", None)
        """The last one that was new. Only what comes again is remembered: most heads never do."""
        self._bases: list[ResponseHead] = []
        """Those that were parsed and that others may differ from in values only: one for each kind of answer."""

    def look(self, data: bytes) -> ResponseHead | bytes:
        """What ``data`` begins with: a known head, or all the bytes of one; empty: of none."""
        start, head = self._last
        if head is not None and data.startswith(start):
            return head
        start, head = self._once
        if head is not None and data.startswith(start):
            return self._again(start, head)
        for place, base in enumerate(self._bases):
            head = None if base.pattern is None else base.pattern.match(data)
            if head is not None:
                self._advance(place)
                self._once = data[: head.size], head
                return head
        return self._search(data)

    def _again(self, start: bytes, head: ResponseHead) -> ResponseHead:
        """What came once has come again: it is remembered."""
        head.known = True
        self._heads.learn(start, head)
        self._last = start, head
        return head

    def _advance(self, place: int) -> None:
        """What comes often is tried early."""
        if place:
            bases = self._bases
            bases[place - 1], bases[place] = bases[place], bases[place - 1]

    def _search(self, data: bytes) -> ResponseHead | bytes:
        end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD) + 4
        if end < 4 or not data.startswith(b"HTTP/1.1 "):  # noqa: PLR2004
            return b""
        start = data[:end]
        head = self._heads.get(start)
        if head is None:
            return self._varied(start) or start
        self._last = start, head
        return head

    def _varied(self, start: bytes) -> ResponseHead | None:
        """A head that differs from a parsed one in nothing but values that mean nothing to the parser."""
        for base in self._bases:
            head = base.varied(start)
            if head is not None:
                self._once = start, head
                if len(start) == base.size:
                    known = base.pattern
                    base.pattern = pattern_of(base, head) if known is None else known.with_places_of(head)
                return head
        return None

    def learn(self, data: bytes, head: ResponseHead) -> None:
        """``data`` was read as ``head``, if that means the same whatever came before and was asked for."""
        framed = head.length is not None or head.status in BODILESS
        if head.lasting and framed and b"proxy-connection" not in head.shape.at:  # which counts for GET, not HEAD
            head.first, head.size = data[: data.find(b"\r\n")], len(data)
            self._bases = [head, *self._bases[: _KINDS - 1]]
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
        shape = shape_of(tuple(names))
        counted = shape.at.get(b"content-length")
        length = int(lines[counted[0]][_LENGTH_AT:]) if counted else None
        return ResponseHead(status, version, shape, lines, length, lasting=lasting)

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
