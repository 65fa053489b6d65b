"""The fields of a request's head as bytes: to know a head again that differs in its first line only.

A client's requests differ in little but that line. One whose fields are, byte for byte, those of the request before
it on its connection means what that one meant: it needs no parsing, and no rule needs to read them again.
"""

import re
from typing import Any

from gateway.core.headers import Headers
from gateway.core.heads import FRAMING

_LINE = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-\"$-~]*) HTTP/1\.1\r\n")
"""A request line that the parser takes, whatever fields follow it. It takes others: those it has to see itself."""
_NEVER = FRAMING | {b"upgrade"}
"""What stands behind such a head belongs to it, or to another protocol."""
_END = b"\r\n\r\n"


class Block:
    """The fields of one head, or of several heads that have the same ones."""

    __slots__ = ("_raw", "headers", "reading")

    def __init__(self, headers: Headers) -> None:
        """Args: headers: names in lower case, values without the blanks around them. Not to be changed."""
        self.headers = headers
        self._raw = b""
        self.reading: Any = None
        """What ``edge.reading`` has made of them."""

    def remember(self, data: bytes, at: int) -> None:
        """``data`` is a request that keeps its connection, of HTTP/1.1; its fields begin at ``at``.

        Kept is only what ends with the head: a request that is alone, and has nothing behind it.
        """
        if data.find(_END) == len(data) - len(_END) and not any(n in _NEVER for n, _ in self.headers):
            self._raw = data[at:]

    def forget(self) -> None:
        """What comes next is no repetition, whatever it looks like."""
        self._raw = b""

    def repeated(self, data: bytes, longest: int) -> tuple[str, bytes] | None:
        """Method and target of ``data``, where it is one request with these fields; None: it has to be parsed.

        Args:
            data: begins where a request may begin.
            longest: bytes of a target.
        """
        raw = self._raw
        if not raw or not data.endswith(raw):
            return None
        line = _LINE.fullmatch(data, 0, len(data) - len(raw))
        if line is None:
            return None
        method, target = line.groups()
        return (method.decode("ascii"), target) if len(target) <= longest else None
