"""``Via`` both ways, and requests that come back (P9). The gateway is named, so that a test can name it too."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from tests import lanes
from tests.e2e.wire import Script, Wire, ask, ok, request
from tests.house import house

pytestmark = lanes.BOTH

NAMED = {"via": "edge-1"}
OPEN = [{"match": "/open", "auth": "off"}]


def via_of(head: bytes) -> list[bytes]:
    """The lines of ``Via`` in a head as the upstream saw it."""
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    return [value.strip() for name, _, value in lines if name.lower() == b"via"]


# the client's version, its Via lines | the upstream's
REQUESTS = [
    ("1.1", [], [b"1.1 edge-1"]),
    ("1.0", [], [b"1.0 edge-1"]),
    ("1.1", ["Via: 1.0 fred, 1.1 p.example (nginx)"], [b"1.0 fred, 1.1 p.example (nginx)", b"1.1 edge-1"]),
    ("1.1", ["VIA: 1.0 fred", "via: 2 wilma"], [b"1.0 fred", b"2 wilma", b"1.1 edge-1"]),
    ("1.1", ["Via: 1.0 fred", "Connection: via, close"], [b"1.0 fred", b"1.1 edge-1"]),
    ("1.1", ["Via: 1.1 edge-12, 1.1 my-edge-1"], [b"1.1 edge-12, 1.1 my-edge-1", b"1.1 edge-1"]),
    ("1.1", ["Via: 1.1 a (edge-1)", "User-Agent: edge-1"], [b"1.1 a (edge-1)", b"1.1 edge-1"]),
]


async def test_each_request_says_that_it_went_through_us(tmp_path):
    """P9, X6: behind those who had it before, whose bytes stay; by the version that the client spoke."""
    async with Script.saying(ok()) as api, house(tmp_path, upstream={"url": api.url}, server=NAMED) as h:
        for version, sent, seen in REQUESTS:
            data = request("GET /x", h.login(), *sent, version=version)
            assert (await ask(h, data)).status == 200
            assert via_of(api.requests[-1]) == seen


# the upstream's status line and fields | the client's Via lines
ANSWERS = [
    ("HTTP/1.1 200 OK", [], [b"1.1 edge-1"]),
    ("HTTP/1.0 200 OK", [], [b"1.0 edge-1"]),
    ("HTTP/1.1 500 Oh", ["via: 1.1 varnish"], [b"1.1 varnish", b"1.1 edge-1"]),
    ("HTTP/1.1 200 OK", ["Via: 1.1 edge-1", "Connection: Via"], [b"1.1 edge-1", b"1.1 edge-1"]),
]


async def test_each_answer_says_that_it_went_through_us(tmp_path):
    """P9: by the version that the upstream spoke."""
    async with Script.saying(b"") as api, house(tmp_path, upstream={"url": api.url}, server=NAMED) as h:
        for line, fields, seen in ANSWERS:
            api.answer = ok(*fields).replace(b"HTTP/1.1 200 OK", line.encode())
            assert (await ask(h, request("GET /x", h.login()))).values(b"via") == seen


LOOPS = ["Via: 1.1 edge-1", "via: 1.0 a, HTTP/1.1 EDGE-1 (us), 1.1 b", "Via: 1.1 a (x, 1.1 edge-1"]


@pytest.mark.parametrize("loop", LOOPS)
async def test_a_request_that_was_here_is_answered_508(tmp_path, loop):
    """P9: on every route, whatever it carries; nothing is judged, refreshed or forwarded."""
    async with house(tmp_path, server=NAMED, routes=OPEN) as h:
        preflight = ["Origin: https://app.example", "Access-Control-Request-Method: GET"]
        async with Wire.to(h.port) as wire:
            for line, pair, more in [
                ("GET /x", h.login(), []),
                ("GET /x", h.expired(), []),
                ("GET /x", ("forged", "forged"), []),
                ("POST /x", None, []),
                ("GET /open", None, []),
                ("GET /open//x", None, []),
                ("OPTIONS /x", None, preflight),
                ("OPTIONS *", None, ["Max-Forwards: 0"]),
            ]:
                wire.send(request(line, pair, *more, "Via: 1.1 before", loop))
                answer = await wire.answer()
                assert (answer.status, json.loads(answer.body)["code"]) == (508, "loop_detected")
                assert answer.values(b"via") == []
            wire.send(request("GET /x", h.login()))
            assert (await wire.answer()).status == 200
        assert h.api.count == 1
        assert len(h.auth.token_requests) == 0
        assert [e.status for e in h.requests()] == [508] * 8 + [200]


@asynccontextmanager
async def mirror():
    """Sends whatever it receives to the port that it is told later."""
    target: list[int] = []
    pipes: set[asyncio.Task] = set()

    async def pipe(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader, writer):
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", target[0])
        pipes.update(asyncio.create_task(pipe(*ends)) for ends in ((reader, back_writer), (back_reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], target
    finally:
        server.close()
        for task in pipes:
            task.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)


async def test_a_gateway_that_is_its_own_upstream_answers_in_the_second_round(tmp_path):
    """P9: a real loop, with the name that the process gave itself."""
    async with mirror() as (port, target), house(tmp_path, upstream={"url": f"http://127.0.0.1:{port}"}) as h:
        target.append(h.port)
        answer = await ask(h, request("GET /x", h.login()))
        assert (answer.status, json.loads(answer.body)["code"]) == (508, "loop_detected")
        assert sorted(e.status for e in h.requests()) == [508, 508]


async def test_two_gateways_in_a_row_are_no_loop(tmp_path):
    """P9: unless they are given one name."""
    (tmp_path / "outer").mkdir()
    everything = {"routes": [{"match": "/*", "auth": "off"}]}
    async with (
        house(tmp_path, **everything) as inner,
        house(tmp_path / "outer", upstream={"url": inner.url}, **everything) as outer,
    ):
        answer = await ask(outer, request("GET /echo"))
        assert answer.status == 200
        there = inner.api.requests[-1].values(b"via")
        assert len(set(there)) == 2
        assert all(member.startswith(b"1.1 evergreen-") for member in there)
        assert answer.values(b"via") == there[::-1]
    async with (
        house(tmp_path, server=NAMED, **everything) as inner,
        house(tmp_path / "outer", server=NAMED, upstream={"url": inner.url}, **everything) as outer,
    ):
        assert (await ask(outer, request("GET /echo"))).status == 508
        assert inner.api.count == 0
