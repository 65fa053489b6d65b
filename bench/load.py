"""A load generator for what wrk cannot do: each request once, in order, and each answer looked at."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar, cast

import httptools
import uvloop

from bench.errors import WrongAnswerError
from bench.programs import LOOPBACK

_PATIENCE = 120.0
_AT_A_TIME = 64
T = TypeVar("T")


@dataclass(slots=True)
class Reply:
    """An answer, and how long it took."""

    status: int = 0
    fields: dict[bytes, bytes] = field(default_factory=dict)
    """By lower-case names."""
    body: bytearray = field(default_factory=bytearray)
    seconds: float = 0.0
    """From the request's first byte to the answer's last."""


class Client(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop's."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._waiting: asyncio.Future[Reply] | None = None
        self.closed = asyncio.Event()

    def send(self, request: bytes) -> asyncio.Future[Reply]:
        """Send it and go on; the future is the answer."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._reply, self._parser = Reply(), httptools.HttpResponseParser(self)
        self._begun = time.perf_counter()
        self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        """The event loop's."""
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        """The event loop's."""
        del error
        self.closed.set()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(WrongAnswerError("a connection was closed before its answer"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's."""
        self._reply.fields[name.lower()] = value

    def on_body(self, piece: bytes) -> None:
        """The parser's."""
        self._reply.body += piece

    def on_message_complete(self) -> None:
        """The parser's."""
        self._reply.seconds = time.perf_counter() - self._begun
        self._reply.status = self._parser.get_status_code()
        if self._waiting is not None:
            self._waiting.set_result(self._reply)

    def close(self) -> None:
        """Hang up, whatever is still on its way."""
        self._transport.abort()


def play(story: Callable[[], Awaitable[T]]) -> T:
    """Run it in a loop of its own, and give up after two minutes."""

    async def bounded() -> T:
        async with asyncio.timeout(_PATIENCE):
            return await story()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


@asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[list[Client]]:
    """As many connections for the length of the block. A few are made at a time: a backlog may be short."""
    loop, clients = asyncio.get_running_loop(), list[Client]()
    try:
        while len(clients) < count:
            step = min(_AT_A_TIME, count - len(clients))
            made = await asyncio.gather(*(loop.create_connection(Client, LOOPBACK, port) for _ in range(step)))
            clients += [client for _, client in made]
        yield clients
    finally:
        for client in clients:
            client.close()
        await asyncio.gather(*(client.closed.wait() for client in clients))


async def in_turn(clients: Iterable[Client], requests: Sequence[bytes]) -> list[Reply]:
    """Each request once, by whichever client is free; replies in the order of the requests."""
    replies: list[Reply] = [Reply()] * len(requests)
    numbered = iter(enumerate(requests))

    async def work(client: Client) -> None:
        for number, request in numbered:
            replies[number] = await client.send(request)

    await asyncio.gather(*(work(client) for client in clients))
    return replies


async def at_once(clients: Sequence[Client], requests: Sequence[bytes]) -> list[Reply]:
    """Every client sends its own request now."""
    return list(await asyncio.gather(*(c.send(r) for c, r in zip(clients, requests, strict=True))))


async def at_rate(clients: Sequence[Client], requests: Sequence[bytes], per_second: float) -> list[Reply]:
    """An open loop: the next request is sent when its time has come, whatever became of the ones before.

    Raises:
        WrongAnswerError: all clients were busy: the target cannot keep up.
    """
    free, begun = list(clients), time.perf_counter()

    async def one(number: int, request: bytes) -> Reply:
        await asyncio.sleep(begun + number / per_second - time.perf_counter())
        if not free:
            raise WrongAnswerError(f"fewer than {per_second:.0f} answers a second")
        client = free.pop()
        reply = await client.send(request)
        free.append(client)
        return reply

    return list(await asyncio.gather(*(one(n, request) for n, request in enumerate(requests))))
