"""The whole file: ``Config``, its upstreams, its routes, and what it deserves to be warned about."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway.config.auth_server import AuthServer
from gateway.config.cors import Cors
from gateway.config.credentials import Credentials
from gateway.config.names import Match, Methods, PathPrefix
from gateway.config.problems import bad
from gateway.config.scalars import Count, Frozen, Name, Names, Section, default, listed, one_of, required
from gateway.config.server import Errors, Log, Server
from gateway.config.store import Store
from gateway.config.tokens import AccessToken, OnExpired, OnOpenStream, OnUpstream401, Refresh
from gateway.config.units import PositiveDuration
from gateway.config.upstream import Upstream
from gateway.config.websocket import WebSocket
from gateway.core.policy import Auth
from gateway.core.secret import Secret

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"


def _upstream_name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_NAME, value) or "__" in value:
        raise bad(
            "has a name that is not plain", "name it with letters, digits, hyphens, dots and single underscores"
        )
    return value


def _some(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise bad("is empty", "name the audiences, or take it out to use access_token.audience")
    return names


UpstreamName = Annotated[str, BeforeValidator(_upstream_name), WithJsonSchema({"pattern": f"^{_NAME}$"})]


class Route(Section):
    """What holds for the requests that match. The longest match wins; a rule with methods before one without."""

    match: Match = required("/auth/login")
    """A path, exactly, or a prefix that ends in `/*`. Never a query."""
    methods: Methods = default([])
    """The methods that the rule is for. Empty: all."""
    auth: Annotated[Auth, one_of(*Auth), WithJsonSchema({"enum": [*Auth]})] = default("required")
    """`required`; `optional`: requests without a token pass; `off`: nothing is judged or refreshed."""
    upstream: Name | None = None
    """The name of an entry of `[upstreams]`. Absent: `[upstream]`."""
    strip_prefix: PathPrefix | None = None
    """Taken off the path before it is forwarded, such as `/billing` of `match = "/billing/*"`."""
    audience: Annotated[Names, AfterValidator(_some)] | None = None
    """In place of `access_token.audience`."""
    on_expired: OnExpired | None = None
    """In place of `refresh.on_expired`."""
    on_upstream_401: OnUpstream401 | None = None
    """In place of `refresh.on_upstream_401`."""
    on_open_stream: OnOpenStream | None = None
    """In place of `refresh.on_open_stream`."""
    response_timeout: PositiveDuration | None = None
    """In place of the upstream's `response_timeout`."""
    max_connections: Count | None = None
    """The most of the upstream's connections that this route may hold. Absent: three quarters, where the upstream
    serves other routes too; the last quarter is kept for these."""


class Config(Section):
    """A validated ``gateway.toml``: a value, with every secret resolved and nothing left to read."""

    server: Server = default({})
    """The listener that clients use."""
    upstream: Upstream = Field(examples=[{"url": "http://127.0.0.1:9001"}])
    """The API that requests are forwarded to."""
    upstreams: Frozen[UpstreamName, Upstream] = default({})
    """Further APIs, each a table `[upstreams.NAME]`, for routes to name."""
    auth_server: AuthServer = default({})
    """The authorization server."""
    access_token: AccessToken = default({})
    """What an access token must be to be accepted."""
    refresh: Refresh = default({})
    """When tokens are refreshed, and how long what came of it is kept."""
    credentials: Credentials = default({})
    """Where the client sends its tokens and receives new ones."""
    cors: Cors | None = None
    """CORS answered by the gateway. Absent: the API answers; the fields of tokens are added to what it allows."""
    websocket: WebSocket = default({})
    """Limits of WebSocket connections."""
    errors: Errors = default({})
    """How the gateway's own error answers look."""
    store: Store = default({})
    """Where successors of rotated tokens are kept, and who refreshes which token is agreed on."""
    log: Log = default({})
    """What is logged, and how."""
    routes: Annotated[tuple[Route, ...], listed("[[routes]] tables")] = default([])
    """Rules for paths. No rule for a request: a token is required, and `[upstream]` gets it."""

    @property
    def store_password(self) -> Secret | None:
        """The store's password, wherever it was written."""
        return self.store.password or self.store.url.password

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works but is probably not meant; one sentence each, without any value of the file."""
        token, server = self.access_token, self.server
        everyone = any(net.prefixlen == 0 for net in server.trusted_proxies)
        said = {
            "access_token.issuer is left out: tokens of any issuer are accepted if a known key signed them": not (
                token.issuer
            ),
            "access_token.audience is left out: tokens meant for other APIs are accepted": not (token.audience),
            "server.listen is not loopback and there is no server.tls: tokens cross the network in clear unless a "
            "TLS-terminating front is on this machine": not server.listen.is_loopback and server.tls is None,
            "server.trusted_proxies contains every address: any client can claim to be another": everyone,
            "auth_server.allow_http is set: secrets and tokens cross the network in clear": (
                self.auth_server.allow_http
            ),
            "store.url has a password and is not TLS: it crosses the network in clear": (
                self.store_password is not None and not self.store.url.tls and not self.store.url.is_loopback
            ),
            'store.on_failure is "local": with the store away, several processes may present one refresh token, '
            "which an authorization server that detects reuse takes for theft": (
                self.store.url.is_shared and self.store.on_failure == "local"
            ),
        }
        return tuple(sentence for sentence, holds in said.items() if holds)
