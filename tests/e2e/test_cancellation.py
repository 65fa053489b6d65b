"""Clients that leave at every possible moment, and what is left of them: nothing, but for the tokens they paid for.

Run on uvloop, as the gateway itself: the event loops differ most in how connections end.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
import uvloop

from tests import lanes
from tests.e2e.raw_client import head_bytes
from tests.e2e.support import until
from tests.house import House, house, new_pair
from tests.upstream.raw import sockets

pytestmark = lanes.WARM

CHUNK = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
AT_ONCE = 50
SHARING = 4
"""Clients for each expired pair."""


class Leaver(asyncio.Protocol):
    """Sends a request and leaves after a while, whatever has come by then."""

    def __init__(self, head: bytes, *, uploads: bool) -> None:
        self.head, self.uploads = head, uploads
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.write(self.head)
        self.resume_writing()

    def resume_writing(self) -> None:
        """There is room: an upload goes on."""
        if self.uploads:
            self.transport.write(CHUNK * 16)

    def pause_writing(self) -> None:
        pass

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(None)


@dataclass
class Storm:
    """Requests of every kind, each with a moment at which its client leaves."""

    h: House
    dice: random.Random
    number: int
    pairs: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0

    def heads(self) -> dict[str, bytes]:
        pair = self.h.login()
        return {
            "waiting": head_bytes(target="/slow?seconds=600", pair=pair),
            "download": head_bytes(target="/bytes?size=100000000", pair=pair),
            "stream": head_bytes(target="/stream?chunks=0&interval=0.002", pair=pair),
            "upload": head_bytes("POST", "/upload", pair, [(b"Transfer-Encoding", b"chunked")]),
            "refused": head_bytes("POST", "/early-413?mode=linger", pair, [(b"Transfer-Encoding", b"chunked")]),
        }

    async def rage(self) -> None:
        """All of it, ``AT_ONCE`` at a time."""
        heads = self.heads()
        kinds = ["refresh", *heads]
        todo = iter(range(self.number))

        async def worker() -> None:
            for turn in todo:
                kind = kinds[turn % len(kinds)]
                head = heads[kind] if kind in heads else self.expired_head(turn)
                await self.one(head, uploads=kind in ("upload", "refused"))

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))

    def expired_head(self, turn: int) -> bytes:
        if turn // 6 % SHARING == 0 or not self.pairs:
            self.pairs.append(self.h.expired(f"user-{turn}"))
        return head_bytes(target="/echo", pair=self.pairs[-1])

    async def one(self, head: bytes, *, uploads: bool) -> None:
        loop = asyncio.get_running_loop()
        make = partial(Leaver, head, uploads=uploads)
        transport, leaver = await loop.create_connection(make, "127.0.0.1", self.h.port)
        self.sent += 1
        patience = self.dice.choice((0, 0.02, 0.05, 0.1, 0.3)) * self.dice.random()
        if patience:
            await asyncio.sleep(patience)
        transport.abort()
        await leaver.gone


def spare(h: House) -> int:
    """Sockets that are neither a kept connection to the API nor one to the authorization server."""
    return sockets() - 2 * h.gateway.upstreams[""].idle - 2 * h.auth_server.connections


SECTIONS = {
    "auth": {"algorithm": "EdDSA"},
    "access_token": {"algorithms": ["EdDSA"]},
    "upstream": {"max_connections": 12, "max_waiting": 1000, "response_timeout": "1h", "idle_timeout": "1h"},
    "auth_server": {"max_concurrent": 64, "max_waiting": 10_000},
    "refresh": {"unknown_burst": 1_000_000, "unknown_per_second": 1_000_000},
    "server": {"idle_timeout": "1h"},
}
"""No clock of the gateway's ends anything: what ends, ends because its client left."""


@asynccontextmanager
async def client(h: House) -> AsyncIterator[None]:
    """A client of httpx that leaves no connection behind."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as h.client:
        yield


async def storm(tmp_path: Path, number: int) -> None:
    async with house(tmp_path, **SECTIONS) as h:
        async with client(h):
            await h.get("/echo", h.expired())
        upstream = h.gateway.upstreams[""]
        tasks, baseline = len(asyncio.all_tasks()), spare(h)
        h.auth.fault("slow", None, delay=0.01)
        raging = Storm(h, random.Random(22), number)  # noqa: S311  # dice, not keys
        await raging.rage()
        assert raging.sent == number
        await until(lambda: (h.api.active, upstream.active, upstream.waiting) == (0, 0, 0))
        await until(lambda: h.gateway.refresher.under_way == 0)
        await until(lambda: len(asyncio.all_tasks()) <= tasks and spare(h) <= baseline)
        assert upstream.idle <= 12
        assert h.api.cancelled > number / 4
        async with client(h):
            await nobody_lost_a_token(h, raging)


async def nobody_lost_a_token(h: House, raging: Storm) -> None:
    """Every refresh that was begun has ended well, once, and what it brought waits for its client."""
    h.auth.clear()
    begun = [pair for pair in raging.pairs if h.auth.presented(pair[1])]
    requests = len(h.auth.token_requests)
    assert len(begun) > len(raging.pairs) / 2
    assert {event.outcome for event in h.refreshes()} == {"granted"}
    assert len(h.refreshes()) == requests == len(begun) + 1
    for pair in begun[:: max(1, len(begun) // 50)]:
        answer = await h.get("/echo", pair)
        assert answer.headers["x-token-refreshed"] == "joined"
        assert h.auth.presented(new_pair(answer, pair)[1]) == 0
    assert len(h.auth.token_requests) == requests


def run(tmp_path: Path, number: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(storm(tmp_path, number))


@pytest.mark.timeout(300)
def test_ten_thousand_cancelled_requests_leave_nothing_behind(tmp_path):
    """B22, D5, R9: pool, descriptors and tasks are as before, and every refresh was completed all the same."""
    run(tmp_path, 10_000)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_thousand_cancelled_requests_leave_nothing_behind(tmp_path):
    """B22, D5, R9: the same for longer; whatever leaks seldom shows here."""
    run(tmp_path, 200_000)
