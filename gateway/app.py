"""The composition root: a ``Config`` in, a running application out. The only file that knows every other."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway import settings
from gateway.auth_server.client import AuthServerClient, ClientSettings
from gateway.auth_server.discovery import Discovery, DiscoverySettings, Endpoint, configured
from gateway.auth_server.jwks import JwksKeys, JwksSettings
from gateway.auth_server.key_files import static_keys
from gateway.auth_server.keys import StaticKeys
from gateway.auth_server.outbound import Outbound
from gateway.auth_server.sender import Sender
from gateway.auth_server.token_transport import TokenTransport
from gateway.auth_server.verification import Verifier
from gateway.config import Config
from gateway.config.addresses import Url
from gateway.core.cors import OURS_TO_READ, CorsPolicy, listing
from gateway.core.forwarding import FIELDS, PREFIX, Forwarding
from gateway.core.headers import RequestFilter, ResponseFilter, TokenNames
from gateway.core.hops import Via
from gateway.credentials.header import HeaderCredentials
from gateway.edge.asgi import Application
from gateway.edge.call import ProxySettings
from gateway.edge.cors import Cors, OwnCors, PassedCors
from gateway.edge.endpoints import endpoints
from gateway.edge.express import Express
from gateway.edge.fittings import Fittings
from gateway.edge.problems import Problems
from gateway.edge.proxy import Proxy
from gateway.edge.reception import Desk, Reception
from gateway.edge.upstreams import Target
from gateway.events import Emit, Events, Noticed
from gateway.judge import Judge
from gateway.refresher import Refresher
from gateway.store.local import LocalStore
from gateway.store.memory import MemoryStore
from gateway.store.shared import SharedStore
from gateway.tally import Tally
from gateway.upstream import FreshConnections, Upstream
from gateway.websocket import Tunnels

Kept = MemoryStore | SharedStore | LocalStore


@dataclass(frozen=True, slots=True)
class Gateway:
    """One composed gateway: the application, and the parts that tests and metrics look into."""

    application: Application
    refresher: Refresher
    store: Kept
    upstreams: dict[str, Upstream]
    tunnels: Tunnels
    tally: Tally


def build(config: Config, tell: Emit, *, verbose: bool = True) -> Gateway:
    """Compose a gateway. Nothing is opened before the application's lifespan starts.

    ``tell`` hears every event; without ``verbose`` not the plain requests, which are only counted.
    """
    tally = Tally()
    emit = Events(tell, tally, verbose=verbose)
    tls = settings.auth_server_tls(config)
    outbound = Outbound(tls)
    discovery = _discovery(config, outbound, emit)
    keys = _keys(config, outbound, discovery, emit)
    verifier = Verifier(keys, settings.verification(config))
    judge = Judge(verifier, settings.windows(config), settings.audiences(config))
    client = _auth_client(config, TokenTransport(FreshConnections(tls)), discovery, emit)
    refreshing = settings.refreshing(config)
    store = _store(config, refreshing.confirmation, emit)
    refresher = Refresher(client, judge, store, refreshing, emit=emit)
    upstreams = {
        name: Upstream(settings.upstream(configured, settings.lanes(config, name)))
        for name, configured in settings.upstreams(config).items()
    }
    problems = Problems(config.errors.envelope, config.errors.realm, config.credentials.scheme)
    names = settings.token_names(config)
    tunnels = Tunnels(settings.tunnels(config))
    fittings = _fittings(config, names, refresher, problems, tunnels)
    reception = _reception(config, fittings, _targets(config, names, upstreams), judge, emit)
    proxy = Proxy(
        ProxySettings(
            reception=reception,
            fittings=fittings,
            replay_body=config.refresh.replay_body,
            max_body=config.server.max_body,
            emit=emit,
        )
    )
    prefix = config.server.gateway_prefix
    express = Express(reception, fittings, prefix, emit)

    async def start() -> None:
        for sentence in config.warnings:
            emit(Noticed(what="configuration", detail=sentence))
        if isinstance(keys, JwksKeys):
            keys.start()

    async def stop() -> None:
        await refresher.close()
        await store.close()
        for upstream in upstreams.values():
            await upstream.close()
        if isinstance(keys, JwksKeys):
            await keys.close()
        if discovery is not None:
            await discovery.close()

    own = endpoints(problems, fittings.cors, emit)
    application = Application(proxy, express, own, prefix, start=start, stop=stop, emit=emit)
    return Gateway(application, refresher, store, upstreams, tunnels, tally)


def _store(config: Config, settling: float, emit: Emit) -> Kept:
    kind = config.store.url.kind
    if kind == "memory":
        return MemoryStore(config.store.max_entries, time.monotonic)
    from gateway.store.opening import open_store  # noqa: PLC0415  # it needs redis-py, an extra

    return open_store(settings.shared_store(config, kind, settling=settling), emit)


def _discovery(config: Config, sender: Sender, emit: Emit) -> Discovery | None:
    issuer = config.auth_server.issuer
    return None if issuer is None else Discovery(sender, DiscoverySettings(issuer), emit=emit)


def _endpoint(url: Url | None, found: Callable[[], Awaitable[str | None]] | None) -> Endpoint:
    """As configured, else as discovered, else unknown."""
    if url is None and found is not None:
        return found
    return configured(None if url is None else str(url))


def _keys(config: Config, sender: Sender, discovery: Discovery | None, emit: Emit) -> JwksKeys | StaticKeys:
    token = config.access_token
    if token.key is not None:
        return static_keys(token.key.secret, token.algorithms, token.key.encoding)
    uri = _endpoint(config.auth_server.jwks_uri, discovery.jwks_uri if discovery else None)
    bounds = JwksSettings(algorithms=token.algorithms, max_expired_age=config.refresh.max_expired_age)
    return JwksKeys(sender, uri, bounds, emit=emit)


def _auth_client(config: Config, sender: Sender, discovery: Discovery | None, emit: Emit) -> AuthServerClient:
    server = config.auth_server
    return AuthServerClient(
        sender,
        settings.refresh_spec(config),
        ClientSettings(late_answer=server.late_answer, rotation_grace=server.rotation_grace),
        emit=emit,
        token_endpoint=_endpoint(server.token_endpoint, discovery.token_endpoint if discovery else None),
        revocation_endpoint=_endpoint(
            server.revocation_endpoint, discovery.revocation_endpoint if discovery else None
        ),
    )


def _fittings(
    config: Config, names: TokenNames, refresher: Refresher, problems: Problems, tunnels: Tunnels
) -> Fittings:
    credentials = config.credentials
    bound = config.access_token.sender_bound == "pass"
    return Fittings(
        credentials=HeaderCredentials(names, credentials.scheme, sender_bound=bound),
        refresher=refresher,
        problems=problems,
        cors=_cors(config, names),
        via=Via(config.server.via or settings.new_name()),
        response_filter=ResponseFilter(names, own_cors=config.cors is not None),
        vary=b", ".join((names.access, names.refresh)),
        timeout=config.auth_server.timeout,
        ahead_wait=config.refresh.ahead_wait,
        tunnels=tunnels,
    )


def _reception(
    config: Config, fittings: Fittings, targets: dict[str, Target], judge: Judge, emit: Emit
) -> Reception:
    return Reception(
        Desk(
            limits=settings.limits(config),
            credentials=fittings.credentials,
            via=fittings.via,
            forwarding=Forwarding(config.server.trusted_proxies),
            router=settings.router(config),
            targets=targets,
            judge=judge,
            clock=fittings.clock,
            emit=emit,
            reserved=_reserved(config, settings.token_names(config)),
        )
    )


def _cors(config: Config, names: TokenNames) -> Cors:
    cors = config.cors
    if cors is None:
        return PassedCors(b", ".join(names.response), names.refresh)
    policy = CorsPolicy(
        origins=frozenset(origin.encode() for origin in cors.allow_origins),
        methods=", ".join(cors.allow_methods).encode(),
        headers=listing((names.access, names.refresh), [name.encode() for name in cors.allow_headers]),
        expose=listing(names.response, OURS_TO_READ, [name.encode() for name in cors.expose_headers]),
        credentials=cors.allow_credentials,
        max_age=int(cors.max_age),
    )
    return OwnCors(policy)


def _targets(config: Config, names: TokenNames, upstreams: dict[str, Upstream]) -> dict[str, Target]:
    configured_ones = settings.upstreams(config)
    every = {name.lower().encode() for u in configured_ones.values() for name in u.identity_headers}
    filtered = RequestFilter(names, sorted(every), FIELDS, PREFIX)
    return {
        name: Target(
            name=name,
            send=upstreams[name].send,
            begin=upstreams[name].begin,
            filter=filtered,
            scheme=upstream.url.scheme.encode(),
            authority=upstream.url.authority.encode(),
            path_prefix=upstream.url.path.encode(),
            preserve_host=upstream.preserve_host,
            identity={field.lower().encode(): claim for field, claim in upstream.identity_headers.items()},
        )
        for name, upstream in configured_ones.items()
    }


def _reserved(config: Config, names: TokenNames) -> frozenset[bytes]:
    """Names of fields that carry something of ours, in lower case."""
    every = {name.lower().encode() for u in settings.upstreams(config).values() for name in u.identity_headers}
    return frozenset({names.access, names.refresh, *names.response, *every})
