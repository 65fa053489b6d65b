"""A WebSocket through the whole gateway: its tokens, its limits, and its end."""

import asyncio
import json
import re
import ssl
from contextlib import AsyncExitStack

import pytest
import trustme

from tests.house import bearer, house, new_pair
from tests.websocket.wire import close, frame

from . import scripted
from .raw_client import connected
from .sockets import ACCEPT, BINARY, CLOSE, PING, PONG, TEXT, Heard, Talk, api, before, handshake, opened, switched
from .support import until

OPEN = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)


async def echoes(talk, text=b"hello"):
    await talk.say(frame(TEXT, text))
    return await talk.hear() == Heard(TEXT, text)


async def refused(h, pair, path="/echo"):
    """The answer to a handshake that is none of the API's."""
    async with connected(h) as client:
        await client.send(handshake(path, pair))
        answer = await switched(client)
        return answer.status, json.loads(answer.body)["code"], dict(answer.headers)


def tokens_of(answer):
    return {n.decode(): v.decode() for n, v in answer.headers if n.startswith(b"x-")}


async def test_a_fresh_token_opens_it(tmp_path):
    async with before(tmp_path) as (h, behind):
        pair = h.login()
        async with opened(h, "/echo?room=1", pair) as talk:
            assert tokens_of(talk.answer) == {}
            assert await echoes(talk)
        assert behind.requests[0]["authorization"] == [f"Bearer {pair[0]}"]
        assert "x-refresh-token" not in behind.requests[0]


async def test_an_expired_token_is_refreshed_first_and_the_101_carries_the_new_ones(tmp_path):
    """X1, X2: one token request, and the API sees the new token alone."""
    async with before(tmp_path) as (h, behind):
        old = h.expired()
        async with opened(h, "/echo", old) as talk:
            new = tokens_of(talk.answer)
            assert new["x-token-refreshed"] == "expired"
            assert talk.answer.values(b"cache-control") == [b"no-store"]
            assert await echoes(talk)
        assert behind.requests[0]["authorization"] == [f"Bearer {new['x-access-token']}"]
        assert "x-refresh-token" not in behind.requests[0]
        assert len(h.auth.token_requests) == 1
        async with opened(h, "/echo", (new["x-access-token"], new["x-refresh-token"])) as talk:
            assert await echoes(talk)


async def test_many_handshakes_share_one_refresh(tmp_path):
    async with before(tmp_path) as (h, _):
        old = h.expired()

        async def one():
            async with opened(h, "/echo", old) as talk:
                assert await echoes(talk)
                return tokens_of(talk.answer)["x-access-token"]

        assert len(set(await asyncio.gather(*(one() for _ in range(20))))) == 1
        assert len(h.auth.token_requests) == 1


async def test_without_a_good_token_there_is_no_handshake(tmp_path):
    """W1: the same checks as for any request."""
    async with before(tmp_path) as (h, behind):
        access, refresh = h.login()
        assert (await refused(h, None))[:2] == (401, "missing_token")
        assert (await refused(h, (access[:-6] + "AAAAAA", refresh)))[:2] == (401, "invalid_token")
        assert (await refused(h, (h.expired()[0], None)))[:2] == (401, "expired_token")
        assert (await refused(h, (h.expired()[0], "no-such-token")))[:2] == (401, "refresh_rejected")
        assert behind.requests == []
        assert h.gateway.tunnels.open == 0


async def test_a_route_without_auth_opens_it_for_everybody(tmp_path):
    async with before(tmp_path, routes=[{"match": "/echo", "auth": "off"}]) as (h, _), opened(h) as talk:
        assert await echoes(talk)


