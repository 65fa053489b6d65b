"""Request bodies on their way up."""

import asyncio
import hashlib
from typing import ClassVar

import pytest

from gateway.core.errors import BAD_REQUEST, ClientGone, GatewayError, UpstreamTimeout
from gateway.upstream.body import Upload, WriteGate

from .raw import (
    CONTINUE,
    OK,
    Body,
    Endless,
    Reluctant,
    background_tasks,
    client_leaves,
    eventually,
    for_ever,
    get,
    once,
    post,
    talking_to,
    whole,
)


def recording(requests: list):
    async def handler(peer):
        while True:
            requests.append(await peer.request())
            await peer.send(OK)

    return handler


BODIES = {
    "length": (Body(b"hel", b"", b"lo", length=5), b"Content-Length: 5", b"hello"),
    "chunked": (Body(b"hel", b"", b"lo"), b"Transfer-Encoding: chunked", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
    "empty": (Body(length=0), b"Content-Length: 0", b""),
    "empty, chunked": (Body(), b"Transfer-Encoding: chunked", b"0\r\n\r\n"),
    "ready": (Body(ready=b"hello", length=5), b"Content-Length: 5", b"hello"),
    "ready, chunked": (Body(ready=b"hello"), b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    "ready, empty": (Body(ready=b"", length=0), b"Content-Length: 0", b""),
    "ready, empty, chunked": (Body(ready=b""), b"Transfer-Encoding: chunked", b"0\r\n\r\n"),
}


@pytest.mark.parametrize(("body", "framing", "sent"), BODIES.values(), ids=BODIES)
async def test_a_body_goes_up_framed_as_it_came(body, framing, sent):
    """P11: with its length, or in chunks; and the connection serves again."""
    requests = []
    async with talking_to(recording(requests)) as (server, upstream):
        for _ in range(2):
            assert await whole(await upstream.send(get(method=b"PUT", body=body))) == b"ok"
        head = b"PUT / HTTP/1.1\r\nHost: api.example\r\n" + framing + b"\r\n\r\n"
        assert requests == [(head, sent)] * 2
        assert server.connections == 1


async def test_a_body_that_is_here_needs_no_task():
    async with talking_to(once(OK)) as (_, upstream):
        await upstream.send(get())
        before = background_tasks()
        sending = upstream.send(post(Body(ready=b"x", length=1)))
        waiting = sending.send(None)  # runs up to where it waits for the response
        assert background_tasks() == before
        waiting.cancel()
        sending.close()


@pytest.mark.parametrize("length", [None, 8 << 20], ids=["chunked", "length"])
async def test_a_long_body_arrives_whole(length):
    """P11, D4: echoed while it goes up."""
    pieces = [bytes([n % 251]) * 65536 for n in range(128)]

    async def handler(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 << 20))
        for _ in pieces:
            if length is None:
                await peer.reader.readexactly(len(b"10000\r\n"))
            await peer.send(await peer.reader.readexactly(65536))
            if length is None:
                await peer.reader.readexactly(2)
        if length is None:
            await peer.reader.readexactly(len(b"0\r\n\r\n"))
        await peer.gone()

    async with talking_to(handler) as (_, upstream):
        response = await upstream.send(post(Body(*pieces, length=length)))
        digest = hashlib.sha256()
        while data := await response.read():
            digest.update(data)
        assert digest.digest() == hashlib.sha256(b"".join(pieces)).digest()


LIES = {
    "short": Body(b"hel", length=5),
    "long": Body(b"hello", b"!", length=5),
    "long in one piece": Body(b"hello!", length=5),
    "ready and short": Body(ready=b"hel", length=5),
    "ready and long": Body(ready=b"hello!", length=5),
}


@pytest.mark.parametrize("body", LIES.values(), ids=LIES)
async def test_a_body_of_another_length_than_declared_fails(body):
    """The trial client waited for ever; and a body too long would be the next request."""
    received = b""

    async def handler(peer):
        nonlocal received
        while data := await peer.reader.read(65536):
            received += data

    async with talking_to(handler) as (server, upstream):
        with pytest.raises(GatewayError) as failed:
            await upstream.send(post(body))
        assert failed.value.problem is BAD_REQUEST
        assert (upstream.active, upstream.idle) == (0, 0)
        if body.started:
            await server.closed.wait()
        assert b"!" not in received


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"], ids=["before", "after"]
)
async def test_a_client_that_leaves_in_an_upload_ends_the_exchange(answer):
    """B22: before the response's head and after it."""

    async def handler(peer):
        await peer.head()
        await peer.send(answer)
        await peer.gone()

    leaves = asyncio.Event()

    async def leave():
        await leaves.wait()
        return await client_leaves()

    async with talking_to(handler) as (server, upstream):
        body = Body(b"x", leave, length=5)
        if answer:
            response = await upstream.send(post(body))
            assert await response.read() == b"hel"
            failing = response.read()
        else:
            failing = upstream.send(post(body))
        leaves.set()
        with pytest.raises(ClientGone):
            await failing
        assert (upstream.active, upstream.idle) == (0, 0)
        await server.closed.wait()


