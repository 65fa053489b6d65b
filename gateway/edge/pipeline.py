"""One connection's requests, read and answered in their order (P16; RFC 9112 §9.3.2).

A request's way: ``read`` → ``parser`` → a ``Cycle`` in the queue → one ASGI task at a time → its answer → the next.
What is not HTTP is answered in our own words, in its turn, and nothing behind it is read.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.server import ServerState

from gateway.core import errors
from gateway.core.errors import ClientGone, GatewayError, Problem
from gateway.duplex import Duplex
from gateway.edge.client_time import ClientTime
from gateway.edge.cycle import Cycle
from gateway.edge.express import Express
from gateway.edge.listener import SHORT_LINGER, ListenerSettings
from gateway.edge.parser import RequestParser
from gateway.edge.place import Place
from gateway.edge.refusal import refusal
from gateway.edge.scope import ConnectionScope
from gateway.edge.transport import ClientTransport

_SLICE = 16 * 1024
"""What is parsed at once: of small pipelined requests some hundreds."""
_HELD = 64 * 1024
"""Bytes behind an undecided upgrade; beyond, reading pauses."""

Application = Callable[..., Any]


class Pipeline:
    """From a connection's first byte to its last answer."""

    def __init__(
        self,
        application: Application,
        settings: ListenerSettings,
        place: Place,
        transport: ClientTransport,
        *,
        server: ServerState,
        loop: asyncio.AbstractEventLoop,
        switch: Callable[[bytes], Duplex],
        express: Express | None = None,
    ) -> None:
        """Args:
        application: ASGI 3.
        settings: what the client may do.
        place: what its requests have in common.
        transport: the way to it.
        server: keeps the tasks, and counts.
        loop: the event loop.
        switch: leaves HTTP, with the bytes that are the new protocol's already.
        express: answers plain requests in the application's place.
        """
        self._app = application
        self._answer: Application = getattr(application, "http", application)
        self._settings = settings
        self._place = place
        self._transport = transport
        self._server = server
        self.tasks: set[Any] = server.tasks
        self._scope = ConnectionScope(place)
        self._lane = None if express is None else express.lane(transport, self.tasks)
        self._loop = loop
        self._switch: Callable[[bytes], Duplex] | None = switch
        self._clock = ClientTime(loop, settings, self._late)
        self._parser = RequestParser(self, settings.limits)
        self._queue: list[Cycle] = []
        """Those not answered yet, in order: more than one only when a client pipelines."""
        self._incoming: Cycle | None = None
        """The one whose body is not complete, be it answered or not."""
        self._pending: Cycle | None = None
        """The one whose body may be complete within the bytes at hand: only then it is one for the express lane."""
        self._refusal: Problem | None = None
        """What came behind the queue was no request; nothing more is read."""
        self._ahead = b""
        """Bytes read and not parsed yet, while more than one request waits."""
        self._draining = False

    # The connection's events.

    def begin(self, *, draining: bool) -> None:
        """The client may send. ``draining``: one request at most."""
        self._draining = draining
        self._clock.head()

    def received(self, data: bytes) -> None:
        """Bytes of the client's."""
        if self._transport.closing or self._refusal is not None:
            self._transport.heard()
            return
        if self._incoming is not None:
            self._clock.moved(len(data))
        if self._ahead:
            self._ahead += data
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Parse, but not ahead of two requests: thousands of small ones fit into one read (D6)."""
        try:
            if len(data) <= max(_SLICE, self._parser.left):
                self._parser.feed(data)
            else:
                self._read_slices(data)
        except GatewayError as error:
            self._malformed(error.problem)
            return
        except Exception:
            self._transport.cut(reset=True)  # a mistake of ours: the event loop would log it and leave all as it is
            raise
        self._pursue()
        held = self._parser.held
        if held is not None and len(held) > _HELD:
            self._transport.hold_back()
        self._time()

    def _read_slices(self, data: bytes) -> None:
        for at in range(0, len(data), _SLICE):
            if len(self._queue) > 1:
                self._ahead = data[at:]
                break
            self._parser.feed(data[at : at + _SLICE])

    def half_closed(self) -> None:
        """The client has closed its side: it has left (nginx's reading too)."""
        if self._queue and self._queue[0].started:
            self._queue[0].abort()  # a plain end would make its part of the answer look complete (P15)
        else:
            self._transport.close()
            self._lose()

    def lost(self) -> None:
        """The connection is over."""
        self._clock.end()
        self._parser.close()
        self._lose()
        self._lane = self._switch = None  # both refer back to us

    def _lose(self) -> None:
        """Nobody waits for the answers any more."""
        while self._queue:
            self._queue.pop(0).lose()

    def drain(self) -> None:
        """What is under way may end, and nothing follows it."""
        self._draining = True
        if self._queue:
            self._queue[-1].keep_alive = False
        elif not self._parser.partial:
            self._close()

    # The parser's sink.

    def on_request(self, request: RequestParser) -> None:
        """A request's head is complete."""
        cycle = Cycle(self, self._transport, self._place, request)
        if self._draining:
            cycle.keep_alive = False
        self._queue.append(cycle)
        self._incoming = cycle
        if len(self._queue) > 1:
            self._transport.hold_back()
        elif request.framed and self._lane is not None:
            self._pending = cycle
        else:
            self._start(cycle)

    def on_body(self, data: bytes) -> None:
        """A piece of its body."""
        if self._incoming is not None:
            self._incoming.body(data)

    def on_end(self) -> None:
        """It is complete."""
        cycle, self._incoming = self._incoming, None
        self._clock.ours()
        if cycle is not None:
            cycle.end()
            if cycle is self._pending:
                self._pending = None
                self._start(cycle)
            elif cycle.answered and not self._transport.closing:
                self._next()

    # Requests in their order.

    def _start(self, cycle: Cycle) -> None:
        lane = self._lane
        if lane is None or self._transport.write_paused or not lane.take(cycle):
            self.apply(cycle)

    def _pursue(self) -> None:
        """More of the body is to come than the bytes at hand."""
        cycle, self._pending = self._pending, None
        if cycle is not None:
            self.apply(cycle)

    def apply(self, cycle: Cycle) -> None:
        """Let the application answer."""
        task = cycle.task = self._loop.create_task(self._run(cycle, self._scope.of(cycle)))
        self.tasks.add(task)

    async def _run(self, cycle: Cycle, scope: dict[str, Any]) -> None:
        try:
            if self._transport.write_paused:  # the answers before this one are not read: ask for no more (D4)
                await self._transport.drain()
            if not cycle.lost:
                await self._answer(scope, cycle.receive, cycle.send)
        except Exception:  # noqa: BLE001, S110  # the application reports its own
            pass
        finally:
            cycle.drop()
            self.tasks.discard(cycle.task)  # a callback for its end would cost a turn of the loop
            cycle.task = None
        if cycle.answered or cycle.lost:
            return
        if cycle.started:
            cycle.abort()
        else:
            self._refuse(cycle.failure or errors.INTERNAL_ERROR)

    def answered(self, cycle: Cycle) -> None:
        """The oldest request's answer is complete."""
        self._queue.pop(0)
        self._server.total_requests += 1
        if not cycle.keep_alive or (self._draining and not self._queue):
            self._close()
        elif cycle is self._incoming:
            self._clock.discarding()
            self._transport.resume()
        else:
            self._next()

    def _next(self) -> None:
        if self._queue:
            self._start(self._queue[0])
            if len(self._queue) == 1:
                self._transport.resume()
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._draining:
            self._close()
        else:
            self._rest()
        if self._ahead and len(self._queue) < 2 and not self._transport.closing:  # noqa: PLR2004
            ahead, self._ahead = self._ahead, b""
            self._read(ahead)

    def _rest(self) -> None:
        """Between two requests."""
        self._clock.rest()
        if self._parser.partial:
            self._clock.head()
        self._transport.resume()
        if self._parser.held is not None:  # the upgrade was not taken up: what stands behind it is a request
            self._ahead = self._parser.proceed() + self._ahead

    # What is no request, and the end.

    def _malformed(self, problem: Problem) -> None:
        """RFC 9112 §2.2: refuse and close, but never within or in place of another request's answer."""
        self._pursue()
        cycle, self._incoming = self._incoming, None
        self._refusal = problem
        self._clock.ours()
        if cycle is None:
            if not self._queue:
                self._refuse(problem)
        elif cycle.answered:
            self._close()
        else:
            cycle.fail(problem)

    def _refuse(self, problem: Problem) -> None:
        """Our last word on this connection."""
        self._transport.write(refusal(self._app, problem, self._place.address))
        self._refusal = problem
        self._close()

    def _close(self) -> None:
        """After the last answer; a client that may still be sending is read on."""
        self._transport.close(linger=self._lingering())
        self._quit()

    def _lingering(self) -> float | None:
        """For how long; None: the client is not sending."""
        settings, refusal = self._settings, self._refusal
        behind = self._queue or self._ahead or self._parser.partial or self._parser.held or self._transport.paused
        if not behind and self._incoming is None and refusal is None:
            return None
        hurry = self._draining or refusal is errors.REQUEST_TIMEOUT
        return min(SHORT_LINGER, settings.linger) if hurry else settings.linger

    def _quit(self) -> None:
        self._clock.end()
        self._queue.clear()
        self._ahead = b""

    # Time.

    def _time(self) -> None:
        """Bytes have come, or are wanted: whose turn is it?"""
        cycle = self._incoming
        if cycle is not None:
            if not cycle.answered:
                self._clock.body(willing=cycle.awaits_body and not self._transport.paused)
        elif not self._queue and self._parser.partial:
            self._clock.head()

    def _late(self) -> None:
        """The client took too long."""
        cycle = self._incoming
        if cycle is not None and not cycle.answered:
            self._malformed(errors.REQUEST_TIMEOUT)
        elif cycle is None and self._parser.partial:
            self._refuse(errors.REQUEST_TIMEOUT)
        else:
            self._incoming = None  # it has lingered already
            self._close()

    # A cycle's connection.

    def go_on(self) -> None:
        """The application waits for the body: read, and count the client's time."""
        if len(self._queue) < 2:  # noqa: PLR2004  # a second request waits for the first one's end
            self._transport.resume()
            self._time()

    def switch(self) -> Duplex:
        """Leave HTTP (RFC 9110 §7.8)."""
        if self._switch is None:
            raise ClientGone
        self._quit()
        self._incoming = None
        duplex = self._switch(self._parser.held or b"")
        self._parser.close()
        if self._draining:
            self._loop.call_soon(duplex.shutdown)
        return duplex
