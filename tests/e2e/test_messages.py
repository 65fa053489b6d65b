"""What crosses the gateway unchanged, and what ends at it."""

import hashlib
import json

import pytest
import pytest_asyncio

from tests import lanes
from tests.e2e.raw_client import Answer, chunked, connected, exchange, head_bytes
from tests.e2e.scripted import before
from tests.house import House, house
from upstream_stub.pattern import pattern, pattern_sha256

SIZES = [0, 1, 65535, 65536, 65537, 10_000_000]
OURS = {"host", "authorization", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "via"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["warm", "asgi"])
async def h(request, tmp_path_factory):
    """One house for all: nothing here changes it."""
    with lanes.lane(request.param):
        async with house(tmp_path_factory.mktemp("house")) as opened:
            yield opened


def seen(answer: Answer) -> dict:
    """What the API echoes."""
    assert answer.status == 200
    return json.loads(answer.body)


async def echoed(h: House, target: bytes = b"/echo", headers=(), method: bytes = b"GET", body: bytes = b"") -> dict:
    return seen(await exchange(h, head_bytes(method, target, h.login(), headers) + body))


@pytest.mark.parametrize(
    "target",
    [
        b"/echo?",
        b"/echo??a=b?c",
        b"/a/%2e%2e/b",
        b"/a/../b/./c",
        b"//double//slash/",
        b"/%2f%5c%00?x=%2F",
        b'/brackets[0]{1}|2^`"<>',
        b"/q?x[]=1&y={}&z=a|b&&=&&",
        b"/semi;colon;a=1/x?;",
        b"/+plus%20space?a+b%20c",
        b"/%C3%A9%ff?%e9",
        b"/%zz?%",
        b"/~user/!$&'()*+,;=:@-._",
    ],
)
async def test_path_and_query_reach_the_api_byte_for_byte(h, target):
    """P11: nothing is decoded, merged, ordered or dropped; an empty query stays one."""
    assert (await echoed(h, target))["target"].encode("latin-1") == target
    assert h.api.requests[-1].target == target


async def test_fields_keep_order_count_case_of_values_and_every_byte(h):
    """P10: repeated fields stay apart, unknown ones pass, bytes above 127 are nobody's business."""
    sent = [
        (b"X-Twice", b"one"),
        (b"X-Utf8", "é✓".encode()),
        (b"X-Latin1", "é".encode("latin-1")),
        (b"X-Twice", b"two, three"),
        (b"Cookie", b"a=1"),
        (b"Accept", b"*/*"),
        (b"Cookie", b"b=2"),
        (b"X-Empty", b""),
        (b"X-Tab", b"a\tb"),
        (b"X-Twice", b"one"),
    ]
    fields = (await echoed(h, headers=sent))["headers"]
    got = [(n.encode(), v.encode("latin-1")) for n, v in fields if n not in OURS]
    assert got == [(n.lower(), v) for n, v in sent]


async def test_the_gateway_adds_no_field_of_a_client_of_its_own(h):
    """P11: no Accept, Accept-Encoding, User-Agent or Connection; only who the client is (N1)."""
    fields = (await echoed(h))["headers"]
    assert sorted(n for n, _ in fields) == sorted(OURS)


async def test_response_fields_keep_order_and_count(tmp_path):
    """P10: Set-Cookie lines stay apart, WWW-Authenticate is the API's own, unknown fields and bytes pass."""
    fields = [
        (b"Set-Cookie", b"a=1; Path=/"),
        (b"X-Unknown", "é".encode("latin-1")),
        (b"WWW-Authenticate", b'Basic realm="api"'),
        (b"Set-Cookie", b"b=2, c=3"),
        (b"WWW-Authenticate", b'Digest realm="d", nonce="1"'),
        (b"Server", b"api"),
        (b"Date", b"Tue, 01 Jan 2030 00:00:00 GMT"),
        (b"Content-Length", b"2"),
        (b"X-Utf8", "✓".encode()),
    ]
    raw = b"HTTP/1.1 403 Nope\r\n" + b"".join(b"%b: %b\r\n" % f for f in fields) + b"\r\nno"

    async def handler(peer):
        await peer.request()
        await peer.send(raw)

    async with before(tmp_path, handler) as (h, _):
        answer = await exchange(h, head_bytes(pair=h.login()))
    assert answer.status == 403
    assert answer.body == b"no"
    assert answer.headers[: len(fields)] == fields


