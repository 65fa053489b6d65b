"""The composition root: a ``Config`` in, a running application out. The only file that knows every other."""

import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from gateway.auth_server.client import AuthServerClient, ClientSettings
from gateway.auth_server.discovery import Discovery, DiscoverySettings, Endpoint, configured
from gateway.auth_server.jwks import JwksKeys, JwksSettings
from gateway.auth_server.key_files import static_keys
from gateway.auth_server.keys import StaticKeys
from gateway.auth_server.outbound import Outbound, OutboundSettings
from gateway.auth_server.verification import VerificationPolicy, Verifier
from gateway.config import Config
from gateway.config.addresses import Url
from gateway.config.model import Route
from gateway.config.upstream import Upstream as UpstreamConfig
from gateway.core.claims import ClaimsPolicy
from gateway.core.forwarding import FIELDS, Forwarding
from gateway.core.headers import Headers, RequestFilter, ResponseFilter, TokenNames
from gateway.core.lifecycle import Policy
from gateway.core.paths import canonical
from gateway.core.routes import Router, Rule
from gateway.core.token_requests import CustomSpec, RefreshSpec, StandardSpec
from gateway.core.tokens import Windows
from gateway.credentials.header import HeaderCredentials
from gateway.edge.arrival import Limits
from gateway.edge.asgi import Application
from gateway.edge.body import RequestBody
from gateway.edge.cors import Allowances
from gateway.edge.endpoints import endpoints
from gateway.edge.line import Fittings
from gateway.edge.problems import Problems
from gateway.edge.proxy import Proxy, ProxySettings
from gateway.edge.upstreams import Response, Target
from gateway.events import Emit, Noticed
from gateway.judge import Judge
from gateway.refresher import Refresher, RefreshSettings
from gateway.store.memory import MemoryStore
from gateway.upstream import Upstream, UpstreamRequest, UpstreamSettings


@dataclass(frozen=True, slots=True)
class Gateway:
    """One composed gateway: the application, and the parts that tests and metrics look into."""

    application: Application
    refresher: Refresher
    store: MemoryStore
    upstreams: dict[str, Upstream]


def build(config: Config, emit: Emit) -> Gateway:
    """Compose a gateway. Nothing is opened before the application's lifespan starts."""
    outbound = Outbound(OutboundSettings(ca_file=_path(config.auth_server.ca_file)))
    discovery = _discovery(config, outbound)
    keys = _keys(config, outbound, discovery)
    judge = Judge(Verifier(keys, _verification(config)), _windows(config))
    client = _auth_client(config, outbound, discovery)
    store = MemoryStore(config.store.max_entries, time.monotonic)
    refresher = Refresher(client, judge, store, _refresh_settings(config), emit)
    upstreams = {name: Upstream(_upstream_settings(u)) for name, u in _upstreams(config).items()}
    problems = Problems(config.errors.envelope, config.errors.realm, config.credentials.scheme)
    names = _names(config)
    proxy = Proxy(
        ProxySettings(
            limits=_limits(config),
            replay_body=config.refresh.replay_body,
            fittings=_fittings(config, names, refresher, problems),
            judge=judge,
            router=_router(config),
            targets=_targets(config, names, upstreams),
            forwarding=Forwarding(config.server.trusted_proxies),
            emit=emit,
        )
    )

    async def start() -> None:
        for sentence in config.warnings:
            emit(Noticed(what="configuration", detail=sentence))
        if isinstance(keys, JwksKeys):
            keys.start()

    async def stop() -> None:
        await refresher.close()
        for upstream in upstreams.values():
            await upstream.close()
        if isinstance(keys, JwksKeys):
            await keys.close()
        if discovery is not None:
            await discovery.close()

    own = endpoints(problems)
    application = Application(proxy, own, config.server.gateway_prefix, start=start, stop=stop)
    return Gateway(application, refresher, store, upstreams)


def _path(path: object) -> str | None:
    return None if path is None else str(path)


def _upstreams(config: Config) -> dict[str, UpstreamConfig]:
    """Every upstream by name; the default one's is empty."""
    return {"": config.upstream, **config.upstreams}


# The authorization server


def _discovery(config: Config, outbound: Outbound) -> Discovery | None:
    issuer = config.auth_server.issuer
    return None if issuer is None else Discovery(outbound, DiscoverySettings(issuer))


def _endpoint(url: Url | None, found: Callable[[], Awaitable[str | None]] | None) -> Endpoint:
    return configured(str(url)) if url is not None or found is None else found


def _keys(config: Config, outbound: Outbound, discovery: Discovery | None) -> JwksKeys | StaticKeys:
    token = config.access_token
    if token.key is not None:
        return static_keys(token.key.secret, token.algorithms, token.key.encoding)
    uri = _endpoint(config.auth_server.jwks_uri, discovery.jwks_uri if discovery else None)
    settings = JwksSettings(algorithms=token.algorithms, max_expired_age=config.refresh.max_expired_age)
    return JwksKeys(outbound, uri, settings)


def _verification(config: Config) -> VerificationPolicy:
    token = config.access_token
    claims = ClaimsPolicy(
        issuer=token.issuer,
        required=frozenset(token.required),
        typ=token.typ,
        subject_claim=token.subject_claim,
        time_unit=token.time_unit,
    )
    return VerificationPolicy(algorithms=token.algorithms, claims=claims, zip=token.zip)


