"""HTTP for ``bench.services``: no more of it than our own clients and proxies speak, and as fast as Python gets."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

_BUFFER = bytearray(256 * 1024)
_LARGE = 1024**2
"""An upload of more bytes than this is counted, and not kept."""


@dataclass(slots=True)
class Request:
    """One request."""

    target: bytes = b""
    fields: dict[bytes, bytes] = field(default_factory=dict)
    """By lower-case names."""
    body: bytearray = field(default_factory=bytearray)
    received: int = 0
    """How many bytes of body have come."""
    begun: float = 0.0
    """``perf_counter`` at its first byte."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent, ``delay`` seconds from now."""

    body: bytes
    status: bytes = b"200 OK"
    fields: bytes = b""
    delay: float = 0.0

    def encode(self) -> bytes:
        """The bytes of the message."""
        length = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(self.body)
        return b"HTTP/1.1 %s\r\n%s%s\r\n%s" % (self.status, length, self.fields, self.body)


class Connection(asyncio.BufferedProtocol):
    """One request after the other; none of our clients pipelines."""

    def __init__(self, answer: Callable[[Request], Answer], sent: Callable[[Request], None]) -> None:
        """Args: sent: is told when an answer was written."""
        self._answer, self._sent = answer, sent
        self._swallowing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop's."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._parser = httptools.HttpRequestParser(self)

    def get_buffer(self, hint: int) -> bytearray:
        """The event loop's: one buffer for all connections of the process, since each read is used up at once."""
        del hint
        return _BUFFER

    def buffer_updated(self, count: int) -> None:
        """The event loop's. Uploads are counted past the parser: it would copy each piece."""
        if self._swallowing:
            self._swallow(count)
        else:
            self._parser.feed_data(memoryview(_BUFFER)[:count])

    def _swallow(self, count: int) -> None:
        self._swallowing -= count
        if self._swallowing:
            return
        self._request.received = int(self._request.fields[b"content-length"])
        self._parser = httptools.HttpRequestParser(self)
        self._send(self._request, self._answer(self._request).encode())

    def on_message_begin(self) -> None:
        """The parser's."""
        self._request = Request(begun=time.perf_counter())

    def on_url(self, url: bytes) -> None:
        """The parser's."""
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's."""
        self._request.fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The parser's."""
        length = int(self._request.fields.get(b"content-length", b"0"))
        if length > _LARGE:
            self._swallowing = length

    def on_body(self, piece: bytes) -> None:
        """The parser's."""
        if self._swallowing:
            self._swallow(len(piece))
        else:
            self._request.body += piece

    def on_message_complete(self) -> None:
        """The parser's."""
        answer, request = self._answer(self._request), self._request
        if answer.delay:
            asyncio.get_running_loop().call_later(answer.delay, self._send, request, answer.encode())
        else:
            self._send(request, answer.encode())

    def _send(self, request: Request, message: bytes) -> None:
        self._transport.write(message)
        self._sent(request)
