"""Bounds on what one API may cost the others."""

import asyncio

import pytest

from tests import lanes
from tests.e2e.raw_client import connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import code, until
from tests.house import house, new_pair
from tests.upstream.raw import OK
from upstream_stub.api import Api
from upstream_stub.serving import Serving

pytestmark = lanes.BOTH

NARROW = {"max_connections": 2, "max_waiting": 1}


async def hung(h, number: int) -> list[asyncio.Task]:
    """Requests that the API does not answer: two that it has, and those that wait for a connection to it."""
    pair = h.login()

    def ask(many: int) -> list[asyncio.Task]:
        return [asyncio.create_task(h.get("/slow?seconds=600", pair)) for _ in range(many)]

    tasks = ask(2)
    await until(lambda: h.api.active == 2)
    tasks += ask(number - 2)
    await until(lambda: h.gateway.upstreams[""].waiting == number - 2)
    return tasks


async def ended(tasks: list[asyncio.Task]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_request_too_many_is_told_so_at_once(tmp_path):
    """D5: 503 overloaded with Retry-After, while the others still wait; new tokens are not lost."""
    async with house(tmp_path, upstream=NARROW) as h:
        tasks = await hung(h, 3)
        old = h.expired()
        answer = await h.get("/echo", old)
        assert (answer.status_code, code(answer)) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert not any(task.done() for task in tasks)
        await ended(tasks)
        await until(lambda: h.api.active == 0)
        assert (await h.get("/echo", new_pair(answer, old))).status_code == 200


async def test_a_request_that_waits_gets_the_first_free_connection(tmp_path):
    """D5: in the order of arrival, over the connections that are there."""
    asked: list[bytes] = []
    everybody_waits = asyncio.Event()

    async def handler(peer):
        while True:
            asked.append((await peer.head()).split()[1])
            await everybody_waits.wait()
            await peer.send(OK)

    async with before(tmp_path, handler, upstream={"max_connections": 2, "max_waiting": 100}) as (h, server):
        pair, tasks = h.login(), []
        for number in range(40):
            tasks.append(asyncio.create_task(h.get(f"/{number}", pair)))
            await until(lambda: len(asked) + h.gateway.upstreams[""].waiting == len(tasks))
        everybody_waits.set()
        assert {a.status_code for a in await asyncio.gather(*tasks)} == {200}
        assert server.connections == 2
        assert asked == [b"/%d" % number for number in range(40)]


async def test_a_request_does_not_wait_for_a_connection_for_ever(tmp_path):
    """D5: at most as long as for an answer."""
    async with house(tmp_path, upstream={"max_connections": 1, "max_waiting": 1, "response_timeout": "150ms"}) as h:
        pair = h.login()
        async with connected(h) as client:
            await client.send(head_bytes(target="/stream?chunks=0&interval=0.01", pair=pair))
            assert (await client.head()).status == 200
            answer = await h.get("/echo", pair)
            assert (answer.status_code, code(answer)) == (503, "overloaded")
            assert h.gateway.upstreams[""].waiting == 0


async def test_clients_that_leave_the_queue_leave_it(tmp_path):
    """D5, B22: their places are free, and nothing is asked of the API for them."""
    async with house(tmp_path, upstream={"max_connections": 2, "max_waiting": 10}) as h:
        tasks = await hung(h, 12)
        await ended(tasks[2:])
        upstream = h.gateway.upstreams[""]
        await until(lambda: upstream.waiting == 0)
        await ended(tasks)
        await until(lambda: h.api.active == 0)
        assert h.api.count == 2
        assert (upstream.active, upstream.waiting) == (0, 0)
        assert (await h.get("/echo", h.login())).status_code == 200


async def test_an_api_that_hangs_does_not_starve_another(tmp_path):
    """D5: limits are each upstream's own."""
    other = Api()
    async with Serving(other) as serving:
        upstreams = {"other": {"url": serving.url}}
        routes = [{"match": "/other/*", "upstream": "other"}]
        nested = {f"upstreams.{name}": keys for name, keys in upstreams.items()}
        async with house(tmp_path, upstream=NARROW, routes=routes, **nested) as h:
            tasks = await hung(h, 3)
            pair = h.login()
            for _ in range(5):
                answers = await asyncio.gather(*(h.get("/other/x", pair) for _ in range(20)))
                assert {a.status_code for a in answers} == {200}
            assert other.count == 100
            await ended(tasks)


@pytest.mark.parametrize("target", ["/echo", "/slow?seconds=60"])
async def test_a_crowd_on_a_narrow_api_leaves_it_whole(tmp_path, target):
    """D5: a hundred at once for two places: every one is answered or refused, and both places are free."""
    async with house(tmp_path, upstream={**NARROW, "response_timeout": "200ms"}) as h:
        pair = h.login()
        answers = await asyncio.gather(*(h.get(target, pair) for _ in range(100)))
        assert {a.status_code for a in answers} <= {200, 503, 504}
        assert {a.status_code for a in answers} & {200, 504}
        upstream = h.gateway.upstreams[""]
        await until(lambda: h.api.active == 0)
        assert (upstream.active, upstream.waiting) == (0, 0)
        assert (await h.get("/echo", pair)).status_code == 200
