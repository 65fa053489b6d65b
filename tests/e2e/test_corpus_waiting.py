"""Clients that wait: for a 100 before they send their body, and for their turn on a connection."""

import asyncio
import json

import pytest

from tests import lanes
from tests.e2e.raw_client import Conversation, chunked, connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.house import house
from tests.upstream.raw import TOO_LARGE

pytestmark = lanes.BOTH

EXPECT = (b"Expect", b"100-continue")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LENGTH = (b"Content-Length", b"10")
CHUNKED = (b"Transfer-Encoding", b"chunked")
HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
RULES = [{"match": "/off/*", "auth": "off"}]

REFUSALS = {
    "no token": (lambda h: None, "/upload", [LENGTH], 401),
    "nonsense": (lambda h: ("nonsense", None), "/upload", [LENGTH], 401),
    "nonsense and chunks": (lambda h: ("nonsense", None), "/upload", [CHUNKED], 401),
    "expired, and nothing to refresh with": (lambda h: (h.expired()[0], None), "/upload", [LENGTH], 401),
    "expired, and a refresh that is refused": (lambda h: (h.expired()[0], "unknown"), "/upload", [LENGTH], 401),
    "an ambiguous path": (lambda h: h.login(), "/a//b", [LENGTH], 400),
    "too large a body": (lambda h: h.login(), "/upload", [(b"Content-Length", b"2000")], 413),
    "too large a target": (lambda h: h.login(), "/" + "x" * 17_000, [LENGTH], 414),
    "too large a head": (lambda h: h.login(), "/upload", [LENGTH, (b"X-A", b"x" * 40_000)], 431),
    "two framings": (lambda h: h.login(), "/upload", [LENGTH, CHUNKED], 400),
    "TRACE": (lambda h: h.login(), "/upload", [LENGTH], 501),
    "our own path": (lambda h: h.login(), "/_gateway/x", [LENGTH], 404),
}


@pytest.mark.parametrize("sends", [False, True], ids=["waits", "does not wait"])
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_is_final(tmp_path, refusal, sends):
    """P13: no 100, one answer, the end; and the body of a client that did not wait is no request."""
    make_pair, target, fields, status = REFUSALS[refusal]
    async with house(tmp_path, routes=RULES, server={"max_body": "1KiB"}) as h, connected(h) as client:
        method = "TRACE" if refusal == "TRACE" else "POST"
        head = head_bytes(method, target, make_pair(h), [EXPECT, *fields])
        await client.send(head + (HIDDEN if sends else b""))
        answer = await client.answer()
        assert (answer.status, answer.interim) == (status, [])
        assert answer.values(b"connection") == [b"close"]
        assert await client.rest() == b""
        assert h.api.count == 0


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED], ids=["length", "chunked"])
async def test_a_client_that_waits_is_told_once_and_then_heard(tmp_path, framing):
    """P13: the 100 comes before the body, the API sees neither of them before, and the connection goes on."""
    async with house(tmp_path) as h, connected(h) as client:
        for _ in range(2):
            await client.send(head_bytes("POST", "/echo", h.login(), [EXPECT, framing]))
            assert await client.exactly(len(CONTINUE)) == CONTINUE
            await client.send(b"0123456789" if framing is LENGTH else chunked(b"01234", b"56789"))
            answer = await client.answer()
            assert (answer.status, answer.interim) == (200, [])
            assert json.loads(answer.body)["body"]["text"] == "0123456789"
            assert not h.api.requests[-1].values(b"expect")


async def test_an_expired_token_is_refreshed_before_the_client_is_told_to_go_on(tmp_path):
    """P13: while a refresh is under way the answer may still be 401, so nothing is said yet."""
    async with house(tmp_path) as h, connected(h) as client:
        fault = h.auth.fault("hold")
        await client.send(head_bytes("POST", "/echo", h.expired(), [EXPECT, LENGTH]))
        await until(lambda: h.gateway.refresher.under_way)
        hearing = asyncio.create_task(client.exactly(len(CONTINUE)))
        assert (await h.get("/echo", h.login("bob"))).status_code == 200
        assert not hearing.done()
        fault.release()
        assert await hearing == CONTINUE
        await client.send(b"0123456789")
        answer = await client.answer()
        assert answer.status == 200
        assert answer.values(b"x-access-token")


