"""A WebSocket through the whole gateway: its handshake and its tokens."""

import asyncio
import re
import ssl

import trustme

from tests.house import house, new_pair
from tests.websocket.wire import close, frame

from . import scripted
from .raw_client import connected
from .sockets import BINARY, OPEN, TEXT, Heard, Talk, api, before, echoes, handshake, opened, refused, switched


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
