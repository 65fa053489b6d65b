"""Generated answers of an upstream, and what the client must make of each."""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from hypothesis import strategies as st

from gateway.core.headers import Header
from tests.e2e.corpus import making
from tests.e2e.corpus.making import Chunked

OURS = {b"via", b"date", b"transfer-encoding", b"connection"}
"""Fields that the gateway writes itself."""

_STATUSES = [
    200,
    200,
    200,
    201,
    203,
    204,
    206,
    299,
    301,
    304,
    307,
    400,
    401,
    404,
    409,
    418,
    429,
    451,
    500,
    503,
    599,
]
_BODILESS = (204, 304)


class Fate(Enum):
    """What the client sees of an answer."""

    WHOLE = "it is passed on"
    REFUSED = "502"
    CUT = "502, or a body that breaks off"


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong with an answer."""

    name: str
    fate: Fate
    lines: tuple[bytes, ...] = ()
    """Put among the fields."""
    line: tuple[bytes, bytes] | None = None
    """Replaced in the status line."""
    drop: int = 0
    """Bytes taken from the end; then the upstream closes."""
    tail: tuple[bytes, bytes] | None = None
    """Replaced in the framed body, once."""
    more: bytes = b""
    """Behind the end."""


FLAWS = [
    *(
        Flaw(line.decode("latin-1"), Fate.REFUSED, lines=(line,))
        for line in (
            b"X A: b",
            b"X-A : b",
            b" folded",
            b"X-A: a\x00b",
            b"X-A: a\rb",
            b"X-A: a\nb",
            b"X-A: a\x1bb",
            b"no colon",
            b": no name",
            b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding: gzip, chunked",
            b"Content-Length: 1, 1",
            b"Content-Length: -1",
        )
    ),
    Flaw("two lengths", Fate.REFUSED, lines=(b"Content-Length: 2", b"Content-Length: 3")),
    Flaw("both framings", Fate.REFUSED, lines=(b"Content-Length: 2", b"Transfer-Encoding: chunked")),
    Flaw("another version", Fate.REFUSED, line=(b"HTTP/1", b"HTTP/2")),
    Flaw("another protocol", Fate.REFUSED, line=(b"HTTP/1", b"ICY/1")),
    Flaw("a long status", Fate.REFUSED, line=(b" ", b" 1")),
    Flaw("no status", Fate.REFUSED, line=(b" ", b" x")),
    Flaw("garbage before", Fate.REFUSED, line=(b"HTTP", b"\x00HTTP")),
    Flaw("the end is missing", Fate.CUT, drop=1),
    Flaw("all but the beginning is missing", Fate.CUT, drop=1 << 20),
    Flaw("a size that is none", Fate.CUT, tail=(b"0", b"0x0")),
    Flaw("a bare LF", Fate.CUT, tail=(b"\r\n", b"\n")),
    Flaw("a byte too many", Fate.CUT, tail=(b"\r\n", b"\r\nX")),
    Flaw("another answer behind", Fate.WHOLE, more=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
    Flaw("garbage behind", Fate.WHOLE, more=b"\x00\xff"),
    Flaw("an empty line behind", Fate.WHOLE, more=b"\r\n"),
]


@dataclass(frozen=True, repr=False)
class Reply:
    """One answer of an upstream's, and the method that it answers."""

    method: bytes = b"GET"
    version: bytes = b"1.1"
    status: int = 200
    phrase: bytes = b"OK"
    fields: list[Header] = field(default_factory=list)
    blanks: tuple[bytes, bytes] = (b" ", b"")
    connection: list[bytes] = field(default_factory=list)
    body: bytes = b""
    framing: str = "length"
    """``length``, ``chunked`` or ``close``."""
    chunked: Chunked | None = None
    interim: list[int] = field(default_factory=list)
    """The 1xx before it."""
    flaw: Flaw | None = None

    def __repr__(self) -> str:
        return (
            f"Reply(to {self.method!r}: {self.wire!r:.3000}, {self.framing}, {self.flaw.name if self.flaw else ''})"
        )

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001  # as Hypothesis calls it
        printer.text(repr(self))

    @property
    def bodiless(self) -> bool:
        return self.method == b"HEAD" or self.status in _BODILESS

    @property
    def wire(self) -> bytes:
        """The upstream's bytes."""
        line = b"HTTP/%b %d %b" % (self.version, self.status, self.phrase)
        lines = [b"%b:%b%b%b" % (n, self.blanks[0], v, self.blanks[1]) for n, v in self.fields]
        lines += [b"%b: %b" % f for f in self._framing()]
        if self.connection:
            lines.insert(1, b"connectioN: " + b", ".join(self.connection))
        tail = b"" if self.bodiless else self.chunked.wire(self.body) if self.chunked else self.body
        flaw = self.flaw
        if flaw is not None:
            lines[1:1] = flaw.lines
            line = line.replace(*flaw.line, 1) if flaw.line else line
            tail = tail.replace(*flaw.tail, 1) if flaw.tail else tail
            tail = tail[: -flaw.drop] if flaw.drop else tail + flaw.more
        early = b"".join(b"HTTP/1.1 %d Wait\r\nX-Early: 1\r\n\r\n" % status for status in self.interim)
        return early + b"\r\n".join([line, *lines, b"", tail])

    def _framing(self) -> list[Header]:
        if self.framing == "length":
            return [(b"content-LENGTH", b"%d" % len(self.body))]
        return [(b"Transfer-Encoding", b"chunked")] if self.framing == "chunked" else []

    @property
    def closes(self) -> bool:
        """The upstream closes behind it."""
        cut = self.flaw is not None and self.flaw.fate is not Fate.WHOLE
        members = {m.lower() for m in self.connection}
        return cut or self.framing == "close" or b"close" in members or self.version == b"1.0"

    @property
    def fate(self) -> Fate:
        return self.flaw.fate if self.flaw else Fate.WHOLE

    @property
    def crosses(self) -> list[Header]:
        """The fields that the client gets."""
        hops = {m.lower().replace(b"_", b"-") for m in self.connection}
        kept = [f for f in self.fields if f[0].lower().replace(b"_", b"-") not in hops]
        sized = self.framing == "length" and self.status not in _BODILESS
        return [*kept, *(self._framing() if sized else [])]


