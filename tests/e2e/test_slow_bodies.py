"""Bodies that come slowly (D2): what the client owes, what the API owes, and what each of them then sees."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from tests import lanes
from tests.e2e.raw_client import chunked, connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.e2e.test_slow_readers import closed
from tests.e2e.test_timeouts import LONG, for_ever, is_timed_out, sending
from tests.house import house
from tests.upstream.raw import OK, Peer

pytestmark = lanes.BOTH

FIRST = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
LAST = b"0\r\n\r\n"
MB = 1 << 20


@dataclass
class Api:
    """Reads each request to its end, answers, and knows what it has seen."""

    early: bool = False
    """The answer begins with the request's head, and ends with its body."""
    may_read: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: it reads bodies."""
    heads: list[bytes] = field(default_factory=list)
    whole: int = 0
    cut: int = 0

    def __post_init__(self) -> None:
        self.may_read.set()

    async def __call__(self, peer: Peer) -> None:
        while True:
            self.heads.append((await peer.head()).lower())
            if self.early:
                await peer.send(FIRST)
            await self.may_read.wait()
            try:
                await _body(peer, self.heads[-1])
            except (asyncio.IncompleteReadError, ConnectionError):
                self.cut += 1
                raise
            self.whole += 1
            await peer.send(LAST if self.early else OK)


async def _body(peer: Peer, head: bytes) -> None:
    _, found, rest = head.partition(b"\r\ncontent-length: ")
    if not found:
        await peer.reader.readuntil(b"0\r\n\r\n")
        return
    left = int(rest.split(b"\r\n")[0])
    while left:
        data = await peer.reader.read(min(left, MB))
        if not data:
            raise asyncio.IncompleteReadError(data, left)
        left -= len(data)


FORMS = {
    "length": ((b"Content-Length", b"1000"), b"some of it"),
    "chunked": ((b"Transfer-Encoding", b"chunked"), b"a\r\nsome of it\r\n"),
    "half a chunk": ((b"Transfer-Encoding", b"chunked"), b"64\r\nsome of it"),
    "all but the last chunk": ((b"Transfer-Encoding", b"chunked"), b"a\r\nsome of it\r\n0\r\n"),
    "nothing of it": ((b"Content-Length", b"1000"), b""),
}
SHORT = {**LONG, "body_timeout": "200ms"}


STANDING = [*((form, "1.1") for form in FORMS), ("length", "1.0"), ("nothing of it", "1.0")]


@pytest.mark.parametrize(("form", "version"), STANDING)
async def test_a_body_that_stands_still_is_answered_408(tmp_path, form, version):
    """D2: server.body_timeout; the API sees it break off, never as complete."""
    api = Api()
    framing, sent = FORMS[form]
    async with before(tmp_path, api, server=SHORT) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [framing], version=version) + sent)
        await is_timed_out(client)
        await until(lambda: len(api.heads) == api.cut)
        assert api.whole == 0
        assert h.gateway.upstreams[""].active == 0
        assert [(e.status, e.code) for e in h.requests()] == [(408, "request_timeout")]


@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_a_body_that_stands_still_behind_an_early_answer_is_cut(tmp_path, form):
    """D2, P14: the status is out already, so both sides see a break."""
    api = Api(early=True)
    framing, sent = FORMS[form]
    async with before(tmp_path, api, server=SHORT) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [framing]) + sent)
        answer = await client.head()
        assert answer.status == 200
        await client.read_body(answer)
        assert (answer.body, answer.complete) == (b"first", False)
        await until(lambda: api.cut == 1)
        assert api.whole == 0
        assert h.gateway.upstreams[""].active == 0


async def test_a_body_that_stands_still_before_an_api_that_does_not_read_is_the_clients_fault(tmp_path):
    """D2: what the client has sent fits between the two, so it is the client who is waited for."""
    api = Api()
    api.may_read.clear()
    async with before(tmp_path, api, server=SHORT) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [FORMS["length"][0]]) + b"some of it")
        await is_timed_out(client)
        api.may_read.set()
        await until(lambda: api.cut == 1)
        assert api.whole == 0


async def test_a_client_that_was_told_to_go_on_and_does_not_is_answered_408(tmp_path):
    """D2, P13: from the 100 on, it is the client's time."""
    api = Api()
    expects = [(b"Expect", b"100-continue"), (b"Content-Length", b"5")]
    async with before(tmp_path, api, server=SHORT) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), expects))
        assert await client.exactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await is_timed_out(client)
        assert api.whole == 0


