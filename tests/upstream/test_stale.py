"""B16: kept connections that the upstream closes just as they are used again."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.errors import UpstreamProtocolError, UpstreamUnreachable

from .blocking import BlockingServer, await_hangup
from .raw import (
    CONTINUE,
    OK,
    Body,
    Reluctant,
    Server,
    eventually,
    for_ever,
    get,
    post,
    serving,
    talking_to,
    upstream_of,
    whole,
)


def closing_on_second_request(seen: list, *, reset: bool = False, word: bytes = b""):
    """The first connection answers once and closes on the next request's head, unasked; later ones answer."""

    async def handler(peer):
        seen.append(await peer.request())
        await peer.send(OK)
        if peer.number:
            await peer.gone()
        else:
            await peer.head()
            await peer.send(word)
            if reset:
                peer.reset()

    return handler


REPEATABLE = {
    "GET": get(),
    "HEAD": get(method=b"HEAD"),
    "DELETE": get(method=b"DELETE"),
    "OPTIONS": get(method=b"OPTIONS"),
    "PUT, ready": get(method=b"PUT", body=Body(ready=b"hello", length=5)),
    "PUT, replayable": get(method=b"PUT", body=Body(b"hel", b"lo", length=5, replayable=True)),
    "PUT, replayable, chunked": get(method=b"PUT", body=Body(b"hello", replayable=True)),
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("request_", REPEATABLE.values(), ids=REPEATABLE)
async def test_what_may_be_repeated_is_repeated_unseen(request_, reset):
    """B16: once, on a fresh connection, body and all."""
    seen = []
    async with talking_to(closing_on_second_request(seen, reset=reset)) as (server, upstream):
        await upstream.send(get())
        assert (await upstream.send(request_)).status == 200
        assert server.connections == 2
        head, body = seen[1]
        assert head.startswith(request_.method)
        assert request_.body is None or b"hello" in body
        assert request_.body is None or request_.body.ready or request_.body.started % 2 == 0


FINAL = {
    "POST": post(Body(ready=b"hello", length=5)),
    "POST without a body": get(method=b"POST"),
    "PATCH": get(method=b"PATCH", body=Body(b"hello", length=5, replayable=True)),
    "PUT that cannot be read again": get(method=b"PUT", body=Body(b"hello", length=5)),
}


@pytest.mark.parametrize("request_", FINAL.values(), ids=FINAL)
async def test_what_may_have_had_an_effect_is_not_repeated(request_):
    """B16: unreachable, and bytes were sent."""
    async with talking_to(closing_on_second_request([])) as (server, upstream):
        await upstream.send(get())
        with pytest.raises(UpstreamUnreachable) as lost:
            await upstream.send(request_)
        assert (lost.value.sent, server.connections, upstream.active) == (True, 1, 0)


@pytest.mark.parametrize("word", [CONTINUE, b"HTTP/1.1 2"], ids=["100", "half a head"])
async def test_a_request_that_was_taken_up_is_not_repeated(word):
    """B16: a byte of a response came."""
    async with talking_to(closing_on_second_request([], word=word)) as (server, upstream):
        await upstream.send(get())
        with pytest.raises((UpstreamUnreachable, UpstreamProtocolError)):
            await upstream.send(get())
        assert server.connections == 1


async def test_a_body_is_not_read_twice_at_once():
    """B16: the first reading has ended when the second begins."""

    async def interrupted() -> bytes:
        return b"lo" if body.started == 2 else await for_ever()

    seen = []
    body = Reluctant(b"hel", interrupted, length=5, replayable=True)
    async with talking_to(closing_on_second_request(seen)) as (_, upstream):
        await upstream.send(get())
        assert (await upstream.send(get(method=b"PUT", body=body))).status == 200
    assert (body.started, seen[1][1]) == (2, b"hello")


async def test_it_is_repeated_once():
    """B16: an upstream that closes every connection is down."""

    async def handler(peer):
        if not peer.number:
            await peer.request()
            await peer.send(OK)
        await peer.request()

    async with talking_to(handler) as (server, upstream):
        await upstream.send(get())
        with pytest.raises(UpstreamUnreachable):
            await upstream.send(get())
        assert (server.connections, upstream.active) == (2, 0)


async def test_an_unsafe_request_sees_that_its_connection_was_closed():
    """B16: before a byte is sent, although the event loop has not had the time to see it."""
    stale = BlockingServer(first=OK)
    body = post(Body(ready=b"hello", length=5))
    async with asyncio.timeout(20), upstream_of(Server(None), port=stale.port) as upstream:
        await upstream.send(get())
        (connection,) = upstream._pool._sockets
        stale.finish()
        await_hangup(connection.transport.get_extra_info("socket").fileno())
        stale.listener.close()
        with pytest.raises(UpstreamUnreachable) as lost:
            await upstream.send(body)
        assert lost.value.sent is False  # it opened a new connection, and nobody listened


async def test_the_client_that_is_replayed_reads_its_own_answer():
    """B16: with a pool full of connections that were all closed at once."""
    first_round = asyncio.Event()

    async def handler(peer):
        _, body = await peer.request()
        if peer.number < 5:
            arrived.append(body)
            if len(arrived) == 5:
                first_round.set()
            await first_round.wait()
            await peer.send(OK)
            await peer.head()
            return
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body)
        await peer.gone()

    arrived: list[bytes] = []
    async with serving(handler) as server, upstream_of(server) as upstream:
        await asyncio.gather(*(upstream.send(get()) for _ in range(5)))
        bodies = [Body(ready=b"%d" % n, length=1) for n in range(5)]
        responses = await asyncio.gather(*(upstream.send(get(method=b"PUT", body=body)) for body in bodies))
        assert [await whole(response) for response in responses] == [b"0", b"1", b"2", b"3", b"4"]
        assert server.connections == 10


async def test_what_was_lost_once_already_goes_on_a_new_connection():
    """B16: a kept one may be as stale as the first; and it is not repeated a third time."""
    async with talking_to(closing_on_second_request([])) as (server, upstream):
        await upstream.send(get())
        assert (await upstream.send(replace(get(), again=True))).status == 200
        assert (server.connections, upstream.idle) == (2, 2)


async def test_what_was_lost_twice_is_not_sent_a_third_time():
    """B16: also where it waited for a connection, and was given one that had been used."""
    answering = asyncio.Event()

    async def handler(peer):
        await peer.request()
        await answering.wait()
        await peer.send(OK)
        await peer.request()

    async with talking_to(handler, max_connections=1) as (server, upstream):
        first = asyncio.create_task(upstream.send(get()))
        await eventually(lambda: server.connections == 1)
        second = asyncio.create_task(upstream.send(replace(get(), again=True)))
        await eventually(lambda: upstream.waiting == 1)
        answering.set()
        assert (await first).status == 200
        with pytest.raises(UpstreamUnreachable):
            await second
        assert (server.connections, upstream.active) == (1, 0)