def _auth_client(config: Config, outbound: Outbound, discovery: Discovery | None) -> AuthServerClient:
    server = config.auth_server
    settings = ClientSettings(late_answer=server.late_answer, rotation_grace=server.rotation_grace)
    revocation = discovery.revocation_endpoint if discovery is not None else None
    return AuthServerClient(
        outbound,
        _spec(config),
        settings,
        token_endpoint=_endpoint(server.token_endpoint, discovery.token_endpoint if discovery else None),
        revocation_endpoint=_endpoint(server.revocation_endpoint, revocation)
        if server.revocation_endpoint is not None or revocation is not None
        else None,
    )


def _spec(config: Config) -> RefreshSpec:
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


# Refreshing


def _windows(config: Config) -> Windows:
    refresh = config.refresh
    return Windows(
        ahead=refresh.ahead,
        hard=refresh.hard,
        leeway=config.access_token.leeway,
        max_expired_age=refresh.max_expired_age,
    )


def _refresh_settings(config: Config) -> RefreshSettings:
    server, refresh = config.auth_server, config.refresh
    return RefreshSettings(
        issuer=server.issuer or config.access_token.issuer or "",
        client_id=server.client_id or "",
        scope=server.scope,
        index_key=secrets.token_bytes(32),
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


# The edge


def _names(config: Config) -> TokenNames:
    c = config.credentials
    low = {name: getattr(c, name).lower().encode() for name in ("access", "refresh", "expires_at", "refreshed")}
    return TokenNames(
        new_access=c.access_token.lower().encode(), new_refresh=c.refresh_token.lower().encode(), **low
    )


def _limits(config: Config) -> Limits:
    server = config.server
    return Limits(
        header_bytes=server.max_header_bytes, target_bytes=server.max_target_bytes, body_bytes=server.max_body
    )


def _fittings(config: Config, names: TokenNames, refresher: Refresher, problems: Problems) -> Fittings:
    credentials = config.credentials
    bound = config.access_token.sender_bound == "pass"
    expose = b", ".join(names.response)
    return Fittings(
        credentials=HeaderCredentials(names, credentials.scheme, sender_bound=bound),
        refresher=refresher,
        problems=problems,
        allowances=Allowances(expose),
        response_filter=ResponseFilter(names),
        expose=expose,
        vary=b", ".join((names.access, names.refresh)),
        timeout=config.auth_server.timeout,
        ahead_wait=config.refresh.ahead_wait,
    )


def _policy(config: Config, route: Route | None) -> Policy:
    refresh, token = config.refresh, config.access_token
    own = route if route is not None else Route.model_construct()
    audience = own.audience if own.audience is not None else token.audience
    return Policy(
        auth=own.auth,
        on_expired=own.on_expired or refresh.on_expired,
        on_upstream_401=own.on_upstream_401 or refresh.on_upstream_401,
        audience=frozenset(audience),
        allow_refresh_alone=refresh.allow_refresh_alone,
        pass_sender_bound=token.sender_bound == "pass",
        min_interval=refresh.min_interval,
        signal_status=refresh.signal_status,
    )


def _router(config: Config) -> Router:
    rules = [_rule(config, route) for route in config.routes]
    return Router(rules, Rule(policy=_policy(config, None)))


def _rule(config: Config, route: Route) -> Rule:
    match = route.match.encode()
    wild = b"/*" if match.endswith(b"/*") else b""
    path = match.removesuffix(b"*") if wild else match
    return Rule(
        match=(canonical(path) or path) + (b"*" if wild else b""),
        methods=frozenset(route.methods),
        policy=_policy(config, route),
        upstream=route.upstream or "",
        strip_prefix=(route.strip_prefix or "").encode(),
        response_timeout=route.response_timeout,
    )


def _upstream_settings(upstream: UpstreamConfig) -> UpstreamSettings:
    url = upstream.url
    tls = None
    if url.scheme == "https":
        tls = ssl.create_default_context(cafile=_path(upstream.ca_file))
        tls.set_alpn_protocols(["http/1.1"])
    return UpstreamSettings(
        host=url.host,
        port=url.port,
        tls=tls,
        server_hostname=url.host if tls is not None else None,
        connect_timeout=upstream.connect_timeout,
        response_timeout=upstream.response_timeout,
        idle_timeout=upstream.idle_timeout,
        max_connections=upstream.max_connections,
        max_waiting=upstream.max_waiting,
    )


def _targets(config: Config, names: TokenNames, upstreams: dict[str, Upstream]) -> dict[str, Target]:
    configured_ones = _upstreams(config)
    every = {name.lower().encode() for u in configured_ones.values() for name in u.identity_headers}
    filtered = RequestFilter(names, sorted(every), FIELDS)
    return {
        name: Target(
            name=name,
            send=partial(_send, upstreams[name]),
            filter=filtered,
            scheme=upstream.url.scheme.encode(),
            authority=upstream.url.authority.encode(),
            path_prefix=upstream.url.path.encode(),
            preserve_host=upstream.preserve_host,
            identity={field.lower().encode(): claim for field, claim in upstream.identity_headers.items()},
        )
        for name, upstream in configured_ones.items()
    }


async def _send(
    upstream: Upstream,
    method: bytes,
    target: bytes,
    headers: Headers,
    body: RequestBody | None,
    response_timeout: float | None,
) -> Response:
    request = UpstreamRequest(method, target, headers, body)
    return await upstream.send(request, response_timeout=response_timeout)
