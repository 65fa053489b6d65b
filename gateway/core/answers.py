"""A final answer's head for the client: its bytes, and how its body will be framed (RFC 9112 §6). Pure."""

from collections.abc import Iterator, Sequence
from enum import Enum
from http import HTTPStatus
from typing import NamedTuple

from gateway.core.headers import Header, Headers
from gateway.core.response_head import Change
from gateway.core.shapes import shape_of
from gateway.core.wire import field_lines

_PHRASES = {int(status): status.phrase.encode() for status in HTTPStatus}

STATUS_LINES = {status: b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES.get(status, b"")) for status in range(100, 600)}

_BODILESS = (204, 304)
_HIGHEST = 599


class Framing(Enum):
    """How the end of a body is found (RFC 9112 §6.3)."""

    NONE = "none"
    """There is no body, whatever the fields say: HEAD, 204, 304."""
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"
    """By the end of the connection: an HTTP/1.0 client, which knows no chunks."""


_NONE, _LENGTH, _CHUNKED, _CLOSE = Framing  # in names of our own: on the hot path a member's look-up counts


class AnswerHead(NamedTuple):
    """What to write, and what then follows."""

    data: bytes
    framing: Framing
    length: int
    """Bytes of the body with ``Framing.LENGTH``; otherwise 0."""
    keep_alive: bool
    """The connection may carry another request."""


class AnswerFields:
    """An answer's fields, written, and what they say of its end. Nobody changes it."""

    __slots__ = ("closes", "length", "lines")

    def __init__(self, lines: bytes, length: int | None, *, closes: bool) -> None:
        self.lines = lines
        self.length = length
        """The ``Content-Length`` among them."""
        self.closes = closes
        """There is a ``Connection: close`` among them."""


class AnswerForm:
    """An answer's fields, made of the head of one response; for heads that differ from it in values, filled in."""

    __slots__ = ("_at", "_lines", "fields")

    def __init__(self, lines: Sequence[bytes], mask: bytes, added: bytes, length: int | None) -> None:
        """Args:
        lines: of the response, as ``core.wire`` writes them, without the ends.
        mask: a byte for each of them: 1 if the client gets it.
        added: our own, written.
        length: the ``Content-Length`` among those that the client gets.
        """
        self._lines: list[bytes] = []
        self._at: dict[int, int] = {}
        """Of the place of a line there, its place here."""
        for place, line in enumerate(lines):
            if mask[place]:
                self._at[place] = len(self._lines)
                self._lines.append(line + b"\r\n")
        self._lines.append(added)
        self.fields = AnswerFields(b"".join(self._lines), length, closes=False)

    def amended(self, changes: list[Change], length: int | None) -> AnswerFields:
        """With these lines of another head in the places of its own, and its length."""
        lines = self._lines.copy()
        for place, line in changes:
            at = self._at.get(place)
            if at is not None:
                lines[at] = line + b"\r\n"
        counted = self.fields.length is not None
        return AnswerFields(b"".join(lines), length if counted else None, closes=False)


class Written:
    """``headers`` of an ASGI message that are written already: our own protocol need not do it again."""

    __slots__ = ("fields",)

    def __init__(self, fields: AnswerFields) -> None:
        self.fields = fields

    def __iter__(self) -> Iterator[Header]:
        """As ASGI has them: pairs of names and values."""
        for line in self.fields.lines.splitlines():
            name, _, value = line.partition(b": ")
            yield name, value


def answer_head(status: int, headers: Headers, *, method: str, version: str, keep_alive: bool) -> AnswerHead:
    """The head of the answer to a ``method`` request of HTTP ``version``.

    Args:
        status: final.
        headers: the fields in their order and case. They may say the length and ``Connection: close``.
        method: as it came.
        version: ``1.1`` or ``1.0``.
        keep_alive: the client, and we, would keep the connection.

    Raises:
        UnwritableFields: a field cannot be written as one (P17).
        ValueError: a status that is none, or a length that is no number: a mistake of ours.
    """
    fields = answer_fields(headers)
    return AnswerHead(*written_head(status, fields, method=method, version=version, keep_alive=keep_alive))


def answer_fields(headers: Headers) -> AnswerFields:
    """The fields in their order and case. Raises: UnwritableFields, ValueError: see ``answer_head``."""
    shape = shape_of(tuple([name for name, _ in headers]))
    length, closes = None, False
    if b"content-length" in shape.at:
        length = int(shape.values(headers, b"content-length")[-1])
    if b"connection" in shape.at:
        closes = any(b"close" in value.lower() for value in shape.values(headers, b"connection"))
    return AnswerFields(field_lines(headers), length, closes=closes)


def written_head(
    status: int, fields: AnswerFields, *, method: str, version: str, keep_alive: bool
) -> tuple[bytes, Framing, int, bool]:
    """The members of ``answer_head``, where the fields have been written already. Raises: ValueError: see there."""
    if not 200 <= status <= _HIGHEST:  # noqa: PLR2004  # 1xx is no final answer
        raise ValueError(status)
    length, closes = fields.length, fields.closes
    framing = _framing(method, status, length, version)
    keep_alive = keep_alive and not closes and framing is not _CLOSE
    added = b"transfer-encoding: chunked\r\n" if framing is _CHUNKED else b""
    if not keep_alive and not closes:
        added += b"connection: close\r\n"
    elif keep_alive and version == "1.0":
        added += b"connection: keep-alive\r\n"
    data = b"".join((STATUS_LINES[status], fields.lines, added, b"\r\n"))
    return data, framing, length or 0 if framing is _LENGTH else 0, keep_alive


def _framing(method: str, status: int, length: int | None, version: str) -> Framing:
    if method == "HEAD" or status in _BODILESS:
        return _NONE
    if length is not None:
        return _LENGTH
    return _CHUNKED if version == "1.1" else _CLOSE