async def test_fields_that_connection_names_end_at_the_gateway(h):
    """P8: hop-by-hop fields and those that Connection names, in any case; h2c is never offered on."""
    hop = [
        (b"Connection", b"close, X-Private , Upgrade"),
        (b"connection", b"x-also"),
        (b"X-Private", b"1"),
        (b"x_also", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Proxy-Authorization", b"Basic eDp5"),
        (b"TE", b"trailers"),
        (b"Trailer", b"X-T"),
        (b"Upgrade", b"h2c"),
        (b"HTTP2-Settings", b"AAMAAABkAARAAAAAAAIAAAAA"),
        (b"X-Stays", b"1"),
    ]
    fields = (await echoed(h, headers=hop))["headers"]
    assert {n for n, _ in fields} - OURS == {"x-stays"}


async def test_hop_by_hop_fields_of_the_api_end_at_the_gateway(tmp_path):
    """P8: the other way."""

    async def handler(peer):
        await peer.request()
        await peer.send(
            b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n"
            b"Proxy-Authenticate: Basic\r\nTrailer: X-T\r\nX-Stays: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\nX-T: trailing\r\n\r\n"
        )

    async with before(tmp_path, handler) as (h, server), connected(h) as client:
        for _ in range(2):  # the API's "close" is not the client's
            await client.send(head_bytes(pair=h.login()))
            answer = await client.answer()
            assert (answer.headers[0], answer.headers[-1]) == (
                (b"X-Stays", b"1"),
                (b"transfer-encoding", b"chunked"),
            )
            assert not {n.lower() for n, _ in answer.headers} & {b"x-hop", b"keep-alive", b"upgrade", b"trailer"}
            assert answer.body == b"ok"
    assert server.connections == 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_an_upload_arrives_byte_for_byte(h, form, size):
    """P11: from nothing to 10 MB, framed as the client framed it."""
    pieces = list(pattern(size))
    if form == "length":
        framing, body = (b"Content-Length", b"%d" % size), b"".join(pieces)
    else:
        framing, body = (b"Transfer-Encoding", b"chunked"), chunked(*pieces)
    echo = await echoed(h, b"/echo", [framing], b"POST", body)
    assert echo["body"]["length"] == size
    assert echo["body"]["sha256"] == pattern_sha256(size)
    assert [[n.lower(), v] for n, v in echo["headers"]].count([f.decode().lower() for f in framing]) == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["", "&chunked=1"])
async def test_a_download_arrives_byte_for_byte(h, form, size):
    """P11: the same on the way down."""
    answer = await exchange(h, head_bytes(target=f"/bytes?size={size}{form}", pair=h.login()))
    assert answer.complete
    assert len(answer.body) == size
    assert hashlib.sha256(answer.body).hexdigest() == pattern_sha256(size)
    assert answer.values(b"content-length") == ([] if form else [b"%d" % size])


async def test_a_body_that_ends_with_its_connection_ends_in_chunks_for_the_client(tmp_path):
    """P11: HTTP/1.0 servers still exist."""

    async def handler(peer):
        await peer.request()
        await peer.send(b"HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nuntil the end")

    async with before(tmp_path, handler) as (h, _):
        answer = await exchange(h, head_bytes(pair=h.login()))
    assert answer.complete
    assert answer.body == b"until the end"


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"identity"])
async def test_no_body_is_decoded(tmp_path, coding):
    """P11: what the API compressed stays compressed, its length with it."""
    body = b"\x1f\x8b\x08\x00not really"

    async def handler(peer):
        head, _ = await peer.request()
        assert b"\r\naccept-encoding: gzip;q=0.5, br\r\n" in head.lower()
        fields = b"Content-Encoding: %b\r\nContent-Length: %d\r\n" % (coding, len(body))
        await peer.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + body)

    async with before(tmp_path, handler) as (h, _):
        asked = [(b"Accept-Encoding", b"gzip;q=0.5, br")]
        answer = await exchange(h, head_bytes(pair=h.login(), headers=asked))
    assert answer.body == body
    assert answer.values(b"content-encoding") == [coding]


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"GET"])
async def test_an_empty_body_that_was_announced_stays_announced(h, method):
    """P11: ``Content-Length: 0`` on a POST; some servers answer 411 without it (RFC 9110 §8.6)."""
    echo = await echoed(h, headers=[(b"Content-Length", b"0")], method=method)
    assert ["content-length", "0"] in [[n.lower(), v] for n, v in echo["headers"]]


async def test_a_post_without_any_framing_gets_none(h):
    """P11: nothing is announced for the client."""
    names = {n.lower() for n, _ in (await echoed(h, method=b"POST"))["headers"]}
    assert names.isdisjoint({"content-length", "transfer-encoding"})


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS", b"PROPFIND"])
async def test_any_method_may_have_a_body(h, method):
    """P11: a body on GET is odd, not ours to drop."""
    framing = [(b"Content-Length", b"4")]
    assert (await echoed(h, headers=framing, method=method, body=b"body"))["body"]["text"] == "body"
    framing = [(b"Transfer-Encoding", b"chunked")]
    again = await echoed(h, headers=framing, method=method, body=chunked(b"bo", b"dy"))
    assert again["method"] == method.decode()
    assert again["body"]["text"] == "body"
