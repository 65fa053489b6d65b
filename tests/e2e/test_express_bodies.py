"""Requests with a body in the express lane: those that are here as a whole when it is their turn."""

import time

import pytest

from tests.e2e.raw_client import connected, head_bytes
from tests.e2e.scene import REFUSED, Scene, scene
from tests.e2e.support import until
from tests.upstream.raw import OK, Handler, Peer


def recorder(seen: list[tuple[bytes, bytes]], *answers: bytes) -> Handler:
    """Keeps every request and answers it: with ``answers`` first, then always with 200."""
    left = list(answers)

    async def handler(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            await peer.send(left.pop(0) if left else OK)

    return handler


def post(s: Scene, body: bytes, *, method: str = "POST") -> tuple[bytes, bytes]:
    """A request's head and its body."""
    return s.head((b"Content-Length", b"%d" % len(body)), method=method), body


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 9_000], ids=["empty", "small", "larger"])
async def test_a_body_that_comes_with_its_head_takes_the_lane(tmp_path, body):
    """P11: it goes up as it came, with its length; the connection serves on."""
    seen: list[tuple[bytes, bytes]] = []
    async with scene(tmp_path, recorder(seen)) as s, connected(s.h) as client:
        for _ in range(2):
            await client.send(b"".join(post(s, body, method="PUT")))
            assert (await client.answer()).status == 200
        assert [got for _, got in seen] == [body, body]
        assert all(head.lower().count(b"content-length: %d\r\n" % len(body)) == 1 for head, _ in seen)
        assert s.server.connections == 1
        if len(body) < 1000:  # a larger one may come in more than one read
            assert s.lanes == [True, True]


async def test_a_large_body_does_not(tmp_path):
    """D4: it needs back-pressure."""
    seen: list[tuple[bytes, bytes]] = []
    async with scene(tmp_path, recorder(seen)) as s, connected(s.h) as client:
        await client.send(b"".join(post(s, b"x" * 65_537)))
        assert (await client.answer()).status == 200
        assert (len(seen[0][1]), s.lanes) == (65_537, [False])


async def test_a_body_whose_answer_is_lost_is_not_sent_again_although_its_token_ends_meanwhile(tmp_path):
    """B16: what has been decided stands; a new token is no reason to repeat what may have been done."""
    posts: list[bytes] = []
    ends = time.time() + 3

    async def handler(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            if head.startswith(b"POST"):
                posts.append(body)
                await until(lambda: time.time() > ends + 0.1)
                return
            await peer.send(OK)

    async with scene(tmp_path, handler, refresh={"ahead": "0s", "hard": "0s"}) as s, connected(s.h) as client:
        short = (s.h.auth.mint(sub="ada", exp=int(ends)), s.pair[1])
        for body in (None, b"pay"):
            length = [] if body is None else [(b"Content-Length", b"3")]
            await client.send(head_bytes("GET" if body is None else "POST", "/", short, length) + (body or b""))
            assert (await client.answer()).status == (200 if body is None else 502)
        assert posts == [b"pay"]
        assert s.h.refreshes() == []


async def test_a_body_that_comes_later_does_not(tmp_path):
    """D4: what is still to be read is the application's, which heeds both sides."""
    seen: list[tuple[bytes, bytes]] = []
    async with scene(tmp_path, recorder(seen)) as s, connected(s.h) as client:
        head, body = post(s, b"hello")
        await client.send(head + body[:2])
        await until(lambda: seen or s.pool[0])
        await client.send(body[2:])
        assert (await client.answer()).status == 200
        assert [got for _, got in seen] == [body]
        assert s.lanes == [False]


async def test_a_refused_body_is_sent_once_more_with_a_new_token(tmp_path):
    """R18, P15: the API's 401 leaves the lane with the body; two sends, not three."""
    seen: list[tuple[bytes, bytes]] = []
    async with scene(tmp_path, recorder(seen, REFUSED)) as s, connected(s.h) as client:
        await client.send(b"".join(post(s, b"hello")))
        got = await client.answer()
        assert (got.status, s.lanes) == (200, [False])
        assert [body for _, body in seen] == [b"hello", b"hello"]
        first, second = (head for head, _ in seen)
        assert s.pair[0].encode() in first
        assert s.pair[0].encode() not in second
        assert s.server.connections == 1, "the refused one's connection was read to its end and used again"


async def test_a_body_that_is_too_large_for_a_replay_is_not_replayed(tmp_path):
    """R18: ``refresh.replay_body`` holds for what went up by the lane; the new tokens come with the API's 401."""
    seen: list[tuple[bytes, bytes]] = []
    small = {"replay_body": "1KiB"}
    async with scene(tmp_path, recorder(seen, REFUSED), refresh=small) as s, connected(s.h) as client:
        await client.send(b"".join(post(s, b"x" * 1025)))
        got = await client.answer()
        assert got.status == 401
        assert b"x-access-token" in {name.lower() for name, _ in got.headers}
        assert [len(body) for _, body in seen] == [1025]


async def test_pipelined_bodies_stay_apart(tmp_path):
    """P16: a request in one segment with others gets its own body."""
    seen: list[tuple[bytes, bytes]] = []
    async with scene(tmp_path, recorder(seen)) as s, connected(s.h) as client:
        await client.send(b"".join(part for body in (b"one", b"", b"three") for part in post(s, body)))
        assert [(await client.answer()).status for _ in range(3)] == [200] * 3
        assert [body for _, body in seen] == [b"one", b"", b"three"]
