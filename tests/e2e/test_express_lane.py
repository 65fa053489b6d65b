"""The express lane, moment by moment: what is in it, what leaves it, and what is left of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import lanes
from tests.e2e.raw_client import Conversation, connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import ageing, settled, until
from tests.e2e.test_slow_readers import ask, narrow
from tests.e2e.test_sse import LEAVES
from tests.e2e.test_timeouts import LONG
from tests.e2e.wire import text_of
from tests.house import House, house, new_pair
from tests.upstream.raw import OK, Handler, Peer, Server

PATIENT = {"response_timeout": "1h", "idle_timeout": "1h"}
"""No clock of ours ends anything."""
REFUSED = (
    b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer error="invalid_token"\r\n'
    b"Content-Length: 7\r\n\r\nrefused"
)
MB = 1 << 20


@dataclass
class Scene:
    """A gateway that knows a token, and whose upstream has a connection at rest."""

    h: House
    server: Server
    pair: tuple[str, str]

    @property
    def pool(self) -> tuple[int, int, int]:
        """Connections to the upstream in use and at rest, and requests that wait for one."""
        upstream = self.h.gateway.upstreams[""]
        return upstream.active, upstream.idle, upstream.waiting

    @property
    def lanes(self) -> list[bool]:
        """Of the requests since the first: which took the express lane."""
        return [event.express for event in self.h.requests()[1:]]

    def head(self, *fields: tuple[bytes, bytes], method: str = "GET", target: str = "/") -> bytes:
        """A plain request."""
        return head_bytes(method, target, self.pair, fields)


@asynccontextmanager
async def scene(
    tmp_path: Path, then: Handler, pair: tuple[str, str] | None = None, **more: Any
) -> AsyncIterator[Scene]:
    """``then`` is what the upstream does after a first request, and on every further connection."""

    async def handler(peer: Peer) -> None:
        if peer.number == 0:
            await peer.request()
            await peer.send(OK)
        await then(peer)

    more.setdefault("upstream", PATIENT)
    async with before(tmp_path, handler, **more) as (h, server):
        known = pair or h.login()
        assert (await h.get("/", known)).status_code == 200
        yield Scene(h, server, known)


def saying(*answers: bytes) -> Handler:
    """On each connection, one after the other; then nothing until the gateway closes."""

    async def handler(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(answer)
        await peer.gone()

    return handler


async def always(peer: Peer) -> None:
    while True:
        head, _ = await peer.request()
        await peer.send(OK.removesuffix(b"ok") if head.startswith(b"HEAD") else OK)


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.gone()


class Unread:
    """A stream that reads nothing unasked."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    async def read(self, size: int) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._client, size)


# What is in it.


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


# What leaves it.


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


