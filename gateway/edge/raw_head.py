"""The raw bytes of a request's head, for what only they can tell: its exact first line, and its size so far.

llhttp does not say where in its bytes a request begins. For the first request within them that is plain; one that
shares its bytes with another before it can be looked for only by what stands before it.
"""

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers

_BLANKS = 16
"""Empty lines that may stand before a request, and times that they may come alone."""


class RawHead:
    """Follows the bytes of one connection, head after head. Its attributes are the parser's to set: calls cost."""

    __slots__ = ("_alone", "_before", "_cap", "_lead", "_pieces", "_size", "_tail", "at", "data", "last", "plain")

    def __init__(self, cap: int) -> None:
        """Args: cap: bytes of an unfinished head that are too many."""
        self._cap = cap
        self.data = b""
        """The bytes at hand."""
        self.last: Headers = []
        """The fields of the request before."""
        self._alone = True
        """The request is the first one within its bytes, and they begin with it."""
        self._pieces: list[bytes] = []
        """The earlier bytes of an unfinished head."""
        self.plain = True
        """The request begins with the first of the bytes at hand, for all we know."""
        self.at = 0
        """Where in the bytes at hand the last request's line ended, if that was looked for."""
        self._size = -1
        """Of ``_pieces``, as far as it is sure that they are the head's; -1: it has only begun."""
        self._tail = self._before = self._lead = b""
        """The last two bytes read; those before the bytes at hand; those before the ones that began the request."""

    def feed(self, data: bytes) -> None:
        """These come next."""
        self.data = data
        self.at = 0
        self._before = self._tail
        self._tail = data[-2:] if len(data) > 1 else (self._tail + data)[-2:]

    def skip(self, data: bytes) -> None:
        """These are no part of a head, and nobody else is told of them."""
        self.data = b""
        self.at = 0
        self._before = self._tail
        self._tail = data[-2:] if len(data) > 1 else (self._tail + data)[-2:]

    def begun(self, *, alone: bool) -> None:
        """A request begins within the bytes at hand; ``alone``: with their first byte, but for empty lines."""
        self._size = -1
        self._alone = alone
        self.plain = alone and not self._pieces
        if not alone:
            self._pieces = []
        if not self._pieces:
            self._lead = self._before

    def unfinished(self) -> None:
        """The bytes at hand are over, and the head is not (D1, D6).

        Raises:
            GatewayError: it is too large already.
        """
        self.plain = False
        self._pieces.append(self.data)
        self._size = 0 if self._size < 0 else self._size + len(self.data)
        if self._size > self._cap:
            raise GatewayError(errors.HEADERS_TOO_LARGE)

    def blank(self) -> None:
        """The bytes at hand were empty lines and nothing else. Raises: GatewayError: not again."""
        if not self._pieces:
            self._lead = self._before
        self._pieces.append(self.data)
        if len(self._pieces) > _BLANKS or len(self.data) > 2 * _BLANKS:
            raise GatewayError(errors.BAD_REQUEST)

    def has_line(self, line: bytes) -> bool:
        """The request begins with ``line``, after nothing or after whole empty lines (RFC 9112 §2.2)."""
        raw = b"".join([*self._pieces, self.data]) if self._pieces else self.data
        if self._alone:
            if raw.startswith(b"\n") and self._lead.endswith(b"\r"):  # an empty line, cut in two
                raw = raw[1:]
            blanks = len(raw) - len(raw.lstrip(b"\r\n"))
            if not self._pieces:
                self.at = blanks + len(line)
            return raw[:blanks] == b"\r\n" * (blanks // 2) and raw.startswith(line, blanks)
        return self._follows(line, raw)

    def _follows(self, line: bytes, raw: bytes) -> bool:
        """``line`` stands among the bytes behind another request, for all that can be told.

        Each search begins where the last one ended, so that a read full of requests is walked through once.
        """
        # A body that a length ended is followed by whatever came next, not by the end of a line.
        length = any(name == b"content-length" for name, _ in self.last)
        wanted = line if length else b"\r\n" + line
        found = raw.find(wanted, max(self.at - 2, 0))
        if found < 0:
            return not length and wanted in self._lead + raw[: len(wanted)]
        if not self._pieces:
            self.at = found + len(wanted)
        return True

    def complete(self, headers: Headers) -> None:
        """The head has ended, with these fields."""
        self.last = headers
        if self._pieces:
            self._pieces = []
