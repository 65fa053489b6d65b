"""Large bodies over raw sockets: every byte, in its order, framed as it was framed."""

import asyncio
import hashlib
import json

import pytest

from tests.e2e.raw_client import Conversation, connected, head_bytes
from tests.house import house
from upstream_stub.pattern import pattern, pattern_sha256

MIB = 1024 * 1024
SIZES = [64 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.soak)]


async def _digest(client: Conversation, *, chunks: bool, size: int) -> str:
    """The digest of the answer's body, without keeping it."""
    digest, left = hashlib.sha256(), size
    while left > 0:
        piece = await client.chunk() if chunks else await client.exactly(min(left, 256 * 1024))
        assert piece
        digest.update(piece)
        left -= len(piece)
    if chunks:
        assert await client.chunk() == b""
    return digest.hexdigest()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_a_download_keeps_every_byte(tmp_path, form, size):
    """P11: 64 MiB, and a gigabyte in the long run; the connection goes on."""
    chunks = form == "chunked"
    async with house(tmp_path) as h, connected(h) as client:
        await client.send(head_bytes(target=f"/bytes?size={size}" + "&chunked=1" * chunks, pair=h.login()))
        head = await client.head()
        assert head.values(b"content-length") == ([] if chunks else [b"%d" % size])
        assert await _digest(client, chunks=chunks, size=size) == pattern_sha256(size)
        await client.send(head_bytes(pair=h.login()))
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_an_upload_keeps_every_byte(tmp_path, form, size):
    """P11: the other way."""
    framing = (b"Transfer-Encoding", b"chunked") if form == "chunked" else (b"Content-Length", b"%d" % size)
    async with house(tmp_path) as h, connected(h) as client:
        await client.send(head_bytes("POST", "/upload", h.login(), [framing]))
        for piece in pattern(size):
            await client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if form == "chunked" else piece)
            await asyncio.sleep(0)
        await client.send(b"0\r\n\r\n" if form == "chunked" else b"")
        answer = await client.answer()
        assert json.loads(answer.body) == {"length": size, "sha256": pattern_sha256(size)}
        assert [n for n, _ in h.api.requests[-1].headers].count(framing[0].lower()) <= 1