async def test_a_401_of_the_apis_own_leads_to_a_refresh_and_a_second_handshake(tmp_path):
    """R18."""
    seen = []

    async def handler(peer):
        while True:
            head = await peer.head()
            seen.append(re.search(rb"(?i)authorization: Bearer (\S+)", head)[1].decode())
            if len(seen) > 1:
                break
            refusal = b'WWW-Authenticate: Bearer error="invalid_token"\r\nContent-Length: 2\r\n\r\nno'
            await peer.send(b"HTTP/1.1 401 Unauthorized\r\n" + refusal)
        await peer.send(OPEN + frame(TEXT, b"welcome", mask=None))
        await peer.gone()

    async with scripted.before(tmp_path, handler) as (h, _):
        old = h.login()
        async with opened(h, "/echo", old) as talk:
            new = tokens_of(talk.answer)
            assert new["x-token-refreshed"] == "rejected"
            assert await talk.hear() == Heard(TEXT, b"welcome")
        assert seen == [old[0], new["x-access-token"]]


async def test_an_api_that_declines_is_relayed_with_the_new_tokens(tmp_path):
    async with house(tmp_path) as h:
        old = h.expired()
        answer = await h.get("/status/403", old, headers={"Upgrade": "websocket", "Connection": "Upgrade"})
        assert answer.status_code == 426  # no version: never asked
        proper = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        fields = {"Upgrade": "websocket", "Connection": "Upgrade", **proper}
        answer = await h.get("/status/403", new_pair(answer, old), headers=fields)
        assert answer.status_code == 403


async def test_one_more_than_the_limit_is_overloaded_at_once(tmp_path):
    """D5: and served again when one has gone."""
    async with before(tmp_path, websocket={"max_connections": 2}) as (h, behind):
        pair = h.login()
        async with opened(h, "/echo", pair) as first:
            async with opened(h, "/echo", pair):
                status, code, headers = await refused(h, pair)
                assert (status, code) == (503, "overloaded")
                assert headers[b"retry-after"] == b"1"
                assert len(behind.requests) == 2
            await until(lambda: h.gateway.tunnels.open == 1)
            async with opened(h, "/echo", pair) as third:
                assert await echoes(third)
            assert await echoes(first)
        await until(lambda: h.gateway.tunnels.open == 0)


async def test_websockets_take_no_connections_from_requests(tmp_path):
    async with (
        before(tmp_path, upstream={"max_connections": 1, "max_waiting": 0}) as (h, _),
        AsyncExitStack() as open_,
    ):
        pair = h.login()
        talks = [await open_.enter_async_context(opened(h, "/echo", pair)) for _ in range(5)]
        for talk in talks:
            assert await echoes(talk)
        assert h.gateway.upstreams[""].active == 0


async def test_a_message_over_the_limit_ends_it(tmp_path):
    async with before(tmp_path, websocket={"max_message": "64KiB"}) as (h, behind):
        async with opened(h, "/echo", h.login()) as talk:
            assert await echoes(talk, b"x" * 65536)
            await talk.say(frame(BINARY, b"x" * 65537))
            assert [(one.opcode, one.code) for one in await talk.rest()] == [(CLOSE, 1009)]
        await behind.witnesses[0].over.wait()
        assert behind.witnesses[0].code == 1001


async def test_a_silent_client_is_pinged_and_then_gone(tmp_path):
    """D2."""
    spans = {"ping_interval": "50ms", "ping_timeout": "50ms", "close_timeout": "200ms"}
    async with before(tmp_path, websocket=spans) as (h, behind):
        async with opened(h, "/echo", h.login()) as talk:
            heard = [await talk.hear(), await talk.hear()]
            assert [one.opcode for one in heard] == [PING, CLOSE]
            assert await talk.hear() is None
        await behind.witnesses[0].over.wait()
        assert behind.witnesses[0].code == 1006
        await until(h.requests)
        assert [(e.closed_by, e.close_code) for e in h.requests()] == [("client", 1006)]


async def test_a_client_that_answers_pings_stays(tmp_path):
    spans = {"ping_interval": "20ms", "ping_timeout": "30s"}
    async with before(tmp_path, websocket=spans) as (h, behind), opened(h, "/echo", h.login()) as talk:
        for _ in range(5):
            one = await talk.hear()
            assert one.opcode == PING
            await talk.say(frame(PONG, one.payload))
        assert behind.witnesses[0].code is None


