"""A whole gateway on real sockets: the stub's authorization server and API behind it, all in this event loop.

The first request of a gateway goes through the ASGI lane, because nothing is known yet: no token, no connection. In
the lane ``warm`` a house has both before its test begins, so that whatever can go through the express lane does.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gateway import server
from gateway.app import Gateway, build
from gateway.config import load
from gateway.core.errors import GatewayError
from gateway.core.secret import Secret
from gateway.events import Event, Noticed, RefreshEnded, RequestEnded
from upstream_stub.api import Api
from upstream_stub.auth import AuthServer
from upstream_stub.serving import Serving

HOUR = 3600.0
LANES = ("warm", "asgi")
_LANE = "default"


@contextmanager
def lane(name: str) -> Iterator[None]:
    """Of the gateways that are started inside: ``asgi``: without the express lane; ``warm``: see above."""
    global _LANE  # noqa: PLW0603  # tests of one process run one after another
    before, _LANE = _LANE, name
    try:
        yield
    finally:
        _LANE = before


@dataclass
class House:
    """Everything that one test talks to."""

    auth: AuthServer
    auth_server: Serving
    api: Api
    api_server: Serving
    gateway: Gateway
    url: str
    client: httpx.AsyncClient
    """A client that keeps nothing: no cookies, no environment."""
    events: list[Event] = field(default_factory=list)
    warm: bool = False
    """Tokens are known from their login on."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def login(self, user: str = "ada", *, lifetime: float | None = None) -> tuple[str, str]:
        """A new family: access token and refresh token."""
        pair = self.auth.login(user, lifetime)
        if self.warm:
            _introduce(self.gateway, pair[0])
        return pair

    def expired(self, user: str = "ada", *, ago: float = 60) -> tuple[str, str]:
        """A pair whose access token expired ``ago`` seconds ago, and whose refresh token lives."""
        return self.auth.login(user, lifetime=-ago)

    async def get(
        self, path: str = "/echo", pair: tuple[str, str | None] | None = None, **kw: Any
    ) -> httpx.Response:
        return await self.request("GET", path, pair, **kw)

    async def request(
        self, method: str, path: str, pair: tuple[str, str | None] | None = None, **kw: Any
    ) -> httpx.Response:
        headers = {**bearer(pair), **kw.pop("headers", {})}
        return await self.client.request(method, self.url + path, headers=headers, **kw)

    async def raw(self, data: bytes, *, eof: bool = False) -> bytes:
        """Bytes in, all bytes out until the gateway closes (or 5 s of silence)."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            if eof:
                writer.write_eof()
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    def requests(self) -> list[RequestEnded]:
        return [e for e in self.events if isinstance(e, RequestEnded)]

    def refreshes(self) -> list[RefreshEnded]:
        return [e for e in self.events if isinstance(e, RefreshEnded)]

    def notices(self) -> list[str]:
        return [e.what for e in self.events if isinstance(e, Noticed)]


def bearer(pair: tuple[str, str | None] | None) -> dict[str, str]:
    """The request fields of header mode."""
    if pair is None:
        return {}
    access, refresh = pair
    return {"Authorization": f"Bearer {access}"} | ({"X-Refresh-Token": refresh} if refresh else {})


def new_pair(response: httpx.Response, old: tuple[str, str | None]) -> tuple[str, str]:
    """What a well-behaved client stores after this answer."""
    refresh = response.headers.get("x-refresh-token", old[1])
    return response.headers["x-access-token"], refresh


def toml(value: Any) -> str:
    """A TOML inline value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f'"{k}" = {toml(v)}' for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def defaults(auth_url: str, api_url: str) -> dict[str, dict[str, Any]]:
    express = {"express": False} if _LANE == "asgi" else {}
    return {
        "server": {"listen": "127.0.0.1:0", "idle_timeout": "5s", "shutdown_timeout": "1s", **express},
        "upstream": {"url": api_url},
        "auth_server": {
            "issuer": auth_url,
            "token_endpoint": auth_url + "/token",
            "jwks_uri": auth_url + "/jwks",
            "client_id": "gateway",
            "client_secret": "gateway-secret",
        },
        "access_token": {"issuer": auth_url, "audience": ["api"], "leeway": "0s"},
    }