async def test_whatever_the_source_raises_is_the_outcome():
    async with talking_to(once(b"")) as (_, upstream):
        with pytest.raises(ZeroDivisionError):
            await upstream.send(post(Body(b"x", ZeroDivisionError(), length=5)))
        assert upstream.active == 0


async def test_an_upstream_that_reads_slowly_holds_the_client_back():
    """D4: the upload stops reading when socket and write buffer are full."""

    async def handler(peer):
        await peer.head()
        await read_on.wait()
        await peer.gone()

    read_on = asyncio.Event()
    async with talking_to(handler) as (_, upstream):
        body = Endless()
        sending = asyncio.create_task(upstream.send(post(body)))
        await eventually(lambda: upstream._pool._sockets)
        (connection,) = upstream._pool._sockets
        await eventually(lambda: connection.gate._shut)
        for _ in range(100):
            await asyncio.sleep(0)
        held = body.sent
        assert connection.transport.get_write_buffer_size() < 1 << 20
        assert held < 32 << 20  # what kernels keep for two sockets, not what the client could send
        for _ in range(100):
            await asyncio.sleep(0)
        assert body.sent == held
        read_on.set()
        await eventually(lambda: body.sent > held + (8 << 20))
        sending.cancel()
        await asyncio.wait([sending])


async def test_a_slow_upload_does_not_time_out():
    """The response's time counts from the last progress, and does not run while the client is the slow one."""

    async def slow():
        await asyncio.sleep(0.12)
        return b"x"

    async def slower():
        await asyncio.sleep(0.35)
        return b"x"

    async def handler(peer):
        assert (await peer.request())[1] == b"xxx"
        await asyncio.sleep(0.1)
        await peer.send(OK)
        await peer.gone()

    async with talking_to(handler, response_timeout=0.2) as (_, upstream):
        assert (await upstream.send(post(Body(slow, slow, slower, length=3)))).status == 200


async def test_an_upstream_that_stops_reading_times_out():
    """B13, D4"""
    asleep = asyncio.Event()

    async def handler(peer):
        await peer.head()
        await asleep.wait()

    async with talking_to(handler, response_timeout=0.1) as (_, upstream):
        body = Endless()
        with pytest.raises(UpstreamTimeout):
            await upstream.send(post(body))
        await eventually(lambda: not body.reading)
        assert upstream.active == 0


async def test_interim_responses_do_not_disturb_an_upload():
    async def handler(peer):
        await peer.head()
        await peer.send(CONTINUE)
        assert await peer.reader.readexactly(5) == b"hello"
        await peer.send(OK)
        await peer.gone()

    async with talking_to(handler) as (_, upstream):
        assert await whole(await upstream.send(post(Body(b"hel", b"lo", length=5)))) == b"ok"
        assert upstream.idle == 1


async def test_an_upload_that_waits_for_its_client_ends_with_the_response():
    """B15: and the body can be read again after ``drain``."""

    async def handler(peer):
        await peer.head()
        await peer.send(OK)
        await peer.gone()

    async with talking_to(handler) as (server, upstream):
        body = Reluctant(b"x", for_ever, length=5)
        response = await upstream.send(post(body))
        await response.drain(100)
        assert not body.reading
        await server.closed.wait()
        assert (upstream.active, upstream.idle) == (0, 0)


class LostTransport:
    """What uvloop's transport is between its loss and the callback that says so."""

    def is_closing(self):
        return True

    def writelines(self, pieces):
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


class LostSender:
    transport = LostTransport()
    gate = WriteGate()
    failures: ClassVar[list[Exception]] = []

    def upload_failed(self, upload, error):
        self.failures.append(error)


async def test_an_upload_leaves_it_to_its_connection_to_say_that_it_is_lost():
    """B14: a 502, not an error of ours."""
    upload = Upload(LostSender(), Body(b"hello", length=5))
    await upload.task
    assert not LostSender.failures
