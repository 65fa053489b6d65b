"""More than an API can take: who is refused, at once; who is served all the same; and what is left of it."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from tests.e2e.raw_client import Conversation, connected, head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import code, until
from tests.house import House, house
from tests.upstream.raw import OK

EIGHT = {"max_connections": 8, "max_waiting": 8}
REPORTS = [{"match": "/reports/*", "auth": "off"}]
CHUNKED = (b"Transfer-Encoding", b"chunked")


def hung_until_told(may_answer: asyncio.Event, hung: bytes):
    """An API that keeps requests for ``hung`` waiting and answers all others."""

    async def handler(peer):
        while True:
            head, _ = await peer.request()
            if head.split()[1].startswith(hung):
                await may_answer.wait()
            await peer.send(OK)

    return handler


async def asking(stack: AsyncExitStack, h: House, number: int, target: str, **kw) -> list[Conversation]:
    """Clients that have each sent a request and read nothing yet."""
    clients = [await stack.enter_async_context(connected(h)) for _ in range(number)]
    for client in clients:
        await client.send(head_bytes(target=target, **kw))
    return clients


async def test_a_refusal_comes_at_once_and_leaves_the_connection_usable(tmp_path):
    """D5: 503 overloaded with Retry-After, not after a wait; the same socket is served when there is room again."""
    may_answer = asyncio.Event()
    handler = hung_until_told(may_answer, b"/hung")
    async with before(tmp_path, handler, upstream={"max_connections": 2, "max_waiting": 3}) as (h, server):
        pair, upstream = h.login(), h.gateway.upstreams[""]
        async with AsyncExitStack() as stack, connected(h) as late:
            waiting = await asking(stack, h, 5, "/hung", pair=pair)
            await until(lambda: (upstream.active, upstream.waiting) == (2, 3))
            for _ in range(3):
                await late.send(head_bytes(target="/other", pair=pair))
                refused = await late.answer()
                assert (refused.status, json.loads(refused.body)["code"]) == (503, "overloaded")
                assert int(refused.values(b"retry-after")[0]) >= 1
                assert (upstream.active, upstream.waiting) == (2, 3)
            may_answer.set()
            assert [(await client.answer()).status for client in waiting] == [200] * 5
            await late.send(head_bytes(target="/other", pair=pair))
            assert (await late.answer()).status == 200
            assert (server.connections, upstream.active, upstream.waiting) == (2, 0, 0)


async def test_a_slow_route_does_not_starve_another_of_the_same_api(tmp_path):
    """D5: without any configuration; it is itself refused at once when its share is full."""
    may_answer = asyncio.Event()
    handler = hung_until_told(may_answer, b"/reports/")
    async with before(tmp_path, handler, upstream=EIGHT, routes=REPORTS) as (h, _):
        pair, upstream = h.login(), h.gateway.upstreams[""]
        async with AsyncExitStack() as stack:
            waiting = await asking(stack, h, 12, "/reports/all")
            await until(lambda: (upstream.active, upstream.waiting) == (6, 6))
            refused = await h.get("/reports/one-more")
            assert (refused.status_code, code(refused)) == (503, "overloaded")
            for _ in range(20):
                crowd = await asyncio.gather(*(h.get("/quick", pair) for _ in range(4)))
                assert {answer.status_code for answer in crowd} == {200}
            assert (upstream.active, upstream.waiting) == (6, 6)
            may_answer.set()
            assert {(await client.answer()).status for client in waiting} == {200}


async def test_many_slow_routes_do_not_starve_another(tmp_path):
    """D5: three of them, each with more requests than there are connections."""
    may_answer = asyncio.Event()
    handler = hung_until_told(may_answer, b"/slow")
    routes = [{"match": f"/slow{n}/*", "auth": "off"} for n in range(3)]
    upstream = {"max_connections": 16, "max_waiting": 0}
    async with before(tmp_path, handler, upstream=upstream, routes=routes) as (h, _):
        pair, pool = h.login(), h.gateway.upstreams[""]
        async with AsyncExitStack() as stack:
            for n in range(3):
                await asking(stack, h, 16, f"/slow{n}/x")
            await until(lambda: pool.active == 15)
            for _ in range(20):
                assert (await h.get("/quick", pair)).status_code == 200
            may_answer.set()


async def test_a_routes_own_limit_holds(tmp_path):
    """D5: routes.max_connections; the API never sees more of it at once, and everyone is served in the end."""
    most, now, seen = 2, 0, []

    async def handler(peer):
        nonlocal now
        while True:
            await peer.request()
            now += 1
            seen.append(now)
            await asyncio.sleep(0.005)
            now -= 1
            await peer.send(OK)

    routes = [{"match": "/reports/*", "auth": "off", "max_connections": most}]
    async with before(tmp_path, handler, routes=routes) as (h, _):
        answers = await asyncio.gather(*(h.get("/reports/x") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert max(seen) == most


async def test_clients_that_do_not_read_their_small_answers_hold_no_connection(tmp_path):
    """D5, D4: the answer is complete; whose it is may take as long as it likes."""
    async with house(tmp_path, upstream={"max_connections": 1, "max_waiting": 100}) as h:
        pair, upstream = h.login(), h.gateway.upstreams[""]
        async with AsyncExitStack() as stack:
            await asking(stack, h, 20, "/bytes?size=100000", pair=pair)
            await until(lambda: h.api.count == 20 and (upstream.active, upstream.waiting) == (0, 0))
            assert (await h.get("/echo", pair)).status_code == 200


@pytest.mark.parametrize("what", ["readers", "senders"])
async def test_slow_clients_of_one_route_do_not_starve_another(tmp_path, what):
    """D5, D4: a long answer that is not read, and a body that does not come, hold a connection of their route's."""
    routes = [{"match": "/upload", "auth": "off"}, {"match": "/bytes", "auth": "off"}]
    async with house(tmp_path, upstream={"max_connections": 8, "max_waiting": 0}, routes=routes) as h:
        pair, upstream = h.login(), h.gateway.upstreams[""]
        async with AsyncExitStack() as stack:
            if what == "readers":
                await asking(stack, h, 8, "/bytes?size=100000000")
            else:
                await asking(stack, h, 8, "/upload", method="POST", headers=[CHUNKED])
            await until(lambda: upstream.active == 6)
            for _ in range(20):
                assert (await h.get("/echo", pair)).status_code == 200
        await until(lambda: (upstream.active, h.api.active) == (0, 0))