def config_text(sections: Mapping[str, Any], routes: list[dict[str, Any]]) -> str:
    """``gateway.toml`` from nested dicts; ``None`` leaves a key out."""
    lines: list[str] = []
    for name, keys in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {toml(value)}" for key, value in keys.items() if value is not None]
    for route in routes:
        lines.append("[[routes]]")
        lines += [f"{key} = {toml(value)}" for key, value in route.items()]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def house(
    tmp_path: Path,
    *,
    routes: list[dict[str, Any]] | None = None,
    auth: Mapping[str, Any] | None = None,
    api: Api | None = None,
    environ: Mapping[str, str] | None = None,
    prepare: Callable[[AuthServer], object] | None = None,
    auth_listener: Mapping[str, Any] | None = None,
    **sections: Mapping[str, Any],
) -> AsyncIterator[House]:
    """Start everything, yield it, stop it.

    ``sections`` are merged over ``defaults``: ``house(tmp, refresh={"ahead": "0s"})``; ``AUTH_URL`` in them is the
    stub's address. ``auth`` are settings of the stub's authorization server, ``auth_listener`` those of its socket;
    ``prepare`` is called with the server before the gateway starts.
    """
    auth_server = AuthServer(**{"access_lifetime": HOUR, **(auth or {})})
    async with auth_server.serve(**(auth_listener or {})) as auth_serving:
        stub = api if api is not None else Api()
        async with Serving(stub) as api_serving:
            merged = defaults(auth_serving.url, api_serving.url)
            for name, keys in sections.items():
                merged[name] = {**merged.get(name, {}), **keys}
            path = tmp_path / "gateway.toml"
            path.write_text(config_text(merged, routes or []).replace("AUTH_URL", auth_serving.url))
            if prepare is not None:
                prepare(auth_server)
            events: list[Event] = []
            async with running(path, events, environ or {}) as (gateway, url):
                warm = _LANE == "warm"
                if warm:
                    await _warm_up(gateway, auth_server)
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
                async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
                    yield House(auth_server, auth_serving, stub, api_serving, gateway, url, client, events, warm)


async def _warm_up(gateway: Gateway, auth: AuthServer) -> None:
    """What an hour's work leaves behind: keys, and for each upstream a connection that is at rest."""
    await gateway.refresher._renewal._judge.judge(Secret(auth.mint()))
    for upstream in gateway.upstreams.values():
        pool = upstream._pool
        for number in [*pool._lanes._lanes][:1]:
            with suppress(GatewayError):
                (await pool.acquire(number))._rest()


def _introduce(gateway: Gateway, access: str) -> None:
    """Let a token be known. With the keys at hand that takes no waiting; without them it stays unknown."""
    judging = gateway.refresher._renewal._judge.judge(Secret(access))
    with suppress(StopIteration):
        judging.send(None)
    judging.close()


@asynccontextmanager
async def running(
    path: Path, events: list[Event], environ: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway from a file, as ``gateway run`` composes it, in this event loop."""
    config = load(path, environ or {})
    gateway = build(config, events.append)
    settings = server.settings(config, gateway.application)
    running_server = _Prompt(settings, events.append, handshake_timeout=config.server.header_timeout)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    task = asyncio.create_task(running_server._serve(sockets=[sock]))
    while not running_server.started:
        await asyncio.sleep(0.001)
        if task.done():
            task.result()
    scheme = "https" if config.server.tls is not None else "http"
    try:
        yield gateway, f"{scheme}://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        running_server.should_exit = True
        await task
        sock.close()


class _Prompt(server.GatewayServer):
    """Exits within milliseconds, where uvicorn sleeps for two tenths of a second: there are many tests."""

    async def main_loop(self) -> None:
        while not self.should_exit:  # noqa: ASYNC110  # uvicorn knows no event
            await asyncio.sleep(0.005)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._shared.draining = True
        state = self.server_state
        for listener in (*self.servers, *(sockets or [])):
            listener.close()
        for connection in list(state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while state.connections or state.tasks:  # noqa: ASYNC110  # the same
                    await asyncio.sleep(0.001)
        for task in state.tasks:
            task.cancel()
        await self.lifespan.shutdown()
