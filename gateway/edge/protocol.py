"""The client's connection: a strict HTTP/1.1 protocol, given to uvicorn as its ``http=`` class.

A request's way: ``data_received`` → ``parser`` → a ``Cycle`` in the queue → one ASGI task at a time, in order (P16)
→ its answer → the next. What is not HTTP is answered in our own words, in its turn, and nothing behind it is read.

How long the client may take for its part is ``client_time``'s.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from gateway.core import errors
from gateway.core.errors import GatewayError, Problem
from gateway.duplex import Duplex
from gateway.edge.client_time import ClientTime
from gateway.edge.cycle import Cycle
from gateway.edge.listener import ListenerSettings
from gateway.edge.parser import RequestParser
from gateway.edge.refusal import refusal
from gateway.edge.scope import Place, http_scope
from gateway.edge.sending import Sending
from gateway.edge.transport import ClientTransport

_SHORT = 1.0
"""Seconds of lingering for who was too slow, for some of those who are too many (B27), and while we drain."""
_LINGERING = 32
"""Refused for being too many, and lingering: at once, so many. They hold what we are short of."""
_SLICE = 16 * 1024
"""What is parsed at once: of small pipelined requests some hundreds."""
_HELD = 64 * 1024
"""Bytes behind an undecided upgrade; beyond, reading pauses."""


class GatewayProtocol(asyncio.Protocol):
    """One client's connection."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        settings: ListenerSettings | None = None,
    ) -> None:
        """As uvicorn calls it; ``settings`` are ours."""
        if not config.loaded:
            config.load()
        self._app: Callable[..., Any] = config.loaded_app
        self._root_path = config.root_path
        self._state = server_state
        self._connections = cast("set[Any]", server_state.connections)
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._settings = settings or ListenerSettings()
        self._parser = RequestParser(self, self._settings.limits)
        self._queue: deque[Cycle] = deque()
        """Those not answered yet, in order: more than one only when a client pipelines."""
        self._incoming: Cycle | None = None
        """The one whose body is not complete, be it answered or not."""
        self._refusal: Problem | None = None
        """What came behind the queue was no request; nothing more is read."""
        self._ahead = b""
        """Bytes read and not parsed yet, while more than one request waits."""
        self._draining = False

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, behind its TLS handshake if there is one."""
        settings, loop = self._settings, self._loop
        plain = cast("asyncio.Transport", transport)
        sending = Sending(plain, loop, settings.send_timeout, settings.min_data_rate)
        self._transport = ClientTransport(plain, loop, sending)
        self._place = Place.of(plain, self._root_path, self._app_state)
        self._clock = ClientTime(loop, settings, self._late)
        self._draining = getattr(self._state, "draining", False)  # uvicorn's walk over the connections is past
        most = settings.max_connections
        self._connections.add(self)
        if 0 < most < len(self._connections):
            self._refuse(errors.OVERLOADED)
        else:
            self._clock.head()

    def data_received(self, data: bytes) -> None:
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
            if len(data) <= _SLICE:
                self._parser.feed(data)
            else:
                self._read_slices(data)
        except GatewayError as error:
            self._malformed(error.problem)
            return
        except Exception:
            self._transport.cut(reset=True)  # a mistake of ours: the event loop would log it and leave all as it is
            raise
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

    def eof_received(self) -> None:
        """The client has closed its side: it has left (nginx's reading too). asyncio then closes ours."""
        if self._queue and self._queue[0].started:
            self._queue[0].abort()  # a plain end would make its part of the answer look complete (P15)
        else:
            self._transport.close()
            self._lose()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """The connection is over."""
        self._connections.discard(self)
        self._clock.end()
        self._transport.let_go()
        self._parser.close()
        self._lose()

    def _lose(self) -> None:
        """Nobody waits for the answers any more."""
        while self._queue:
            self._queue.popleft().lose()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._transport.pause_writing()

    def resume_writing(self) -> None:
        """There is room again."""
        self._transport.resume_writing()

    def shutdown(self) -> None:
        """The server drains: what is under way may end, and nothing follows it."""
        self._draining = True
        if self._queue:
            self._queue[-1].keep_alive = False
        elif not self._parser.partial:
            self._close()

    # The parser's sink.

    def on_request(self, request: RequestParser) -> None:
        """A request's head is complete."""
        cycle = Cycle(self, self._transport, request)
        if self._draining:
            cycle.keep_alive = False
        self._queue.append(cycle)
        self._incoming = cycle
        if len(self._queue) == 1:
            self._start(cycle)
        else:
            self._transport.hold_back()

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
            if cycle.answered and not self._transport.closing:
                self._next()

    # Requests in their order.

    def _start(self, cycle: Cycle) -> None:
        task = self._loop.create_task(self._run(cycle, http_scope(cycle, self._place)))
        tasks = self._state.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _run(self, cycle: Cycle, scope: dict[str, Any]) -> None:
        if self._transport.write_paused:  # the answers before this one are not read: ask for no more (D4)
            await self._transport.drain()
        try:
            if not cycle.lost:
                await self._app(scope, cycle.receive, cycle.send)
        except Exception:  # noqa: BLE001, S110  # the application reports its own
            pass
        if cycle.answered or cycle.lost:
            return
        if cycle.started:
            cycle.abort()
        else:
            self._refuse(cycle.failure or errors.INTERNAL_ERROR)

    def answered(self, cycle: Cycle) -> None:
        """The oldest request's answer is complete."""
        self._queue.popleft()
        self._state.total_requests += 1
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
        client = self._place.client
        self._transport.write(refusal(self._app, problem, client[0] if client else "unknown"))
        self._refusal = problem
        self._close()

    def _close(self) -> None:
        """After the last answer; a client that may still be sending is read on."""
        self._transport.close(linger=self._lingering())
        self._quit()

    def _lingering(self) -> float | None:
        """For how long; None: the client is not sending, or we cannot afford to listen."""
        settings, refusal = self._settings, self._refusal
        if refusal is errors.OVERLOADED and len(self._connections) > settings.max_connections + _LINGERING:
            return None
        behind = self._queue or self._ahead or self._parser.partial or self._parser.held or self._transport.paused
        if not behind and self._incoming is None and refusal is None:
            return None
        hurry = self._draining or refusal in (errors.OVERLOADED, errors.REQUEST_TIMEOUT)
        return min(_SHORT, settings.linger) if hurry else settings.linger

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

    def hold_back(self) -> None:
        """The application has enough of the body for now."""
        self._transport.hold_back()

    def go_on(self) -> None:
        """The application waits for the body: read, and count the client's time."""
        if len(self._queue) < 2:  # noqa: PLR2004  # a second request waits for the first one's end
            self._transport.resume()
            self._time()

    def switch(self) -> Duplex:
        """Leave HTTP: the transport gets another protocol, this one has had its day."""
        self._quit()
        self._incoming = None
        self._connections.discard(self)
        duplex = Duplex(self._transport.let_go(), self._parser.held or b"")
        self._parser.close()
        duplex.on_lost = lambda: self._connections.discard(duplex)
        self._connections.add(duplex)
        if self._draining:
            self._loop.call_soon(duplex.shutdown)
        return duplex