# Its end.


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
async def test_a_client_that_leaves_while_the_upstream_is_silent(tmp_path, leave):
    """B22: the upstream's connection is closed, and nothing of the request is left."""
    gone = asyncio.Event()

    async def waiting(peer: Peer) -> None:
        await silent(peer)
        gone.set()

    async with scene(tmp_path, waiting, server=LONG) as s:
        async with connected(s.h) as client:
            await client.send(s.head())
            await until(lambda: s.pool == (1, 0, 0))
            leave(client)
            await gone.wait()
        await until(lambda: s.lanes == [True])
        last = s.h.requests()[-1]
        assert (last.status, last.cut_by, last.decision) == (0, "client", "forward")
        assert s.pool == (0, 0, 0)


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
async def test_a_client_that_leaves_in_its_answer(tmp_path, leave):
    """B22: the same, after the head and some of the body."""
    gone = asyncio.Event()

    async def beginning(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await peer.gone()
        gone.set()

    async with scene(tmp_path, beginning, server=LONG) as s:
        async with connected(s.h) as client:
            await client.send(s.head())
            assert (await client.head()).status == 200
            leave(client)
            await gone.wait()
        await until(lambda: s.lanes == [True])
        last = s.h.requests()[-1]
        assert (last.status, last.cut_by) == (200, "client")
        assert s.pool == (0, 0, 0)


BROKEN = {
    "length": b"Content-Length: 100\r\n\r\nhello",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "in a chunk": b"Transfer-Encoding: chunked\r\n\r\n64\r\nhello",
    "no chunk": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_breaks_off_is_seen_to(tmp_path, broken):
    """P15, B14: it never looks complete, and the log says whose fault it was."""
    head, _, body = broken.partition(b"\r\n\r\n")

    async def breaking(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        await until(lambda: seen)
        await peer.send(body)

    seen = []
    async with scene(tmp_path, breaking) as s, connected(s.h) as client:
        await client.send(s.head())
        answer = await client.head()
        seen.append(answer)
        await client.read_body(answer)
        assert (answer.status, answer.complete) == (200, False)
        await until(lambda: s.lanes == [True])
        assert s.h.requests()[-1].cut_by == "upstream"
        assert s.pool == (0, 0, 0)


async def test_an_answer_that_breaks_off_behind_a_slow_reader_is_seen_to(tmp_path):
    """P15, D4: the last bytes of it still wait for the client when its end comes."""
    broke = asyncio.Event()

    async def breaking(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
        for size in (100_000, 1000):  # the first fills the way to the client, but not what may wait for it
            await peer.send(b"x" * size)
            await asyncio.sleep(0.2)
        broke.set()

    async with scene(tmp_path, breaking, server=LONG) as s, narrow(s.h) as slow:
        await ask(slow, s.head())
        await broke.wait()
        await asyncio.sleep(0.1)
        client = Conversation(Unread(slow), None)
        answer = await client.answer()
        assert (answer.status, answer.complete) == (200, False)
        await until(lambda: s.lanes == [True])
        assert s.h.requests()[-1].cut_by == "upstream"


async def test_an_upstream_that_falls_silent_in_its_answer(tmp_path):
    """B13: the client sees it break off."""
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"
    upstream = {"response_timeout": "1h", "idle_timeout": "200ms"}
    async with scene(tmp_path, saying(begun), upstream=upstream) as s, connected(s.h) as client:
        await client.send(s.head())
        answer = await client.answer()
        assert (answer.body, answer.complete) == (b"hello", False)
        await until(lambda: s.lanes == [True])
        assert s.h.requests()[-1].code == "upstream_timeout"


async def test_a_slow_reader_slows_the_upstream_down(tmp_path):
    """D4: what the client does not take is not asked for; every byte arrives in the end."""
    sent = 0
    size = 64 * MB

    async def pouring(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            await peer.send(bytes([sent // MB]) * MB)
            sent += MB

    async with scene(tmp_path, pouring, server=LONG) as s, connected(s.h) as client:
        await client.send(s.head())
        await until(lambda: s.pool[0] == 1 and sent)
        stood = -1
        while stood < sent:
            stood = sent
            await asyncio.sleep(0.2)
        assert stood < size // 2
        answer = await client.answer()
        assert answer.complete
        assert answer.body == b"".join(bytes([n]) * MB for n in range(size // MB))
        await until(lambda: s.lanes == [True])


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_answers_that_wait_for_a_slow_reader_lose_nothing(tmp_path, framing):
    """P16, D4: several in one segment; each one's head comes when there is room for it."""
    body = b"x" * 300_000
    told = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if framing == "chunked":
        told = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    async def large(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\n" + told)

    async with scene(tmp_path, large, server=LONG) as s, narrow(s.h) as slow:
        await ask(slow, s.head() * 5)
        await asyncio.sleep(0.2)  # all that can be sent is sent
        client = Conversation(Unread(slow), None)
        for _ in range(5):
            answer = await client.answer()
            assert (answer.status, answer.complete) == (200, True)
            assert answer.body == body
        assert s.lanes[0]


async def test_a_draining_gateway_closes_behind_the_answer(tmp_path):
    """B23: what is under way in the lane may end; the client is told that nothing follows."""
    go_on = asyncio.Event()

    async def waiting(peer: Peer) -> None:
        await peer.request()
        await go_on.wait()
        await peer.send(OK)
        await peer.gone()

    async with scene(tmp_path, waiting) as s, connected(s.h) as client:
        await client.send(s.head())
        await until(lambda: s.pool == (1, 0, 0))
        s.h.server.drain()
        go_on.set()
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.values(b"connection") == [b"close"]
        assert await client.rest() == b""
        assert s.lanes == [True]


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"], ids=["before", "within"]
)
async def test_what_takes_longer_than_the_shutdown_is_cut(tmp_path, begun):
    """B23: no plain end, and no answer that the upstream did not give."""

    async def holding(peer: Peer) -> None:
        await peer.request()
        await peer.send(begun)
        await peer.gone()

    server = {**LONG, "shutdown_timeout": "200ms"}
    async with scene(tmp_path, holding, server=server) as s, connected(s.h) as client:
        await client.send(s.head())
        await until(lambda: s.pool == (1, 0, 0))
        if begun:
            assert (await client.head()).status == 200
        s.h.server.should_exit = True
        assert await client.rest() in (b"", b"hel")
        last = s.h.requests()[-1]
        assert (last.cut_by, last.express) == ("gateway", True)
