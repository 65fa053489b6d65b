"""An API that is away, hangs, talks nonsense, or closes the connections that it kept."""

import asyncio
import contextlib
import json
import socket

import pytest

from tests import lanes
from tests.e2e.raw_client import connected, exchange, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import code, until
from tests.house import House, house, new_pair
from tests.upstream.raw import OK, always_ok

pytestmark = lanes.BOTH

FIELD = b"X-Filler: " + b"x" * 1000 + b"\r\n"
NONSENSE = {
    "garbage": b"\x00\x01garbage\r\n\r\n",
    "tls": b"\x15\x03\x01\x00\x02\x02\x16",
    "status line": b"HTTP/1.1 abc OK\r\n\r\n",
    "status 99": b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
    "http 0.9": b"hello world, this is an old server\r\n",
    "http 2": b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    "300 KB of fields": b"HTTP/1.1 200 OK\r\n" + FIELD * 300 + b"\r\n",
    "fields without end": b"HTTP/1.1 200 OK\r\n" + FIELD * 300,
    "one field without end": b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 300_000,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "the same length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "a hex length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "chunks inside chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk at once": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "no colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "a NUL in a value": b"HTTP/1.1 200 OK\r\nX-Filler: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "a CR in a value": b"HTTP/1.1 200 OK\r\nX-Filler: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "an LF in a value": b"HTTP/1.1 200 OK\r\nX-Filler: a\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "an escape in a value": b"HTTP/1.1 200 OK\r\nX-Filler: \x1b[31m\r\nContent-Length: 2\r\n\r\nok",
    "a NUL in a name": b"HTTP/1.1 200 OK\r\nX\x00Filler: a\r\nContent-Length: 2\r\n\r\nok",
    "an empty name": b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 2\r\n\r\nok",
    "a folded value": b"HTTP/1.1 200 OK\r\nX-Filler: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "a CR in the reason": b"HTTP/1.1 200 O\rX-Filler: K\r\nContent-Length: 2\r\n\r\nok",
    "lines without CR": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "an endless length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok",
    "chunks in http 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "an obfuscated coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "an interim answer with a body": b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok" + OK,
    "interim answers without end": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000,
}


async def test_nonsense_is_a_502_and_the_next_request_a_new_connection(tmp_path):
    """B17, P15, P17: nothing of it is passed on, and nothing of it is left for the next answer."""
    said = list(NONSENSE)

    async def handler(peer):
        if said:
            await peer.request()
            await peer.send(NONSENSE[said.pop(0)])
        await peer.request()
        await peer.send(OK)
        await peer.gone()

    async with before(tmp_path, handler) as (h, server):
        pair = h.login()
        for number, name in enumerate(NONSENSE):
            answer = await exchange(h, head_bytes(pair=pair))
            assert answer.status == 502, name
            assert json.loads(answer.body)["code"] == "upstream_protocol_error", name
            assert not {n for n, _ in answer.headers} & {b"x-filler", b"upgrade"}, name
            assert server.connections == number + 1, name
            assert h.gateway.upstreams[""].idle == 0, name
        again = await exchange(h, head_bytes(pair=pair))
        assert (again.status, again.body) == (200, b"ok")


EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
TOO_MUCH = {
    "another answer": (OK, EVIL),
    "bytes behind a length": (OK, b"x"),
    "bytes behind the last chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        EVIL,
    ),
    "the body of a 204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 61\r\n\r\n", EVIL),
    "the chunks of a 204": (
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"2\r\nok\r\n0\r\n\r\n",
    ),
    "the body of a 304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 61\r\n\r\n", EVIL),
}


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize(("answer", "more"), TOO_MUCH.values(), ids=TOO_MUCH)
async def test_what_an_api_sends_unasked_is_nobodys_answer(tmp_path, answer, more, at_once):
    """B17, P12: response smuggling; the connection is discarded, whether it comes with the answer or behind it."""
    answered = asyncio.Event()

    async def handler(peer):
        if peer.number == 0:
            await peer.request()
            await peer.send(answer + more if at_once else answer)
            await answered.wait()
            with contextlib.suppress(ConnectionError):
                await peer.send(more)
            await peer.gone()
        await always_ok(peer)

    async with before(tmp_path, handler) as (h, server):
        pair = h.login()
        async with connected(h) as client:
            await client.send(head_bytes(pair=pair))
            first = await client.answer()
            assert b"evil" not in first.body
            answered.set()
            await until(lambda: server.open == 0 and h.gateway.upstreams[""].idle == 0)
            for _ in range(3):
                await client.send(head_bytes(pair=pair))
                again = await client.answer()
                assert (again.status, again.body) == (200, b"ok")
            assert server.connections == 2


async def test_an_api_that_is_away_is_a_502_that_still_brings_the_new_tokens(tmp_path):
    """B12: refused; the refresh was not in vain, and nobody learns where the API would be."""
    async with house(tmp_path) as h:
        port = h.api_server.port
        await h.api_server.stop()
        old = h.expired()
        answer = await h.get("/echo", old)
        assert answer.status_code == 502
        assert code(answer) == "upstream_unreachable"
        assert str(port) not in answer.text + str(answer.headers) + repr(h.events)
        await h.api_server.start()
        assert (await h.get("/echo", new_pair(answer, old))).status_code == 200
        assert len(h.auth.token_requests) == 1