async def test_a_crowd_on_every_route_is_served_or_refused_and_leaves_the_pool_whole(tmp_path):
    """D5, B22: half of it leaves in the middle; then every route can have its full share again."""
    routes = [{"match": f"/{n}/*", "auth": "off"} for n in range(3)]
    narrow = {"max_connections": 4, "max_waiting": 8, "response_timeout": "300ms"}
    may_answer = asyncio.Event()
    may_answer.set()
    handler = hung_until_told(may_answer, b"/0/hung")
    async with before(tmp_path, handler, upstream=narrow, routes=routes) as (h, _):
        upstream = h.gateway.upstreams[""]
        for storm in range(5):
            (may_answer.set if storm % 2 else may_answer.clear)()
            tasks = [asyncio.create_task(h.get(f"/{n % 3}/hung")) for n in range(60)]
            await until(lambda: upstream.active > 0)
            for task in tasks[::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert {a.status_code for a in answers if not isinstance(a, BaseException)} <= {200, 503, 504}
            await until(lambda: (upstream.active, upstream.waiting) == (0, 0))
        may_answer.clear()
        async with AsyncExitStack() as stack:
            waiting = await asking(stack, h, 9, "/0/hung")
            await until(lambda: (upstream.active, upstream.waiting) == (3, 6))
            may_answer.set()
            assert {(await client.answer()).status for client in waiting} == {200}


async def test_a_route_for_everything_shares_with_nobody(tmp_path):
    """D5: with it, the defaults have no path left; it may hold every connection."""
    may_answer = asyncio.Event()
    handler = hung_until_told(may_answer, b"/")
    settings = {"max_connections": 4, "max_waiting": 1}
    routes = [{"match": "/*", "auth": "off"}]
    async with AsyncExitStack() as stack:
        h, server = await stack.enter_async_context(before(tmp_path, handler, upstream=settings, routes=routes))
        await asking(stack, h, 4, "/x")
        await until(lambda: server.connections == 4)
        assert h.gateway.upstreams[""].active == 4
        may_answer.set()
