"""What one hop says to the next ends there, and nothing that it names takes away what the gateway says or needs.

Tables: fields in, fields out, over raw sockets in both directions.
"""

from dataclasses import dataclass

import pytest

from tests import lanes
from tests.e2e.raw_client import connected
from tests.e2e.scripted import before
from tests.e2e.wire import Script, Wire, ask, ok, request, text_of
from tests.house import house

pytestmark = lanes.BOTH

Fields = list[tuple[str, str]]
NAMED = {"via": "edge-1"}


def lines_of(head: bytes) -> Fields:
    """The fields of a head as it came: names in lower case, order and number kept."""
    pairs = [line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:] if line]
    return [(name.lower(), value.strip()) for name, _, value in pairs]


@dataclass(frozen=True)
class Case:
    """One message's fields, and those of them that arrive."""

    name: str
    sent: tuple[str, ...]
    kept: tuple[str, ...] = ()


REQUESTS = [
    Case("close", ("Connection: close", "X-A: 1"), ("X-A: 1",)),
    Case("keep-alive", ("Connection: keep-alive", "Keep-Alive: timeout=5, max=9")),
    Case("named", ("Connection: x-a", "X-A: 1", "X-B: 2"), ("X-B: 2",)),
    Case("named in another case", ("CONNECTION: X-a", "x-A: 1", "X-B: 2"), ("X-B: 2",)),
    Case("named in a list", ("Connection: ,x-a ,, close,x-b\t,", "X-B: 1", "X-A: 2", "X-C: 3"), ("X-C: 3",)),
    Case("named on two lines", ("Connection: x-a", "Connection: x-b", "X-A: 1", "X-B: 2", "X-C: 3"), ("X-C: 3",)),
    Case("named with an underscore", ("Connection: x_a", "X-A: 1", "x_a: 2", "X-AB: 3"), ("X-AB: 3",)),
    Case("named after its field", ("X-A: 1", "Connection: x-a")),
    Case("named and absent", ("Connection: x-nothing", "X-A: 1"), ("X-A: 1",)),
    Case("no name", ("Connection: ", "X-A: 1"), ("X-A: 1",)),
    Case("Connection names itself", ("Connection: connection, x-a", "X-A: 1")),
    Case("TE", ("TE: trailers",)),
    Case("TE, weighted", ("TE: gzip;q=0.5, trailers", "Connection: TE")),
    Case("Trailer", ("Trailer: Authorization, X-A",)),
    Case("Upgrade to h2c", ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")),
    Case("Upgrade to anything", ("Connection: upgrade", "Upgrade: TLS/1.2, IRC/6.9")),
    Case("Upgrade without Connection", ("Upgrade: h2c", "HTTP2-Settings: AAMAAABk")),
    Case("Proxy-*", ("Proxy-Authorization: Basic YTpi", "Proxy-Connection: close", "Proxy-Authenticate: Basic")),
    Case("httpoxy", ("Proxy: http://evil.example:3128", "X-Proxy: 1"), ("X-Proxy: 1",)),
    Case("another path", ("X-Original-URL: /admin", "X-Rewrite-Url: /admin", "x_original_url: /admin")),
    Case("content-type named", ("Connection: content-type", "Content-Type: a/b"), ("Content-Type: a/b",)),
    Case("cookie named", ("Connection: cookie", "Cookie: a=1"), ("Cookie: a=1",)),
    Case("via named", ("Connection: via", "Via: 1.1 a"), ("Via: 1.1 a",)),
    Case("order and number", ("X-R: 2", "X-S: 1", "x-r: 1", "X-R: 2"), ("X-R: 2", "X-S: 1", "x-r: 1", "X-R: 2")),
]


@pytest.fixture
async def scripted(tmp_path):
    upstream = {"identity_headers": {"X-User": "sub"}}
    async with (
        Script.saying(ok()) as api,
        house(tmp_path, upstream={"url": api.url, **upstream}, server=NAMED) as h,
    ):
        yield h, api


SAID_BY_US = [
    ("x-user", "ada"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "gateway.example"),
    ("via", "1.1 edge-1"),
]


async def test_what_arrives_of_a_requests_fields(scripted):
    """P8, P10, X6: all of the others, in their order, and ours behind them."""
    h, api = scripted
    token = h.login()[0]
    for case in REQUESTS:
        assert (await ask(h, request("GET /x", (token, None), *case.sent))).status == 200, case.name
        kept = lines_of(b"\r\n" + "\r\n".join(case.kept).encode())
        ours = [("host", "gateway.example"), ("authorization", f"Bearer {token}")]
        assert lines_of(api.requests[-1]) == [*ours, *kept, *SAID_BY_US], case.name


NAMES = (
    *("authorization", "AUTHORIZATION", "x-user", "X_User", "host", "content-length", "transfer-encoding", "via"),
    *("x-forwarded-for", "x_forwarded_for", "x-forwarded-proto", "x-forwarded-host", "cookie", "content-type"),
    *("x-refresh-token", "expect", "connection", "origin"),
)


@pytest.mark.parametrize("fresh", [True, False])
async def test_no_option_of_a_connection_takes_away_what_we_say_or_need(scripted, fresh):
    """X6: neither token, identity, client, framing, nor the refresh itself."""
    h, api = scripted
    for name in NAMES:
        access, refresh = h.login() if fresh else h.expired()
        sent = [f"Connection: {name}, x-gone", "X-Gone: 1", "Cookie: a=1", "Content-Type: a/b", "Content-Length: 4"]
        answer = await ask(h, request("PUT /x", (access, refresh), *sent, "X-User: eve", body=b"\r\n\r\n"))
        assert answer.status == 200, name
        current = access if fresh else answer.values(b"x-access-token")[0].decode()
        assert lines_of(api.requests[0]) == [
            ("host", "gateway.example"),
            ("authorization", f"Bearer {current}"),
            ("cookie", "a=1"),
            ("content-type", "a/b"),
            *SAID_BY_US,
            ("content-length", "4"),
        ], name
        api.requests.clear()


async def test_a_body_in_chunks_stays_one_whatever_connection_names(scripted):
    """X6, P8: the coding is each hop's own, and each hop's framing is whole."""
    h, api = scripted
    body = b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"
    sent = ["Connection: transfer-encoding, trailer", "Trailer: X-Trailer", "Transfer-Encoding: chunked"]
    assert (await ask(h, request("PUT /x", h.login(), *sent, body=body))).status == 200
    head, content = api.requests
    assert lines_of(head)[-1] == ("transfer-encoding", "chunked")
    assert not {"trailer", "x-trailer", "te"} & {name for name, _ in lines_of(head)}
    assert content == b"3\r\nabc\r\n0\r\n\r\n"


async def test_trailers_of_an_answer_never_become_fields(tmp_path):
    """P5: whatever they are called; after the head, too, no token and no cookie is forged."""

    async def api(peer):
        while True:
            await peer.request()
            await peer.send(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Access-Token\r\n\r\n2\r\nok\r\n0\r\n"
                b"X-Access-Token: forged\r\nSet-Cookie: forged=1\r\nCache-Control: forged\r\n\r\n"
            )

    async with before(tmp_path, api) as (h, server), Wire.to(h.port) as wire:
        for _ in range(2):
            wire.send(request("GET /x", h.login()))
            assert (await wire.answer()).body == b"ok"
        assert wire.raw.count(b"0\r\n\r\n") == 2
        assert b"forged" not in wire.raw
        assert b"Trailer" not in wire.raw
        assert server.connections == 1


ANSWERS = [
    Case("case is kept", ("X-ODD-Case: 1", "etag: 2", "SET-cookie: 3"), ("X-ODD-Case: 1", "etag: 2", "SET-cookie: 3")),
    Case("close", ("Connection: close", "X-A: 1"), ("X-A: 1",)),
    Case("named", ("Connection: X-a, close", "connection: x-B", "x-A: 1", "X-b: 2", "X-C: 3"), ("X-C: 3",)),
    Case("named with an underscore", ("Connection: x_a", "X-A: 1")),
    Case("Keep-Alive", ("Keep-Alive: timeout=5", "Proxy-Connection: keep-alive")),
    Case("Proxy-*", ("Proxy-Authenticate: Basic", "Proxy-Authentication-Info: x", "Proxy-Authorization: y")),
    Case("Proxy-Status is for the client", ("Proxy-Status: cache; hit",), ("Proxy-Status: cache; hit",)),
    Case("Upgrade", ("Upgrade: h2c, websocket", "Connection: upgrade")),
    Case("TE and Trailer", ("TE: trailers", "Trailer: X-T")),
    Case("ours by other spellings", ("X_Access_Token: a", "x-refresh-token: b", "X-TOKEN_refreshed: c")),
    Case("Set-Cookie named", ("Connection: set-cookie", "Set-Cookie: a=1"), ("Set-Cookie: a=1",)),
    Case("Content-Encoding named", ("Connection: content-encoding", "Content-Encoding: br"), ("Content-Encoding: br",)),
    Case("a challenge", ('WWW-Authenticate: Basic realm="x"', "WWW-Authenticate: Negotiate"),
         ('WWW-Authenticate: Basic realm="x"', "WWW-Authenticate: Negotiate")),
]  # fmt: skip


async def test_what_arrives_of_an_answers_fields(scripted):
    """P8, P10, X4, X6: byte for byte, in their order; then Via and the date, if there was none."""
    h, api = scripted
    for case in ANSWERS:
        api.answer = ok(*case.sent)
        async with connected(h) as client:
            await client.send(request("GET /x", h.login()))
            answer = await client.answer()
        kept = [tuple(part.encode() for part in line.split(": ", 1)) for line in case.kept]
        expected = [*kept, (b"Content-Length", b"5"), (b"via", b"1.1 edge-1")]
        assert (answer.headers[:-1], answer.headers[-1][0]) == (expected, b"date"), case.name
        assert answer.body == b"hello"


async def test_an_upstream_cannot_name_away_new_tokens(scripted):
    """X6, X4, X2: nor what keeps them out of caches; its own copies are gone."""
    h, api = scripted
    for name in ("x-access-token", "X-Refresh-Token", "x_token_refreshed", "cache-control", "via", "vary"):
        api.answer = ok(f"Connection: {name}", "X-Access-Token: forged", "Cache-Control: public")
        answer = await ask(h, request("GET /x", h.expired()))
        for ours in (
            b"x-access-token",
            b"x-refresh-token",
            b"x-token-refreshed",
            b"x-access-token-expires-at",
            b"via",
        ):
            assert len(answer.values(ours)) == 1, (name, ours)
        assert answer.values(b"cache-control") == [b"no-store"]
        assert answer.values(b"vary") == [b"authorization, x-refresh-token"]
        assert "forged" not in text_of(answer.headers)


async def test_an_upstream_cannot_name_away_the_length_of_its_body(scripted):
    """X6: two requests on one connection are answered, each whole."""
    h, api = scripted
    api.answer = ok("Connection: content-length, content-type", "Content-Type: a/b")
    async with Wire.to(h.port) as wire:
        for _ in range(2):
            wire.send(request("GET /x", h.login()))
            answer = await wire.answer()
            assert (answer.body, answer.values(b"content-type")) == (b"hello", [b"a/b"])


async def test_a_date_is_added_only_where_there_is_none(scripted):
    """RFC 9110 §6.6.1."""
    h, api = scripted
    for theirs in ("Date: Tue, 01 Jan 2030 00:00:00 GMT", "DATE: not a date"):
        api.answer = ok(theirs)
        answer = await ask(h, request("GET /x", h.login()))
        assert answer.values(b"date") == [theirs.partition(": ")[2].encode()]
    api.answer = ok()
    [added] = (await ask(h, request("GET /x", h.login()))).values(b"date")
    assert added.endswith(b" GMT")


async def test_a_client_that_closes_closes_its_own_connection_only(tmp_path):
    """P8: the API's serves the next client; HTTP/1.0 and ``Connection: close`` alike."""

    async def api(peer):
        while True:
            await peer.request()
            await peer.send(ok())

    async with before(tmp_path, api) as (h, server):
        for more, version in ((["Connection: close"], "1.1"), ([], "1.0"), ([], "1.1")):
            async with Wire.to(h.port) as wire:
                wire.send(request("GET /x", h.login(), *more, version=version))
                assert (await wire.answer()).status == 200
                if more or version == "1.0":
                    assert await wire.closed() == b""
        assert server.connections == 1


# method, Max-Forwards | status, what the upstream is told
HOPS = [
    ("OPTIONS /x", ["Max-Forwards: 0"], 204, None),
    ("OPTIONS *", ["max-forwards: 0"], 204, None),
    ("OPTIONS /x", ["Max-Forwards: 1"], 200, ["0"]),
    ("OPTIONS *", ["Max-Forwards: 10"], 200, ["9"]),
    ("OPTIONS /x", ["Max-Forwards: x"], 200, ["x"]),
    ("OPTIONS /x", ["Max-Forwards: 0", "Max-Forwards: 0"], 200, ["0", "0"]),
    ("OPTIONS /x", [], 200, []),
    ("GET /x", ["Max-Forwards: 0"], 200, ["0"]),
    ("TRACE /x", ["Max-Forwards: 0"], 501, None),
    ("TRACE /x", ["Max-Forwards: 5"], 501, None),
]


async def test_how_far_options_may_go(scripted):
    """P7; RFC 9110 §7.6.2: at 0 the gateway answers; TRACE would show what it adds, and goes nowhere."""
    h, api = scripted
    for line, sent, status, seen in HOPS:
        api.requests.clear()
        answer = await ask(h, request(line, h.login(), *sent))
        assert answer.status == status, (line, sent)
        told = [value for head in api.requests for name, value in lines_of(head) if name == "max-forwards"]
        assert (told if api.requests else None) == seen, (line, sent)
        assert status != 204 or (answer.body == b"" and answer.values(b"content-length") == [])


async def test_an_options_request_that_ends_here_is_neither_judged_nor_in_the_way(scripted):
    """R17: without a token, with a forged or an expired one, with a body; the connection goes on."""
    h, api = scripted
    async with Wire.to(h.port) as wire:
        for pair in (None, ("forged", "forged"), h.expired()):
            wire.send(request("OPTIONS /x", pair, "Max-Forwards: 0", "Content-Length: 3", body=b"abc"))
            answer = await wire.answer()
            assert (answer.status, answer.values(b"x-access-token"), answer.values(b"via")) == (204, [], [])
        wire.send(request("GET /x", h.login()))
        assert (await wire.answer()).status == 200
        wire.send(request("OPTIONS /x", None, "Max-Forwards: 0", "Content-Length: 3", "Expect: 100-continue"))
        last = await wire.answer()
        assert (last.status, last.informational, last.values(b"connection")) == (204, [], [b"close"])
        await wire.closed()
    assert len(api.requests) == 1
    assert len(h.auth.token_requests) == 0
    assert [e.decision for e in h.requests()] == ["answer", "answer", "answer", "forward", "answer"]