async def test_a_client_that_does_not_read_holds_the_api_back(tmp_path):
    """D4: bounded memory, whatever the API would send."""
    sent = 0

    async def flood(peer):
        nonlocal sent
        await peer.head()
        await peer.send(OPEN)
        while sent < 256:
            await peer.send(frame(BINARY, b"x" * (1 << 20), mask=None))
            sent += 1

    async with scripted.before(tmp_path, flood) as (h, _), opened(h, "/echo", h.login()) as talk:
        talk.conversation.writer.transport.pause_reading()
        held = -1
        while held < sent:
            held = sent
            await asyncio.sleep(0.1)
        assert sent < 64  # what the kernel keeps for four sockets
        talk.conversation.writer.transport.resume_reading()
        received = 0
        while received < 256 << 20:
            received += len((await talk.hear()).payload)


async def test_an_api_that_does_not_read_holds_the_client_back(tmp_path):
    """D4."""
    done = asyncio.Event()

    async def deaf(peer):
        await peer.head()
        await peer.send(OPEN)
        await done.wait()

    async with scripted.before(tmp_path, deaf) as (h, _):
        async with opened(h, "/echo", h.login()) as talk:
            sent = 0

            async def flood():
                nonlocal sent
                while sent < 256:
                    await talk.say(frame(BINARY, b"x" * (1 << 20)))
                    sent += 1

            flooding = asyncio.create_task(flood())
            held = -1
            while held < sent:
                held = sent
                await asyncio.sleep(0.1)
            assert sent < 64
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)
        done.set()


async def test_a_client_that_leaves_during_the_handshake_leaves_nothing(tmp_path):
    """B22."""
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def silent(peer):
        await peer.head()
        arrived.set()
        await peer.gone()
        gone.set()

    async with scripted.before(tmp_path, silent) as (h, _):
        async with connected(h) as client:
            await client.send(handshake("/echo", h.login()))
            await arrived.wait()
            assert h.gateway.tunnels.open == 1
            client.abort()
        await gone.wait()
        await until(lambda: h.gateway.tunnels.open == 0)


async def test_what_happened_is_told_once_at_its_end(tmp_path):
    async with before(tmp_path) as (h, _):
        async with opened(h, "/echo?secret=1", h.login()) as talk:
            assert await echoes(talk)
            assert h.requests() == []
            await talk.say(close(4000, b"done"))
            await talk.rest()
        await until(h.requests)
        (ended,) = h.requests()
        assert (ended.status, ended.code, ended.path) == (101, None, "/echo")
        assert (ended.closed_by, ended.close_code) == ("client", 4000)


async def test_a_shutdown_says_goodbye_to_both_sides(tmp_path):
    """B23: 1001, well within the time for streams."""
    async with api() as behind, AsyncExitStack() as outer:
        async with house(tmp_path, upstream={"url": f"http://127.0.0.1:{behind.port}"}) as h:
            talk = await outer.enter_async_context(opened(h, "/echo", h.login()))
            assert await echoes(talk)
            listening = asyncio.create_task(talk.rest())
        assert [(one.opcode, one.code, one.payload[2:]) for one in await listening] == [
            (CLOSE, 1001, b"going away")
        ]
        await behind.witnesses[0].over.wait()
        assert (behind.witnesses[0].code, behind.witnesses[0].reason) == (1001, "going away")
        assert [(e.closed_by, e.close_code) for e in h.requests()] == [("gateway", 1001)]


async def test_a_shutdown_waits_for_nobody_who_does_not_answer(tmp_path):
    """B23."""
    async with api() as behind, AsyncExitStack() as outer:
        slow = {"server": {"shutdown_timeout": "300ms"}, "websocket": {"close_timeout": "1h"}}
        async with house(tmp_path, upstream={"url": f"http://127.0.0.1:{behind.port}"}, **slow) as h:
            talk = await outer.enter_async_context(opened(h, "/echo", h.login()))
            assert await echoes(talk)
        assert (await talk.hear()).code == 1001
        assert await talk.hear() is None


KEEP, ENDS = {"on_open_stream": "keep"}, {"on_open_stream": "close"}


