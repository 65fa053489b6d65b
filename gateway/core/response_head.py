"""The head of one response, and of those that differ from it in values only. Pure.

The lines of an API's answers are few: Server, Date, Content-Type, CORS, and one or two that differ. What was
decided for a head holds for another one that has the same lines but for values that mean nothing to a parser.
"""

from gateway.core.headers import Headers
from gateway.core.shapes import Shape
from gateway.core.wire import TEXT

_MEANING = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"trailer", b"transfer-encoding", b"upgrade", b"location"}
)
"""Fields whose values mean something to the parser, or that cross the gateway changed."""
_DIGITS = 15
"""Of a length that needs no parser."""
_BLANK = 0x20
_LENGTH_AT = len(b"content-length: ")
_FREE = 4
"""Places of one pattern: more than that differ in few APIs, and each costs a look."""

Change = tuple[int, bytes]
"""The place of a line, and the line."""


class ResponseHead:
    """One head, or several that are equal to the byte."""

    __slots__ = (
        "_headers",
        "_lines",
        "base",
        "changes",
        "first",
        "known",
        "lasting",
        "length",
        "pattern",
        "persists",
        "shape",
        "size",
        "status",
        "version",
    )

    def __init__(
        self, status: int, version: str, shape: Shape, lines: list[bytes], length: int | None, *, lasting: bool
    ) -> None:
        """Args: lines: as ``core.wire`` would write them, one for each name of ``shape``."""
        self.status = status
        self.version = version
        """``1.1`` or ``1.0``."""
        self.shape = shape
        self._lines = lines
        self.length = length
        """The ``Content-Length``: the parser refuses all but one number."""
        self.lasting = lasting
        """Each of its lines is remembered."""
        self.persists = False
        """The upstream would keep the connection (RFC 9112 §9.3)."""
        self.size = 0
        """Bytes, from the status line to the empty one, of a head that others may be compared with."""
        self.first = b""
        """Its status line."""
        self.base: ResponseHead | None = None
        """The head that this one differs from in some values, and in nothing else."""
        self.changes: list[Change] = []
        """Those lines."""
        self.known = False
        """It has come more than once: the next one that is equal to it is this object."""
        self.pattern: Pattern | None = None
        """Of those that differ from it, and are as long as it is."""
        self._headers: Headers | None = None

    @property
    def lines(self) -> list[bytes]:
        """The fields, one for each name of ``shape``, as ``core.wire`` would write them. Not to be changed."""
        lines = self._lines
        if not lines and self.base is not None:
            lines = self._lines = self.base.lines.copy()
            for place, line in self.changes:
                lines[place] = line
        return lines

    @property
    def headers(self) -> Headers:
        """The fields as pairs."""
        if self._headers is None:
            named = zip(self.shape.names, self.lines, strict=True)
            self._headers = [(name, line[len(name) + 2 :]) for name, line in named]
        return self._headers

    def varied(self, text: bytes) -> "ResponseHead | None":
        """The head that ``text`` is, up to and with the empty line, if it is such a one of this; else None."""
        lines = text[:-4].split(b"\r\n")
        if lines.pop(0) != self.first or len(lines) != len(self.lines):
            return None
        changes: list[Change] = []
        for place, (old, new) in enumerate(zip(self.lines, lines, strict=True)):
            if old != new:
                if not self.may_say(place, new):
                    return None
                changes.append((place, new))
        return self.changed(changes, len(text))

    def changed(self, changes: list[Change], size: int) -> "ResponseHead":
        """With these lines, each of which it ``may_say``. ``size``: bytes of it all."""
        length, shape = self.length, self.shape
        if length is not None:
            counted = shape.at[b"content-length"][0]
            for place, line in changes:
                if place == counted:
                    length = int(line[_LENGTH_AT:])
        head = ResponseHead(self.status, self.version, shape, [], length, lasting=False)
        head.base, head.changes, head.size, head.persists = self, changes, size, self.persists
        return head

    def may_say(self, place: int, line: bytes) -> bool:
        """``line`` could stand in the place of one of these, and no parser would see another message in it."""
        name = self.shape.names[place]
        at = len(name) + 2
        lowered = name.lower()
        if line[:at] != name + b": " or lowered in _MEANING or len(self.shape.at[lowered]) > 1:
            return False
        return _plain(line[at:], number=lowered == b"content-length")


def _plain(value: bytes, *, number: bool) -> bool:
    """A field's value without blanks around it, and nothing else."""
    if number:
        return value.isdigit() and len(value) <= _DIGITS
    if value.isalnum():  # as most ids are
        return True
    return value != b"" and value[0] > _BLANK and value[-1] > _BLANK and not value.translate(None, TEXT)


class Pattern:
    """Heads that are as long as ``base`` and differ from it in the values at some places: found without a parser,
    and without a look at each line.
    """

    __slots__ = ("_base", "_fixed", "_free", "_places")

    def __init__(self, base: ResponseHead, places: set[int]) -> None:
        """Args: places: of lines whose values may differ, as far as it ``may_say`` others."""
        self._base = base
        self._places = places
        self._fixed: list[tuple[int, bytes]] = []
        """Where each of the texts begins that are as in ``base``."""
        self._free: list[tuple[int, int, int, int, bool]] = []
        """A place; where its line begins, its value begins, and both end; and whether it is a number."""
        text = b"\r\n".join((base.first, *base.lines, b"", b""))
        begun, at = 0, len(base.first) + 2
        for place, (name, line) in enumerate(zip(base.shape.names, base.lines, strict=True)):
            value, end = at + len(name) + 2, at + len(line)
            if place in places:
                self._fixed.append((begun, text[begun:value]))
                self._free.append((place, at, value, end, name.lower() == b"content-length"))
                begun = end
            at = end + 2
        self._fixed.append((begun, text[begun:]))

    def with_places_of(self, head: ResponseHead) -> "Pattern":
        """One for heads like ``head`` of the same base, too; where that would be too much, for these alone."""
        wider = self._places.union(place for place, _ in head.changes)
        return Pattern(self._base, wider) if len(wider) <= _FREE else pattern_of(self._base, head) or self

    def match(self, data: bytes) -> ResponseHead | None:
        """The head that ``data`` begins with, if it is one of these."""
        for at, text in self._fixed:
            if not data.startswith(text, at):
                return None
        changes: list[Change] = []
        for place, begin, value, end, number in self._free:
            if not _plain(data[value:end], number=number):
                return None
            changes.append((place, data[begin:end]))
        return self._base.changed(changes, self._base.size)


def pattern_of(base: ResponseHead, head: ResponseHead) -> Pattern | None:
    """Of heads that differ from ``base`` where ``head`` does; None: at too many places."""
    places = {place for place, _ in head.changes}
    return Pattern(base, places) if len(places) <= _FREE else None
