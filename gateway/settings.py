"""What each part of the house is told: one function from ``Config`` for each part's settings."""

import secrets
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from gateway.auth_server.verification import VerificationPolicy
from gateway.config import Config
from gateway.config.model import Route
from gateway.config.store import Store
from gateway.config.upstream import Upstream as UpstreamConfig
from gateway.core.claims import ClaimsPolicy
from gateway.core.headers import TokenNames
from gateway.core.heads import Limits
from gateway.core.paths import canonical
from gateway.core.policy import Auth, Policy
from gateway.core.routes import Router, Rule
from gateway.core.token_requests import CustomSpec, RefreshSpec, StandardSpec
from gateway.core.tokens import Windows
from gateway.edge.listener import LINGER, ListenerSettings
from gateway.refresher import RefreshSettings
from gateway.store.settings import SharedSettings
from gateway.upstream import UpstreamSettings
from gateway.websocket import TunnelSettings

SharedKind = Literal["server", "sentinel", "cluster"]


def path(path: object) -> str | None:
    """A path of the configuration as libraries take it."""
    return None if path is None else str(path)


def _tls(ca_file: object) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=path(ca_file))
    tls.set_alpn_protocols(["http/1.1"])
    return tls


def upstreams(config: Config) -> dict[str, UpstreamConfig]:
    """Every upstream by name; the default one's is empty."""
    return {"": config.upstream, **config.upstreams}


def verification(config: Config) -> VerificationPolicy:
    """What an access token must be."""
    token = config.access_token
    claims = ClaimsPolicy(
        issuer=token.issuer,
        required=frozenset(token.required),
        typ=token.typ,
        subject_claim=token.subject_claim,
        time_unit=token.time_unit,
    )
    return VerificationPolicy(algorithms=token.algorithms, claims=claims, zip=token.zip)


def refresh_spec(config: Config) -> RefreshSpec:
    """How a refresh request is made and its answer read."""
    server = config.auth_server
    custom = server.refresh
    if custom is None:
        return StandardSpec(
            client_id=server.client_id or "",
            client_secret=server.client_secret,
            client_auth=server.client_auth,
            scope=server.scope,
        )
    return CustomSpec(
        url=str(custom.url),
        method=custom.method,
        headers=custom.headers,
        query=custom.query,
        form=custom.form,
        json=custom.json_,
        client_id=server.client_id or "",
        ok=custom.ok,
        denied=custom.denied,
        access_token=custom.access_token,
        refresh_token=custom.refresh_token,
        expires_in=custom.expires_in,
        expires_at=custom.expires_at,
        expires_in_unit=custom.expires_in_unit,
        expires_at_unit=custom.expires_at_unit,
    )


def new_name() -> str:
    """What a gateway without a configured name calls itself in ``Via``."""
    return f"evergreen-{secrets.token_hex(4)}"


def named(config: Config) -> Config:
    """The same with such a name, where it has none: all its workers bear it, or a loop would be found later."""
    server = config.server
    return config.model_copy(update={"server": server.model_copy(update={"via": server.via or new_name()})})


def auth_server_tls(config: Config) -> ssl.SSLContext:
    """How the authorization server is known to be itself (R15)."""
    return _tls(config.auth_server.ca_file)


def windows(config: Config) -> Windows:
    """The spans around a token's expiry."""
    refresh = config.refresh
    return Windows(
        ahead=refresh.ahead,
        hard=refresh.hard,
        leeway=config.access_token.leeway,
        max_expired_age=refresh.max_expired_age,
    )


def refreshing(config: Config) -> RefreshSettings:
    """The clocks and bounds of the refresher. Where no key names records, a process makes its own."""
    server, refresh, named = config.auth_server, config.refresh, config.store.index_key
    return RefreshSettings(
        issuer=server.issuer or config.access_token.issuer or "",
        client_id=server.client_id or "",
        scope=server.scope,
        index_key=secrets.token_bytes(32) if named is None else named.octets(),
        timeout=server.timeout,
        late_answer=server.late_answer,
        grace=refresh.grace,
        unclaimed=refresh.unclaimed,
        negative=refresh.negative,
        min_interval=refresh.min_interval,
        max_expired_age=refresh.max_expired_age,
        max_concurrent=server.max_concurrent,
        max_waiting=server.max_waiting,
        unknown_burst=refresh.unknown_burst,
        unknown_per_second=refresh.unknown_per_second,
    )


def shared_store(config: Config, kind: SharedKind, *, settling: float) -> SharedSettings:
    """The store of a fleet. ``settling``: seconds in which whoever holds a lease renews it for certain."""
    store, url, named = config.store, config.store.url, config.store.index_key
    return SharedSettings(
        kind=kind,
        addresses=url.addresses,
        service=url.service,
        database=url.database,
        username=url.username,
        password=config.store_password,
        sentinel_password=store.sentinel_password,
        tls=_store_tls(store) if url.tls else None,
        max_connections=store.max_connections,
        keys=[key.octets() for key in store.keys],
        index_key=secrets.token_bytes(32) if named is None else named.octets(),
        settling=settling,
        on_failure=store.on_failure,
        max_entries=store.max_entries,
    )


def _store_tls(store: Store) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=path(store.ca_file))
    if store.cert_file is not None and store.key_file is not None:
        tls.load_cert_chain(store.cert_file, store.key_file)
    return tls


