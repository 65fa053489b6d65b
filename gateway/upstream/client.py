"""The upstream, to the exchange: a request in, a response out."""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.errors import BAD_REQUEST, GatewayError
from gateway.core.wire import FieldLines
from gateway.upstream.body import BodySource
from gateway.upstream.pool import Pool
from gateway.upstream.ports import StaleConnection
from gateway.upstream.response import UpstreamResponse
from gateway.upstream.settings import UpstreamSettings
from gateway.upstream.wire import LAST_CHUNK, REPEATABLE, body_framing, chunk, request_head

_AT_ONCE = 64 * 1024
"""A body up to this size goes out with the head; a larger one by a task that heeds back-pressure."""


class Sendable(Protocol):
    """What to send, byte for byte (P10, P11)."""

    @property
    def method(self) -> bytes:
        """As it came."""

    @property
    def target(self) -> bytes:
        """Origin form, written as it is."""

    @property
    def fields(self) -> FieldLines:
        """All of them, ``Host`` included, in order; without Content-Length and Transfer-Encoding."""

    @property
    def body(self) -> BodySource | None:
        """None: there is none."""

    @property
    def lane(self) -> int:
        """The number of the rule that it comes by: its share of the connections (``UpstreamSettings.lanes``)."""

    @property
    def response_timeout(self) -> float | None:
        """Seconds until the head; None: the upstream's own."""

    @property
    def upgrade(self) -> bool:
        """It asks for another protocol: the response may be a 101, and waits for ``UpstreamResponse.switch``."""

    @property
    def again(self) -> bool:
        """It was lost on a stale connection already: it goes on a new one, and is not repeated once more."""


@dataclass(slots=True)
class UpstreamRequest:
    """A ``Sendable``."""

    method: bytes
    target: bytes = field(repr=False)
    fields: FieldLines = field(repr=False)
    body: BodySource | None = None
    lane: int = 0
    response_timeout: float | None = None
    upgrade: bool = False
    again: bool = False


class Upstream:
    """One upstream: no redirects, no cookies, no proxy of the environment (X7, X8)."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self._pool = Pool(settings)

    async def send(self, request: Sendable) -> UpstreamResponse:
        """Send and return once the final head is here; the body may still be going up.

        A request lost on a connection that had gone stale is repeated once, if it may be (B16).

        Raises:
            GatewayError: ``BAD_REQUEST``, before any byte: method or target cannot be written as such (P17).
            Overloaded, UpstreamUnreachable, UpstreamTimeout, UpstreamProtocolError: see there.
            ClientGone: the body's source said so; the connection is closed.
        """
        body = request.body
        framing = b"" if body is None else body_framing(body.length)
        head = request_head(request.method, request.target, request.fields, framing)
        if body is not None and body.ready is not None and len(body.ready) <= _AT_ONCE:
            head += _whole_body(body.ready, body.length)
            body = None
        timeout = request.response_timeout
        if timeout is None:
            timeout = self._settings.response_timeout
        unsafe = request.method not in REPEATABLE
        for_head = request.method == b"HEAD"
        connection = None if request.again else self._pool.pick(request.lane, unsafe=unsafe)
        if connection is None:
            connection = await self._pool.acquire(request.lane)
        reused = connection.reused
        response = connection.start(head, body, for_head=for_head, timeout=timeout, upgrade=request.upgrade)
        try:
            await response.head()
        except StaleConnection:
            if unsafe or request.again or not reused:
                raise
        else:
            return response
        await response.upload_stopped()
        if body is not None and not body.replayable:
            raise StaleConnection(sent=True)
        connection = await self._pool.acquire(request.lane)
        response = connection.start(head, body, for_head=for_head, timeout=timeout, upgrade=request.upgrade)
        await response.head()
        return response

    def begin(
        self,
        method: bytes,
        target: bytes,
        fields: FieldLines,
        *,
        body: bytes | None = None,
        lane: int = 0,
        response_timeout: float | None = None,
    ) -> UpstreamResponse | None:
        """Send on an idle connection, at once; None: none will do, and nothing was sent.

        What ends the exchange, and whether it may be tried once more, is the response's to tell
        (``UpstreamResponse.on_news``, ``error``, ``stale``).

        Args:
            method: as it came; so are the others.
            target: in origin form.
            fields: see ``Sendable``.
            body: all of it; it goes up with its length. None: there is none.
            lane: see ``Sendable``.
            response_timeout: seconds until the head; None: the upstream's own.

        Raises:
            GatewayError: ``BAD_REQUEST``: method or target cannot be written as such (P17).
        """
        if body is None:
            head = request_head(method, target, fields)
        else:
            head = request_head(method, target, fields, body_framing(len(body))) + body
        connection = self._pool.pick(lane, unsafe=method not in REPEATABLE)
        if connection is None:
            return None
        timeout = self._settings.response_timeout if response_timeout is None else response_timeout
        return connection.start(head, None, for_head=method == b"HEAD", timeout=timeout)

    async def close(self) -> None:
        """Abort what is under way and close every connection."""
        await self._pool.close()

    @property
    def active(self) -> int:
        """Connections in use or being opened."""
        return self._pool.active

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return self._pool.idle

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return self._pool.waiting


def _whole_body(body: bytes, length: int | None) -> bytes:
    if length is None:
        return b"".join(chunk(body) if body else ()) + LAST_CHUNK
    if len(body) != length:
        raise GatewayError(BAD_REQUEST)
    return body
