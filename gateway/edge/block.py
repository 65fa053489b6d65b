"""The fields of a request's head as bytes: to know a head again that differs little from the one before it.

A client's requests have most of their fields in common. Those that are, byte for byte, the ones of the request
before on the same connection mean what they meant then: they need no parsing, and no rule needs to read them again.
Where only values differ that the parser gives no meaning to, these alone are read.
"""

import re
from typing import Any

from gateway.core.headers import Headers
from gateway.core.heads import FRAMING
from gateway.core.wire import TEXT, FieldLines

_LINE = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-\"$-~]*) HTTP/1\.1\r\n")
"""A request line that the parser takes, whatever fields follow it. It takes others: those it has to see itself."""
_END = b"\r\n\r\n"
_NEVER = FRAMING | {b"upgrade"}
"""What stands behind such a head belongs to it, or to another protocol."""
_MEANING = _NEVER | {b"connection", b"proxy-connection", b"expect"}
"""Fields that the parser and the protocol heed."""
_LARGEST = 8 * 1024
"""Bytes of a head that is remembered: it is kept for as long as its client stays connected (D6)."""
_CHANGES = 4
"""So many values may differ; a head with more is read as a new one."""


class Block:
    """The fields of one head, or of several heads that have the same ones."""

    __slots__ = ("_lines", "_raw", "base", "changes", "headers", "reading")

    def __init__(self, headers: Headers, base: "Block | None" = None) -> None:
        """Args:
        headers: names in lower case, values without the blanks around them. Not to be changed.
        base: the block that this one differs from by ``changes``.
        """
        self.headers = headers
        self.base = base
        self.changes: list[tuple[bytes, bytes, bytes]] = []
        """Name, value in ``base``, value here. No such name stands twice in ``base``."""
        self._raw = b""
        self._lines: list[bytes] = []
        self.reading: Any = None
        """What ``edge.reception`` has made of them."""

    def remember(self, data: bytes, at: int) -> None:
        """``data`` is a request that keeps its connection, of HTTP/1.1; its fields begin at ``at``.

        Kept is only what ends with the head: a request that is alone, and has nothing behind it.
        """
        alone = data.find(_END) == len(data) - len(_END)
        if alone and len(data) - at <= _LARGEST and not any(n in _NEVER for n, _ in self.headers):
            self._raw = data[at:]

    def forget(self) -> None:
        """What comes next is no repetition, whatever it looks like."""
        self._raw = b""

    def repeated(self, data: bytes, longest: int) -> "tuple[str, bytes, Block] | None":
        """Method, target and fields of ``data``, where it is one request like the last; None: it has to be parsed.

        Args:
            data: begins where a request may begin.
            longest: bytes of a target.
        """
        raw = self._raw
        if not raw:
            return None
        if data.endswith(raw):
            block, at = self, len(data) - len(raw)
        else:
            varied = self._varied(data)
            if varied is None:
                return None
            block, at = varied
        line = _LINE.fullmatch(data, 0, at)
        if line is None:
            return None
        method, target = line.groups()
        return (method.decode(), target, block) if len(target) <= longest else None

    def _varied(self, data: bytes) -> "tuple[Block, int] | None":
        """The fields of ``data``, if it is one head and they differ in values only; and where they begin."""
        end, at = len(data) - len(_END), data.find(b"\r\n") + 2
        if data.find(_END) != end:
            return None
        if not self._lines:
            self._lines = self._raw[: -len(_END)].split(b"\r\n")
        old, new = self._lines, data[at:end].split(b"\r\n")
        if not len(old) == len(new) == len(self.headers):
            return None
        changed = [place for place, line in enumerate(new) if line != old[place]]
        if len(changed) > _CHANGES:
            return None
        block = Block(self.headers.copy(), self)
        for place in changed:
            name, before = self.headers[place]
            value = self._value(name, old[place], new[place])
            if value is None:
                return None
            block.headers[place] = (name, value)
            block.changes.append((name, before, value))
        return block, at

    def _value(self, name: bytes, old: bytes, new: bytes) -> bytes | None:
        """What the line ``new`` says in place of ``old``, if it is of the same name and as plain as can be."""
        at = len(name) + 2
        value = new[at:]
        doubtful = name in _MEANING or new[:at] != old[:at] or new[at - 2 : at] != b": "
        if doubtful or not value or value.translate(None, TEXT) or value != value.strip(b" \t"):
            return None
        return value if [n for n, _ in self.headers].count(name) == 1 else None

    def amended(self, lines: FieldLines) -> FieldLines:
        """``lines``, which were written of ``base``, with the values of this block."""
        for name, before, value in self.changes:
            lines = FieldLines(
                lines.replace(b"\r\n%b: %b\r\n" % (name, before), b"\r\n%b: %b\r\n" % (name, value), 1)
            )
        return lines
