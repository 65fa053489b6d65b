"""Response heads that have come before, to the byte: what the parser found in them still holds.

An API's answers to the same question often begin with the same head, if they come within one second; to parse it
is the larger part of reading a small answer. Here a head that the parser has accepted is remembered whole. Only
what holds whatever was asked and whatever follows: HTTP/1.1, one message, a length or no body at all.
"""

from gateway.core.bounded import Learnt
from gateway.core.headers import Headers
from gateway.core.shapes import Shape
from gateway.upstream.parser import ResponseParser

_MOST = 256
_LONGEST = 2048
"""Bytes of a head that is remembered (D6)."""
_NEVER = (b"transfer-encoding", b"upgrade", b"set-cookie")
"""Framed otherwise, another protocol's, or somebody's secret, which would be another's each time."""

BODILESS = (204, 304)
"""RFC 9112 §6.3."""


class KnownHead:
    """A head, and what it means."""

    __slots__ = ("data", "headers", "length", "persists", "shape", "size", "status")

    def __init__(
        self, data: bytes, status: int, headers: Headers, shape: Shape, length: int | None, *, persists: bool
    ) -> None:
        self.data = data
        """All of it, from the status line to the empty one."""
        self.size = len(data)
        self.status = status
        self.headers = headers
        self.shape = shape
        self.length = length
        """The ``Content-Length``; None only where there can be no body."""
        self.persists = persists
        """The upstream would keep the connection (RFC 9112 §9.3)."""


class KnownHeads:
    """Those of one upstream."""

    def __init__(self) -> None:
        self._heads: Learnt[bytes, KnownHead] = Learnt(_MOST)
        self._last: KnownHead | None = None

    def look(self, data: bytes) -> KnownHead | bytes:
        """What ``data`` begins with: a known head, or the bytes of one to ``learn``; empty: of neither."""
        last = self._last
        if last is not None and data.startswith(last.data):
            return last
        end = data.find(b"\r\n\r\n", 0, _LONGEST) + 4
        if end < 4 or not data.startswith(b"HTTP/1.1 "):  # noqa: PLR2004
            return b""
        data = data[:end]
        known = self._heads.get(data)
        if known is None:
            return data
        self._last = known
        return known

    def learn(self, data: bytes, parser: ResponseParser) -> KnownHead | None:
        """``parser`` has read ``data`` as the head of a final response, and nothing before it; not one to HEAD.

        None: it is not to be remembered.
        """
        shape, at = parser.shape, parser.shape.at
        if parser.length is None and parser.status not in BODILESS:
            return None
        if any(name in at for name in _NEVER) or data.count(b"\r\n") != len(shape.names) + 2:
            return None
        known = KnownHead(data, parser.status, parser.headers, shape, parser.length, persists=parser.keep_alive)
        self._heads.learn(data, known)
        return known
