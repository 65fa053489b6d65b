"""One request of a client's and its answer, as ASGI 3 has them, and what ASGI has no words for.

An application finds its ``Cycle`` in the scope (``cycle_of``). There it reads the client's bytes of the target,
hears that the client has left, cuts an answer that cannot be completed, and takes the connection over after a 101.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

from gateway.core.answers import STATUS_LINES, AnswerFields, Framing, Written, answer_fields, written_head
from gateway.core.errors import ClientGone, Problem
from gateway.core.headers import Headers
from gateway.core.lifecycle import Decision
from gateway.core.wire import field_lines
from gateway.duplex import Duplex
from gateway.edge.cycle_ports import Connection, Request, Transport
from gateway.edge.place import Place

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

    # Defaults of the class: most requests have no body, and few lose their client. What is not set costs nothing.
    _told = False
    """The client was told to go on, or did not wait for that."""
    _buffered = 0
    _more = True
    _told_end = False
    _waiter: asyncio.Future[None] | None = None
    _framing = _NONE
    _left = 0
    started = False
    """The answer's head is out."""
    answered = False
    """The answer is complete."""
    switched = False
    """The connection has left HTTP."""
    lost = False
    """The client has left."""
    failure: Problem | None = None
    """Why the rest of the body will never come, although the client is there to be told."""
    on_lost: Callable[[], None] | None = None
    """Called when the client leaves before its answer is complete."""
    at_hand: Any = None
    """The upstream's answer to this request, which the express lane sent (``edge.upstreams.Response``)."""
    task: asyncio.Task[None] | None = None
    """In which the application answers."""
    since = 0.0
    """Monotonic seconds: when it sent it."""

    def __init__(self, connection: Connection, transport: Transport, place: Place, request: Request) -> None:
        self.connection = connection
        self.transport = transport
        self.place = place
        """Where it came from."""
        self.method = request.method
        self.target = request.target
        """The request target, the client's bytes."""
        self.version = request.version
        self.keep_alive = request.persists
        self.framed = request.framed
        """A body was announced, be it an empty one."""
        self.block = request.block
        """Its fields."""
        self.decision: Decision | None = None
        """What the express lane sent it by. The application goes on from there: to decide anew could send it once
        more."""
        self._pieces: list[bytes] = []

    # The connection's side.

    @property
    def awaits_body(self) -> bool:
        """The client would send more of the body, had it been told to or had we room."""
        return self._more and (self._told or not self._expects())

    def _expects(self) -> bool:
        """The client waits to be told to go on (RFC 9110 §10.1.1)."""
        return self.version == "1.1" and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self.block.headers
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
            self.transport.hold_back()
        self._wake()

    def whole(self) -> bytes | None:
        """The body, all of which is here and not taken yet; None: it is not. It may still be received."""
        return None if self._more or self._told_end else b"".join(self._pieces)

    def release(self) -> None:
        """The body is of no more use; the connection may refer to its last request for long."""
        self._pieces.clear()

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
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self.lost or self.answered or self.failure):
            if self._pieces or not (self._more or self._told_end):
                return self._take()
            self.connection.go_on()
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
            self.write(message.get("body", b""), more=message.get("more_body", False))
            if self.transport.write_paused and not self.answered:
                await self.transport.drain()  # before the next piece is fetched: each one costs memory (D4)
        elif kind == "http.response.start" and not self.started:
            headers = message.get("headers", [])
            fields = headers.fields if isinstance(headers, Written) else answer_fields(headers)
            self.transport.write(self.open(message["status"], fields))
        else:
            raise ValueError(kind)

    # The answer, step by step: under ``send``, and for the express lane.

    def open(self, status: int, fields: AnswerFields) -> bytes:
        """The head of the answer, for the first ``write``. Raises: ValueError: see ``send``."""
        head = written_head(status, fields, method=self.method, version=self.version, keep_alive=self.keep_alive)
        self.started = True
        data, self._framing, self._left, self.keep_alive = head
        return data

    def write(self, data: bytes, *, more: bool, head: bytes = b"") -> None:
        """Write a piece of the body, or, without ``more``, the last one. Raises: ValueError: see ``send``."""
        framing = self._framing
        if framing is _LENGTH:
            self._left -= len(data)
            if self._left < 0 or (self._left and not more):
                raise ValueError("the body does not fit its length")
            self._write_plain(head, data)
        elif framing is _CHUNKED:
            if head:
                self.transport.write(head)
            self._write_chunk(data, more=more)
        else:
            self._write_plain(head, data if framing is _CLOSE else b"")
        if not more:
            self.answered = True
            self._wake()
            self.connection.answered(self)

    def _write_plain(self, head: bytes, data: bytes) -> None:
        if head and len(data) >= _COPIED:
            self.transport.write(head)
            head = b""
        if head or data:
            self.transport.write(head + data)

    def _write_chunk(self, data: bytes, *, more: bool) -> None:
        """RFC 9112 §7.1; an empty chunk would end the body."""
        write = self.transport.write
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

    def hand_over(self) -> None:
        """To the application, which answers what the express lane does not."""
        self.connection.apply(self)

    def drop(self) -> None:
        """The application is done: an answer in its hand that it had no use for is let go."""
        if self.at_hand is not None:
            self.at_hand.close()
            self.at_hand = None

    def abort(self) -> None:
        """Cut the connection at once: the client sees that its answer is incomplete (RFC 9112 §8)."""
        self.transport.cut(reset=self._framing is _CLOSE)

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
        self.transport.write(head)
        return self.connection.switch()


def cycle_of(scope: Any) -> Cycle | None:
    """The request's cycle under our protocol; None under another server."""
    found = scope.get(CYCLE)
    return found if isinstance(found, Cycle) else None
