"""One response of the upstream, as the exchange reads it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gateway.core.errors import GatewayError, UpstreamProtocolError
from gateway.core.headers import Headers
from gateway.deadline import Deadline
from gateway.duplex import Duplex
from gateway.upstream.ports import StaleConnection

if TYPE_CHECKING:
    from gateway.core.response_head import ResponseHead
    from gateway.upstream.body import Upload


class Line(Protocol):
    """What a response needs of the connection that still brings it."""

    deadline: Deadline

    def hang_up(self) -> None:
        """Abort the connection, stop the upload."""

    def resume(self) -> None:
        """There is room again: read on."""

    def switch(self) -> Duplex:
        """Let the transport go, to whatever follows HTTP on it."""


class UpstreamResponse:
    """Head and body of one response. Close it, always; one reader at a time.

    The connection goes back to its pool by itself once the response is complete, before anybody has read it;
    from then on this is a value in memory. Until then, leaving closes the connection.

    A reader is a task that awaits ``head`` and ``read``, or a callee: ``on_news``. It is called, without a turn of
    the event loop, whenever there is something new: the head (``status``), more of the body (``take``), the end
    (``at_end`` once all is taken), or ``error``. These two are the last, and it is forgotten; by then the
    connection is in its pool, or closed, and the callee may start the next request at once. It may take what is
    there or leave it: what is left stays buffered, and beyond ``max_buffered`` the upstream is not read. While it
    wants more it says so with ``expect``, so that only then the upstream's time counts. It may call ``close``,
    which is not news to it, or set ``on_news`` to None and leave the rest to a task. It must not raise.
    """

    __slots__ = (
        "_idle_timeout",
        "_line",
        "_waiter",
        "buffered",
        "chunks",
        "complete",
        "error",
        "on_news",
        "received",
        "status",
        "upload",
    )

    def __init__(self, line: Line, idle_timeout: float) -> None:
        self._line: Line | None = line
        self._idle_timeout = idle_timeout
        self._waiter: asyncio.Future[None] | None = None
        self.complete = False
        """All of it was received."""
        self.error: Exception | None = None
        """What ended the exchange before the response was complete."""
        self.on_news: Callable[[], None] | None = None
        """Who reads, if it is no task."""
        self.chunks: list[bytes] = []
        """The connection's: pieces of the body that nobody has taken yet."""
        self.buffered = 0
        """The connection's: bytes received for ``chunks``."""
        self.upload: Upload | None = None
        self.status = 0
        """0: there is no head yet."""
        self.received: ResponseHead | None = None
        """The head."""

    @property
    def headers(self) -> Headers:
        """Raw case, order and duplicates; hop-by-hop and framing fields included, as sent. Not to be changed."""
        return [] if self.received is None else self.received.headers

    @property
    def http_version(self) -> str:
        """Of the head."""
        return "" if self.received is None else self.received.version

    @property
    def at_end(self) -> bool:
        """The whole body has been received and handed out."""
        return self.complete and not self.chunks

    @property
    def stale(self) -> bool:
        """No byte of a response came, most likely because the connection had been idle for too long.

        On a connection of ``Upstream.begin``, which had been used before, a request whose method is idempotent may
        be sent once more (B16).
        """
        return isinstance(self.error, StaleConnection)

    def take(self) -> bytes | None:
        """What has arrived of the body, without waiting: None if nothing has, ``b""`` at its end.

        Raises:
            UpstreamProtocolError: the body broke off or is malformed.
            UpstreamTimeout: nothing came for ``idle_timeout``.
            ClientGone, GatewayError: the upload failed.
        """
        chunks = self.chunks
        if chunks:
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            chunks.clear()
            self.buffered = 0
            if self._line is not None:
                self._line.resume()
            return data
        if self.complete:
            return b""
        if self.error is not None:
            raise self.error
        return None

    def expect(self) -> None:
        """All is taken, and more is wanted: from now on the upstream has ``idle_timeout`` to send it."""
        if self._line is not None:
            self._line.deadline.set(self._idle_timeout)

    async def read(self) -> bytes:
        """The next bytes of the body, all that are here; ``b""`` at its end. Raises like ``take``.

        Cancelled, it closes the connection.
        """
        while (data := self.take()) is None:
            self.expect()
            await self._news()
        return data

    async def drain(self, limit: int, *, within: float = 1.0) -> None:
        """Drop the rest of the body, so that the connection can serve again: up to ``limit`` bytes and
        ``within`` seconds; more closes the connection. The request's body may be read again afterwards.
        """
        try:
            async with asyncio.timeout(within):
                while data := await self.read():
                    limit -= len(data)
                    if limit < 0:
                        break
        except (GatewayError, TimeoutError):
            pass
        finally:
            self.close()
        await self.upload_stopped()

    async def upload_stopped(self) -> None:
        """Return when the request's body is no longer being read."""
        if self.upload is not None:
            await self.upload.stopped()

    def switch(self) -> Duplex:
        """After a 101: the connection as a stream of bytes, which is now the caller's to end.

        Raises:
            GatewayError: the connection is lost, or is no longer this response's.
        """
        line, self._line = self._line, None
        if line is None:
            raise self.error or UpstreamProtocolError()
        self.complete = True
        return line.switch()

    def close(self) -> None:
        """Let go: a response that is not complete aborts its connection and the upload. Idempotent."""
        line = self._line
        if line is not None:
            self.on_news = None
            self.fail(UpstreamProtocolError())
            line.hang_up()
            self.chunks.clear()  # the C parser's reference cycle would keep them until a full collection
            self.buffered = 0

    async def head(self) -> None:
        """Return when the head is here. Raises what ended the exchange before."""
        while not self.status:
            if self.error is not None:
                raise self.error
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:  # ``_news``, written out: a coroutine of its own would cost every request as much again
                await waiter
            except BaseException:
                self.close()
                raise
            finally:
                self._waiter = None

    async def _news(self) -> None:
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None

    # The connection's side.

    def wake(self) -> None:
        """Something changed for the reader."""
        if self.on_news is not None:
            self.on_news()
            return
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def finish(self) -> None:
        """All of the body is in ``chunks``; the connection is no longer ours."""
        self.complete = True
        self._line = None
        self._wake_last()

    def fail(self, error: Exception) -> None:
        """Nothing more will come."""
        self.error = error
        self._line = None
        self._wake_last()

    def _wake_last(self) -> None:
        callee = self.on_news
        if callee is None:
            self.wake()
        else:
            self.on_news = None  # it refers to this response, most likely
            callee()
