"""The client's connection: a strict HTTP/1.1 protocol, given to uvicorn as its ``http=`` class.

A request's way: ``data_received`` → ``parser`` → a ``Cycle`` in the queue → one ASGI task at a time, in order (P16)
→ its answer → the next. What is not HTTP is answered in our own words, in its turn, and nothing behind it is read.

Which time counts (D2) depends on whose turn it is:

- the client's, with a head: ``header_timeout``, from the connection's beginning or the head's first byte;
- the client's, with a body: ``Pace``, while we are willing to read;
- the client's, to read the answer: ``Sending``;
- the client's, between two requests: ``idle_timeout``;
- ours: none here; the upstream's and the authorization server's limits hold.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

import uvicorn
from uvicorn.server import ServerState

from gateway.core import errors
from gateway.core.answers import answer_head
from gateway.core.errors import GatewayError, Problem
from gateway.core.headers import Headers
from gateway.core.pace import Pace
from gateway.deadline import Deadline
from gateway.duplex import Duplex
from gateway.edge.cycle import Cycle
from gateway.edge.listener import ListenerSettings
from gateway.edge.parser import RequestParser
from gateway.edge.scope import Place, http_scope
from gateway.edge.sending import Sending
from gateway.edge.transport import ClientTransport

_OVERLOADED_LINGER = 1.0
"""Seconds. Time enough to read the refusal; descriptors are what we are short of (B27)."""
_HELD = 64 * 1024
"""Bytes behind an undecided upgrade; beyond, reading pauses."""


@runtime_checkable
class Answerer(Protocol):
    """An application that has words for what never became a request."""

    def malformed(self, problem: Problem) -> tuple[Headers, bytes]:
        """Header fields and body of the answer."""


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
        self._pace: Pace | None = None
        """Of the incoming body."""
        self._refusal: Problem | None = None
        """What came behind the queue was no request; nothing more is read."""
        self._head_timed = True
        """The head's time has begun."""
        self._draining = False

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, behind its TLS handshake if there is one."""
        settings, loop = self._settings, self._loop
        plain = cast("asyncio.Transport", transport)
        sending = Sending(plain, loop, settings.send_timeout, settings.min_data_rate)
        self._transport = ClientTransport(plain, loop, sending, linger=settings.linger)
        self._place = Place.of(plain, self._root_path, self._app_state)
        self._deadline = Deadline(loop, self._late)
        full = 0 < settings.max_connections <= len(self._connections)
        self._connections.add(self)
        if full:
            self._refuse(errors.OVERLOADED, linger=_OVERLOADED_LINGER)
        else:
            self._deadline.set(settings.header_timeout)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client's."""
        if self._transport.closing or self._refusal is not None:
            return
        if self._pace is not None:
            self._pace.moved(len(data))
        try:
            self._parser.feed(data)
        except GatewayError as error:
            self._malformed(error.problem)
            return
        held = self._parser.held
        if held is not None and len(held) > _HELD:
            self._transport.hold_back()
        self._time()

    def eof_received(self) -> None:
        """The client has closed its side: it has left (nginx's reading too). asyncio closes ours."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """The connection is over."""
        self._connections.discard(self)
        self._deadline.cancel()
        self._transport.let_go()
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
        if not self._queue and self._incoming is None:
            self._close()

    # The parser's sink.

    def on_request(self, request: RequestParser) -> None:
        """A request's head is complete."""
        cycle = Cycle(self, self._transport, request)
        cycle.scope = http_scope(request, cycle, self._place)
        self._queue.append(cycle)
        self._incoming = cycle
        self._head_timed = False
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
        cycle, self._incoming, self._pace = self._incoming, None, None
        if cycle is not None:
            cycle.end()
            if cycle.answered and not self._transport.closing:
                self._next()

    # Requests in their order.

    def _start(self, cycle: Cycle) -> None:
        scope, cycle.scope = cycle.scope, {}  # no reference cycle: the scope knows its cycle
        task = self._loop.create_task(self._run(cycle, scope))
        tasks = self._state.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _run(self, cycle: Cycle, scope: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):  # the application reports its own; what matters here is below
            await self._app(scope, cycle.receive, cycle.send)
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
            # The rest of its body is read and dropped: for so long, whatever its pace.
            self._pace = None
            self._deadline.set(self._settings.linger)
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

    def _rest(self) -> None:
        """Between two requests."""
        begun = self._head_timed = self._parser.partial
        settings = self._settings
        self._deadline.set(settings.header_timeout if begun else settings.idle_timeout)
        self._transport.resume()
        if self._parser.held is not None:
            self._proceed()

    def _proceed(self) -> None:
        """The upgrade was not taken up, so what stands behind it is the next request."""
        try:
            self._parser.proceed()
        except GatewayError as error:
            self._malformed(error.problem)
        else:
            self._time()

    # What is no request, and the end.

    def _malformed(self, problem: Problem) -> None:
        """RFC 9112 §2.2: refuse and close, but never within or in place of another request's answer."""
        cycle, self._incoming = self._incoming, None
        self._refusal = problem
        self._pace = None
        self._deadline.clear()
        if cycle is None:
            if not self._queue:
                self._refuse(problem)
        elif cycle.answered:
            self._close()
        else:
            cycle.fail(problem)

    def _refuse(self, problem: Problem, *, linger: float | None = None) -> None:
        """Our last word on this connection."""
        headers, body = self._words(problem)
        fields = [*headers, (b"connection", b"close")]
        head = answer_head(problem.status, fields, method="GET", version="1.1", keep_alive=False)
        self._transport.write(head.data + body)
        self._transport.close(linger=self._settings.linger if linger is None else linger)
        self._quit()

    def _words(self, problem: Problem) -> tuple[Headers, bytes]:
        application = cast("object", self._app)
        if isinstance(application, Answerer):
            return application.malformed(problem)
        return [(b"content-length", b"0")], b""

    def _close(self) -> None:
        """After the last answer; a client that may still be sending is read on."""
        if self._incoming is not None or self._refusal is not None:
            self._transport.linger()
        else:
            self._transport.close()
        self._quit()

    def _quit(self) -> None:
        self._deadline.cancel()
        self._queue.clear()

    # Time.

    def _time(self) -> None:
        """Bytes have come, or are wanted: whose turn is it, and how long may it take?"""
        cycle = self._incoming
        if cycle is not None:
            if not cycle.answered:
                self._pace_body(cycle)
        elif self._queue:
            self._deadline.clear()
        elif self._parser.partial and not self._head_timed:
            self._head_timed = True
            self._deadline.set(self._settings.header_timeout)

    def _pace_body(self, cycle: Cycle) -> None:
        pace = self._pace
        if pace is None:
            pace = self._pace = Pace(self._settings.body_timeout, self._settings.min_data_rate)
        now = self._loop.time()
        if self._transport.paused or not cycle.awaits_body:
            pace.stop(now)
            self._deadline.clear()
        else:
            self._deadline.set(pace.spent(now))

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
        duplex.on_lost = lambda: self._connections.discard(duplex)
        self._connections.add(duplex)
        return duplex
