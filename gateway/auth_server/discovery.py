"""Endpoints from the authorization server's own metadata (RFC 8414; OpenID Connect Discovery 1.0 §4)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.auth_server.sender import Lost, Sender, Unsent
from gateway.auth_server.shared_task import SharedTask
from gateway.core import strict_json
from gateway.core.token_requests import TokenRequest
from gateway.events import Emit, Noticed

Endpoint = Callable[[], Awaitable[str | None]]
"""Where to send something; None: not known now."""

MAX_METADATA: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Spans in seconds."""

    issuer: str
    max_age: float = 3600.0
    """After which metadata is asked for again, in the background."""
    retry_interval: float = 1.0
    """At most one attempt in this time while there is none; thirty times that while the last good one serves."""
    timeout: float = 5.0
    """For one document."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints that the gateway uses."""

    token_endpoint: str | None = None
    jwks_uri: str | None = None
    revocation_endpoint: str | None = None


def configured(url: str | None) -> Endpoint:
    """An endpoint from the configuration: nothing is fetched for it."""

    async def endpoint() -> str | None:
        return url

    return endpoint


class Discovery:
    """Fetches the metadata when an endpoint is first asked for, and keeps the last good one (R16)."""

    def __init__(
        self,
        sender: Sender,
        settings: DiscoverySettings,
        *,
        emit: Emit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._metadata: Metadata | None = None
        self._loaded_at = 0.0
        self._tried_at: float | None = None
        self._fetch = SharedTask(self._load)

    async def token_endpoint(self) -> str | None:
        """RFC 8414 §2 ``token_endpoint``."""
        metadata = await self.metadata()
        return metadata.token_endpoint if metadata else None

    async def jwks_uri(self) -> str | None:
        """RFC 8414 §2 ``jwks_uri``."""
        metadata = await self.metadata()
        return metadata.jwks_uri if metadata else None

    async def revocation_endpoint(self) -> str | None:
        """RFC 8414 §2 ``revocation_endpoint``."""
        metadata = await self.metadata()
        return metadata.revocation_endpoint if metadata else None

    async def metadata(self) -> Metadata | None:
        """The last good metadata; None if there never was one. Never raises."""
        if self._metadata is None:
            if self._fetch.running or self._due(self._settings.retry_interval):
                await self._fetch.join()
        elif self._stale() and self._due(30 * self._settings.retry_interval):
            self._fetch.start()
        return self._metadata

    async def close(self) -> None:
        """Ends a fetch in flight."""
        await self._fetch.cancel()

    def _stale(self) -> bool:
        return self._clock() - self._loaded_at > self._settings.max_age

    def _due(self, interval: float) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= interval

    async def _load(self) -> None:
        self._tried_at = self._clock()
        for url in well_known_urls(self._settings.issuer):
            try:
                self._metadata = await self._get(url)
            except (Unsent, Lost, ValueError) as failure:
                self._emit(Noticed(what="metadata_not_usable", detail=str(failure)))
            else:
                self._loaded_at = self._clock()
                return

    async def _get(self, url: str) -> Metadata:
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        request = TokenRequest("GET", url, ((b"accept", b"application/json"),), b"")
        reply = await self._sender.send(request, deadline=deadline, max_body=MAX_METADATA)
        if reply.status != 200:  # noqa: PLR2004  # RFC 8414 §3.2
            raise ValueError(f"status {reply.status}")
        return read_metadata(self._settings.issuer, reply.body)


def well_known_urls(issuer: str) -> tuple[str, str]:
    """RFC 8414 §3.1 puts its name before the issuer's path, OpenID after it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


def read_metadata(issuer: str, body: bytes) -> Metadata:
    """The endpoints in a metadata document.

    Raises:
        ValueError: it is no JSON object, speaks for another issuer (RFC 8414 §3.3: compared byte for byte), or
            names an endpoint that may not be used.
    """
    document = strict_json.parse(body)
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ValueError("the metadata is not of the configured issuer")
    secure = urlsplit(issuer).scheme == "https"
    names = ("token_endpoint", "jwks_uri", "revocation_endpoint")
    return Metadata(*(_endpoint(document, name, secure=secure) for name in names))


def _endpoint(document: Mapping[str, object], name: str, *, secure: bool) -> str | None:
    """An https issuer may not send refresh tokens or key requests out in the clear."""
    url = document.get(name)
    if url is None:
        return None
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"the metadata's {name} is no URL")
    parts = urlsplit(url)
    if parts.scheme not in (("https",) if secure else ("https", "http")):
        raise ValueError(f"the metadata's {name} is not https")
    if not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise ValueError(f"the metadata's {name} is no plain URL")
    return url
