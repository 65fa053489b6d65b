"""Every byte that goes to the authorization server goes through here.

httpx's transport, and none of its client: no cookie jar (X8), no redirects (R15, B7), no proxy or netrc from the
environment, no default headers, no URL in a log line. A new transport for each request: no stale keep-alive
connection can make a flight ambiguous, and no pool can lose slots to a cancelled request (HARDENING, traps 1,
2, 11, 12). Token requests are rare: half a millisecond for a handshake is well spent on these.
"""

import asyncio
import logging
import math
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpcore
import httpx

from gateway.core.headers import Header, tokens
from gateway.core.token_requests import TokenRequest
from gateway.descriptors import exhausted

_OURS: Final = ((b"user-agent", b"evergreen-gateway"), (b"accept-encoding", b"identity"), (b"connection", b"close"))
_NOISY: Final = ("httpx", "httpcore", *(f"httpcore.{part}" for part in ("connection", "http11", "proxy")))


class Unsent(Exception):  # noqa: N818  # an outcome, named for what it says about the flight
    """No byte of the request left: it may be made again. The text quotes nothing."""


class Exhausted(Unsent):
    """This system has nothing left to connect with (B27)."""


class Lost(Exception):  # noqa: N818
    """Bytes may have left and no whole answer came: whether the server acted is not known."""


@dataclass(frozen=True, slots=True)
class OutboundSettings:
    """Limits of one exchange with the authorization server."""

    connect_timeout: float = 3.0
    """Seconds for TCP and TLS."""
    ca_file: str | None = None
    """PEM; None: the system's authorities."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Its body may hold tokens and is not shown."""

    status: int
    headers: Sequence[Header] = field(repr=False)
    body: bytes = field(repr=False)


class Outbound:
    """Sends one request over a connection of its own."""

    def __init__(self, settings: OutboundSettings) -> None:
        self._timeout = httpx.Timeout(None, connect=settings.connect_timeout).as_dict()
        self._tls = ssl.create_default_context(cafile=settings.ca_file)
        _quieten()

    async def send(
        self, request: TokenRequest, *, deadline: float, max_body: int, send_by: float = math.inf
    ) -> Reply:
        """The answer to ``request``: begun by ``send_by``, whole by ``deadline``, at most ``max_body`` bytes.

        Both moments are of the running loop's clock.

        Raises:
            Unsent: it failed before a byte was sent; ``Exhausted``, for want of descriptors or ports.
            Lost: it failed later, or the answer is too late, too large or encoded.
        """
        progress = _Progress(send_by)
        try:
            async with asyncio.timeout_at(deadline), httpx.AsyncHTTPTransport(verify=self._tls) as transport:
                return await self._exchange(transport, request, progress, max_body)
        except (Unsent, Lost):
            raise
        except Exception as error:  # noqa: BLE001  # httpx, anyio, idna and ssl each have a tree of their own
            raise _failure(error, sent=progress.sent) from None

    async def _exchange(
        self, transport: httpx.AsyncHTTPTransport, request: TokenRequest, progress: "_Progress", max_body: int
    ) -> Reply:
        outgoing = httpx.Request(
            request.method,
            request.url,
            headers=[*_OURS, *request.headers],
            content=request.body or None,
            extensions={"timeout": self._timeout, "trace": progress},
        )
        try:
            response = await transport.handle_async_request(outgoing)
            try:
                body = await _read(response, max_body)
            finally:
                await response.aclose()
        finally:
            await progress.close()
        return Reply(response.status_code, response.headers.raw, body)


class _Progress:
    """Listens to httpcore's own events: for the moment just before the first byte leaves, and for the socket.

    httpcore 1.0.9 forgets the socket of a TLS handshake that is cancelled; so it is closed here.
    """

    def __init__(self, send_by: float) -> None:
        self._send_by = send_by
        self._stream: httpcore.AsyncNetworkStream | None = None
        self.sent = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        if not event.endswith(".send_request_headers.started"):
            return
        if asyncio.get_running_loop().time() > self._send_by:
            raise Unsent("the connection came too late")
        self.sent = True

    async def close(self) -> None:
        """Closes the socket, if that was not done."""
        if self._stream is not None:
            await self._stream.aclose()


def _failure(error: Exception, *, sent: bool) -> Unsent | Lost:
    """Without the cause, whose text may quote."""
    name = type(error).__name__
    if sent:
        return Lost(name)
    return Exhausted("no descriptors or ports are left") if exhausted(error) else Unsent(name)


async def _read(response: httpx.Response, max_body: int) -> bytes:
    """The body, cut off at the cap (B6). We asked for no encoding: one that expands is refused unread."""
    if any(coding != b"identity" for coding in tokens(response.headers.raw, b"content-encoding")):
        raise Lost("the answer is encoded")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_body:
            raise Lost("the answer is too large")
    return bytes(body)


def _quieten() -> None:
    """A refresh token may be in the URLs that httpx logs at INFO, and in the headers of httpcore at DEBUG (X9)."""
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