_ROUTINE: dict[str, st.SearchStrategy[Any]] = {
    "method": st.sampled_from([b"GET", b"GET", b"POST", b"HEAD"]),
    "version": st.sampled_from([b"1.1"] * 7 + [b"1.0"]),
    "status": st.sampled_from(_STATUSES),
    "phrase": st.sampled_from([b"OK", b"", b"Not Really", b"\xc3\xa9", b"200 OK"]),
    "blanks": st.sampled_from([(b" ", b""), (b"", b""), (b"\t", b" "), (b"  ", b"\t ")]),
    "body": making.bodies(),
    "interim": st.lists(st.sampled_from([100, 102, 103]), max_size=3),
}
"""What depends on nothing else of the answer."""
_CLOSING = st.sampled_from([None] * 4 + [[b"close"], [b"Keep-Alive"]])
_FRAMINGS = {
    version: st.sampled_from(["length", "close", *(["chunked"] * 2 if version == b"1.1" else [])])
    for version in (b"1.1", b"1.0")
}


@st.composite
def replies(draw: st.DrawFn, flaw: Flaw | None = None) -> Reply:
    """Any answer; with a ``flaw``, wrong in that place."""
    routine = {name: draw(strategy) for name, strategy in _ROUTINE.items()}
    framing = draw(_FRAMINGS[routine["version"]])
    if flaw is not None and flaw.fate is Fate.CUT:
        framing = "chunked" if flaw.tail or framing == "close" else framing
        routine |= {"method": b"GET", "status": 200, "interim": [], "body": routine["body"] or b"x"}
    if flaw is not None and flaw.more and framing == "close":
        framing = "length"
    if framing == "chunked":
        routine["version"] = b"1.1"
    fields = draw(making.fields())
    return Reply(
        fields=fields,
        connection=draw(_CLOSING) or making.hops(fields, draw(making.HOPS)),
        framing=framing,
        chunked=draw(making.chunkings()) if framing == "chunked" else None,
        flaw=flaw,
        **routine,
    )


_CHANGES = st.sampled_from(["nothing", "values", "values", "body", "status"])


@st.composite
def series(draw: st.DrawFn) -> list[Reply]:
    """Sound answers of one API, one like the other but for values of fields, the status, or the body."""
    sent = [draw(replies())] * 2
    for _ in range(draw(st.integers(1, 4))):
        what, last = draw(_CHANGES), sent[-1]
        if what == "values":
            fields = [(n, draw(making.values()) if draw(st.booleans()) else v) for n, v in last.fields]
            last = replace(last, fields=fields)
        elif what == "body":
            last = replace(last, body=draw(making.bodies()))
        elif what == "status":
            last = replace(last, status=draw(_ROUTINE["status"]))
        sent.append(last)
    return sent
