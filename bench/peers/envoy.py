"""Envoy with ``jwt_authn`` and its token cache: the compiled proxy that does what ours does, but for refreshing."""

import json
from typing import Any

from bench.peers.base import POOL, Peer, Place, route_prefixes
from bench.programs import LOOPBACK, Command, find
from bench.tokens import AUDIENCE

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_JWT = f"{_EXTENSIONS}.filters.http.jwt_authn.v3.JwtAuthentication"
_ROUTER = f"{_EXTENSIONS}.filters.http.router.v3.Router"
_MANAGER = f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TLS = f"{_EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext"
_CACHED_TOKENS = 20_000


def command(place: Place) -> Command:
    """One worker thread. Its header of the upstream's time and its request ids are off, in its favour."""
    config = place.folder / "envoy.json"
    config.write_text(json.dumps(_bootstrap(place)))
    flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return Command([find("envoy"), "-c", str(config), *flags])


def _bootstrap(place: Place) -> dict[str, Any]:
    return {"static_resources": {"listeners": [_listener(place)], "clusters": [_cluster(place.upstream_port)]}}


def _listener(place: Place) -> dict[str, Any]:
    chain: dict[str, Any] = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": _manager(place)},
        ]
    }
    if place.setting.tls:
        chain["transport_socket"] = _transport_socket(place)
    return {"name": "clients", "address": _address(place.port), "filter_chains": [chain], "tcp_backlog_size": 4096}


def _manager(place: Place) -> dict[str, Any]:
    prefixes = route_prefixes(place.setting.routes) if place.setting.routes > 1 else []
    routes = [
        {"match": {"prefix": prefix}, "route": {"cluster": "api", "timeout": "0s"}} for prefix in [*prefixes, "/"]
    ]
    return {
        "@type": _MANAGER,
        "stat_prefix": "clients",
        "generate_request_id": False,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "envoy.filters.http.jwt_authn", "typed_config": _jwt_authn(place)},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True},
            },
        ],
    }


def _jwt_authn(place: Place) -> dict[str, Any]:
    provider = {
        "issuer": place.stage.auth_url,
        "audiences": [AUDIENCE],
        "forward": True,
        "local_jwks": {"inline_string": json.dumps(place.stage.mint.jwks())},
        "jwt_cache_config": {"jwt_cache_size": _CACHED_TOKENS},
    }
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}
    return {"@type": _JWT, "providers": {"issuer": provider}, "rules": [rule]}


def _cluster(port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    limits = {
        "max_connections": POOL,
        "max_pending_requests": POOL,
        "max_requests": POOL,
    }
    return {
        "name": "api",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": "api", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}


def _transport_socket(place: Place) -> dict[str, Any]:
    certificate, key = place.stage.certificate
    pair = {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
    context = {"@type": _TLS, "common_tls_context": {"tls_certificates": [pair]}}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


ENVOY = Peer("Envoy", "`jwt_authn` with its token cache, one worker thread", command)
