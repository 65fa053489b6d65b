"""Generated traffic: what clients say, one thing after another, and what the upstream does with it.

Most of it is what a gateway sees all day, a head that comes again and again. The rest is that head with one thing
changed, and everything odd that ``requests`` and ``replies`` know.
"""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.e2e.corpus import making
from tests.e2e.corpus.replies import FLAWS as REPLY_FLAWS
from tests.e2e.corpus.replies import Reply, replies
from tests.e2e.corpus.requests import FLAWS as REQUEST_FLAWS
from tests.e2e.corpus.requests import Request, requests
from tests.e2e.corpus.staples import CHALLENGE, CREDENTIALS, CROSSING, SHARED, TARGETS, UNUSUAL, USUAL


@dataclass(frozen=True)
class Act:
    """What the upstream does with one request."""

    reply: Reply = Reply()  # noqa: RUF009  # frozen
    cuts: tuple[int, ...] = ()
    silent: bool = False
    """It closes the connection without a byte."""


@dataclass(frozen=True)
class Ask:
    """One request: bytes with places for what each side has of its own."""

    request: Request
    change: tuple[int, int] | None = None
    """A place in the bytes, and another byte for it."""

    def wire(self) -> bytes:
        data = self.request.wire(SHARED[0])
        if self.change is None:
            return data
        at, byte = self.change[0] % len(data), self.change[1]
        inside = data.rfind(b"{", 0, at + 1) > data.rfind(b"}", 0, at)
        return data if inside or byte in b"{}" else data[:at] + bytes([byte]) + data[at + 1 :]


@dataclass(frozen=True)
class Say:
    """Some requests at once on one connection, and the upstream's part."""

    line: int
    """Which of the client's connections; each has an address of its own."""
    asks: tuple[Ask, ...]
    acts: tuple[Act, ...]
    cuts: tuple[int, ...] = ()
    times: int = 1
    """All of it so often, one after the other."""

    @property
    def refreshes(self) -> bool:
        """A refresh token is among what is said."""
        return any(b".refresh}" in ask.wire() for ask in self.asks)


@dataclass(frozen=True)
class Meanwhile:
    """What the upstream does with the connections that nobody uses."""

    data: bytes = b""
    closes: bool = False


Step = Say | Meanwhile

_METHODS = st.sampled_from(
    [b"GET"] * 16 + [b"HEAD", b"HEAD", b"POST", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"REPORT"]
)
_CREDENTIALS = st.sampled_from(CREDENTIALS)
_TARGETS = st.sampled_from(TARGETS)
_POOL = st.one_of(st.sampled_from(USUAL), st.sampled_from(UNUSUAL))
_SOME = st.lists(st.sampled_from(USUAL), max_size=4)
_CLOSING = st.sampled_from([[]] * 12 + [[b"close"], [b"x", b"CLOSE"]])
_BODIES = st.one_of(st.just(b""), st.just(b"hello"), making.bodies())
_MAY_CHUNKS = st.one_of(st.none(), making.chunkings())
_TEXTS = [b"a", b"b; c=d", b"x" * 40, b"192.0.2.3", b"", b"close", b"x" * 33_000]
_VALUES = st.one_of(st.sampled_from(_TEXTS), making.values())
_PLACES = st.lists(st.integers(0, 3), min_size=1, max_size=4)
_CREDENTIAL = (b"authorization", b"x-refresh-token")
_BYTES = st.tuples(st.integers(0, 1 << 12), st.integers(0, 255))
_NOWHERE = st.just(())
_CUTS = st.one_of(
    *([_NOWHERE] * 7), st.lists(st.integers(0, 1 << 20), max_size=6).map(tuple), making.cuts().map(tuple)
)


@st.composite
def _plain(draw: st.DrawFn) -> Request:
    """What a client sends all day."""
    method = draw(_METHODS)
    body = draw(_BODIES) if method in (b"POST", b"PUT") else None
    return Request(
        method=method,
        target=draw(_TARGETS),
        fields=[*draw(_SOME), *draw(_CREDENTIALS)],
        connection=draw(_CLOSING),
        body=body,
        chunked=draw(_MAY_CHUNKS) if body is not None else None,
        credential="none",
    )


