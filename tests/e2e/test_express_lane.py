"""What takes the express lane, and what does not."""

import asyncio

import pytest

from tests import lanes
from tests.e2e.raw_client import Conversation, connected, head_bytes
from tests.e2e.scene import PATIENT, always, saying, scene, silent
from tests.e2e.support import ageing, until
from tests.e2e.wire import text_of
from tests.house import house
from tests.upstream.raw import OK, Peer


@lanes.BOTH
async def test_a_house_is_warm_or_its_lane_is_closed(tmp_path, lane):
    """What the tests in both lanes rest on: see ``tests.lanes``."""
    async with house(tmp_path) as h:
        assert (await h.get("/echo", h.login())).status_code == 200
        assert [event.express for event in h.requests()] == [lane == "warm"]


async def test_what_is_known_takes_the_lane(tmp_path):
    """A fresh token that was judged before, a rule that only passes on, a connection at rest."""
    async with scene(tmp_path, always) as s, connected(s.h) as client:
        for method, target in (("GET", "/"), ("GET", "/other?x"), ("HEAD", "/"), ("DELETE", "/")):
            await client.send(s.head(method=method, target=target))
            assert (await client.answer(method)).status == 200
        assert s.lanes == [True] * 4
        assert s.server.connections == 1


async def test_it_can_be_closed(tmp_path):
    """``[server] express = false``: the application answers everything."""
    async with scene(tmp_path, always, server={"express": False}) as s, connected(s.h) as client:
        await client.send(s.head())
        assert (await client.answer()).status == 200
        assert s.lanes == [False]


