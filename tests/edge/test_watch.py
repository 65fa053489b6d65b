"""How a request learns that its client has left."""

import asyncio
from unittest.mock import Mock

import pytest

from gateway.core.heads import Limits
from gateway.edge.body import RequestBody
from gateway.edge.cycle import Cycle
from gateway.edge.parser import RequestParser
from gateway.edge.watch import Watch


class Receive:
    """ASGI's ``receive`` of another server."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict] = asyncio.Queue()
        self.calls = 0

    async def __call__(self):
        self.calls += 1
        return await self.messages.get()


def connection() -> Cycle:
    return Cycle(None, None, None, RequestParser(Mock(), Limits()))


async def request(client, receive, body=None, started=None, work=None) -> Watch:
    """A request that waits for ever, or does ``work``."""
    watch = Watch(client, receive, body)
    if started is not None:
        started.set_result(watch)
    try:
        await (work or asyncio.get_running_loop().create_future())
    except asyncio.CancelledError:
        if not watch.gone:
            raise
    finally:
        watch.stop()
    return watch


async def test_our_own_connection_tells():
    """B22: at once, without a task."""
    client, started = connection(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(request(client, Receive(), started=started))
    await started
    client.on_lost()
    assert (await task).gone
    assert client.on_lost is None


async def test_a_client_that_left_before_its_request_began_is_gone():
    """B22: it was lost between the head and the first step of the task."""
    client = connection()
    client.lost = True
    assert (await asyncio.create_task(request(client, Receive()))).gone


async def test_a_client_that_leaves_after_its_answer_cancels_nothing():
    client = connection()
    watch = await asyncio.create_task(request(client, Receive(), work=asyncio.sleep(0)))
    assert not watch.gone
    assert client.on_lost is None


async def test_another_cancellation_is_not_taken_for_a_departure():
    started = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(request(connection(), Receive(), started=started))
    await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_under_another_server_a_task_listens_once_the_request_waits():
    """B22."""
    receive = Receive()
    task = asyncio.create_task(request(None, receive))
    receive.messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    receive.messages.put_nowait({"type": "http.disconnect"})
    async with asyncio.timeout(30):
        assert (await task).gone


async def test_under_another_server_a_quick_request_costs_no_task():
    receive = Receive()
    await request(None, receive, work=asyncio.sleep(0))
    assert receive.calls == 0
    assert len(asyncio.all_tasks()) == 1


async def test_under_another_server_the_body_is_not_eaten():
    """The listener and the body read from the same source: the body goes first."""
    receive = Receive()
    body = RequestBody(receive, None, length=None, keep=0, limit=0)
    task = asyncio.create_task(request(None, receive, body))
    await asyncio.sleep(0.12)
    assert receive.calls == 0
    receive.messages.put_nowait({"type": "http.request", "body": b"all of it", "more_body": False})
    assert [chunk async for chunk in body.chunks()] == [b"all of it"]
    receive.messages.put_nowait({"type": "http.disconnect"})
    async with asyncio.timeout(30):
        assert (await task).gone