@st.composite
def _varied(draw: st.DrawFn, base: Request) -> Ask:
    """The same again, or with one thing changed."""
    what = draw(_VARIATIONS)
    if what == "byte" and base.body is None:
        return Ask(base, draw(_BYTES))
    changes: dict[str, Any] = {}
    if what == "field":
        changes["fields"] = [draw(_POOL), *base.fields]
    elif what == "value":
        new = dict.fromkeys(draw(_PLACES), draw(_VALUES))
        changes["fields"] = [
            (n, v if n.lower() in _CREDENTIAL else new.get(at, v)) for at, (n, v) in enumerate(base.fields)
        ]
    elif what == "credential":
        kept = [f for f in base.fields if f[0].lower() not in _CREDENTIAL]
        changes["fields"] = [*kept, *draw(_CREDENTIALS)]
    elif what == "target":
        changes["target"] = draw(_TARGETS)
    elif what == "version":
        changes["version"] = b"1.0"
        changes["chunked"] = None
    elif what == "method" and base.body is None:
        changes["method"] = draw(_METHODS)
    elif what == "blanks":
        changes["blanks"] = (b"", b" \t")
    return Ask(replace(base, **changes))


_VARIATIONS = st.sampled_from(
    ["same"] * 9
    + ["byte"] * 4
    + ["value"] * 5
    + ["field"] * 3
    + ["credential"] * 2
    + ["target"] * 2
    + ["version", "method", "blanks"]
)
_ODD = st.one_of([requests(), requests(), *(requests(flaw) for flaw in REQUEST_FLAWS)]).map(Ask)
_SHAPES = st.sampled_from(["varied"] * 8 + ["new", "new", "odd"])

_THEIRS = st.lists(st.sampled_from(CROSSING), max_size=4)
_REFUSED = st.sampled_from([False] * 6 + [True])
_SILENCE = st.sampled_from([False] * 15 + [True])
_ANSWERS = st.sampled_from(["plain"] * 6 + ["any"] * 3 + ["broken"])
_STATUSES = st.sampled_from([200] * 8 + [201, 204, 302, 304, 401, 404, 500])
_ANY_REPLY = replies()
_BROKEN = st.one_of([replies(flaw) for flaw in REPLY_FLAWS])
_SMALL = st.sampled_from([b"", b"hello", b"x" * 1024, b"y" * 200_000])


@st.composite
def _replies(draw: st.DrawFn) -> Reply:
    kind = draw(_ANSWERS)
    if kind != "plain":
        reply = draw(_ANY_REPLY if kind == "any" else _BROKEN)
    else:
        reply = Reply(status=draw(_STATUSES), body=draw(_SMALL))
    fields = [*reply.fields, *draw(_THEIRS)]
    if draw(_REFUSED) and reply.flaw is None:
        return replace(reply, status=401, fields=[CHALLENGE, *fields])
    return replace(reply, fields=fields)


@st.composite
def _acts(draw: st.DrawFn) -> Act:
    reply = draw(_replies())
    return Act(reply, draw(_CUTS if reply.flaw is None else _OFTEN), draw(_SILENCE))


_OFTEN = st.one_of(_NOWHERE, st.lists(st.integers(0, 1 << 20), min_size=1, max_size=6).map(tuple))
_MEANWHILE = st.builds(
    Meanwhile,
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL", b"\r\n", b"HTTP/1.1 408 Late\r\n"]),
    st.booleans(),
)
_LINES = st.sampled_from([0, 0, 0, 1, 2])
_HOW_MANY = st.sampled_from([1] * 8 + [2, 3])
_TIMES = st.sampled_from([1, 1, 1, 2, 4])
_TURNS = st.sampled_from([True] * 11 + [False])
_SOME_ACTS = st.one_of(_NOWHERE, st.lists(_acts(), max_size=3).map(tuple))


@st.composite
def plays(draw: st.DrawFn) -> list[Step]:
    """A conversation: up to ten steps."""
    base = draw(_plain())
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, 10))):
        if not draw(_TURNS):
            steps.append(draw(_MEANWHILE))
            continue
        asks: list[Ask] = []
        for _ in range(draw(_HOW_MANY)):
            shape = draw(_SHAPES)
            if shape == "new":
                base = draw(_plain())
            asks.append(draw(_ODD) if shape == "odd" else draw(_varied(base)))
        steps.append(_timed(Say(draw(_LINES), tuple(asks), draw(_SOME_ACTS), draw(_CUTS), draw(_TIMES))))
    return steps


def _timed(say: Say) -> Say:
    """With a refresh beside it, an answer comes in one piece: which of them is first would be a matter of luck."""
    return replace(say, acts=tuple(replace(act, cuts=()) for act in say.acts)) if say.refreshes else say
