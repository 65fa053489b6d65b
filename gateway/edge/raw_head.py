"""The raw bytes of a request's head, for what only they can tell: its exact first line, and its size so far.

llhttp does not say where in its bytes a request begins. For the first request within them that is plain; one that
shares its bytes with another before it can be looked for only by what stands before it.
"""

import re

from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers

_BLANKS = 16
"""Times that empty lines may come alone before a request."""


class RawHead:
    """Follows the bytes of one connection, head after head."""

    __slots__ = (
        "_alone",
        "_before",
        "_boundary",
        "_cap",
        "_data",
        "_last",
        "_lead",
        "_pieces",
        "_size",
        "_tail",
    )

    def __init__(self, cap: int) -> None:
        """Args: cap: bytes of an unfinished head that are too many."""
        self._cap = cap
        self._data = b""
        self._boundary = True
        """The bytes at hand begin where a request may begin."""
        self._alone = True
        """The request is the first one within its bytes, and they begin with it."""
        self._pieces: list[bytes] = []
        """The earlier bytes of an unfinished head."""
        self._size = 0
        """Of ``_pieces``, as far as it is sure that they are the head's."""
        self._tail = self._before = self._lead = b""
        """The last two bytes read; those before the bytes at hand; those before the ones that began the request."""
        self._last: Headers = []
        """The fields of the request before."""

    def feed(self, data: bytes, *, boundary: bool) -> None:
        """These come next. ``boundary``: no request is under way."""
        self._data = data
        self._before = self._tail
        self._tail = data[-2:] if len(data) > 1 else (self._tail + data)[-2:]
        self._boundary = boundary

    def begun(self, *, first: bool) -> None:
        """A request begins within the bytes at hand; ``first``: no other did before it."""
        self._alone = self._boundary and first
        self._lead = self._before
        if not self._alone:
            self._pieces = []
        self._size = -1

    def unfinished(self) -> None:
        """The bytes at hand are over, and the head is not (D1, D6).

        Raises:
            GatewayError: it is too large already.
        """
        self._pieces.append(self._data)
        self._size = 0 if self._size < 0 else self._size + len(self._data)
        if self._size > self._cap:
            raise GatewayError(errors.HEADERS_TOO_LARGE)

    def blank(self) -> None:
        """The bytes at hand were empty lines and nothing else. Raises: GatewayError: not again."""
        self._pieces.append(self._data)
        if len(self._pieces) > _BLANKS:
            raise GatewayError(errors.BAD_REQUEST)

    def is_exact(self, method: bytes, target: bytes, version: bytes) -> bool:
        """One blank between the words (RFC 9112 §3), whole empty lines before them (§2.2), and no RTSP or ICE."""
        raw = b"".join([*self._pieces, self._data]) if self._pieces else self._data
        line = b"".join((method, b" ", target, b" HTTP/", version, b"\r\n"))
        if raw.startswith(line):
            return True
        if self._alone:
            return bool(re.match(rb"(?:\r\n)+" + re.escape(line), raw))
        # A body that a length ended is followed by whatever came next, not by the end of a line.
        length = any(name == b"content-length" for name, _ in self._last)
        return line in raw if length else b"\r\n" + line in self._lead + raw

    def complete(self, headers: Headers) -> None:
        """The head has ended, with these fields."""
        self._last = headers
        self._pieces = []
