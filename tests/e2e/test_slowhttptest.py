"""slowhttptest against a whole gateway in a process of its own: the others are served, and every socket is cut."""

import asyncio
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.processes import Running, gateway, stub
from tests.e2e.slowhttptest import CUT, MODES, Report, attacking
from tests.e2e.support import many_descriptors, until
from tests.e2e.wire import Wire, request
from tests.upstream.raw import Peer, serving

PATIENCE = {**dict.fromkeys(("header_timeout", "body_timeout", "send_timeout"), "2s"), "min_data_rate": "4KiB"}
EACH = 1 << 20
"""The most memory that a slow connection may cost; Envoy's own bound for the buffers of one."""
LEFT = 8
"""Descriptors that may be more than before: kept connections to the APIs."""
PIECE = b"10000\r\n" + b"x" * 65536 + b"\r\n"


@dataclass
class Victim:
    """The API that is attacked: it reads all that comes, or sends for as long as anybody reads."""

    heads: dict[str, list[bytes]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    """By the path, which is the mode of the attack."""
    open: int = 0
    whole: int = 0
    """Bodies that came to their end."""

    async def __call__(self, peer: Peer) -> None:
        head = await peer.head()
        self.heads[head.split()[1].rpartition(b"/")[2].decode()].append(head)
        self.open += 1
        try:
            await (self._swallow(peer, head) if head.startswith(b"POST") else self._flood(peer))
        finally:
            self.open -= 1

    async def _swallow(self, peer: Peer, head: bytes) -> None:
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert length is not None
        await peer.reader.readexactly(int(length[1]))
        self.whole += 1

    async def _flood(self, peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.send(PIECE)


@dataclass
class Scene:
    """What one attack needs."""

    running: Running
    token: str
    victim: Victim
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}/attacked/"

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.running.process.pid}/fd").iterdir()))

    async def probe(self) -> int:
        """The status of a request with a token, on a connection of its own."""
        async with Wire.to(self.running.port) as wire:
            wire.send(request("GET /echo", (self.token, None)))
            return (await wire.answer()).status


@asynccontextmanager
async def scene(folder: Path, connections: int):
    victim = Victim()
    with many_descriptors(), stub(folder) as served:
        async with serving(victim, patience=600) as server:
            sections = {
                "server": PATIENCE,
                "upstream": {"url": served.api_url},
                "upstreams.victim": {"url": f"http://127.0.0.1:{server.port}", "max_connections": connections + 50},
                "auth_server": {"issuer": served.auth_url, "token_endpoint": None, "jwks_uri": None},
                "access_token": {"issuer": served.auth_url},
            }
            routes = [{"match": "/attacked/*", "upstream": "victim", "auth": "off"}]
            with gateway(folder, sections, routes) as running:
                yield Scene(running, served.login(), victim, folder)


async def storm(folder: Path, modes: Iterable[str], connections: int) -> None:
    async with scene(folder, connections * len(MODES)) as here, AsyncExitStack() as stack:
        assert [await here.probe() for _ in range(20)] == [200] * 20
        descriptors, memory = here.descriptors, here.running.memory()
        attacks = {}
        for mode in modes:
            attack = attacking(folder, mode, here.url + mode, connections=connections)
            attacks[mode] = await stack.enter_async_context(attack)
        statuses = []
        while not all(attack.over for attack in attacks.values()):
            statuses.append(await here.probe())
            await asyncio.sleep(0.01)
        assert set(statuses) == {200}
        for mode, attack in attacks.items():
            was_fended_off(mode, await attack.report(), here.victim, connections)
        await until(lambda: here.victim.open == 0 and here.descriptors <= descriptors + LEFT)
        assert here.victim.whole == 0
        assert here.running.memory() < memory + len(attacks) * connections * EACH
        assert await here.probe() == 200
        assert await asyncio.to_thread(here.running.stop) == 0


def was_fended_off(mode: str, report: Report, victim: Victim, connections: int) -> None:
    """slowhttptest's own probes are sound GET requests; those of Slowloris have a field ``X-…``."""
    heads = victim.heads[mode]
    assert report.ended == CUT
    assert report.available
    assert report.most > connections / 2
    assert not any(b"\r\nX-" in head for head in heads if mode == "headers")
    assert (sum(head.startswith(b"POST ") for head in heads) > connections / 2) == (mode == "body")


async def test_slow_connections_are_cut_and_the_others_are_served(tmp_path):
    """D2, D4: slow heads, bodies and readers, a hundred of each at once; no slow head arrives, no cut body looks
    whole, nothing is left."""
    await storm(tmp_path, MODES, 100)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
async def test_a_thousand_slow_connections_are_cut_and_the_others_are_served(tmp_path, mode):
    """D2, D4: the same, by a thousand in a second."""
    await storm(tmp_path, [mode], 1000)
