import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from upstream_stub import Api, AuthServer, Serving

GATEWAY = ("gateway", "gateway-secret")


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; fail if it never does."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for is counted in plain attributes
            await asyncio.sleep(0.002)


class AuthClient:
    """A client of the authorization server that says only what a test is about."""

    def __init__(self, http: httpx.AsyncClient, server: AuthServer, listener: Serving) -> None:
        self.http, self.server, self.listener = http, server, listener

    async def post(self, path: str, form: dict[str, Any], auth: tuple[str, str] | None = GATEWAY) -> httpx.Response:
        return await self.http.post(self.listener.url + path, data=form, auth=auth)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(self.listener.url + path, **options)

    async def refresh(self, refresh_token: str, **form: Any) -> httpx.Response:
        return await self.post("/token", {"grant_type": "refresh_token", "refresh_token": refresh_token, **form})


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
async def auth(http: httpx.AsyncClient) -> AsyncIterator[AuthClient]:
    server = AuthServer()
    async with server.serve() as listener:
        yield AuthClient(http, server, listener)


class ApiClient:
    """A client of the API; ``api`` is what it talks to."""

    def __init__(self, http: httpx.AsyncClient, api: Api, listener: Serving) -> None:
        self.http, self.api, self.listener = http, api, listener

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(self.listener.url + path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.post(self.listener.url + path, **options)


@pytest.fixture
async def client(http: httpx.AsyncClient) -> AsyncIterator[ApiClient]:
    """An API that lets everybody in."""
    api = Api()
    async with Serving(api) as listener:
        yield ApiClient(http, api, listener)


async def raw_request(listener: Serving, head: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which these bytes were sent."""
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    writer.write(head)
    await writer.drain()
    return reader, writer


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()
