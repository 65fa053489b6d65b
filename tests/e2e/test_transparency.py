"""Whatever HTTP allows crosses the gateway as it is, both ways, but for what CONTRACT §2 takes away."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import lanes
from tests.e2e.raw_client import chunked, connected, head_bytes
from tests.e2e.scripted import before

pytestmark = lanes.BOTH

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
VISIBLE = bytes(range(0x21, 0x7F))
TAKEN = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
    *("transfer-encoding", "upgrade", "http2-settings", "content-length", "expect", "host", "authorization"),
    *("x-refresh-token", "x-access-token", "x-access-token-expires-at", "x-token-refreshed", "forwarded"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-proto"),
    *("x-forwarded-server", "x-real-ip", "via"),
}
METHODS = [
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PROPFIND",
    "REPORT",
    "MKCOL",
    "PURGE",
    "LOCK",
    "M-SEARCH",
]
STATUSES = [200, 201, 202, 203, 206, 299, 300, 302, 400, 404, 409, 418, 422, 429, 500, 503, 599]

names = st.text(TOKEN, min_size=1, max_size=20).filter(lambda n: n.lower().replace("_", "-") not in TAKEN)
known = st.sampled_from(
    ["Cookie", "Set-Cookie", "Accept", "Range", "ETag", "Location", "Vary", "Date", "X_Y", "Server"]
)
values = st.binary(max_size=40).map(lambda b: bytes(c for c in b if c == 9 or (c > 31 and c != 127)).strip(b" \t"))
fields = st.lists(st.tuples(st.one_of(names, known).map(str.encode), values), max_size=8)
targets = st.lists(st.sampled_from(sorted(set(VISIBLE) - {ord("#")})), max_size=60).map(lambda t: b"/" + bytes(t))
bodies = st.lists(st.binary(min_size=1, max_size=3000), max_size=5)


@dataclass(frozen=True)
class Message:
    """A body, and how it is framed and cut into pieces."""

    fields: list[tuple[bytes, bytes]]
    body: list[bytes]
    form: str
    cuts: list[int]

    def framing(self) -> list[tuple[bytes, bytes]]:
        if self.form == "length":
            return [(b"Content-Length", b"%d" % sum(map(len, self.body)))]
        return [(b"Transfer-Encoding", b"chunked")] if self.form == "chunked" else []

    def wire(self, head: bytes) -> list[bytes]:
        """Head and body in the pieces in which they are sent."""
        body = chunked(*self.body) if self.form == "chunked" else b"".join(self.body)
        data = head + (b"" if self.form == "none" else body)
        ends = sorted({min(cut, len(data)) for cut in self.cuts} | {len(data)})
        return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    @property
    def content(self) -> bytes:
        return b"" if self.form == "none" else b"".join(self.body)


def messages(*forms: str):
    cuts = st.lists(st.integers(1, 6000), max_size=6)
    return st.builds(Message, fields, bodies, st.sampled_from(forms), cuts)


class Api:
    """Hands the request that came to the test, and says what the test gives it to say."""

    def __init__(self) -> None:
        self.seen: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()
        self.answers: asyncio.Queue[tuple[Message, bytes]] = asyncio.Queue()

    async def __call__(self, peer) -> None:
        while True:
            head = await peer.head()
            self.seen.put_nowait((head, await body_after(head, peer.reader)))
            message, answer = await self.answers.get()
            for piece in message.wire(answer):
                await peer.send(piece)
                await asyncio.sleep(0)
            if message.form == "close":
                return


async def body_after(head: bytes, reader: asyncio.StreamReader) -> bytes:
    lowered = head.lower()
    if b"\r\ntransfer-encoding: chunked\r\n" in lowered:
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        assert await reader.readexactly(2) == b"\r\n"
        return body
    _, found, rest = lowered.partition(b"\r\ncontent-length: ")
    return await reader.readexactly(int(rest.split(b"\r\n")[0])) if found else b""


def split(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = [line.partition(b":") for line in lines]
    return first, [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]


def lower(pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in pairs]


@pytest.fixture
async def house(tmp_path):
    """One for all examples: what one of them leaves behind must not trouble the next."""
    api = Api()
    async with before(tmp_path, api) as (h, _):
        yield h, api, (h.login()[0], None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.tuples(st.sampled_from(METHODS), targets),
    request=messages("none", "length", "chunked"),
    status=st.sampled_from(STATUSES),
    response=messages("length", "chunked", "close"),
)
async def test_any_message_crosses_unchanged(house, line, request, status, response):
    """P10, P11: the API sees the client's bytes, the client sees the API's."""
    (h, api, pair), (method, target) = house, line
    first = b"HTTP/1.1 %d Whatever\r\n" % status
    said = [*response.fields, *response.framing()]
    api.answers.put_nowait((response, first + b"".join(b"%b: %b\r\n" % f for f in said) + b"\r\n"))
    async with connected(h) as client:
        head = head_bytes(method, target, pair, [*request.fields, *request.framing()])
        for piece in request.wire(head):
            await client.send(piece)
            await asyncio.sleep(0)
        answer = await client.answer()
    seen, body = api.seen.get_nowait()
    asked, sent = split(seen)
    assert asked == b"%b %b HTTP/1.1" % (method.encode(), target)
    ours = [(b"host", b"gateway.example"), (b"authorization", b"Bearer " + pair[0].encode())]
    added = [(b"x-forwarded-for", b"127.0.0.1"), (b"x-forwarded-proto", b"http"), (b"x-forwarded-host", ours[0][1])]
    assert sent[-1 - len(request.framing())][0] == b"via"
    assert [f for f in sent if f[0] != b"via"] == [*ours, *lower(request.fields), *added, *lower(request.framing())]
    assert body == request.content
    assert (answer.status, answer.complete) == (status, True)
    assert answer.body == response.content
    framing = [f for f in answer.headers if f[0].lower() in (b"content-length", b"transfer-encoding")]
    assert lower(framing) == (lower(response.framing()) or [(b"transfer-encoding", b"chunked")])
    dated = any(name == b"date" for name, _ in lower(response.fields))
    told = [f for f in answer.headers if f not in framing]
    assert told[: len(response.fields)] == response.fields
    assert [n for n, _ in told[len(response.fields) :]] == ([b"via"] if dated else [b"via", b"date"])