async def test_an_api_that_refuses_the_head_is_heard_although_the_client_waits(tmp_path):
    """P13, P14: its final status, whether or not a 100 was said before; the body is not waited for."""

    async def handler(peer):
        await peer.head()
        await peer.send(TOO_LARGE)
        await peer.gone()

    async with before(tmp_path, handler) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [EXPECT, LENGTH]))
        answer = await client.answer()
        assert (answer.status, answer.body) == (413, b"big")
        assert set(answer.interim) <= {100}


async def test_an_early_final_status_comes_while_the_client_uploads(tmp_path):
    """P14: after the head and a first piece; the API reads no more, and the client has not stopped."""

    async def handler(peer):
        await peer.head()
        await peer.reader.readexactly(1)
        await peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        await peer.gone()

    async with before(tmp_path, handler) as (h, _), connected(h) as client:
        await client.send(head_bytes("PUT", "/", h.login(), [CHUNKED]))
        uploading = asyncio.create_task(_upload(client))
        answer = await client.answer()
        assert (answer.status, answer.body, answer.complete) == (403, b"no", True)
        uploading.cancel()
        await asyncio.gather(uploading, return_exceptions=True)


async def _upload(client: Conversation) -> None:
    piece = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    while not client.writer.is_closing():
        await client.send(piece)
        await asyncio.sleep(0)


async def test_a_pipelined_request_waits_for_the_answer_before_it(tmp_path):
    """P16: the second is not even asked upstream until the first is answered, so no order can be lost."""
    may_answer = asyncio.Event()
    asked: list[bytes] = []

    async def handler(peer):
        while True:
            target = (await peer.head()).split(b" ")[1]
            asked.append(target)
            if target == b"/first":
                await may_answer.wait()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))

    async with before(tmp_path, handler) as (h, _), connected(h) as client:
        pair = h.login()
        await client.send(head_bytes(target="/first", pair=pair) + head_bytes(target="/second", pair=pair))
        await until(lambda: asked)
        assert (
            await h.client.get(h.url + "/beside", headers={"Authorization": f"Bearer {pair[0]}"})
        ).status_code == 200
        assert asked == [b"/first", b"/beside"]
        may_answer.set()
        assert [(await client.answer()).body for _ in range(2)] == [b"/first", b"/second"]


async def test_pipelined_requests_with_one_expired_token_are_each_judged(tmp_path):
    """P16: the second carries the same old pair; the tokens that the first one fetched serve it, one refresh for both."""
    async with house(tmp_path) as h, connected(h) as client:
        old = h.expired()
        await client.send(b"".join(head_bytes(target=f"/echo?{n}", pair=old) for n in range(3)))
        answers = [await client.answer() for _ in range(3)]
        assert [a.status for a in answers] == [200] * 3
        assert [json.loads(a.body)["target"] for a in answers] == [f"/echo?{n}" for n in range(3)]
        assert len(h.refreshes()) == 1
        assert len({tuple(a.values(b"x-access-token")) for a in answers}) == 1


async def test_what_follows_a_refused_token_is_judged_by_its_own(tmp_path):
    """P16: another user's request behind a 401, on the same connection, as behind a proxy in front of us."""
    async with house(tmp_path) as h, connected(h) as client:
        for user, status in (("ada", 200), (None, 401), ("bob", 200), (None, 401)):
            pair = ("nonsense", None) if user is None else h.login(user)
            await client.send(head_bytes(pair=pair))
            answer = await client.answer()
            assert answer.status == status
            if user is not None:
                sent = dict(json.loads(answer.body)["headers"])["authorization"]
                assert sent == f"Bearer {pair[0]}"
