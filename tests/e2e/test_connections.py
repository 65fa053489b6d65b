"""Connections: kept, shared, half understood, pipelined, and waiting to be told to go on."""

import asyncio
import json

import pytest

from tests import lanes
from tests.e2e.raw_client import Conversation, chunked, connected, exchange, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.house import house
from tests.upstream.raw import OK, always_ok

pytestmark = lanes.BOTH


async def ask(client: Conversation, h, target: str = "/echo", method: str = "GET", **head) -> dict:
    await client.send(head_bytes(method, target, h.login(), **head))
    answer = await client.answer(method)
    assert answer.status == 200
    return json.loads(answer.body)


async def test_a_thousand_requests_in_turn_use_one_connection_to_the_api(tmp_path):
    """X8, D5: whoever they come from; no state of one is on the next."""
    async with before(tmp_path, always_ok) as (h, server):
        pairs = [h.login(user) for user in ("ada", "bob")]
        for round_ in range(20):
            async with connected(h) as client:
                for number in range(50):
                    unsafe = number % 5 == 0
                    framing = [(b"Content-Length", b"2")] if unsafe else []
                    head = head_bytes("POST" if unsafe else "GET", "/", pairs[round_ % 2], framing)
                    await client.send(head + b"hi" * unsafe)
                    assert (await client.answer()).body == b"ok"
        upstream = h.gateway.upstreams[""]
        assert (upstream.active, upstream.idle) == (0, 1)
    assert server.connections == 1


async def test_requests_at_once_use_as_many_connections_and_no_more(tmp_path):
    """D5: what was opened for a crowd is used again."""
    async with house(tmp_path) as h:
        pair = h.login()
        for _ in range(3):
            await asyncio.gather(*(h.get("/slow?seconds=0.05", pair) for _ in range(20)))
            assert h.api_server.connections <= 20
        assert h.api.max_active <= 20


async def test_pipelined_requests_are_answered_in_order(tmp_path):
    """P16: each with its own body, and each after the one before it."""
    async with house(tmp_path) as h:
        pair = h.login()
        requests = [
            head_bytes(target="/slow?seconds=0.1", pair=pair),
            head_bytes("POST", "/echo?2", pair, [(b"Content-Length", b"3")]) + b"abc",
            head_bytes(target="/echo?3", pair=None),
            head_bytes("POST", "/echo?4", pair, [(b"Transfer-Encoding", b"chunked")]) + chunked(b"de", b"f"),
            head_bytes("HEAD", "/echo?5", pair),
            head_bytes(target="/echo?6", pair=pair),
        ]
        async with connected(h) as client:
            await client.send(b"".join(requests))
            answers = [await client.answer("HEAD" if n == 5 else "GET") for n in range(1, 7)]
        assert [a.status for a in answers] == [200, 200, 401, 200, 200, 200]
        bodies = [json.loads(answers[n].body) for n in (1, 3, 5)]
        assert [b["target"] for b in bodies] == ["/echo?2", "/echo?4", "/echo?6"]
        assert [b["body"]["text"] for b in bodies] == ["abc", "def", ""]


