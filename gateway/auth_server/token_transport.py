"""What carries tokens to the authorization server: a fresh connection for each request, and no library between.

``Outbound`` would do, and does for documents; but httpx takes ten times the processor time of this, more than the
rest of a refresh together (docs/adr/0014). What ``Outbound`` promises is kept here too, by the same tests.
"""

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from gateway.auth_server.sender import OURS, Exhausted, Lost, Reply, Unsent, refuse_coding
from gateway.core.bounded import Learnt
from gateway.core.errors import Overloaded, UpstreamProtocolError, UpstreamUnreachable
from gateway.core.headers import Header
from gateway.core.token_requests import TokenRequest
from gateway.core.wire import FieldLines, request_lines

_URL: Final = re.compile(r"(https?://[a-z0-9._:\[\]-]+)([/?][^#]*)?", re.ASCII | re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""Methods that anticipate no content (RFC 9110 §8.6): without one they declare no length."""
_FRAMING: Final = (b"content-length", b"transfer-encoding")
_SERVERS: Final = 16


class Answer(Protocol):
    """One response, as it comes. Whatever breaks it off is raised as a ``GatewayError``."""

    @property
    def status(self) -> int:
        """Once ``head`` has returned."""

    @property
    def headers(self) -> Sequence[Header]:
        """The same."""

    async def head(self) -> None:
        """Return when the head is here."""

    async def read(self) -> bytes:
        """More of the body; nothing at its end."""


class Line(Protocol):
    """A connection that has not been used."""

    def ask(self, method: bytes, target: bytes, fields: FieldLines, body: bytes | None) -> Answer:
        """Write the request. Raises: GatewayError, before any byte, if it cannot be written."""

    def abort(self) -> None:
        """Close it, at once. Idempotent."""


class Connections(Protocol):
    """Where connections come from."""

    async def open(self, host: str, port: int, *, tls: bool) -> Line:
        """A new one. Raises: Overloaded (B27), UpstreamUnreachable."""


@dataclass(frozen=True, slots=True)
class _Server:
    host: str
    port: int
    tls: bool
    authority: bytes


class TokenTransport:
    """A ``Sender``: one request over a connection of its own."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._servers: Learnt[str, _Server] = Learnt(_SERVERS)

    async def send(
        self, request: TokenRequest, *, deadline: float, max_body: int, send_by: float = math.inf
    ) -> Reply:
        """As ``Sender.send``."""
        server, target, fields = self._written(request)
        sent = False
        try:
            async with asyncio.timeout_at(deadline):
                line = await self._connections.open(server.host, server.port, tls=server.tls)
                try:
                    if asyncio.get_running_loop().time() > send_by:
                        raise Unsent("the connection came too late")
                    answer = line.ask(request.method.encode(), target, fields, _content(request))
                    sent = True
                    return await _read(answer, max_body)
                finally:
                    line.abort()
        except (Unsent, Lost):
            raise
        except Exception as error:  # noqa: BLE001  # a name that no resolver takes is a ValueError of its own
            raise _failure(error, sent=sent) from None

    def _written(self, request: TokenRequest) -> tuple[_Server, bytes, FieldLines]:
        try:
            server, target = self._place(request.url)
            fields = request_lines([(b"host", server.authority), *OURS, *request.headers])
        except ValueError:
            raise Unsent("the request cannot be written") from None
        return server, target, fields

    def _place(self, url: str) -> tuple[_Server, bytes]:
        """Raises: ValueError: it is no http or https URL that can be sent as it is."""
        parts = _URL.fullmatch(url)
        if parts is None:
            raise ValueError("no URL of ours")
        origin, target = parts[1], parts[2] or "/"
        server = self._servers.get(origin)
        if server is None:
            server = _server(origin)
            self._servers.learn(origin, server)
        return server, (target if target.startswith("/") else "/" + target).encode("ascii")


def _server(origin: str) -> _Server:
    parts = urlsplit(origin)
    host = parts.hostname
    if not host:
        raise ValueError("no host")
    usual = _PORTS[parts.scheme]
    port = parts.port or usual
    name = f"[{host}]" if ":" in host else host
    authority = name if port == usual else f"{name}:{port}"
    return _Server(host, port, parts.scheme == "https", authority.encode())


def _content(request: TokenRequest) -> bytes | None:
    return request.body or (None if request.method in _BODILESS else b"")


async def _read(answer: Answer, max_body: int) -> Reply:
    """The answer, its body cut off at the cap (B6)."""
    await answer.head()
    refuse_coding(answer.headers)
    body = bytearray()
    try:
        while data := await answer.read():
            body += data
            if len(body) > max_body:
                raise Lost("the answer is too large")
    except UpstreamProtocolError:
        # A body of no declared length ends with the connection, and some servers end TLS without saying so
        # (RFC 9112 §9.8). JSON shows where it ends, and a rotated token is too dear to drop.
        if any(name.lower() in _FRAMING for name, _ in answer.headers):
            raise
    return Reply(answer.status, answer.headers, bytes(body))


def _failure(error: Exception, *, sent: bool) -> Unsent | Lost:
    """Without the cause, whose text may quote."""
    match error:
        case Overloaded() if not sent:
            return Exhausted("no descriptors or ports are left")
        case UpstreamUnreachable():
            return Lost("the connection broke off") if sent else Unsent("it cannot be reached")
        case UpstreamProtocolError() if sent:
            return Lost("the answer is no valid HTTP")
        case _:
            return (Lost if sent else Unsent)(type(error).__name__)
