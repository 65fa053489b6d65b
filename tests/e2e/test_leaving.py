"""Clients that leave in the middle of their request (B22), and early answers for those that are slow to send it (P14)."""

import asyncio

import pytest

from tests import lanes
from tests.e2e.raw_client import connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.e2e.test_slow_bodies import FORMS, Api
from tests.e2e.test_sse import LEAVES, resets
from tests.e2e.test_timeouts import LONG, sending
from tests.house import house
from tests.upstream.raw import TOO_LARGE, Peer

pytestmark = lanes.BOTH

UPSTREAM = {"response_timeout": "1h", "idle_timeout": "1h"}
"""No clock of ours ends anything here: what ends, ends because the client has left."""
MB = 1 << 20


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
@pytest.mark.parametrize("sent", [b"G", b"GET /echo HTTP/1.1\r\nHost: gateway.example\r\n"])
async def test_half_a_head_is_forgotten_with_its_client(tmp_path, sent, leave):
    """B22, D2: nothing of it reaches the API, and nobody is answered."""
    async with house(tmp_path, server=LONG) as h:
        async with connected(h) as client:
            await client.send(sent)
            leave(client)
            assert await client.rest() == b""
        assert (await h.get("/echo", h.login())).status_code == 200
        assert h.api.count == 1
        assert [e.status for e in h.requests()] == [200]


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
@pytest.mark.parametrize("form", FORMS)
async def test_a_client_that_leaves_in_its_upload_leaves_no_whole_request(tmp_path, form, leave):
    """B22: the API sees it break off, wherever that is, and its connection is not used again."""
    api = Api()
    framing, sent = FORMS[form]
    async with before(tmp_path, api, server=LONG, upstream=UPSTREAM) as (h, server):
        async with connected(h) as client:
            await client.send(head_bytes("POST", "/", h.login(), [framing]) + sent)
            await until(lambda: api.heads)
            leave(client)
            await until(lambda: api.cut == 1)
        await until(h.requests)
        assert [e.status for e in h.requests()] == [0]
        assert (api.whole, server.connections) == (0, 1)
        assert (h.gateway.upstreams[""].active, h.gateway.upstreams[""].idle) == (0, 0)


async def test_a_client_that_resets_while_the_api_does_not_read_is_noticed(tmp_path):
    """B22, D4: we do not read either then, and neither event loop looks at a socket that it does not read.

    A client that closes instead cannot be noticed: its end waits behind what its own kernel has not sent.
    """
    api = Api()
    api.may_read.clear()
    async with before(tmp_path, api, server=LONG, upstream=UPSTREAM) as (h, _):
        async with connected(h) as client:
            await client.send(head_bytes("POST", "/", h.login(), [(b"Content-Length", b"%d" % (64 * MB))]))
            async with sending(client, [b"x" * MB] * 64, pause=0):
                await until(lambda: api.heads)
                await asyncio.sleep(0.1)  # all buffers are full
            resets(client)
            await until(lambda: h.gateway.upstreams[""].active == 0)
        api.may_read.set()
        await until(lambda: api.cut == 1)
        assert api.whole == 0


async def test_an_early_answer_reaches_a_client_that_sends_byte_by_byte(tmp_path):
    """P14: its body has hardly begun; the answer does not wait for more of it."""

    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.send(TOO_LARGE)
        await peer.gone()

    async with before(tmp_path, handler, server=LONG) as (h, _), connected(h) as client:
        head = head_bytes("POST", "/", h.login(), [(b"Content-Length", b"100000")])
        drops = [data[n : n + 1] for data in (head, b"x" * 100_000) for n in range(len(data))]
        async with sending(client, drops, pause=0):
            answer = await client.answer()
        assert (answer.status, answer.body) == (413, b"big")


async def test_our_own_refusal_reaches_a_client_that_sends_byte_by_byte(tmp_path):
    """P14, B15: a 401 as soon as the head is there, whatever the rest of the body does."""
    async with house(tmp_path, server=LONG) as h, connected(h) as client:
        head = head_bytes("POST", "/upload", ("nonsense", None), [(b"Transfer-Encoding", b"chunked")])
        drops = [head[n : n + 1] for n in range(len(head))] + [b"1\r\nx\r\n"] * 100_000
        async with sending(client, drops, pause=0):
            assert (await client.answer()).status == 401
        assert h.api.count == 0
