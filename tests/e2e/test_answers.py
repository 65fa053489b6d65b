"""Answers that are special to HTTP: without a body, in part, not modified, elsewhere, or not to be passed on."""

import pytest
import pytest_asyncio

from tests import lanes
from tests.e2e.raw_client import connected, exchange, head_bytes
from tests.e2e.scripted import before
from tests.house import house
from tests.upstream.raw import once
from upstream_stub.pattern import pattern

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHOLE = b"".join(pattern(1000))


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["warm", "asgi"])
async def h(request, tmp_path_factory):
    with lanes.lane(request.param):
        async with house(tmp_path_factory.mktemp("house")) as opened:
            yield opened


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("HEAD", "/bytes?size=100000", 200),
        ("HEAD", "/bytes?size=100000&chunked=1", 200),
        ("GET", "/status/204", 204),
        ("GET", "/status/304", 304),
        ("HEAD", "/status/404", 404),
        ("GET", "/status/205", 205),
    ],
)
async def test_an_answer_without_a_body_ends_with_its_head(h, method, target, status):
    """P12: nothing follows it, and the connection goes on on both sides."""
    async with connected(h) as client:
        await client.send(head_bytes(method, target, h.login()))
        answer = await client.answer(method)
        assert answer.status == status
        if method == "HEAD" and "size" in target:
            assert answer.values(b"content-length") == ([] if "chunked" in target else [b"100000"])
        await client.send(head_bytes(target="/echo", pair=h.login()))
        assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    "head", [b"304 Not Modified\r\nContent-Length: 500", b"204 No Content\r\nContent-Length: 0"]
)
async def test_a_length_without_a_body_is_not_waited_for(tmp_path, head):
    """P12: RFC 9110 §8.6: a 304 may tell the length of what it does not send."""
    raw = b"HTTP/1.1 " + head + b"\r\nETag: 1\r\n\r\n"
    async with before(tmp_path, once(raw, raw)) as (h, server), connected(h) as client:
        for _ in range(2):
            await client.send(head_bytes(pair=h.login()))
            answer = await client.answer()
            assert answer.status == int(head[:3])
            assert answer.headers[0] == (b"ETag", b"1")
        assert server.connections == 1


async def test_an_answer_to_head_keeps_the_connection_to_the_api(tmp_path):
    """P12: a length that announces no bytes."""
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n"] * 3
    async with before(tmp_path, once(*answers)) as (h, server):
        for _ in answers:
            answer = await exchange(h, head_bytes("HEAD", pair=h.login()), "HEAD")
            assert answer.values(b"content-length") == [b"70000"]
    assert server.connections == 1


@pytest.mark.parametrize(
    ("fields", "status", "body"),
    [
        ([(b"Range", b"bytes=10-19")], 206, WHOLE[10:20]),
        ([(b"Range", b"bytes=-5")], 206, WHOLE[-5:]),
        ([(b"Range", b"bytes=0-0"), (b"If-Range", b'"v1"')], 206, WHOLE[:1]),
        ([(b"Range", b"bytes=0-0"), (b"If-Range", b'"old"')], 200, WHOLE),
        ([(b"Range", b"bytes=2000-")], 416, b""),
        ([(b"Range", b"lines=1-2")], 416, b""),
    ],
)
async def test_ranges_are_between_the_client_and_the_api(h, fields, status, body):
    """P12: Range, If-Range, 206 and 416."""
    answer = await exchange(h, head_bytes(target="/range", pair=h.login(), headers=fields))
    assert (answer.status, answer.body) == (status, body)
    assert answer.values(b"etag") == [b'"v1"']
    if status == 206:
        assert answer.values(b"content-range")[0].endswith(b"/1000")


@pytest.mark.parametrize(("etag", "status"), [(b'"v1"', 304), (b'"v0"', 200)])
async def test_conditional_requests_are_between_the_client_and_the_api(h, etag, status):
    """P12: If-None-Match reaches the API, its 304 and its caching directives reach the client."""
    answer = await exchange(h, head_bytes(target="/etag", pair=h.login(), headers=[(b"If-None-Match", etag)]))
    assert answer.status == status
    assert answer.values(b"etag") == [b'"v1"']
    assert answer.values(b"cache-control") == [b"public, max-age=60"]


async def test_every_conditional_field_passes(h):
    """P12: those that the API may judge."""
    names = [b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"]
    await exchange(h, head_bytes(pair=h.login(), headers=[(name, b"x") for name in names]))
    assert {name for name, _ in h.api.requests[-1].headers} >= set(names)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_the_clients_to_follow(h, status):
    """X7: wherever it leads; nothing else is asked of the API."""
    before = h.api.count
    for to in ("/echo", "http://127.0.0.1:9/elsewhere", "//evil.example/"):
        answer = await exchange(h, head_bytes(target=f"/redirect?code={status}&to={to}", pair=h.login()))
        assert answer.status == status
        assert answer.values(b"location") == [to.encode()]
    assert h.api.count == before + 3


@pytest.mark.parametrize("status", [200, 299, 402, 418, 429, 451, 500, 503, 599])
async def test_any_final_status_is_passed_on(h, status):
    """P10: an API's own 429 or 503 is not ours to judge."""
    answer = await exchange(h, head_bytes(target=f"/status/{status}", pair=h.login()))
    assert answer.status == status
    assert answer.body == b'{"status": %d}' % status


@pytest.mark.parametrize(
    "field", [b"X-A: b\x00c", b"X-A: b\rc", b"X-A: b\n c", b"X-A: b\x01", b"X-A: \x7f", b"X\x00: b"]
)
async def test_a_field_that_could_become_two_is_never_emitted(tmp_path, field):
    """P17: CR, LF, NUL and other control characters in a response field: the whole answer is refused."""

    async def handler(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\nContent-Length: 2\r\n\r\nok")

    async with before(tmp_path, handler) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=h.login()))
        answer = await client.answer()
        assert answer.status == 502
        assert b"upstream_protocol_error" in answer.body
        assert not answer.values(b"x-a")


async def test_a_field_of_the_clients_that_could_become_two_is_never_forwarded(h):
    """P17: the other way."""
    before = h.api.count
    for field in (b"X-A: b\x00c", b"X-A: b\rc", b"X-A: b\n c", b"X-A: b\x01", b"X A: b", b": b"):
        head = head_bytes(pair=h.login()).removesuffix(b"\r\n") + field + b"\r\n\r\n"
        assert (await exchange(h, head)).status == 400
    assert h.api.count == before


async def test_interim_answers_end_at_the_gateway(tmp_path):
    """P12: 103 and 100 are between the API and us; the final answer is the client's."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with before(tmp_path, once(interim + final, final)) as (h, server):
        for _ in range(2):
            answer = await exchange(h, head_bytes(pair=h.login()))
            assert (answer.status, answer.body, answer.interim) == (200, b"ok", [])
    assert server.connections == 1
