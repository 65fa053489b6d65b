"""A whole gateway on real sockets: the stub's authorization server and API behind it, all in this event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gateway.app import Gateway
from gateway.events import Event, Noticed, RefreshEnded, RequestEnded
from tests import lanes
from tests.prompt import PromptServer, running
from upstream_stub.api import Api
from upstream_stub.auth import AuthServer
from upstream_stub.serving import Serving

HOUR = 3600.0


@dataclass
class House:
    """Everything that one test talks to."""

    auth: AuthServer
    auth_server: Serving
    api: Api
    api_server: Serving
    gateway: Gateway
    server: PromptServer
    url: str
    client: httpx.AsyncClient
    """A client that keeps nothing: no cookies, no environment."""
    events: list[Event] = field(default_factory=list)
    lane: str = field(default_factory=lanes.current)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def login(self, user: str = "ada", *, lifetime: float | None = None) -> tuple[str, str]:
        """A new family: access token and refresh token."""
        pair = self.auth.login(user, lifetime)
        if self.lane == "warm":
            lanes.introduce(self.gateway, pair[0])
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
    express = {"express": False} if lanes.current() == "asgi" else {}
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
            async with running(path, events, environ or {}) as (gateway, server, url):
                if lanes.current() == "warm":
                    await lanes.warm_up(gateway, auth_server.mint())
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
                async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
                    yield House(auth_server, auth_serving, stub, api_serving, gateway, server, url, client, events)
