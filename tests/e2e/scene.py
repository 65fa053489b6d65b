"""A gateway on which the express lane is open: it knows a token, and its upstream has a connection at rest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.raw_client import head_bytes
from tests.e2e.scripted import before
from tests.e2e.support import until
from tests.house import House
from tests.upstream.raw import OK, Handler, Peer, Server

PATIENT = {"response_timeout": "1h", "idle_timeout": "1h"}
"""No clock of ours ends anything."""
REFUSED = (
    b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer error="invalid_token"\r\n'
    b"Content-Length: 7\r\n\r\nrefused"
)


@dataclass
class Scene:
    """One such gateway."""

    h: House
    server: Server
    pair: tuple[str, str]

    @property
    def pool(self) -> tuple[int, int, int]:
        """Connections to the upstream in use and at rest, and requests that wait for one."""
        upstream = self.h.gateway.upstreams[""]
        return upstream.active, upstream.idle, upstream.waiting

    @property
    def lanes(self) -> list[bool]:
        """Of the requests since the first: which took the express lane."""
        return [event.express for event in self.h.requests()[1:]]

    def head(self, *fields: tuple[bytes, bytes], method: str = "GET", target: str = "/") -> bytes:
        """A plain request."""
        return head_bytes(method, target, self.pair, fields)


@asynccontextmanager
async def scene(
    tmp_path: Path, then: Handler, pair: tuple[str, str] | None = None, **more: Any
) -> AsyncIterator[Scene]:
    """``then`` is what the upstream does after a first request, and on every further connection."""

    async def handler(peer: Peer) -> None:
        if peer.number == 0:
            await peer.request()
            await peer.send(OK)
        await then(peer)

    more.setdefault("upstream", PATIENT)
    async with before(tmp_path, handler, **more) as (h, server):
        known = pair or h.login()
        assert (await h.get("/", known)).status_code == 200
        yield Scene(h, server, known)
        await until(lambda: not h.server.server_state.tasks)


def saying(*answers: bytes) -> Handler:
    """On each connection, one after the other; then nothing until the gateway closes."""

    async def handler(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(answer)
        await peer.gone()

    return handler


async def always(peer: Peer) -> None:
    """200, again and again."""
    while True:
        head, _ = await peer.request()
        await peer.send(OK.removesuffix(b"ok") if head.startswith(b"HEAD") else OK)


async def silent(peer: Peer) -> None:
    """It hears a request and says nothing."""
    await peer.request()
    await peer.gone()
