"""One look-up at a time for each upstream's name."""

import asyncio
import gc
import socket

import pytest

from gateway.core.errors import UpstreamUnreachable
from gateway.upstream.names import Names

from .raw import Server, always_ok, eventually, get, serving, talking_to, upstream_of

V4, V6 = ("192.0.2.1", 80), ("2001:db8::1", 80, 0, 0)


class Resolver:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future] = []

    async def __call__(self, host: str, port: int):
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


def entries(*addresses):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]


async def test_all_who_ask_meanwhile_share_one_look_up():
    """D6: a thousand requests while the name server is silent."""
    resolver = Resolver()
    names = Names("api.example", 80, lookup=resolver)
    asking = [asyncio.create_task(names.addresses()) for _ in range(1000)]
    await eventually(lambda: resolver.asked)
    resolver.asked[0].set_result(entries(V6, V4, V4))
    assert await asyncio.gather(*asking) == [["2001:db8::1", "192.0.2.1"]] * 1000
    assert len(resolver.asked) == 1


async def test_those_who_lose_patience_leave_one_look_up_behind_and_not_one_each():
    """D6, B12: crowd after crowd; when the name server is well again, the next answer is for everyone."""
    resolver = Resolver()
    names = Names("api.example", 80, lookup=resolver)
    for _ in range(20):
        asking = [asyncio.create_task(names.addresses()) for _ in range(50)]
        await asyncio.sleep(0)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
    assert len(resolver.asked) == 1
    patient = asyncio.create_task(names.addresses())
    await asyncio.sleep(0)
    resolver.asked[0].set_result(entries(V4))
    assert await patient == ["192.0.2.1"]


async def test_a_failure_is_everybodys_and_the_next_one_asks_anew():
    """B12"""
    resolver = Resolver()
    names = Names("api.example", 80, lookup=resolver)
    asking = [asyncio.create_task(names.addresses()) for _ in range(3)]
    await eventually(lambda: resolver.asked)
    resolver.asked[0].set_exception(socket.gaierror(socket.EAI_AGAIN, "x"))
    assert [type(e) for e in await asyncio.gather(*asking, return_exceptions=True)] == [socket.gaierror] * 3
    again = asyncio.create_task(names.addresses())
    await eventually(lambda: len(resolver.asked) == 2)
    resolver.asked[1].set_result([])
    with pytest.raises(socket.gaierror):
        await again


async def test_a_failure_that_nobody_waits_for_is_no_complaint():
    """D6: a line in the log for each request of an outage would be a flood."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    resolver = Resolver()
    names = Names("api.example", 80, lookup=resolver)
    asking = asyncio.create_task(names.addresses())
    await eventually(lambda: resolver.asked)
    asking.cancel()
    await asyncio.wait([asking])
    resolver.asked[0].set_exception(socket.gaierror(socket.EAI_AGAIN, "x"))
    await eventually(names._task.done)
    resolver.asked.clear()
    del asking, names  # it is when nobody can ask any more that the event loop complains
    gc.collect()
    assert complaints == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_not_looked_up(host):
    resolver = Resolver()
    assert await Names(host, 80, lookup=resolver).addresses() == [host]
    assert resolver.asked == []


async def test_the_next_address_is_tried_where_one_refuses():
    """B12: a name with two, of which the second listens."""
    async with serving(always_ok) as server, upstream_of(server, host="localhost") as upstream:

        async def lookup(*_):
            return entries(("127.0.0.2", server.port), ("127.0.0.1", server.port))

        upstream._pool._names._lookup = lookup
        assert (await upstream.send(get())).status == 200


async def test_where_all_addresses_refuse_it_is_unreachable():
    """B12"""
    async with serving(always_ok) as server:
        port = server.port
    async with upstream_of(Server(always_ok), host="localhost", port=port) as upstream:

        async def lookup(*_):
            return entries(("127.0.0.2", port), ("127.0.0.1", port))

        upstream._pool._names._lookup = lookup
        with pytest.raises(UpstreamUnreachable):
            await upstream.send(get())


async def test_a_crowd_on_a_name_is_served():
    """D6: over the event loop's own resolver."""
    async with talking_to(always_ok, host="localhost", max_connections=8) as (server, upstream):
        answers = await asyncio.gather(*(upstream.send(get()) for _ in range(50)))
        assert {answer.status for answer in answers} == {200}
        assert server.connections <= 8
