"""One request as its endpoint sees it, with what ASGI leaves out: the bytes on the wire, and a way to cut it."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Message, Receive, Scope, Send

Header = tuple[bytes, bytes]
Query = dict[str, str]

WIRE = "stub.wire"
"""The key of the ``Wire`` in an ASGI scope. ``Serving`` puts it there; no other server does."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST and drops what was not sent."""


class ClientLeft(Exception):  # noqa: N818  # nobody's error
    """The client closed its connection before it was answered."""


class Wire:
    """The connection under one request."""

    def __init__(self, transport: asyncio.Transport, closed: asyncio.Event) -> None:
        self.target = b""
        """The request target, byte for byte."""
        self.headers: list[Header] = []
        """The request's fields as sent: case, order, duplicates."""
        self.trailers: list[Header] = []
        self.head_complete = False
        self.cut = False
        """We ended the connection, not the client."""
        self._transport = transport
        self.closed = closed

    async def abort(self, *, reset: bool = False) -> None:
        """Close at once, without what is still to be written; by RST if ``reset``."""
        if reset:
            connection: socket.socket = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.cut = True
        self._transport.abort()
        await self.closed.wait()

    async def close(self) -> None:
        """Close in the middle of an answer, after what is already written."""
        self.cut = True
        self._transport.close()
        await self.closed.wait()


class Exchange:
    """A request and its answer. ``receive`` and ``send`` can be passed on as ASGI callables."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: list[Header] = list(scope["headers"])
        self.query: Query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self.wire: Wire | None = scope.get(WIRE)
        self.client: tuple[str, int] | None = scope.get("client")
        self.body_length = 0
        self.complete = False
        self.left = False
        self._receive = receive
        self._send = send

    def values(self, name: bytes) -> list[str]:
        """Every value of the field ``name`` (in lower case), in order."""
        return [v.decode("latin-1") for n, v in self.headers if n == name]

    def value(self, name: bytes) -> str | None:
        """The first value of the field ``name`` (in lower case)."""
        return next(iter(self.values(name)), None)

    def number(self, name: str, default: float = 0) -> float:
        """A number from the query; ``default`` where it is missing or not a number."""
        with suppress(ValueError):
            return float(self.query.get(name, default))
        return default

    async def receive(self) -> Message:
        """The next ASGI message, remembering whether the client left before its answer was complete."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.body_length += len(message.get("body", b""))
        elif not self.complete and not (self.wire and self.wire.cut):
            self.left = True
        return message

    async def send(self, message: Message) -> None:
        """Send one ASGI message.

        Raises:
            ClientLeft: nobody is left to send to.
        """
        if self.left:
            raise ClientLeft
        await self._send(message)
        self.complete = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The request body as it arrives.

        Raises:
            ClientLeft: in the middle of the body.
        """
        more = True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientLeft
            more = message.get("more_body", False)
            if body := message.get("body", b""):
                yield body

    async def body(self) -> bytes:
        """The whole request body, for small ones."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def start(self, status: int, headers: Sequence[Header] = ()) -> None:
        """Send the head of the answer; without Content-Length it is chunked."""
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, chunk: bytes) -> None:
        """Send a part of the answer's body, and let others run: a server's ``send`` need not pause."""
        await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        await asyncio.sleep(0)

    async def end(self, chunk: bytes = b"") -> None:
        """Send the last part of the answer's body."""
        await self.send({"type": "http.response.body", "body": chunk})

    async def answer(
        self,
        status: int,
        body: bytes = b"",
        headers: Sequence[Header] = (),
        content_type: bytes = b"text/plain; charset=utf-8",
    ) -> None:
        """Send a whole answer with its length."""
        fields = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))] if body else []
        if not body and status not in {204, 304}:
            fields = [(b"content-length", b"0")]
        await self.start(status, [*fields, *headers])
        await self.end(body)

    async def json(self, status: int, value: object, headers: Sequence[Header] = ()) -> None:
        """Send a whole JSON answer."""
        await self.answer(status, json.dumps(value).encode(), headers, b"application/json")

    async def abort(self, *, reset: bool = False) -> None:
        """Close the connection at once, without (the rest of) an answer."""
        if self.wire is None:
            raise ConnectionAbortedError("only Serving can cut a connection")
        await self.wire.abort(reset=reset)

    async def break_off(self) -> None:
        """Close the connection in the middle of an answer, after what is already written."""
        if self.wire is None:
            raise ConnectionAbortedError("only Serving can cut a connection")
        await self.wire.close()

    async def idle(self, seconds: float) -> None:
        """Wait without reading, at most until the connection is gone."""
        if self.wire is None:
            raise ConnectionAbortedError("only Serving knows its connections")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wire.closed.wait()
                await self.receive()

    async def while_here(self, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work`` until it is done or the connection is gone. What is left of the request body is dropped.

        Raises:
            ClientLeft: before the work was done.
        """
        worker = asyncio.create_task(work)
        watcher = asyncio.create_task(self._departure())
        try:
            await asyncio.wait({worker, watcher}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            worker.cancel()
            watcher.cancel()
            await asyncio.gather(worker, watcher, return_exceptions=True)
        if worker.cancelled():
            raise ClientLeft
        worker.result()

    async def _departure(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


Handler = Callable[[Exchange], Awaitable[None]]


class Endpoint:
    """Makes a handler of exchanges an ASGI application that Starlette's routes take as it is."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; a client that left is nobody's error."""
        with suppress(ClientLeft):
            await self._handler(Exchange(scope, receive, send))