def token_names(config: Config) -> TokenNames:
    """The field names that belong to the gateway, in lower case."""
    c = config.credentials
    low = {name: getattr(c, name).lower().encode() for name in ("access", "refresh", "expires_at", "refreshed")}
    return TokenNames(
        new_access=c.access_token.lower().encode(), new_refresh=c.refresh_token.lower().encode(), **low
    )


def limits(config: Config) -> Limits:
    """Bounds on what a client may send."""
    server = config.server
    return Limits(
        header_bytes=server.max_header_bytes,
        header_fields=server.max_header_fields,
        target_bytes=server.max_target_bytes,
        body_bytes=server.max_body,
    )


def listening(config: Config) -> ListenerSettings:
    """What a client may do to its connection."""
    server = config.server
    return ListenerSettings(
        limits=limits(config),
        header_timeout=server.header_timeout,
        idle_timeout=server.idle_timeout,
        body_timeout=server.body_timeout,
        send_timeout=server.send_timeout,
        linger=min(server.idle_timeout, LINGER),
        min_data_rate=float(server.min_data_rate),
        max_connections=server.max_connections,
        express=server.express,
    )


def pools(config: Config) -> list[int]:
    """The most connections that may be open on behalf of clients: to each upstream, tunnelled, for refreshes."""
    each = [u.max_connections for u in upstreams(config).values()]
    return [*each, config.websocket.max_connections, config.auth_server.max_concurrent]


def tunnels(config: Config) -> TunnelSettings:
    """What a WebSocket may cost."""
    websocket = config.websocket
    return TunnelSettings(
        max_connections=websocket.max_connections,
        lanes=_handshake_lanes(config),
        max_message=websocket.max_message,
        ping_interval=websocket.ping_interval,
        ping_timeout=websocket.ping_timeout,
        close_timeout=websocket.close_timeout,
    )


def _handshake_lanes(config: Config) -> tuple[int, ...]:
    """The rules that a handshake, which is a GET, can come by."""
    routes = [n for n, route in enumerate(config.routes, 1) if not route.methods or "GET" in route.methods]
    return tuple(routes) if _default_lane(config) else (0, *routes)


def policy(config: Config, route: Route | None) -> Policy:
    """What holds for a route; None: where no route matches."""
    refresh, token = config.refresh, config.access_token
    common = Policy(
        on_expired=refresh.on_expired,
        on_upstream_401=refresh.on_upstream_401,
        on_open_stream=refresh.on_open_stream,
        audience=frozenset(token.audience),
        allow_refresh_alone=refresh.allow_refresh_alone,
        pass_sender_bound=token.sender_bound == "pass",
        min_interval=refresh.min_interval,
        signal_status=refresh.signal_status,
    )
    if route is None:
        return common
    return replace(
        common,
        auth=route.auth,
        on_expired=route.on_expired or common.on_expired,
        on_upstream_401=route.on_upstream_401 or common.on_upstream_401,
        on_open_stream=route.on_open_stream or common.on_open_stream,
        audience=common.audience if route.audience is None else frozenset(route.audience),
    )


def audiences(config: Config) -> frozenset[str]:
    """Every audience that some route accepts; empty where one of them accepts any."""
    policies = [policy(config, route) for route in (None, *config.routes)]
    judging = [p.audience for p in policies if p.auth is not Auth.OFF]
    return frozenset().union(*judging) if all(judging) else frozenset()


def router(config: Config) -> Router:
    """All routes, and the defaults."""
    rules = [_rule(config, route, lane) for lane, route in enumerate(config.routes, 1)]
    confined = any(upstream.url.path for upstream in upstreams(config).values())
    return Router(rules, Rule(policy=policy(config, None), lane=_default_lane(config)), confined=confined)


def _default_lane(config: Config) -> int:
    """That of a route which takes all paths of the default upstream: then the defaults have none to share with."""
    routes = enumerate(config.routes, 1)
    return next((n for n, r in routes if r.match == "/*" and not r.methods and not r.upstream), 0)


def _rule(config: Config, route: Route, lane: int) -> Rule:
    written = route.match.encode()
    literal = written.removesuffix(b"*")
    return Rule(
        match=(canonical(literal) or literal) + written[len(literal) :],
        methods=frozenset(route.methods),
        policy=policy(config, route),
        upstream=route.upstream or "",
        strip_prefix=(route.strip_prefix or "").encode(),
        response_timeout=route.response_timeout,
        lane=lane,
    )


def lanes(config: Config, name: str) -> dict[int, int | None]:
    """The rules that lead to an upstream, by number, each with the most connections that it may hold (D5)."""
    routes = enumerate(config.routes, 1)
    leading = {lane: route.max_connections for lane, route in routes if (route.upstream or "") == name}
    return leading if name or _default_lane(config) else {0: None, **leading}


def upstream(configured: UpstreamConfig, lanes: Mapping[int, int | None]) -> UpstreamSettings:
    """Where an upstream is, and how patient we are with it."""
    url = configured.url
    tls = _tls(configured.ca_file) if url.scheme == "https" else None
    return UpstreamSettings(
        host=url.host,
        port=url.port,
        tls=tls,
        server_hostname=url.host if tls is not None else None,
        connect_timeout=configured.connect_timeout,
        response_timeout=configured.response_timeout,
        idle_timeout=configured.idle_timeout,
        max_connections=configured.max_connections,
        max_waiting=configured.max_waiting,
        lanes=lanes,
    )