async def test_an_api_that_does_not_accept_is_a_502_within_the_connect_timeout(tmp_path):
    """B12: a full backlog is silence; response_timeout (60 s) is not waited for."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        upstream = {"url": f"http://127.0.0.1:{address[1]}", "connect_timeout": "200ms"}
        async with house(tmp_path, upstream=upstream) as h, asyncio.timeout(20):
            old = h.expired()
            answer = await h.get("/echo", old)
            assert (answer.status_code, code(answer)) == (502, "upstream_unreachable")
            assert new_pair(answer, old)[0] != old[0]
            assert h.gateway.upstreams[""].active == 0
        for filler in fillers:
            filler.close()


async def test_an_api_whose_name_does_not_resolve_is_a_502(tmp_path):
    """B12: RFC 2606 keeps .invalid free of names."""
    async with house(tmp_path, upstream={"url": "http://api.invalid", "connect_timeout": "2s"}) as h:
        answer = await h.get("/echo", h.login())
        assert (answer.status_code, code(answer)) == (502, "upstream_unreachable")
        assert "invalid" not in answer.text


async def test_an_api_that_hangs_is_a_504_that_still_brings_the_new_tokens(tmp_path):
    """B13: the slot is free again, and the API is told that nobody waits any more."""
    async with house(tmp_path, upstream={"response_timeout": "150ms", "max_connections": 1}) as h:
        old = h.expired()
        answer = await h.get("/slow?seconds=60", old)
        assert (answer.status_code, code(answer)) == (504, "upstream_timeout")
        new = new_pair(answer, old)
        await until(lambda: h.api.active == 0)
        assert h.api.cancelled == 1
        assert h.gateway.upstreams[""].active == 0
        assert (await h.get("/echo", new)).status_code == 200


async def test_a_504_for_an_upload_frees_its_slot_too(tmp_path):
    """B13: the body went up, the answer never came."""

    async def handler(peer):
        await peer.request()
        await peer.gone()

    async with before(tmp_path, handler, upstream={"response_timeout": "150ms"}) as (h, server):
        answer = await h.request("POST", "/", h.login(), content=b"x" * 1000)
        assert answer.status_code == 504
        await until(lambda: server.open == 0)
        assert h.gateway.upstreams[""].active == 0


@pytest.mark.parametrize("reset", [False, True])
async def test_an_api_that_closes_before_its_answer_is_a_502_that_still_brings_the_new_tokens(tmp_path, reset):
    """B14: on a connection that was not idle before, whether the request took effect is unknown."""

    async def handler(peer):
        await peer.request()
        if reset:
            peer.reset()

    async with before(tmp_path, handler) as (h, server):
        old = h.expired()
        answer = await h.get("/", old)
        assert (answer.status_code, code(answer)) == (502, "upstream_unreachable")
        assert new_pair(answer, old)[0] != old[0]
        assert server.connections == (2 if h.lane == "warm" else 1)  # the first one may have gone stale


async def stale(peer):
    """The first connection serves one request, and closes when the second has arrived."""
    if peer.number:
        await always_ok(peer)
    await peer.request()
    await peer.send(OK)
    await peer.head()


@pytest.mark.parametrize(
    ("method", "body"), [("GET", b""), ("HEAD", b""), ("DELETE", b""), ("PUT", b"x" * 100_000)]
)
async def test_a_stale_connection_goes_unnoticed(tmp_path, method, body):
    """B16: idempotent, and the body is kept: the request is sent again, over a new connection."""
    async with before(tmp_path, stale) as (h, server):
        pair = h.login()
        assert (await h.get("/", pair)).status_code == 200
        answer = await h.request(method, "/", pair, content=body)
        assert answer.status_code == 200
        assert server.connections == 2


async def test_a_put_whose_body_was_not_kept_is_not_sent_again(tmp_path):
    """B16: what is gone cannot be repeated."""
    async with before(tmp_path, stale, refresh={"replay_body": "1KiB"}) as (h, server):
        pair = h.login()
        assert (await h.get("/", pair)).status_code == 200
        answer = await h.request("PUT", "/", pair, content=b"x" * 100_000)
        assert (answer.status_code, code(answer)) == (502, "upstream_unreachable")
        assert server.connections == 1


async def test_a_post_is_never_sent_twice(tmp_path):
    """B16: bytes of it were sent, so it may have taken effect."""
    posts = 0

    async def handler(peer):
        nonlocal posts
        await peer.request()
        await peer.send(OK)
        await peer.request()
        posts += 1

    async with before(tmp_path, handler) as (h, server):
        pair = h.login()
        assert (await h.get("/", pair)).status_code == 200
        answer = await h.request("POST", "/", pair, content=b"order")
        assert (answer.status_code, code(answer)) == (502, "upstream_unreachable")
        assert (posts, server.connections) == (1, 1)


async def test_a_post_takes_no_connection_that_the_api_has_closed(tmp_path):
    """B16: no byte of it is lost on one."""
    closed = asyncio.Event()

    async def handler(peer):
        await peer.request()
        await peer.send(OK)
        if peer.number:
            await peer.gone()
        closed.set()

    async with before(tmp_path, handler) as (h, server):
        pair = h.login()
        assert (await h.get("/", pair)).status_code == 200
        await closed.wait()
        assert (await h.request("POST", "/", pair, content=b"order")).status_code == 200
        assert server.connections == 2


async def recovers(h: House, pair: tuple[str, str]) -> None:
    """The API is up again, and so is everything."""
    async with connected(h) as client:
        for _ in range(3):
            await client.send(head_bytes(pair=pair))
            assert (await client.answer()).status == 200


async def test_a_restarted_api_is_used_at_once(tmp_path):
    """B16, B12: what was kept is stale, all of it, and no request sees that."""
    async with house(tmp_path) as h:
        pair = h.login()
        await asyncio.gather(*(h.get("/slow?seconds=0.05", pair) for _ in range(10)))
        await h.api_server.stop()
        assert (await h.get("/echo", pair)).status_code == 502
        await h.api_server.start()
        await recovers(h, pair)
