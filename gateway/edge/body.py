"""The request's body on its way to the upstream, kept for a replay as far as that is allowed.

Kept bytes stay in memory up to ``_IN_MEMORY`` and go to an unnamed file beyond, up to the configured
``replay_body``. A body that outgrows that is not kept at all, and so is not replayable.
"""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from os import SEEK_END
from typing import Any, Protocol

from gateway.core import errors
from gateway.core.errors import ClientGone, GatewayError, Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_IN_MEMORY = 64 * 1024
_CHUNK = 64 * 1024


class Sender(Protocol):
    """The client that sends a body."""

    failure: Problem | None
    """Why the rest of it will never come, although the client is there to be told."""


class RequestBody:
    """Implements the upstream's ``BodySource``."""

    def __init__(
        self, receive: Receive, sender: Sender | None, *, length: int | None, keep: int, limit: int
    ) -> None:
        """Args:
        receive: the ASGI callable.
        sender: None under a server that is not ours.
        length: the declared Content-Length; None where the body is chunked.
        keep: how many bytes to keep for a replay; 0: none.
        limit: the largest body accepted, in bytes; 0: any.
        """
        self.length = length
        self._receive = receive
        self._sender = sender
        self._keep = keep if length is None or length <= keep else 0
        self._limit = limit
        self._read = 0
        self._kept: tempfile.SpooledTemporaryFile[bytes] | None = None
        self.ready = b"" if length == 0 else None
        """An announced empty body goes up as such: some servers insist on a length (RFC 9110 §8.6)."""
        self.complete = length == 0
        """The client has sent all of it, so that its connection may be watched."""
        self.asked_for = length == 0
        """The client was told to go on (RFC 9110 §10.1.1), if it waited for that."""
        self._turn = 0

    @property
    def replayable(self) -> bool:
        """All that was read so far is kept: the body can be sent again from its first byte."""
        return self._read <= self._keep

    @property
    def small(self) -> bool:
        """As much as is announced of it would be kept."""
        return self.length is not None and self.length <= self._keep

    def keep_nothing(self) -> None:
        """Nothing will call for a replay: do not spend memory on one."""
        self._keep = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body from its first byte: what was kept, then what the client still sends.

        A later call takes over from an earlier one, which then ends without a chunk lost.

        Raises:
            ClientGone: the client left in the middle.
            GatewayError: the body is larger than accepted, malformed, or too slow.
        """
        self._turn += 1
        turn = self._turn
        if not self.replayable:
            raise ValueError("this body is not kept")
        position = 0
        while chunk := self._kept_from(position):
            position += len(chunk)
            yield chunk
        while not self.complete and turn == self._turn:
            chunk = await self._next()
            if chunk:
                yield chunk

    async def _next(self) -> bytes:
        self.asked_for = True
        message = await self._receive()
        if message["type"] != "http.request":
            raise self._broken_off()
        chunk: bytes = message.get("body", b"")
        self._read += len(chunk)
        if self._limit and self._read > self._limit:
            raise GatewayError(errors.BODY_TOO_LARGE)
        self._remember(chunk)
        self.complete = not message.get("more_body", False)
        if self.complete and self.length is not None and self._read != self.length:
            raise ClientGone
        return chunk

    def _broken_off(self) -> Exception:
        failure = self._sender.failure if self._sender is not None else None
        return ClientGone() if failure is None else GatewayError(failure)

    def _remember(self, chunk: bytes) -> None:
        """Without an await, so that a cancelled reader has either taken a chunk and kept it, or neither.

        Writing at most a few chunks to the page cache blocks for less than a thread's hand-over costs.
        """
        if not self.replayable:
            self.release()
        elif chunk and self._keep:
            try:
                self._write(chunk)
            except OSError:  # no descriptor, no room on the disk (B27): there is no replay then, and no failure
                self._keep = 0
                self.release()

    def _write(self, chunk: bytes) -> None:
        if self._kept is None:
            self._kept = tempfile.SpooledTemporaryFile(_IN_MEMORY, prefix="gateway-body-")  # noqa: SIM115
        self._kept.seek(0, SEEK_END)
        self._kept.write(chunk)

    def _kept_from(self, position: int) -> bytes:
        if self._kept is None:
            return b""
        self._kept.seek(position)
        return self._kept.read(_CHUNK)

    def release(self) -> None:
        """Give the kept bytes up; idempotent."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
