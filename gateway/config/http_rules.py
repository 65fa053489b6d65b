"""What headers, upstreams and routes must and must not combine."""

from collections.abc import Iterator, Mapping

from gateway.config.model import Config, Route
from gateway.config.problems import Problem, dotted
from gateway.config.upstream import Upstream
from gateway.core.paths import canonical


def _credential_fields(config: Config) -> dict[str, str]:
    """The configured names by their key. A request field and the response field of the same token may agree."""
    names = config.credentials
    return {
        "access": names.access,
        "refresh": names.refresh,
        "access_token": names.access_token,
        "refresh_token": names.refresh_token,
        "expires_at": names.expires_at,
        "refreshed": names.refreshed,
    }


_TOLD_BY_OTHERS = ("x-forwarded-", "access-control-", "x-real-ip", "x-original-url", "x-rewrite-url")
"""Such a field is dropped where it comes from somebody who is not trusted, and passed on where it is not."""


def header_rules(config: Config) -> Iterator[Problem]:
    """Names of credentials and identity headers do not meet. None has an underscore, so case is all to ignore."""
    fields = _credential_fields(config)
    seen: dict[str, str] = {}
    for key, name in fields.items():
        other = seen.setdefault(name.lower(), key)
        if other != key and (other, key) not in (("access", "access_token"), ("refresh", "refresh_token")):
            path = f"credentials.{key}"
            yield Problem(path, f"is the same header as {other}", "write another name", (f"credentials.{other}",))
        if name.lower().startswith(_TOLD_BY_OTHERS):
            remedy = 'write a name of its own, such as "X-Access-Token"'
            yield Problem(
                f"credentials.{key}", "is a field in which proxies and browsers tell other things", remedy
            )
        if name.lower() == "authorization" and key not in ("access", "access_token"):
            yield Problem(f"credentials.{key}", "is Authorization", "write another name")
    if not config.credentials.scheme and config.credentials.access.lower() == "authorization":
        yield Problem(
            "credentials.scheme",
            "is empty, and Authorization always has a scheme (RFC 9110 §11.6.2)",
            'write "Bearer", or another header into access',
            ("credentials.access",),
        )
    for path, upstream in _upstreams(config):
        yield from _identity(f"{path}.identity_headers", upstream.identity_headers, fields)


def _identity(path: str, headers: Mapping[str, str], fields: Mapping[str, str]) -> Iterator[Problem]:
    ours = {name.lower(): f"credentials.{key}" for key, name in fields.items()} | {"authorization": "authorization"}
    seen: set[str] = set()
    for name in map(str.lower, headers):
        if name in ours:
            yield Problem(
                path, "names a header that carries credentials", "write another name", ("credentials", ours[name])
            )
        if name in seen:
            yield Problem(path, "names a header twice", "keep one")
        seen.add(name)


def _upstreams(config: Config) -> Iterator[tuple[str, Upstream]]:
    yield "upstream", config.upstream
    for name, upstream in config.upstreams.items():
        yield dotted(("upstreams", name)), upstream


def upstream_rules(config: Config) -> Iterator[Problem]:
    """An upstream is another server, and TLS settings are for TLS."""
    listen = config.server.listen
    for path, upstream in _upstreams(config):
        address = upstream.url
        if upstream.ca_file and address.scheme == "http":
            yield Problem(
                f"{path}.ca_file",
                "is set, but url is not https",
                "take it out, or write https://",
                (f"{path}.url",),
            )
        here = address.host == listen.host or (address.is_loopback and listen.is_loopback)
        if here and address.port == listen.port:
            yield Problem(f"{path}.url", "is the gateway itself", "write the API's address", ("server.listen",))


def route_rules(config: Config) -> Iterator[Problem]:
    """Every route can be reached, and leads somewhere."""
    seen: dict[tuple[bytes | None, str], int] = {}
    for number, route in enumerate(config.routes):
        path = f"routes[{number}]"
        yield from _duplicates(route, number, seen)
        if route.upstream is not None and route.upstream not in config.upstreams:
            known = ", ".join(config.upstreams) or "none yet: add [upstreams.NAME]"
            yield Problem(f"{path}.upstream", "names no entry of [upstreams]", f"write one of its names ({known})")
        if route.match.startswith(config.server.gateway_prefix):
            yield Problem(
                f"{path}.match",
                "is under server.gateway_prefix, where no route is asked",
                "write another path, or move gateway_prefix",
                ("server.gateway_prefix",),
            )
        prefix = route.strip_prefix
        if prefix and not (route.match == prefix or route.match.startswith(f"{prefix}/")):
            yield Problem(
                f"{path}.strip_prefix",
                "is not the start of match",
                "write whole segments of it",
                (f"{path}.match",),
            )
        yield from _limit(config, route, path)


def _limit(config: Config, route: Route, path: str) -> Iterator[Problem]:
    name = "upstream" if route.upstream is None else dotted(("upstreams", route.upstream))
    upstream = config.upstream if route.upstream is None else config.upstreams.get(route.upstream)
    most = route.max_connections
    if most is not None and upstream is not None and most > upstream.max_connections:
        yield Problem(
            f"{path}.max_connections",
            "is more than its upstream may have",
            "write less, or raise the upstream's",
            (f"{name}.max_connections",),
        )


def _duplicates(route: Route, number: int, seen: dict[tuple[bytes | None, str], int]) -> Iterator[Problem]:
    match = canonical(route.match.encode())
    for method in route.methods or ("",):
        first = seen.setdefault((match, method), number)
        if first != number or route.methods.count(method) > 1:
            what = f"has the path and method of routes[{first}]" if first != number else "lists a method twice"
            about = (f"routes[{first}].match", f"routes[{first}].methods", f"routes[{number}].methods")
            yield Problem(f"routes[{number}].match", what, "keep one of them", about)
            return
