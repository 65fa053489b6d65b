"""``on_open_stream``: what becomes of an event stream whose access token expires while it is open (W2)."""

import asyncio

import pytest

from tests import lanes
from tests.e2e.raw_client import connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.e2e.test_sse import EVENT, FRAMINGS, HEAD, Source, chunk
from tests.house import house

pytestmark = lanes.BOTH

NO_REFRESH_AHEAD = {"ahead": "0s", "hard": "0s"}
CLOSE = {**NO_REFRESH_AHEAD, "on_open_stream": "close"}


def short_lived(h, left: float = 1) -> tuple[str, str]:
    """A pair whose access token has less than ``left`` seconds; ``exp`` is a whole number in most tokens, not here."""
    return h.auth.mint(exp=h.auth.now() + left), h.login()[1]


async def past(h, end: float) -> None:
    """Return when a token that ends then has been expired for a while."""
    await until(lambda: h.auth.now() > end + 0.2)


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_a_stream_is_cut_when_its_token_expires(tmp_path, framing):
    """W2: cut, not ended, so that the client comes back, with another token; the API is let go."""
    source = Source()
    head, framed = FRAMINGS[framing]
    async with before(tmp_path, source, refresh=CLOSE) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=short_lived(h)))
        source.says.put_nowait(head + framed(EVENT))
        answer = await client.head()
        await client.read_body(answer)
        assert (answer.body, answer.complete) == (EVENT, False)
        await until(lambda: source.open == 0)
        assert [(e.status, e.code) for e in h.requests()] == [(200, "expired_token")]


async def test_a_client_of_http_1_0_sees_the_cut_as_one(tmp_path):
    """W2, P15: where only the connection's end ends the body, a reset."""
    source = Source()
    async with before(tmp_path, source, refresh=CLOSE) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=short_lived(h), version="1.0"))
        source.says.put_nowait(HEAD + chunk(EVENT))
        answer = await client.head()
        await client.read_body(answer)
        assert client.reset
        await until(lambda: source.open == 0)


async def test_a_stream_that_talks_all_the_time_is_cut_too(tmp_path):
    """W2: at the token's end, not at the next silence."""
    async with house(tmp_path, refresh=CLOSE) as h, connected(h) as client:
        await client.send(head_bytes(target="/sse?count=0&interval=0.01", pair=short_lived(h)))
        answer = await client.head()
        await client.read_body(answer)
        assert not answer.complete
        assert answer.body.count(b"data: ") > 1
        await until(lambda: h.api.active == 0)
        assert h.api.cancelled == 1


async def test_a_client_that_does_not_read_is_cut_all_the_same(tmp_path):
    """W2: while the gateway waits for room to write."""
    source = Source()
    async with before(tmp_path, source, refresh=CLOSE) as (h, _), connected(h) as client:
        client.writer.transport.pause_reading()
        await client.send(head_bytes(pair=short_lived(h)))
        source.says.put_nowait(HEAD)
        for _ in range(400):
            source.says.put_nowait(chunk(b"x" * 65536))
        await until(lambda: source.open == 1)
        await until(lambda: source.open == 0)
        assert h.gateway.upstreams[""].active == 0


async def test_by_default_a_stream_outlives_its_token(tmp_path):
    """W2: what an API lets its clients hear is its own business, as without a gateway."""
    source = Source()
    async with before(tmp_path, source, refresh=NO_REFRESH_AHEAD) as (h, _), connected(h) as client:
        end = h.auth.now() + 1
        await client.send(head_bytes(pair=short_lived(h)))
        source.says.put_nowait(HEAD)
        await client.head()
        await past(h, end)
        source.says.put_nowait(chunk(EVENT))
        assert await client.chunk() == EVENT


async def test_a_route_decides_for_itself(tmp_path):
    """W2: ``routes.on_open_stream`` in place of ``refresh.on_open_stream``."""
    routes = [{"match": "/news/*", "strip_prefix": "/news", "on_open_stream": "close"}]
    async with (
        house(tmp_path, refresh=NO_REFRESH_AHEAD, routes=routes) as h,
        connected(h) as news,
        connected(h) as other,
    ):
        pair, target = short_lived(h), "/sse?count=0&interval=0.01"
        await other.send(head_bytes(target=target, pair=pair))
        await other.head()
        await news.send(head_bytes(target="/news" + target, pair=pair))
        answer = await news.head()
        await news.read_body(answer)
        assert not answer.complete
        await until(lambda: h.api.active == 1)
        for _ in range(10):
            assert await other.chunk()


async def test_a_refreshed_stream_lives_as_long_as_its_new_token(tmp_path):
    """W2: what counts is the token that went upstream."""
    source = Source()
    async with before(tmp_path, source, refresh=CLOSE) as (h, _), connected(h) as client:
        await client.send(head_bytes(pair=h.expired()))
        source.says.put_nowait(HEAD)
        assert (await client.head()).values(b"x-token-refreshed") == [b"expired"]
        await asyncio.sleep(0.3)
        source.says.put_nowait(chunk(EVENT))
        assert await client.chunk() == EVENT


async def test_another_answer_is_not_cut(tmp_path):
    """W2: the policy is for what may stay open for days; a download ends by itself."""
    source = Source()
    async with before(tmp_path, source, refresh=CLOSE) as (h, _), connected(h) as client:
        end = h.auth.now() + 1
        await client.send(head_bytes(pair=short_lived(h)))
        source.says.put_nowait(HEAD.replace(b"text/event-stream", b"application/json"))
        await client.head()
        await past(h, end)
        source.says.put_nowait(chunk(b"{}") + b"0\r\n\r\n")
        assert await client.chunk() == b"{}"
        assert await client.chunk() == b""


@pytest.mark.parametrize("auth", ["off", "optional"])
async def test_a_stream_without_a_token_has_no_end_of_its_own(tmp_path, auth):
    """W2: nothing expires."""
    source = Source()
    routes = [{"match": "/open", "auth": auth}]
    async with before(tmp_path, source, refresh=CLOSE, routes=routes) as (h, _), connected(h) as client:
        await client.send(head_bytes(target="/open"))
        source.says.put_nowait(HEAD)
        await client.head()
        await asyncio.sleep(0.3)
        source.says.put_nowait(chunk(EVENT))
        assert await client.chunk() == EVENT
