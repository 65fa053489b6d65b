"""The authorization server's documents: its metadata and its keys. (``token_transport`` carries the tokens.)

httpx's transport, and none of its client: no cookie jar (X8), no redirects (R15, B7), no proxy or netrc from the
environment, no default headers, no URL in a log line. A new transport for each request: no pool can lose slots to
a cancelled request (HARDENING, traps 1, 2, 11, 12). Documents are rare: a handshake is well spent on these.
"""

import asyncio
import logging
import math
import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpcore
import httpx

from gateway.auth_server.sender import OURS, Exhausted, Lost, Reply, Unsent, refuse_coding
from gateway.core.token_requests import TokenRequest
from gateway.descriptors import exhausted

_NOISY: Final = ("httpx", "httpcore", *(f"httpcore.{part}" for part in ("connection", "http11", "proxy")))


class Outbound:
    """A ``Sender``."""

    def __init__(self, tls: ssl.SSLContext, *, connect_timeout: float = 3.0) -> None:
        """Args: connect_timeout: seconds for TCP, and for TLS."""
        self._timeout = httpx.Timeout(None, connect=connect_timeout).as_dict()
        self._tls = tls
        _quieten()

    async def send(
        self, request: TokenRequest, *, deadline: float, max_body: int, send_by: float = math.inf
    ) -> Reply:
        """As ``Sender.send``."""
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
            headers=[*OURS, *request.headers],
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
    """The body, cut off at the cap (B6)."""
    refuse_coding(response.headers.raw)
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
