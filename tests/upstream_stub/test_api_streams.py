"""The API's streams, over real sockets."""

import asyncio
import hashlib
import tracemalloc

import httpx
import pytest

from tests.upstream_stub.conftest import hang_up, raw_request, until
from upstream_stub.pattern import pattern, pattern_sha256


async def digest_of(client, path, **options):
    digest = hashlib.sha256()
    async with client.http.stream("GET", client.listener.url + path, **options) as answer:
        async for part in answer.aiter_raw():
            digest.update(part)
    return digest.hexdigest(), answer.headers


@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_001])
async def test_bytes_are_those_of_the_pattern(client, size):
    digest, headers = await digest_of(client, f"/bytes?size={size}")
    assert (digest, headers["content-length"]) == (pattern_sha256(size), str(size))
    digest, headers = await digest_of(client, f"/bytes?size={size}&chunked=1")
    assert (digest, headers["transfer-encoding"]) == (pattern_sha256(size), "chunked")


async def test_a_large_download_needs_no_memory(client):
    size = 32 << 20
    tracemalloc.start()
    digest, _ = await digest_of(client, f"/bytes?size={size}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert digest == pattern_sha256(size)
    assert peak < size / 8


async def test_an_upload_is_counted_and_hashed(client):
    async def body():
        for part in pattern(1_000_001):
            yield part

    seen = (await client.post("/upload?pause=0.0001", content=body())).json()
    assert seen == {"length": 1_000_001, "sha256": pattern_sha256(1_000_001)}


async def test_what_was_sent_comes_back_before_the_request_ends(client):
    head = b"POST /echo-stream HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    reader, writer = await raw_request(client.listener, head + b"first")
    assert b"content-length: 10" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(5) == b"first"
    writer.write(b"again")
    assert await reader.readexactly(5) == b"again"
    await hang_up(writer)


async def test_streams_and_events_have_an_end_if_asked(client):
    assert (await client.get("/stream?chunks=2&interval=0")).text == "line 0\nline 1\n"
    events = await client.get("/sse?count=2&interval=0")
    assert events.headers["content-type"] == "text/event-stream"
    assert events.text == "id: 0\ndata: event 0\n\nid: 1\ndata: event 1\n\n"


async def test_an_event_is_sent_at_once(client):
    reader, writer = await raw_request(client.listener, b"GET /sse?interval=60 HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        await reader.readuntil(b"event 0\n\n")
    await hang_up(writer)


async def read_into(got, client, path):
    async with client.http.stream("GET", client.listener.url + path) as answer:
        async for part in answer.aiter_raw():
            got += part


@pytest.mark.parametrize("how", ["", "&chunked=1"])
async def test_a_body_breaks_off(client, how):
    got = bytearray()
    with pytest.raises(httpx.RemoteProtocolError, match="complete"):
        await read_into(got, client, f"/break?after=100000{how}")
    assert got == b"".join(pattern(100_000))
    await until(lambda: client.api.active == 0)
    assert client.api.cancelled == 0


async def test_a_body_breaks_off_by_reset(client):
    with pytest.raises(httpx.ReadError):
        await client.get("/break?after=10&reset=1")


EXPECTANT = b"POST /early-413?mode=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nstart"


@pytest.mark.parametrize("mode", [b"close", b"linger", b"hold"])
async def test_an_early_answer_comes_before_the_body(client, mode):
    """B15: three ways to treat the body that nobody wants."""
    reader, writer = await raw_request(client.listener, EXPECTANT % mode)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413 ")  # Python 3.13 has another phrase
    assert (await reader.readuntil(b'"too large"}')).count(b"\r\n\r\n") == 1
    if mode == b"close":
        assert await reader.read() == b""
    if mode == b"linger":
        writer.write(b"x" * (1_000_000 - len(b"start")))
        assert await reader.read() == b""
        assert client.api.requests[0].body_length == 1_000_000
    if mode == b"hold":
        assert client.api.active == 1
    await hang_up(writer)
    await until(lambda: client.api.active == 0)
    assert client.api.cancelled == (mode == b"hold")