async def test_a_body_that_drips_is_cut_although_it_goes_on(tmp_path):
    """D2: R-U-Dead-Yet: fifty bytes a second are less than min_data_rate."""
    api = Api()
    drips = {**LONG, "body_timeout": "300ms", "min_data_rate": "1KiB"}
    async with before(tmp_path, api, server=drips) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [(b"Content-Length", b"1000000")]))
        async with sending(client, for_ever(b"x")):
            await is_timed_out(client)
        await until(lambda: api.cut == len(api.heads))
        assert api.whole == 0


async def test_a_body_that_came_fast_has_earned_no_longer_pause(tmp_path):
    """D2: the first megabyte is worth a thousand seconds at this rate, but patience never exceeds body_timeout."""
    api = Api()
    pauses = {**SHORT, "min_data_rate": "1KiB"}
    async with before(tmp_path, api, server=pauses) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [(b"Content-Length", b"%d" % (2 * MB))]))
        await client.send(b"x" * MB)
        await is_timed_out(client)
        await until(lambda: api.cut == 1)


@pytest.mark.parametrize(("rate", "piece"), [("1KiB", b"x" * 1000), ("0", b"x")])
async def test_a_body_that_comes_slowly_but_steadily_is_taken(tmp_path, rate, piece):
    """D2: for longer than body_timeout; above the rate, or by any byte where there is none."""
    api = Api()
    steady = {**LONG, "body_timeout": "700ms", "min_data_rate": rate}
    async with before(tmp_path, api, server=steady) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [(b"Content-Length", b"%d" % (14 * len(piece)))]))
        async with sending(client, [piece] * 14, pause=0.1):
            assert (await client.answer()).body == b"ok"
        assert (api.whole, api.cut) == (1, 0)


async def test_what_an_api_does_not_read_is_not_the_clients_fault(tmp_path):
    """D2, D4: the client would send, and we do not take it: its clock stands still."""
    api = Api()
    api.may_read.clear()
    size = 32 * MB
    async with before(tmp_path, api, server=SHORT) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [(b"Content-Length", b"%d" % size)]))
        async with sending(client, [b"x" * MB] * (size // MB), pause=0):
            await until(lambda: api.heads)
            await asyncio.sleep(0.8)  # four times body_timeout: that it is waited through is what is tested
            assert not h.requests()
            api.may_read.set()
            assert (await client.answer()).status == 200
        assert (api.whole, api.cut) == (1, 0)


async def test_an_api_that_does_not_read_meets_its_own_timeout(tmp_path):
    """D2, B13: upstream.response_timeout, and 504 for the client."""
    api = Api()
    api.may_read.clear()
    size = 32 * MB
    upstream = {"response_timeout": "300ms"}
    async with before(tmp_path, api, server=LONG, upstream=upstream) as (h, _), connected(h) as client:
        await client.send(head_bytes("POST", "/", h.login(), [(b"Content-Length", b"%d" % size)]))
        async with sending(client, [b"x" * MB] * (size // MB), pause=0):
            answer = await client.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (504, "upstream_timeout")
        api.may_read.set()
        await until(lambda: api.cut == 1)
        assert api.whole == 0


@pytest.mark.parametrize("last", [True, False], ids=["the last request", "not the last"])
async def test_the_rest_of_a_body_that_was_refused_is_not_read_for_ever(tmp_path, last):
    """D2, B15: our own 413, and a client that goes on at full speed: lingering has an end (RFC 9112 §9.6)."""
    limits = {**LONG, "idle_timeout": "300ms", "max_body": "1MiB"}
    async with house(tmp_path, server=limits) as h, connected(h) as client:
        name = client.writer.get_extra_info("sockname")
        fields = [(b"Transfer-Encoding", b"chunked"), *([(b"Connection", b"close")] * last)]
        await client.send(head_bytes("POST", "/upload", h.login(), fields))
        async with sending(client, for_ever(b"10000\r\n" + b"x" * 65536 + b"\r\n"), pause=0):
            answer = await client.answer()
            assert (answer.status, json.loads(answer.body)["code"]) == (413, "body_too_large")
            assert await client.rest() == b""
            await until(lambda: closed(name))


async def test_a_body_that_follows_slowly_but_in_time_leaves_a_sound_connection(tmp_path):
    """D2, P16: the clocks of one request do not run on into the next."""
    api = Api()
    async with before(tmp_path, api, server={**LONG, "body_timeout": "700ms"}) as (h, _), connected(h) as client:
        pair = h.login()
        for _ in range(3):
            await client.send(head_bytes("POST", "/", pair, [(b"Transfer-Encoding", b"chunked")]))
            await asyncio.sleep(0.3)  # together longer than body_timeout: that is what is tested
            await client.send(chunked(b"at last"))
            assert (await client.answer()).body == b"ok"
        assert (api.whole, api.cut) == (3, 0)
