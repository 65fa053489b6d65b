"""What leaves the express lane, and whose token it looks at again."""

import asyncio

import pytest

from tests.e2e.raw_client import connected
from tests.e2e.scene import REFUSED, always, saying, scene, silent
from tests.e2e.support import ageing, settled
from tests.house import new_pair
from tests.upstream.raw import OK, Peer


@pytest.mark.parametrize("rest", [b"", b"X" * 100_000], ids=["short", "long"])
async def test_a_401_that_asks_for_new_tokens_leaves_it(tmp_path, rest):
    """R18: one refresh and one replay: two requests in all, and the answer is the second one's."""
    tokens = []
    refused = REFUSED.replace(b" 7\r\n", b" %d\r\n" % (7 + len(rest))) + rest

    async def refusing(peer: Peer) -> None:
        while True:
            head = await peer.head()
            tokens.append(head.partition(b"authorization: Bearer ")[2].partition(b"\r\n")[0].decode())
            await peer.send(refused if len(tokens) == 1 else OK)

    async with scene(tmp_path, refusing) as s:
        answer = await s.h.get("/", s.pair)
        assert (answer.status_code, answer.text) == (200, "ok")
        assert answer.headers["x-token-refreshed"] == "rejected"
        assert tokens == [s.pair[0], new_pair(answer, s.pair)[0]]
        assert len(s.h.auth.token_requests) == 1
        assert s.lanes == [False]
        assert s.pool == (0, 1, 0)


async def test_a_401_that_comes_in_pieces_leaves_it_too(tmp_path):
    """R18: what the upstream still says of it is dropped, and its connection is in order."""

    async def refusing(peer: Peer) -> None:
        if peer.number == 0:
            await peer.request()
            for at in range(len(REFUSED)):
                await peer.send(REFUSED[at : at + 1])
                await asyncio.sleep(0)
        await always(peer)

    async with scene(tmp_path, refusing) as s:
        answer = await s.h.get("/", s.pair)
        assert (answer.status_code, answer.headers["x-token-refreshed"]) == (200, "rejected")


@pytest.mark.parametrize(
    ("challenge", "policy"),
    [(b"Bearer", "invalid_token"), (b"Basic realm=x", "invalid_token"), (b'Bearer error="invalid_token"', "never")],
)
async def test_another_401_is_an_answer_like_any_other(tmp_path, challenge, policy):
    """R18: it is passed on as it is."""
    refused = b"HTTP/1.1 401 No\r\nWWW-Authenticate: %b\r\nContent-Length: 0\r\n\r\n" % challenge
    async with scene(tmp_path, saying(refused), refresh={"on_upstream_401": policy}) as s:
        assert (await s.h.get("/", s.pair)).status_code == 401
        assert s.lanes == [True]
        assert not s.h.auth.token_requests


async def test_a_401_without_a_refresh_token_is_passed_on(tmp_path):
    """R18: there is nothing to be had for it."""
    async with scene(tmp_path, saying(REFUSED)) as s:
        answer = await s.h.get("/", (s.pair[0], None))
        assert (answer.status_code, answer.text) == (401, "refused")
        assert not s.h.auth.token_requests


async def test_a_connection_that_has_gone_stale_is_replaced_for_a_get(tmp_path):
    """B16: the upstream closes it under our request, without a byte; the client does not notice."""

    async def closing(peer: Peer) -> None:
        await peer.request()
        if peer.number:
            await peer.send(OK)
            await peer.gone()

    async with scene(tmp_path, closing) as s:
        answer = await s.h.get("/", s.pair)
        assert (answer.status_code, answer.text) == (200, "ok")
        assert s.server.connections == 2
        assert s.pool == (0, 1, 0)


async def test_a_post_on_a_stale_connection_is_not_sent_twice(tmp_path):
    """B16: nobody knows whether it was heard."""
    posts = []

    async def closing(peer: Peer) -> None:
        posts.append(await peer.head())

    async with scene(tmp_path, closing) as s, connected(s.h) as client:
        await client.send(s.head(method="POST"))
        assert (await client.answer()).status == 502
        assert len(posts) == 1
        assert s.pool == (0, 0, 0)


async def test_bytes_that_nobody_asked_for_are_nobodys_answer(tmp_path):
    """X8, P15: a connection that speaks unasked, or on after its answer, is not used again."""
    speaks = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"

    async def speaking(peer: Peer) -> None:
        await peer.request()
        await peer.send(speaks)
        await peer.gone()

    async with scene(tmp_path, speaking) as s, connected(s.h) as client:
        for _ in range(4):
            await client.send(s.head())
            got = await client.answer()
            assert (got.status, got.body) == (200, b"ok")
        assert s.pool == (0, 0, 0)


async def test_an_upstream_that_does_not_answer_is_a_504(tmp_path):
    """B13: in our own words, from the ASGI lane; the connection is given up."""
    upstream = {"response_timeout": "200ms", "idle_timeout": "1h"}
    async with scene(tmp_path, silent, upstream=upstream) as s:
        answer = await s.h.get("/", s.pair)
        assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout")
        assert s.pool == (0, 0, 0)
        assert s.server.connections == 1


async def test_a_token_that_comes_of_age_leaves_it(tmp_path):
    """R23: the same head as before, on the same connection: what was read of it does not say how old it is now."""
    async with scene(tmp_path, always, refresh={"ahead": "2s", "hard": "0s"}) as s, connected(s.h) as client:
        s.pair = ageing(s.h, left=4)
        seen = []
        async with asyncio.timeout(30):
            while not seen or b"x-access-token" not in dict(seen[-1].headers):
                await client.send(s.head())
                seen.append(await client.answer())
                await asyncio.sleep(0.02)
        await settled(s.h)
        assert {answer.status for answer in seen} == {200}
        assert s.lanes == [False, *[True] * (len(seen) - 2), False]
        assert s.h.requests()[-1].decision == "alongside"


async def test_a_token_whose_key_has_left_is_judged_anew(tmp_path):
    """R22: the same head as before; its token was good under keys that are gone."""
    async with scene(tmp_path, always) as s, connected(s.h) as client:
        await client.send(s.head())
        assert (await client.answer()).status == 200
        s.h.auth.rotate_keys()
        assert (await s.h.get("/", s.h.login("bob"))).status_code == 200
        await client.send(s.head())
        assert (await client.answer()).status == 401
        assert s.lanes == [True, False, False]


async def test_a_refresh_token_that_is_seen_in_it_is_claimed(tmp_path):
    """R11: the client has its new tokens; with no grace, the old ones are worth nothing from then on."""
    async with scene(tmp_path, always, refresh={"grace": "0s"}) as s:
        old = s.h.expired()
        new = new_pair(await s.h.get("/", old), old)
        assert (await s.h.get("/", (new[0], None))).status_code == 200
        assert (await s.h.get("/", old)).headers["x-token-refreshed"] == "joined"
        assert (await s.h.get("/", new)).status_code == 200
        assert s.lanes[-1]
        await settled(s.h)
        answer = await s.h.get("/", old)
        assert (answer.status_code, answer.json()["code"]) == (401, "refresh_rejected")
