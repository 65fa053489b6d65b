"""What a configuration would do, in lines for a person (``gateway check``). Never a secret."""

from collections.abc import Iterator
from dataclasses import replace

from gateway.config.addresses import Url
from gateway.config.model import Config, Route


def summary(config: Config) -> Iterator[str]:
    """Listener, upstreams, authorization server, tokens, limits, streams, routes, warnings."""
    server = config.server
    yield _line("listens on", f"{'https' if server.tls else 'http'}://{server.listen}")
    yield _line("endpoints", f"its own under {server.gateway_prefix}")
    yield _line("upstream", f"{config.upstream.url} (default)")
    for name, upstream in config.upstreams.items():
        yield _line("upstream", f"{upstream.url} ({name})")
    yield from _auth_server(config)
    yield from _tokens(config)
    yield from _store(config)
    yield from _streams(config)
    yield from _routes(config)
    for warning in config.warnings:
        yield _line("warning", warning)


def _line(what: str, text: str) -> str:
    return f"{what:<14}{text}"


def _shown(url: Url) -> str:
    """Without the query, where some deployments keep a key."""
    return str(replace(url, query=""))


def _auth_server(config: Config) -> Iterator[str]:
    server, key = config.auth_server, config.access_token.key
    endpoint = server.refresh.url if server.refresh else server.token_endpoint
    yield _line("refreshes at", _shown(endpoint) if endpoint else f"what {server.issuer} publishes")
    if server.refresh is None:
        yield _line("client", f"{server.client_id}, authenticated by {server.client_auth}")
    if key:
        yield _line("keys", "the static access_token.key")
    else:
        yield _line("keys", _shown(server.jwks_uri) if server.jwks_uri else f"what {server.issuer} publishes")


def _tokens(config: Config) -> Iterator[str]:
    token, refresh, names = config.access_token, config.refresh, config.credentials
    audience = ", ".join(token.audience) or "any"
    yield _line("accepts", f"{', '.join(token.algorithms)}; issuer {token.issuer or 'any'}; audience {audience}")
    yield _line("requires", f"{', '.join(token.required)}; clocks may differ by {token.leeway:g} s")
    yield _line("refresh", f"{refresh.ahead:g} s ahead beside a request, {refresh.hard:g} s ahead before it")
    yield _line("expired", f"{refresh.on_expired}; 401 of the API: {refresh.on_upstream_401}")
    yield _line("client sends", f"{f'{names.access}: {names.scheme}'.rstrip(': ')} and {names.refresh}")
    yield _line(
        "client gets", f"{names.access_token}, {names.refresh_token}, {names.expires_at}, {names.refreshed}"
    )


def _store(config: Config) -> Iterator[str]:
    store, workers = config.store, config.server.workers
    kept = f"{store.url}" if not store.url.is_shared else f"{store.url}; when it is away: {store.on_failure}"
    yield _line("store", f"{kept}; {workers} worker{'s' * (workers > 1)}")


def _streams(config: Config) -> Iterator[str]:
    server, cors = config.server, config.cors
    most = server.max_connections
    clients = f"{most} clients" if most else "as many clients as descriptors allow"
    head, body = f"{server.header_timeout:g} s for a head", f"{server.body_timeout:g} s without progress of a body"
    yield _line("limits", f"{clients}; {head}, {body}")
    yield _line("open streams", f"{config.refresh.on_open_stream} when their token expires")
    yield _line("CORS", "what the API answers" if cors is None else f"answered for {', '.join(cors.allow_origins)}")


def _routes(config: Config) -> Iterator[str]:
    for route in config.routes:
        yield _line("route", _route(route))
    yield _line("route", "any other: auth required -> default upstream")


def _route(route: Route) -> str:
    facts = [f"auth {route.auth}"]
    if route.strip_prefix:
        facts.append(f"without {route.strip_prefix}")
    if route.audience:
        facts.append(f"audience {', '.join(route.audience)}")
    if route.on_expired:
        facts.append(f"expired: {route.on_expired}")
    if route.on_upstream_401:
        facts.append(f"401 of the API: {route.on_upstream_401}")
    if route.on_open_stream:
        facts.append(f"open streams: {route.on_open_stream}")
    if route.max_connections:
        facts.append(f"at most {route.max_connections} at once")
    if route.response_timeout:
        facts.append(f"answered within {route.response_timeout:g} s")
    methods = " ".join(route.methods) or "any method"
    return f"{methods} {route.match}: {', '.join(facts)} -> {route.upstream or 'default upstream'}"