NOT_PLAIN = {
    "chunks": head_bytes("POST", "/", None, [(b"Transfer-Encoding", b"chunked")]) + b"0\r\n\r\n",
    "another protocol": head_bytes("GET", "/", None, [(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c")]),
    "a body that waits to be asked for": head_bytes(
        "PUT", "/", None, [(b"Content-Length", b"5"), (b"Expect", b"100-continue")]
    )
    + b"hello",
    "OPTIONS": head_bytes("OPTIONS", "/", None),
    "an escape, which may hide our own prefix": head_bytes("GET", "/%5fgateway", None),
    "another host": head_bytes("GET", "http://another.example/", None),
}


@pytest.mark.parametrize("request_", NOT_PLAIN.values(), ids=NOT_PLAIN)
async def test_what_is_not_plain_does_not_take_it(tmp_path, request_):
    """R17, P8, N2: whatever has a rule of its own is the application's."""
    async with scene(tmp_path, always) as s, connected(s.h) as client:
        token = b"Authorization: Bearer %b\r\n\r\n" % s.pair[0].encode()
        await client.send(request_.replace(b"\r\n\r\n", b"\r\n" + token, 1))
        assert (await client.answer()).status == 200
        assert s.lanes == [False]


async def test_requests_in_one_segment_take_it_one_after_the_other(tmp_path):
    """P16: in their order, each judged by itself."""
    async with scene(tmp_path, always) as s, connected(s.h) as client:
        forged = head_bytes("GET", "/", (s.pair[0][:-9] + "A" * 9, None))
        await client.send(s.head() * 3 + forged + s.head() * 2)
        assert [(await client.answer()).status for _ in range(6)] == [200, 200, 200, 401, 200, 200]
        assert s.lanes == [True, True, True, False, True, True]


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 11", b"hello world"),
        (b"Transfer-Encoding: chunked", b"6\r\nhello \r\n5;a=b\r\nworld\r\n0\r\nX-T: a\r\n\r\n"),
        (b"Connection: close", b"hello world"),
    ],
    ids=["length", "chunked", "close"],
)
async def test_an_answer_in_pieces_is_put_together(tmp_path, framing, body, size):
    """P5, P11: a byte at a time, a few at a time; interim answers end at the gateway."""
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + body

    async def dripping(peer: Peer) -> None:
        await peer.request()
        for at in range(0, len(answer), size):
            await peer.send(answer[at : at + size])
            for _ in range(3):
                await asyncio.sleep(0)

    async with scene(tmp_path, dripping) as s, connected(s.h) as client:
        await client.send(s.head())
        got = await client.answer()
        assert (got.status, got.body, got.complete, got.interim) == (200, b"hello world", True, [])
        assert "x-t" not in text_of(got.headers)
        assert s.lanes == [True]


async def test_two_clients_with_the_same_head_are_two_clients(tmp_path):
    """N1, X8: what was read of one client's fields says nothing of who the other is."""
    heads = []

    async def noting(peer: Peer) -> None:
        while True:
            heads.append(await peer.head())
            await peer.send(OK)

    async with scene(tmp_path, noting) as s:
        for _ in range(2):
            for address in ("127.0.0.1", "127.0.0.7"):
                streams = await asyncio.open_connection("127.0.0.1", s.h.port, local_addr=(address, 0))
                client = Conversation(*streams)
                for _ in range(2):
                    await client.send(s.head())
                    assert (await client.answer()).status == 200
                client.abort()
        told = [head.lower().partition(b"x-forwarded-for: ")[2].partition(b"\r\n")[0] for head in heads]
        assert told == [b"127.0.0.1", b"127.0.0.1", b"127.0.0.7", b"127.0.0.7"] * 2
        assert all(s.lanes)


async def test_a_route_has_a_patience_of_its_own(tmp_path):
    """B13: ``response_timeout`` of the rule, not of the upstream."""
    routes = [{"match": "/quick", "response_timeout": "200ms"}]
    async with scene(tmp_path, silent, routes=routes) as s:
        answer = await s.h.get("/quick", s.pair)
        assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout")
        assert s.server.connections == 1


async def test_a_request_for_which_there_is_no_connection_waits_in_the_other_lane(tmp_path):
    """D5: it is answered once the first one is."""
    go_on = asyncio.Event()

    async def one_by_one(peer: Peer) -> None:
        while True:
            await peer.request()
            await go_on.wait()
            await peer.send(OK)

    async with (
        scene(tmp_path, one_by_one, upstream={**PATIENT, "max_connections": 1}) as s,
        connected(s.h) as first,
        connected(s.h) as second,
    ):
        await first.send(s.head())
        await until(lambda: s.pool == (1, 0, 0))
        await second.send(s.head())
        await until(lambda: s.pool == (1, 0, 1))
        go_on.set()
        assert [(await client.answer()).status for client in (first, second)] == [200, 200]
        assert s.lanes == [True, False]
        assert s.server.connections == 1


async def test_a_route_has_its_own_share_of_the_connections(tmp_path):
    """D5: one that has as many as it may waits, although another route's connection is at rest."""
    go_on = asyncio.Event()

    async def holding(peer: Peer) -> None:
        while True:
            head = await peer.head()
            if b"/narrow" in head:
                await go_on.wait()
            await peer.send(OK)

    routes = [{"match": "/narrow", "max_connections": 1}]
    async with (
        scene(tmp_path, holding, routes=routes) as s,
        connected(s.h) as first,
        connected(s.h) as second,
        connected(s.h) as third,
    ):
        await asyncio.gather(*(s.h.get("/", s.pair) for _ in range(3)))
        idle = s.pool[1]
        assert idle > 1
        await first.send(s.head(target="/narrow"))
        await until(lambda: s.pool == (1, idle - 1, 0))
        await second.send(s.head(target="/narrow"))
        await until(lambda: s.pool == (1, idle - 1, 1))
        await third.send(s.head())
        assert (await third.answer()).status == 200
        go_on.set()
        assert [(await client.answer()).status for client in (first, second)] == [200, 200]
        assert [e.express for e in s.h.requests() if e.path == "/narrow"] == [True, False]


async def test_a_stream_that_must_end_with_its_token_is_not_for_it(tmp_path):
    """W2: somebody has to watch the clock."""
    stream = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\n\n\r\n"
    )
    windows = {"ahead": "0s", "hard": "0s"}
    routes = [{"match": "/events", "on_open_stream": "close"}]
    async with scene(tmp_path, saying(stream), routes=routes, refresh=windows) as s, connected(s.h) as client:
        s.pair = ageing(s.h, left=3)
        lanes.introduce(s.h.gateway, s.pair[0])
        await client.send(s.head(target="/events"))
        answer = await client.answer()
        assert (answer.body, answer.complete) == (b"a\n\n", False)
        assert s.h.requests()[-1].cut_by == "gateway"
        assert not any(s.lanes)
