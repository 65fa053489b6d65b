"""One exchange, apart from any server."""

import asyncio

import pytest

from upstream_stub.asgi import ClientLeft, Exchange

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"a=1&a=2&n=x"}


def exchange(*messages):
    coming = list(messages)

    async def receive():
        await asyncio.sleep(0)
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(_message):
        pass

    return Exchange(SCOPE, receive, send)


async def test_a_stream_lets_others_run_though_its_server_never_pauses():
    written = []

    async def work():
        for number in range(1000):
            await one.write(b"x")
            written.append(number)

    one = exchange()
    with pytest.raises(ClientLeft):
        await one.while_here(work())
    assert one.left
    assert len(written) < 1000


async def test_the_failure_of_the_work_is_not_swallowed():
    async def work():
        raise LookupError

    with pytest.raises(LookupError):
        await exchange().while_here(work())


async def test_a_client_that_leaves_after_the_answer_has_not_left_it():
    one = exchange({"type": "http.request", "body": b"ab", "more_body": False})
    assert await one.body() == b"ab"
    await one.answer(200)
    await one.receive()
    assert one.complete
    assert not one.left


async def test_only_a_real_connection_can_be_cut():
    for cut in (exchange().abort(), exchange().break_off(), exchange().idle(1)):
        with pytest.raises(ConnectionAbortedError):
            await cut


def test_a_number_that_is_none_counts_as_left_out():
    assert exchange().number("n", 7) == 7
    assert exchange().query["a"] == "2"