async def test_a_token_that_expires_ends_its_websocket_where_the_file_says_so(tmp_path):
    """W2: at once, with 4401 on both sides."""
    async with before(tmp_path, refresh=ENDS) as (h, behind):
        access, _ = h.auth.login("ada", lifetime=1.5)
        async with opened(h, "/echo", (access, None)) as talk:
            assert await echoes(talk)
            heard = await talk.rest()
            assert [(one.code, one.payload[2:]) for one in heard] == [(4401, b"token expired")]
        await behind.witnesses[0].over.wait()
        assert (behind.witnesses[0].code, behind.witnesses[0].reason) == (4401, "token expired")
        await until(h.requests)
        assert [(e.closed_by, e.close_code) for e in h.requests()] == [("gateway", 4401)]


@pytest.mark.parametrize(
    "more", [{}, {"refresh": ENDS, "routes": [{"match": "/echo", **KEEP}]}], ids=["by default", "by its route"]
)
async def test_a_token_that_expires_changes_nothing_elsewhere(tmp_path, more):
    """W2: keep."""
    async with before(tmp_path, **more) as (h, _):
        access, _ = h.auth.login("ada", lifetime=1)
        ends = h.auth.now() + 1.2
        async with opened(h, "/echo", (access, None)) as talk:
            await until(lambda: h.auth.now() > ends)
            assert (await refused(h, (access, None)))[:2] == (401, "expired_token")
            assert await echoes(talk)


async def test_a_route_of_its_own_may_close(tmp_path):
    """W2."""
    async with before(tmp_path, routes=[{"match": "/echo", **ENDS}]) as (h, _):
        pair = (h.auth.login("ada", lifetime=1)[0], None)
        async with opened(h, "/echo", pair) as talk:
            assert [one.code for one in await talk.rest()] == [4401]


@pytest.mark.parametrize(
    ("media", "cut"), [(b"text/event-stream; charset=utf-8", True), (b"application/json", False)]
)
async def test_a_token_that_expires_cuts_an_event_stream(tmp_path, media, cut):
    """W2, P15: cut, not ended; any other answer goes on."""
    ready = asyncio.Event()

    async def stream(peer):
        await peer.head()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % media
        await peer.send(head + b"8\r\ndata: 1\n\r\n")
        if not cut:
            await ready.wait()
            await peer.send(b"0\r\n\r\n")
        await peer.gone()

    async with scripted.before(tmp_path, stream, refresh=ENDS) as (h, _), connected(h) as client:
        access, _ = h.auth.login("ada", lifetime=1)
        ends = h.auth.now() + 1.2
        request = "".join(f"{n}: {v}\r\n" for n, v in bearer((access, None)).items())
        await client.send(f"GET /events HTTP/1.1\r\nHost: a\r\n{request}\r\n".encode())
        answer = await client.head()
        assert await client.chunk() == b"data: 1\n"
        if not cut:
            await until(lambda: h.auth.now() > ends)
            ready.set()
        await client.read_body(answer)
        assert answer.complete is not cut
        await until(h.requests)
        assert [(e.status, e.code) for e in h.requests()] == [(200, "expired_token" if cut else None)]


async def test_a_browsers_words_reach_the_api_and_back_over_tls(tmp_path):
    """``wss://`` on both sides."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    blob = ca.issue_cert("localhost", "127.0.0.1")
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(part.bytes() for part in blob.cert_chain_pems))
    blob.private_key_pem.write_to_path(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    async with api(ssl=context) as behind:
        upstream = {"url": f"https://localhost:{behind.port}", "ca_file": str(tmp_path / "ca.pem")}
        tls = {"tls": {"cert": str(chain), "key": str(key)}}
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        async with house(tmp_path, upstream=upstream, server=tls) as h, connected(h, tls=trusting) as client:
            await client.send(handshake("/echo", h.login()))
            talk = Talk(client, await switched(client))
            assert talk.answer.status == 101
            await talk.say(frame(BINARY, b"x" * 300_000))
            size, fin = 0, False
            while not fin:
                one = await talk.hear()
                size, fin = size + len(one.payload), one.fin
            assert size == 300_000
            await talk.say(close(1000, b"bye"))
            assert [one.payload for one in await talk.rest()] == [b"\x03\xe8bye"]
        await behind.witnesses[0].over.wait()
        assert behind.witnesses[0].code == 1000