async def test_an_upgrade_that_is_not_taken_up_leaves_the_connection_usable(tmp_path):
    """P8: h2c is refused by ignoring it (RFC 9110 §7.8), with a body or without."""
    async with house(tmp_path) as h:
        upgrade = [(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMA")]
        async with connected(h) as client:
            for _ in range(2):
                assert (await ask(client, h, headers=upgrade))["method"] == "GET"
                await client.send(
                    head_bytes("POST", "/echo", h.login(), [*upgrade, (b"Content-Length", b"4")]) + b"body"
                )
                assert json.loads((await client.answer()).body)["body"]["text"] == "body"


@pytest.mark.parametrize("target", ["/bytes?size=200000", "/bytes?size=200000&chunked=1"])
async def test_an_http_1_0_client_gets_its_answer_without_chunks(tmp_path, target):
    """P11: RFC 9112 §6.1: no Transfer-Encoding for HTTP/1.0; the end of the connection is the end."""
    async with house(tmp_path) as h:
        answer = await exchange(h, head_bytes(target=target, pair=h.login(), version="1.0"))
        assert answer.complete
        assert len(answer.body) == 200_000
        assert not answer.values(b"transfer-encoding")


async def test_an_http_1_0_client_needs_no_host(tmp_path):
    """N1: the API is told the one that it has."""
    async with house(tmp_path, upstream={"preserve_host": False}) as h:
        access, _ = h.login()
        answer = await exchange(h, b"GET /echo HTTP/1.0\r\nAuthorization: Bearer %b\r\n\r\n" % access.encode())
        fields = dict(json.loads(answer.body)["headers"])
        assert fields["host"] == f"127.0.0.1:{h.api_server.port}"
        redirect = b"GET /redirect?to=%b/x HTTP/1.0\r\nAuthorization: Bearer %b\r\n\r\n"
        answer = await exchange(h, redirect % (h.api_server.url.encode(), access.encode()))
        assert answer.values(b"location") == [b"/x"]


CONTINUE = (b"Expect", b"100-continue")


async def test_a_client_that_waits_is_told_to_go_on(tmp_path):
    """P13: RFC 9110 §10.1.1; the body is then forwarded as any other, and Expect is not."""
    async with house(tmp_path) as h, connected(h) as client:
        await client.send(head_bytes("POST", "/echo", h.login(), [CONTINUE, (b"Content-Length", b"100000")]))
        assert (await client.exactly(25)) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"x" * 100_000)
        answer = await client.answer()
        assert json.loads(answer.body)["body"]["length"] == 100_000
        assert not h.api.requests[-1].values(b"expect")
        assert (await ask(client, h))["method"] == "GET"


@pytest.mark.parametrize("framing", [(b"Content-Length", b"100000"), (b"Transfer-Encoding", b"chunked")])
async def test_a_client_that_is_refused_is_not_told_to_go_on(tmp_path, framing):
    """P13: no 100 for a token that is refused; whether the body follows is unknown, so the connection ends."""
    async with house(tmp_path) as h, connected(h) as client:
        await client.send(head_bytes("POST", "/echo", ("not-a-token", None), [CONTINUE, framing]))
        answer = await client.answer()
        assert (answer.status, answer.interim) == (401, [])
        assert answer.values(b"connection") == [b"close"]
        assert await client.rest() == b""
        assert h.api.count == 0


async def test_a_client_that_waits_for_an_api_that_is_away_is_not_told_to_go_on(tmp_path):
    """B12: 502 instead of 100."""
    async with house(tmp_path) as h, connected(h) as client:
        await h.api_server.stop()
        await client.send(head_bytes("POST", "/echo", h.login(), [CONTINUE, (b"Content-Length", b"9")]))
        answer = await client.answer()
        assert (answer.status, answer.interim) == (502, [])
        assert answer.values(b"connection") == [b"close"]
        assert await client.rest() == b""


async def test_an_empty_body_needs_no_permission(tmp_path):
    """P13: RFC 9110 §10.1.1: no 100 where nothing follows."""
    async with house(tmp_path) as h, connected(h) as client:
        await client.send(head_bytes("POST", "/echo", h.login(), [CONTINUE, (b"Content-Length", b"0")]))
        answer = await client.answer()
        assert (answer.status, answer.interim) == (200, [])
        assert (await ask(client, h))["method"] == "GET"


async def test_an_http_1_0_client_is_never_told_to_go_on(tmp_path):
    """P13: RFC 9110 §10.1.1: it does not know interim answers."""
    async with house(tmp_path) as h:
        head = head_bytes("POST", "/echo", h.login(), [CONTINUE, (b"Content-Length", b"4")], version="1.0")
        answer = await exchange(h, head + b"body")
        assert (answer.status, answer.interim) == (200, [])


async def test_a_client_that_is_done_sending_and_says_so_has_left(tmp_path):
    """B22: a closed sending side is a client that left, as nginx and every ASGI server see it."""
    async with house(tmp_path) as h, connected(h) as client:
        await client.send(head_bytes(target="/slow?seconds=60", pair=h.login()))
        await until(lambda: h.api.active == 1)
        client.writer.write_eof()
        await until(lambda: h.api.active == 0)
        assert h.api.cancelled == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_bytes_that_nobody_asked_for_never_become_an_answer(tmp_path, at_once):
    """X8: an API that speaks out of turn, with an answer or after it, poisons no other request."""
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    answered = asyncio.Event()

    async def handler(peer):
        await peer.request()
        if peer.number:
            await peer.send(OK)
        elif at_once:
            await peer.send(OK + poison)
        else:
            await peer.send(OK)
            await answered.wait()
            await peer.send(poison)
        await peer.gone()

    async with before(tmp_path, handler) as (h, server):
        assert (await exchange(h, head_bytes(pair=h.login()))).body == b"ok"
        answered.set()
        await until(lambda: h.gateway.upstreams[""].idle == 0)
        assert (await exchange(h, head_bytes(pair=h.login()))).body == b"ok"
        assert server.connections == 2
