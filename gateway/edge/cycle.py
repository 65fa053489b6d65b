"""One request of a client's and its answer, as ASGI 3 has them, and what ASGI has no words for.

An application finds its ``Cycle`` in the scope (``cycle_of``). There it reads the client's bytes of the target,
hears that the client has left, cuts an answer that cannot be completed, and takes the connection over after a 101.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

from gateway.core.answers import STATUS_LINES, Framing, answer_head
from gateway.core.errors import ClientGone, Problem
from gateway.core.headers import Headers
from gateway.core.wire import field_lines
from gateway.duplex import Duplex
from gateway.edge.cycle_ports import Connection, Request, Transport

CYCLE = "evergreen.cycle"
"""Where the scope holds it."""
_NONE, _LENGTH, _CHUNKED, _CLOSE = Framing  # in names of our own: on the hot path a member's look-up counts
_HIGH_WATER = 64 * 1024
"""Bytes of a body that wait for the application; beyond, reading from the client pauses (D4)."""
_MANY = 64
"""Pieces that are kept apart: each of a byte or two would cost thirty times its size (D4)."""
_COPIED = 16 * 1024
"""Bytes that cost less to copy than to write on their own."""
_GONE = {"type": "http.disconnect"}

Message = MutableMapping[str, Any]


class Cycle:
    """One request and its answer."""

    __slots__ = (
        "_buffered",
        "_connection",
        "_framing",
        "_left",
        "_more",
        "_pieces",
        "_told",
        "_told_end",
        "_transport",
        "_waiter",
        "answered",
        "failure",
        "headers",
        "keep_alive",
        "lost",
        "method",
        "on_lost",
        "started",
        "switched",
        "target",
        "version",
    )

    def __init__(self, connection: Connection, transport: Transport, request: Request) -> None:
        self._connection = connection
        self._transport = transport
        self.method = request.method
        self.target = request.target
        """The request target, the client's bytes."""
        self.version = request.version
        self.keep_alive = request.persists
        self.headers = request.headers
        """Names in lower case."""
        self._told = False
        """The client was told to go on, or did not wait for that."""
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._more = True
        self._told_end = False
        self._waiter: asyncio.Future[None] | None = None
        self._framing = _NONE
        self._left = 0
        self.started = False
        """The answer's head is out."""
        self.answered = False
        """The answer is complete."""
        self.switched = False
        """The connection has left HTTP."""
        self.lost = False
        """The client has left."""
        self.failure: Problem | None = None
        """Why the rest of the body will never come, although the client is there to be told."""
        self.on_lost: Callable[[], None] | None = None
        """Called when the client leaves before its answer is complete."""

    # The connection's side.

    @property
    def awaits_body(self) -> bool:
        """The client would send more of the body, had it been told to or had we room."""
        return self._more and (self._told or not self._expects())

    def _expects(self) -> bool:
        """The client waits to be told to go on (RFC 9110 §10.1.1)."""
        return self.version == "1.1" and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self.headers
        )

    def body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.answered:
            return
        self._told = True
        self._pieces.append(data)
        if len(self._pieces) > _MANY:
            self._pieces = [b"".join(self._pieces)]
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER:
            self._transport.hold_back()
        self._wake()

    def end(self) -> None:
        """The request is complete."""
        self._more = False
        self._wake()

    def fail(self, problem: Problem) -> None:
        """The body breaks off here, and this is why."""
        self.failure = problem
        self.keep_alive = False
        self._wake()

    def lose(self) -> None:
        """The client has left."""
        self.lost = True
        self._wake()
        if self.on_lost is not None:
            self.on_lost()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The application's side.

    async def receive(self) -> Message:
        """ASGI 3. One reader at a time."""
        if not (self._told or self.started or self.lost or self.failure):
            self._told = True
            if self._more and self._expects():
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self.lost or self.answered or self.failure):
            if self._pieces or not (self._more or self._told_end):
                return self._take()
            self._connection.go_on()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return _GONE

    def _take(self) -> Message:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._buffered = 0
        self._told_end = not self._more
        return {"type": "http.request", "body": data, "more_body": self._more}

    async def send(self, message: Message) -> None:
        """ASGI 3. What nobody can read any more is dropped.

        Raises:
            ValueError: the message is out of order, has a field that cannot be written as one (P17), or its
                body does not fit its length.
        """
        if self.lost:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.started and not self.answered:
            self._write_body(message.get("body", b""), more=message.get("more_body", False))
            if self._transport.write_paused and not self.answered:
                await self._transport.drain()  # before the next piece is fetched: each one costs memory (D4)
        elif kind == "http.response.start" and not self.started:
            self._write_head(message["status"], message.get("headers", []))
        else:
            raise ValueError(kind)

    def _write_head(self, status: int, headers: Headers) -> None:
        head = answer_head(status, headers, method=self.method, version=self.version, keep_alive=self.keep_alive)
        self.started = True
        self._framing, self._left, self.keep_alive = head.framing, head.length, head.keep_alive
        self._transport.write(head.data)

    def _write_body(self, data: bytes, *, more: bool) -> None:
        framing, write = self._framing, self._transport.write
        if framing is _LENGTH:
            self._left -= len(data)
            if self._left < 0 or (self._left and not more):
                raise ValueError("the body does not fit its length")
            if data:
                write(data)
        elif framing is _CHUNKED:
            self._write_chunk(data, more=more)
        elif framing is _CLOSE and data:
            write(data)
        if not more:
            self.answered = True
            self._wake()
            self._connection.answered(self)

    def _write_chunk(self, data: bytes, *, more: bool) -> None:
        """RFC 9112 §7.1; an empty chunk would end the body."""
        write = self._transport.write
        end = b"\r\n" if more else b"\r\n0\r\n\r\n"
        if not data:
            if not more:
                write(b"0\r\n\r\n")
        elif len(data) < _COPIED:
            write(b"%x\r\n%b%b" % (len(data), data, end))
        else:
            write(b"%x\r\n" % len(data))
            write(data)
            write(end)

    def abort(self) -> None:
        """Cut the connection at once: the client sees that its answer is incomplete (RFC 9112 §8)."""
        self._transport.cut(reset=self._framing is _CLOSE)

    def switch(self, headers: Headers) -> Duplex:
        """Answer 101 (RFC 9110 §7.8) and take the connection over. ``headers`` are all of its fields.

        Raises:
            ClientGone: it has left.
            UnwritableFields: a field cannot be written as one (P17).
        """
        if self.lost:
            raise ClientGone
        head = STATUS_LINES[101] + field_lines(headers) + b"\r\n"
        self.started = self.answered = self.switched = True
        self._transport.write(head)
        return self._connection.switch()


def cycle_of(scope: Any) -> Cycle | None:
    """The request's cycle under our protocol; None under another server."""
    found = scope.get(CYCLE)
    return found if isinstance(found, Cycle) else None
