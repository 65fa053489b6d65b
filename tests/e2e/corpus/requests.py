"""Generated requests, and what must become of each: the reference that the gateway is held against."""

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from gateway.core.headers import Header
from tests.e2e.corpus import making
from tests.e2e.corpus.making import Chunked

OURS = {b"host", b"authorization", b"via", b"content-length", b"transfer-encoding"}
"""Fields that the gateway writes itself, with those that begin with ``x-forwarded-``."""

_PATH = b"abcXYZ019-._~!$&'()*+,=:@"
_QUERY = bytes(b for b in range(0x21, 0x7F) if b != 0x23)


@dataclass(frozen=True)
class Flaw:
    """One thing that makes a request none; ``statuses`` are those that may answer it."""

    name: str
    lines: tuple[bytes, ...] = ()
    """Put among the fields."""
    line: tuple[bytes, bytes] | None = None
    """Replaced in the request line."""
    tail: tuple[bytes, bytes] | None = None
    """Replaced in the framed body, once."""
    statuses: frozenset[int] = frozenset({400})


FLAWS = [
    *(
        Flaw(line.decode("latin-1"), lines=(line,))
        for line in (
            b"X A: b",
            b"X-A : b",
            b" folded",
            b"\tfolded",
            b"X-A: a\x00b",
            b"X-A: a\rb",
            b"X-A: a\nb",
            b"X-A: a\x7fb",
            b"no colon",
            b": no name",
            b"X\x80: b",
            b"Host: another.example",
            b"Content-Length: +1",
            b"Content-Length: 1, 1",
            b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding: gzip",
            b"Transfer-Encoding : chunked",
            b"Content-Length: 18446744073709551617",
        )
    ),
    Flaw("two lengths", lines=(b"Content-Length: 2", b"Content-Length: 3")),
    Flaw("both framings", lines=(b"Content-Length: 2", b"Transfer-Encoding: chunked")),
    Flaw("a space in the target", line=(b" HTTP/", b" x HTTP/")),
    Flaw("a fragment", line=(b" HTTP/", b"#x HTTP/")),
    Flaw("a control byte in the target", line=(b" HTTP/", b"\x01 HTTP/")),
    Flaw("another version", line=(b"HTTP/1", b"HTTP/2"), statuses=frozenset({400, 505})),
    Flaw("another protocol", line=(b"HTTP/1", b"HTCPCP/1")),
    Flaw("an odd method", line=(b" ", b"\x00 "), statuses=frozenset({400})),
    Flaw("an unknown method", line=(b" ", b"COW "), statuses=frozenset({400})),
    Flaw("a head too large", lines=(b"X-A: " + b"x" * 70_000,), statuses=frozenset({431})),
    Flaw("too many fields", lines=(b"X-A: b",) * 101, statuses=frozenset({431})),
    Flaw("a target too long", line=(b" HTTP/", b"x" * 17_000 + b" HTTP/"), statuses=frozenset({414})),
    Flaw("a size that is none", tail=(b"0", b"0x0")),
    Flaw("a bare LF in the framing", tail=(b"\r\n", b"\n")),
    Flaw("a byte too many", tail=(b"\r\n", b"\r\nX")),
    Flaw("a signed size", tail=(b"0", b"-0")),
]


@dataclass(frozen=True, repr=False)
class Request:
    """One request of a client's."""

    method: bytes = b"GET"
    target: bytes = b"/p/x"
    absolute: bool = False
    host: bytes = b"gateway.example"
    version: bytes = b"1.1"
    fields: list[Header] = field(default_factory=list)
    blanks: tuple[bytes, bytes] = (b" ", b"")
    """Before and behind each value."""
    connection: list[bytes] = field(default_factory=list)
    """Members of ``Connection``."""
    upgrade: bytes | None = None
    """A protocol that nobody on the way speaks."""
    body: bytes | None = None
    chunked: Chunked | None = None
    expects: bool = False
    credential: str = "good"
    flaw: Flaw | None = None

    def __repr__(self) -> str:
        return f"Request({self.wire(b'TOKEN')!r:.3000}, {self.flaw.name if self.flaw else ''})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001  # as Hypothesis calls it
        printer.text(repr(self))

    def wire(self, token: bytes) -> bytes:
        """The client's bytes."""
        target = b"http://" + self.host + self.target if self.absolute else self.target
        line = b"%b %b HTTP/%b" % (self.method, target, self.version)
        lines = [b"%b:%b%b%b" % (n, self.blanks[0], v, self.blanks[1]) for n, v in self._written(token)]
        lines += [b"%b: %b" % f for f in self._framing()]
        tail = b""
        if self.body is not None:
            tail = self.chunked.wire(self.body) if self.chunked else self.body
        if self.flaw is not None:
            lines[1:1] = self.flaw.lines
            line = line.replace(*self.flaw.line, 1) if self.flaw.line else line
            tail = tail.replace(*self.flaw.tail, 1) if self.flaw.tail else tail
        return b"\r\n".join([line, *lines, b"", tail])

    def _written(self, token: bytes) -> list[Header]:
        own = [(b"Host", self.host), *self.fields]
        if self.credential != "none":
            own.append((b"authorization", b"Bearer " + (token if self.credential == "good" else b"nonsense")))
        members = self.connection + ([b"upGrade"] if self.upgrade else [])
        if members:
            own.insert(2, (b"Connection", b" ,".join(members)))
        if self.upgrade:
            own.append((b"Upgrade", self.upgrade))
        if self.expects:
            own.append((b"Expect", b"100-continue"))
        return own

    def _framing(self) -> list[Header]:
        if self.chunked is not None:
            return [(b"transfer-Encoding", b"Chunked")]
        return [(b"Content-Length", b"%d" % len(self.body))] if self.body is not None else []

    @property
    def statuses(self) -> frozenset[int]:
        """Of its answer; one of them. 200 means that it was forwarded."""
        refused = frozenset({401}) if self.credential != "good" else frozenset()
        if self.flaw is None:
            return refused or frozenset({200})
        return self.flaw.statuses | refused if self.flaw.tail else self.flaw.statuses

    @property
    def forwarded(self) -> bool:
        return self.flaw is None and self.credential == "good"

    @property
    def last(self) -> bool:
        """Nothing behind it is read."""
        members = [m.lower() for m in self.connection]
        old = self.version == b"1.0" and b"keep-alive" not in members
        return self.flaw is not None or b"close" in members or old

    @property
    def arrives(self) -> list[Header]:
        """Of the client's fields those that go on, names in lower case."""
        hops = {m.lower().replace(b"_", b"-") for m in self.connection}
        return [(n.lower(), v) for n, v in self.fields if n.lower().replace(b"_", b"-") not in hops]


