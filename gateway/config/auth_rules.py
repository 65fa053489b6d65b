"""What ``[auth_server]`` must and must not combine."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.config.addresses import Url, url
from gateway.config.auth_server import AuthServer, RefreshEndpoint
from gateway.config.environment import Tree
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.scalars import FromEnvironment

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_KNOWN = frozenset({"refresh_token", "access_token", "client_id"})
_BLOCK = "auth_server.refresh"


def auth_server_rules(config: Config, tree: Tree) -> Iterator[Problem]:
    """How the server is found, how the gateway authenticates itself, how long it waits."""
    server = config.auth_server
    yield from _endpoint(server)
    yield from _client(server)
    yield from _transport(server)
    yield from _literal(config, tree)
    if server.late_answer < server.timeout:
        yield Problem(
            "auth_server.late_answer",
            "is shorter than timeout: requests would wait for an answer that nobody listens for",
            'write at least the value of timeout, such as "30s"',
            ("auth_server.timeout",),
        )


def _endpoint(server: AuthServer) -> Iterator[Problem]:
    if not (server.token_endpoint or server.refresh or server.issuer):
        yield Problem(
            "auth_server.token_endpoint",
            "is missing, and so are issuer and [auth_server.refresh]: there is no way to refresh a token",
            "write token_endpoint, or issuer for discovery",
            ("auth_server.issuer", _BLOCK),
        )
    if server.token_endpoint and server.refresh:
        yield Problem(
            "auth_server.token_endpoint",
            "is set together with [auth_server.refresh], which describes another endpoint",
            "keep one of the two",
            (_BLOCK,),
        )


def _client(server: AuthServer) -> Iterator[Problem]:
    about = ("auth_server.client_auth", _BLOCK)
    if not server.client_id and (server.refresh is None or "client_id" in _used(server.refresh)):
        yield Problem("auth_server.client_id", "is missing", "write the gateway's client id", (_BLOCK,))
    if server.client_secret is None and server.client_auth != "none" and server.refresh is None:
        yield Problem(
            "auth_server.client_secret",
            f"is missing, and client_auth = {server.client_auth} needs it",
            'write { env = "NAME" } or { file = "path" }, or client_auth = "none" for a public client',
            about,
        )
    if server.client_secret is not None and server.client_auth == "none":
        yield Problem(
            "auth_server.client_secret",
            "is set, but client_auth = none sends no secret",
            'take it out, or write client_auth = "client_secret_basic"',
            about,
        )


def endpoints(server: AuthServer) -> dict[str, Url]:
    """Every address of the authorization server that the file names, by its path."""
    named = {
        "auth_server.issuer": url(server.issuer) if server.issuer else None,
        "auth_server.token_endpoint": server.token_endpoint,
        "auth_server.jwks_uri": server.jwks_uri,
        "auth_server.revocation_endpoint": server.revocation_endpoint,
        "auth_server.refresh.url": server.refresh.url if server.refresh else None,
    }
    return {path: address for path, address in named.items() if address}


def _transport(server: AuthServer) -> Iterator[Problem]:
    named = endpoints(server)
    for path, address in named.items():
        if address.scheme == "http" and not address.is_loopback and not server.allow_http:
            yield Problem(
                path,
                "is http:// on another machine: secrets and tokens would cross the network in clear",
                "write https://, or allow_http = true in [auth_server] if that network is yours alone",
                ("auth_server.allow_http",),
            )
    if server.ca_file and named and all(address.scheme == "http" for address in named.values()):
        yield Problem(
            "auth_server.ca_file", "is set, but no address of the server is https", "take it out, or write https://"
        )


def _literal(config: Config, tree: Tree) -> Iterator[Problem]:
    section = tree.get("auth_server")
    written = section.get("client_secret") if isinstance(section, dict) else None
    if not isinstance(written, str) or isinstance(written, FromEnvironment):
        return
    named = endpoints(config.auth_server)
    if not config.server.listen.is_loopback or not all(a.is_loopback for a in named.values()):
        yield Problem(
            "auth_server.client_secret",
            "is written into the file; a literal is refused outside loopback development",
            'write { env = "NAME" } or { file = "path" }',
            ("server.listen", *named),
        )


def refresh_endpoint_rules(config: Config) -> Iterator[Problem]:
    """What the description of an endpoint that is not RFC 6749 must hold."""
    refresh = config.auth_server.refresh
    if refresh is None:
        return
    for path, text in _templates(refresh):
        if set(_PLACEHOLDER.findall(text)) - _KNOWN:
            yield Problem(
                path, "holds an unknown placeholder", "use {refresh_token}, {access_token} and {client_id} only"
            )
        if path.startswith(f"{_BLOCK}.headers") and not text.isascii():
            yield Problem(path, "is a header value that is not ASCII", "write it in ASCII")
    if "refresh_token" not in _used(refresh):
        yield Problem(_BLOCK, "sends no refresh token", "put {refresh_token} into headers, query, form or json")
    if refresh.url.query:
        yield Problem(f"{_BLOCK}.url", "has a query", f"move it into [{_BLOCK}] query")
    if refresh.form is not None and refresh.json_ is not None:
        yield Problem(f"{_BLOCK}.form", "is set together with json", "keep one of the two")
    if refresh.method == "GET" and (refresh.form is not None or refresh.json_ is not None):
        yield Problem(
            f"{_BLOCK}.method", "is GET, which has no body for form or json", 'write "POST", or use query'
        )


def _used(refresh: RefreshEndpoint) -> set[str]:
    return {name for _, text in _templates(refresh) for name in _PLACEHOLDER.findall(text)}


def _templates(refresh: RefreshEndpoint) -> Iterator[tuple[str, str]]:
    """Every text that may hold placeholders, with the path of its table."""
    tables = {"headers": refresh.headers, "query": refresh.query, "form": refresh.form, "json": refresh.json_}
    for name, table in tables.items():
        for text in _texts(table):
            yield f"{_BLOCK}.{name}", text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _texts(member)
