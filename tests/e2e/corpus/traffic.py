"""Generated traffic: what clients say, one thing after another, and what the upstream does with it.

Most of it is what a gateway sees all day, a head that comes again and again. The rest is that head with one thing
changed, and everything odd that ``requests`` and ``replies`` know.
"""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from gateway.core.headers import Header
from tests.e2e.corpus import making
from tests.e2e.corpus.replies import FLAWS as REPLY_FLAWS
from tests.e2e.corpus.replies import Reply, replies
from tests.e2e.corpus.requests import FLAWS as REQUEST_FLAWS
from tests.e2e.corpus.requests import Request, requests

PAIRS = ("fresh", "ahead", "hard", "expired")
"""Each side has pairs of its own of these ages: a refresh token can be presented once."""
SHARED = (b"{one}", b"{two}")
"""Two users' fresh access tokens, the same on both sides."""

_ORIGIN = b"https://app.example"
_CHALLENGE = (b"WWW-Authenticate", b'Bearer realm="api", error="invalid_token"')


def _bearer(token: bytes) -> list[Header]:
    return [(b"Authorization", b"Bearer " + token)]


def _pair(access: bytes, refresh: bytes) -> list[Header]:
    return [*_bearer(access), (b"X-Refresh-Token", refresh)]


CREDENTIALS: list[list[Header]] = [
    *([_bearer(SHARED[0])] * 9),
    *([_bearer(SHARED[1])] * 2),
    [(b"authorization", b"bearer  {one}")],
    [(b"AUTHORIZATION", b"BEARER {one} ")],
    *([_pair(b"{%b.access}" % k.encode(), b"{%b.refresh}" % k.encode()) for k in PAIRS] * 2),
    *([_pair(b"{%b.newest.access}" % k.encode(), b"{%b.newest.refresh}" % k.encode()) for k in PAIRS[1:]]),
    _bearer(b"{expired.access}"),
    _bearer(b"{forged}"),
    _bearer(b"{foreign}"),
    _bearer(b"nonsense"),
    [(b"Authorization", b"Basic YTpi")],
    [(b"Authorization", b"DPoP {one}")],
    [*_bearer(b"{one}"), *_bearer(b"{two}")],
    [*_bearer(b"{one}"), (b"X-Refresh-Token", b"a b")],
    [(b"X-Refresh-Token", b"{fresh.refresh}")],
    [],
]
"""In braces what each side fills in; ``newest``: what the client was given last for that pair."""

TARGETS = [
    *([b"/p/x"] * 16),
    *([b"/p/y?a=1&b=%20"] * 4),
    b"/",
    *([b"/off/x", b"/optional/x?b", b"/any/x", b"/never/x", b"/other/x?q"] * 2),
    b"/off/",
    b"/off",
    b"/other/",
    b"/o%74her/x",
    b"/aud/x",
    b"/get/x",
    b"/_gateway/x",
    b"/p/../off/x",
    b"/p//x",
    b"/p/%2e%2e/off/x",
    b"/off/%2fx",
    b"/p/x;a=1/y",
    b'/p/{}[]|\\^`"<>',
    b"/p/" + b"x" * 3000,
    b"http://gateway.example/p/x",
    b"http://another.example:81/off/x?a",
    b"http://gateway.example",
    b"*",
]
"""Routes are ``tests.e2e.twins.ROUTES``."""

_USUAL: list[Header] = [
    (b"Cookie", b"a=b; c=d"),
    (b"cookie", b"e=f"),
    (b"Origin", _ORIGIN),
    (b"Origin", b"https://other.example"),
    (b"If-None-Match", b'"1"'),
    (b"If-Modified-Since", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    (b"Accept", b"application/json, text/plain, */*"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
    (b"user-agent", b""),
    (b"Range", b"bytes=0-1"),
    (b"TE", b"trailers"),
    (b"Connection", b"keep-alive"),
    (b"X-Test", b"1"),
    (b"x-test", b"2"),
    (b"X-Forwarded-For", b"192.0.2.7"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Host", b"public.example"),
    (b"Forwarded", b"for=192.0.2.9;proto=https"),
    (b"Via", b"1.1 a, 1.0 b"),
]
_UNUSUAL: list[Header] = [
    (b"x-forwarded-for", b"127.0.0.1, 127.0.0.2"),
    (b"X-Forwarded-User", b"root"),
    (b"X_Forwarded_For", b"192.0.2.8"),
    (b"X-Real-IP", b"192.0.2.1"),
    (b"X-User", b"root"),
    (b"X_User", b"root"),
    (b"x_refresh_token", b"zzz"),
    (b"X-Access-Token", b"zzz"),
    (b"Proxy", b"http://192.0.2.1"),
    (b"Via", b"1.1 twin"),
    (b"Max-Forwards", b"0"),
    (b"Max-Forwards", b"9"),
    (b"Trailer", b"X-T"),
    (b"Keep-Alive", b"timeout=5"),
    (b"Expect", b"100-continue"),
    (b"Expect", b"something"),
    (b"Upgrade", b"h2c"),
    (b"HTTP2-Settings", b"AAMAAABkAAQCAAAAAAIAAAAA"),
    (b"Connection", b"Keep-Alive, X-Test, authorization, X-User, cookie"),
    (b"Connection", b"upgrade"),
    (b"Connection", b"close"),
    (b"Proxy-Connection", b"close"),
    (b"Content-Length", b"0"),
    (b"Access-Control-Request-Method", b"PUT"),
    (b"Access-Control-Request-Headers", b"x-refresh-token, x-test"),
    (b"Host", b"gateway.example"),
]
"""What the gateway, or somebody on the way, might have a reason to read."""


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
_POOL = st.one_of(st.sampled_from(_USUAL), st.sampled_from(_UNUSUAL))
_SOME = st.lists(st.sampled_from(_USUAL), max_size=4)
_CLOSING = st.sampled_from([[]] * 12 + [[b"close"], [b"x", b"CLOSE"]])
_BODIES = st.one_of(st.just(b""), st.just(b"hello"), making.bodies())
_MAY_CHUNKS = st.one_of(st.none(), making.chunkings())
_VALUES = st.one_of(st.sampled_from([b"a", b"b; c=d", b"x" * 40, b"192.0.2.3", b"", b"close"]), making.values())
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

_CROSSING: list[Header] = [
    (b"Access-Control-Allow-Origin", _ORIGIN),
    (b"Access-Control-Allow-Credentials", b"true"),
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Set-Cookie", b"a=b; Path=/"),
    (b"set-cookie", b"c=d"),
    (b"Location", b"http://{upstream}/v1/there?a"),
    (b"Location", b"/v1/there"),
    (b"location", b"https://elsewhere.example/"),
    (b"X-Access-Token", b"theirs"),
    (b"x-refresh-TOKEN", b"theirs"),
    (b"X_Token_Refreshed", b"theirs"),
    (b"Cache-Control", b"public, max-age=60"),
    (b"Vary", b"Accept, Origin"),
    (b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    (b"Via", b"1.1 behind"),
    (b"Content-Type", b"text/event-stream"),
    (b"Content-Type", b"application/json"),
    (b"Keep-Alive", b"timeout=1"),
    (b"Trailer", b"X-T"),
    (b"Upgrade", b"h2c"),
    (b"Server", b"api"),
    _CHALLENGE,
    (b"www-authenticate", b"Bearer, Basic realm=x"),
]
_THEIRS = st.lists(st.sampled_from(_CROSSING), max_size=4)
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
        return replace(reply, status=401, fields=[_CHALLENGE, *fields])
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