def _targets() -> st.SearchStrategy[bytes]:
    segment = st.binary(min_size=1, max_size=6).map(lambda data: bytes(_PATH[b % len(_PATH)] for b in data))
    sound = segment.filter(lambda s: s not in (b".", b".."))
    segments = st.lists(st.one_of(sound, st.sampled_from([b"%20", b"%C3%A9", b"a%25b"])), max_size=3)
    text = st.binary(max_size=8).map(lambda data: b"?" + bytes(_QUERY[b % len(_QUERY)] for b in data))
    return st.builds(
        lambda parts, query: b"/p/" + b"/".join(parts) + query, segments, st.one_of(st.just(b""), text)
    )


_METHODS = [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND"]
_ROUTINE: dict[str, st.SearchStrategy[Any]] = {
    "target": _targets(),
    "absolute": st.sampled_from([False] * 5 + [True]),
    "host": st.sampled_from(
        [b"gateway.example", b"Gateway.Example:8080", b"127.0.0.1", b"[::1]:80", b"a_b.example."]
    ),
    "version": st.sampled_from([b"1.1"] * 19 + [b"1.0"]),
    "blanks": st.sampled_from([(b" ", b""), (b"", b""), (b"\t", b" "), (b"  ", b"\t ")]),
    "upgrade": st.sampled_from([None] * 5 + [b"h2c", b"TLS/1.0, foo"]),
    "credential": st.sampled_from(["good"] * 6 + ["bad", "none"]),
}
"""What depends on nothing else of the request."""
_CLOSING = st.sampled_from([None] * 20 + [[b"close"], [b"Keep-Alive"], [b"x", b"CLOSE"]])
_MAY_BODY = st.one_of(st.none(), making.bodies())
_MAY_CHUNKS = st.one_of(st.none(), making.chunkings())
_EXPECTING = st.sampled_from([False] * 5 + [True])
_ANY_METHOD = {head: st.sampled_from(_METHODS + ([b"HEAD"] if head else [])) for head in (False, True)}


@st.composite
def requests(draw: st.DrawFn, flaw: Flaw | None = None) -> Request:
    """Any request, sound or unauthorized; with a ``flaw``, broken in that place."""
    routine = {name: draw(strategy) for name, strategy in _ROUTINE.items()}
    fields, body = draw(making.fields()), draw(_MAY_BODY)
    chunked = draw(_MAY_CHUNKS) if body is not None and routine["version"] == b"1.1" else None
    if flaw is not None and flaw.tail:
        routine["version"], body, chunked = b"1.1", body or b"x", chunked or draw(making.chunkings())
    return Request(
        # How much of a HEAD was understood decides whether its refusal has a body.
        method=draw(_ANY_METHOD[flaw is None and body is None]),
        fields=fields,
        connection=draw(_CLOSING) or making.hops(fields, draw(making.HOPS)),
        body=body,
        chunked=chunked,
        expects=draw(_EXPECTING) and routine["credential"] == "good",
        flaw=flaw,
        **routine,
    )


_CHANGES = st.sampled_from(["nothing", "values", "values", "target", "both"])


@st.composite
def series(draw: st.DrawFn) -> list[Request]:
    """Sound requests of one client, one like the other but for values of fields and the target."""
    first = draw(requests())
    kept = [member for member in first.connection if member.lower() != b"close"]
    first = replace(first, version=b"1.1", connection=kept, expects=False, credential="good")
    sent = [first, first]
    for _ in range(draw(st.integers(1, 5))):
        what, last = draw(_CHANGES), sent[-1]
        if what in ("values", "both"):
            fields = [(n, draw(making.values()) if draw(st.booleans()) else v) for n, v in last.fields]
            last = replace(last, fields=fields)
        if what in ("target", "both"):
            last = replace(last, target=draw(_ROUTINE["target"]))
        sent.append(last)
    return sent
