"""What the tests through the whole gateway have in common: waiting for what will come, and clients that leave."""

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx

from tests.house import House, bearer

TOKEN_FIELDS = {"x-access-token", "x-refresh-token", "x-access-token-expires-at", "x-token-refreshed"}


async def until(condition: Callable[[], Any], within: float = 30) -> None:
    """Return when ``condition()`` is true."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # real sockets set no event of ours
            await asyncio.sleep(0.002)


async def until_status(h: House, status: int, pair: tuple[str, str | None], path: str = "/echo") -> httpx.Response:
    """Ask again, as a client does that is told to, until the answer has ``status``."""
    async with asyncio.timeout(30):
        while (answer := await h.get(path, pair)).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return answer


def code(response: httpx.Response) -> str:
    """The ``code`` of a problem answer."""
    found: str = response.json()["code"]
    return found


def is_keyless(response: httpx.Response) -> bool:
    """No field of ours: no token went out."""
    return TOKEN_FIELDS.isdisjoint(response.headers)


def ageing(h: House, user: str = "ada", *, left: float = 30) -> tuple[str, str]:
    """A pair of an hour whose access token ends in ``left`` seconds: 30 is ahead, 3 is hard, by the defaults."""
    now = int(h.auth.now())
    return h.auth.mint(sub=user, iat=now - 3600, exp=now + left), h.login(user)[1]


async def settled(h: House) -> None:
    """Every flight and every claim has ended."""
    await until(lambda: h.gateway.refresher.under_way == 0)


@asynccontextmanager
async def leaving(h: House, pair: tuple[str, str | None], path: str = "/echo") -> AsyncIterator[None]:
    """A client that sends its request and leaves at the end of the block without an answer."""
    gone = sum(e.status == 0 for e in h.requests())
    _, writer = await asyncio.open_connection("127.0.0.1", h.port)
    fields = "".join(f"{name}: {value}\r\n" for name, value in bearer(pair).items())
    writer.write(f"GET {path} HTTP/1.1\r\nHost: gateway\r\n{fields}\r\n".encode())
    try:
        yield
    finally:
        writer.close()
        await writer.wait_closed()
    await until(lambda: sum(e.status == 0 for e in h.requests()) > gone)


@contextmanager
def many_descriptors() -> Iterator[None]:
    """Room for some thousand sockets in this process and in those that it starts meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(hard, 16_384)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
