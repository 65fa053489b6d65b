"""Each key by itself: what is accepted and what it becomes; what is refused, where, and with which words."""

import ipaddress

import pytest

from gateway.config.addresses import Listen, Url
from tests.config.files import loaded, said

ACCEPTED = [
    ("server", 'listen = "127.0.0.1:0"', Listen("127.0.0.1", 0)),
    ("server", 'listen = "[::1]:8080"', Listen("::1", 8080)),
    ("server", 'listen = "localhost:80"', Listen("localhost", 80)),
    ("server", 'idle_timeout = "250ms"', 0.25),
    ("server", 'idle_timeout = "1.5s"', 1.5),
    ("server", 'idle_timeout = "5m"', 300.0),
    ("server", 'idle_timeout = "24h"', 86400.0),
    ("refresh", 'max_expired_age = "30d"', 2592000.0),
    ("refresh", 'ahead = "0s"', 0.0),
    ("server", 'max_body = "0"', 0),
    ("server", 'max_body = "512B"', 512),
    ("server", 'max_body = "32KiB"', 32768),
    ("server", 'max_body = "1MiB"', 1048576),
    ("server", 'max_body = "2GiB"', 2147483648),
    ("server", 'trusted_proxies = ["10.0.0.0/8", "::1"]', tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "::1")))),
    ("server", 'gateway_prefix = "/own/"', "/own/"),
    ("server", "workers = 1", 1),
    ("upstream", 'url = "http://api"', Url("http", "api", 80, "")),
    ("upstream", 'url = "https://API.example:8443/v1/"', Url("https", "api.example", 8443, "/v1")),
    ("upstream", 'url = "http://[::1]:9"', Url("http", "::1", 9, "")),
    ("upstream", "preserve_host = false", False),
    ("upstream", "max_waiting = 0", 0),
    ("upstream", 'identity_headers = { "X-User" = "sub" }', {"X-User": "sub"}),
    ("auth_server", 'token_endpoint = "http://127.0.0.1/t?a=1"', Url("http", "127.0.0.1", 80, "/t", "a=1")),
    ("auth_server", 'issuer = "http://127.0.0.1:9000/a/"', "http://127.0.0.1:9000/a/"),
    ("access_token", 'audience = "api"', ("api",)),
    ("access_token", 'audience = ["api", "web"]', ("api", "web")),
    ("access_token", 'algorithms = ["ES256", "EdDSA"]', ("ES256", "EdDSA")),
    ("access_token", 'typ = "at+jwt"', "at+jwt"),
    ("access_token", 'leeway = "60s"', 60.0),
    ("access_token", 'required = ["exp"]', ("exp",)),
    ("access_token", 'time_unit = "ms"', "ms"),
    ("refresh", "signal_status = 401", 401),
    ("refresh", 'on_expired = "signal"', "signal"),
    ("refresh", 'on_upstream_401 = "never"', "never"),
    ("refresh", "unknown_per_second = 0.5", 0.5),
    ("credentials", 'access = "X-Auth-Token"', "X-Auth-Token"),
    ("errors", 'envelope = "result"', "result"),
    ("log", 'level = "debug"', "debug"),
    ("store", "max_entries = 5", 5),
]

REFUSED = [
    ("server", 'listen = "8080"', "listen", "is not host:port"),
    ("server", 'listen = ":8080"', "listen", "is not host:port"),
    ("server", 'listen = "::1:8080"', "listen", "is not host:port"),
    ("server", 'listen = "1.2.3:8080"', "listen", "is not host:port"),
    ("server", 'listen = "[name]:8080"', "listen", "is not host:port"),
    ("server", "listen = 8080", "listen", 'Write "127.0.0.1:8080"'),
    ("server", 'listen = "127.0.0.1:70000"', "listen", "above 65535"),
    ("server", "workers = 2", "workers", "memory:// is each process's own"),
    ("server", "workers = 0", "workers", "out of range"),
    (
        "server",
        "idle_timeout = 75",
        "idle_timeout",
        'is not a duration. Write a number and a unit in quotes, such as "250ms"',
    ),
    ("server", 'idle_timeout = "75"', "idle_timeout", "is not a duration"),
    ("server", 'idle_timeout = "-5s"', "idle_timeout", "is not a duration"),
    ("server", 'idle_timeout = "5 s"', "idle_timeout", "is not a duration"),
    ("server", 'idle_timeout = "٣s"', "idle_timeout", "is not a duration"),
    ("server", 'idle_timeout = "0s"', "idle_timeout", "is zero"),
    ("server", 'idle_timeout = "99999d"', "idle_timeout", "longer than ten years"),
    ("server", 'max_body = "1MB"', "max_body", 'is not a size. Write a number and a unit in quotes: "512B"'),
    ("server", "max_body = 1024", "max_body", "is not a size"),
    ("server", 'max_header_bytes = "10B"', "max_header_bytes", 'is too small. Write "1024B" or more'),
    ("server", 'max_target_bytes = "0"', "max_target_bytes", "is too small"),
    ("server", 'trusted_proxies = "10.0.0.0/8"', "trusted_proxies", "is not a list"),
    ("server", 'trusted_proxies = ["proxy"]', "trusted_proxies[0]", "is not a network"),
    ("server", 'trusted_proxies = ["10.0.0.1/8"]', "trusted_proxies[0]", 'Write "10.0.0.0/8"'),
    ("server", 'gateway_prefix = "/"', "gateway_prefix", "is not a folder"),
    ("server", 'gateway_prefix = "/a"', "gateway_prefix", "with a slash at both ends"),
    ("server", 'gateway_prefix = "/ä/"', "gateway_prefix", "percent-encoded"),
    ("server", "tls = true", "tls", "is not a table"),
    ("server", "express = 1", "express", "is neither true nor false"),
    ("server", 'express = "false"', "express", "is neither true nor false"),
    ("server", 'litsen = "x"', "litsen", 'is not a key. Did you mean "listen"?'),
    ("server", 'idle-timeout = "5s"', "idle-timeout", 'Did you mean "idle_timeout"?'),
    ("server", "zzz = 1", "zzz", "The keys here are: body_timeout, express, gateway_prefix, header_timeout"),
    ("server", 'jwks_uri = "x"', "jwks_uri", "It is a key of [auth_server]"),
    ("upstream", "-url", "url", 'is missing. Add url = "http://127.0.0.1:9001"'),
    ("upstream", 'url = "api:9001"', "url", "is not an http or https URL"),
    ("upstream", 'url = "ftp://api"', "url", "is not an http or https URL"),
    ("upstream", 'url = "http://"', "url", "no valid host and port"),
    ("upstream", 'url = "http://a b"', "url", "no valid host and port"),
    ("upstream", 'url = "http://[::1"', "url", "is not a URL"),
    ("upstream", 'url = "http://api:99999"', "url", "is not a URL"),
    ("upstream", 'url = "http://api:0"', "url", "no valid host and port"),
    ("upstream", 'url = "http://bücher.example"', "url", "no valid host and port"),
    ("upstream", 'url = "http://u:p@api"', "url", "has a user name or password"),
    ("upstream", 'url = "http://api/?a=1"', "url", "has a query"),
    ("upstream", 'url = "http://api/#a"', "url", "has a fragment"),
    ("upstream", 'url = "http://api/a/../b"', "url", "has an ambiguous path"),
    ("upstream", 'url = "http://api/a%2fb"', "url", "has an ambiguous path"),
    ("upstream", "url = 1", "url", "is not a URL"),
    ("upstream", 'connect_timeout = "0s"', "connect_timeout", "is zero"),
    ("upstream", 'max_connections = "256"', "max_connections", "is not a whole number"),
    ("upstream", "max_connections = 0", "max_connections", "out of range"),
    ("upstream", "max_connections = true", "max_connections", "is not a whole number"),
    ("upstream", "max_connections = 2.5", "max_connections", "is not a whole number"),
    ("upstream", 'preserve_host = "yes"', "preserve_host", "is neither true nor false"),
    ("upstream", "preserve_host = 1", "preserve_host", "is neither true nor false"),
    ("upstream", "identity_headers = []", "identity_headers", "is not a table"),
    ("upstream", 'identity_headers = { "X-User" = 1 }', "identity_headers.X-User", "is not text"),
    ("upstream", 'identity_headers = { "X-User" = "" }', "identity_headers.X-User", "is empty"),
    (
        "upstream",
        'identity_headers = { "X User" = "sub" }',
        'identity_headers."X User"',
        "is not a header field name",
    ),
    ("upstream", 'identity_headers = { "X_User" = "sub" }', "identity_headers.X_User", "has an underscore"),
    (
        "upstream",
        'identity_headers = { "Host" = "sub" }',
        "identity_headers.Host",
        "is a field that HTTP itself uses",
    ),
    ("upstream", 'ca_file = "none.pem"', "ca_file", "names a file that does not exist"),
    ("upstream", "ca_file = 1", "ca_file", "is not a path"),
    ("auth_server", 'issuer = "https://as?x=1"', "issuer", "has a query"),
    ("auth_server", 'issuer = "as"', "issuer", "is not an http or https URL"),
    ("auth_server", 'client_auth = "private_key_jwt"', "client_auth", '"private_key_jwt" is not built yet'),
    ("auth_server", 'client_auth = "tls_client_auth"', "client_auth", '"tls_client_auth" is not built yet'),
    (
        "auth_server",
        'client_auth = "basic"',
        "client_auth",
        'Write one of "client_secret_basic", "client_secret_post"',
    ),
    ("auth_server", 'client_id = ""', "client_id", "is empty"),
    ("auth_server", 'client_id = "é"', "client_id", "holds a character that is not allowed"),
    ("auth_server", 'scope = "a\\u0000b"', "scope", "holds a control character"),
    ("auth_server", 'timeout = "0s"', "timeout", "is zero"),
    ("auth_server", 'profile = "keycloak"', "profile", "is not built yet"),
    ("auth_server", "refresh = 3", "refresh", "is not a table"),
    ("access_token", 'format = "opaque"', "format", '"opaque" is not built yet'),
    ("access_token", 'algorithms = ["none"]', "algorithms[0]", "a token without a signature proves nothing"),
    ("access_token", 'algorithms = ["RS255"]', "algorithms[0]", "is not an accepted value"),
    ("access_token", "algorithms = []", "algorithms", "is empty or names something twice"),
    ("access_token", 'algorithms = ["RS256", "RS256"]', "algorithms", "names something twice"),
    ("access_token", 'algorithms = "RS256"', "algorithms", "is not a list"),
    (
        "access_token",
        'algorithms = ["RS256", "HS256"]',
        "algorithms",
        "a public key could be used as the shared secret",
    ),
    ("access_token", 'required = ["sub"]', "required", "lacks exp"),
    ("access_token", 'required = "exp"', "required", "is not a list"),
    ("access_token", 'leeway = "61s"', "leeway", 'is too long. Write "60s" or less'),
    ("access_token", 'typ = "JWT"', "typ", 'Write "at+jwt"'),
    ("access_token", 'time_unit = "us"', "time_unit", 'Write one of "s", "ms"'),
    ("access_token", 'introspection_endpoint = "x"', "introspection_endpoint", "is not built yet"),
    ("access_token", 'key = "literal"', "key", "is not a table"),
    ("refresh", "signal_status = 399", "signal_status", "from 400 to 599"),
    ("refresh", "signal_status = 600", "signal_status", "from 400 to 599"),
    ("refresh", 'on_expired = "redirect"', "on_expired", 'Write one of "refresh", "signal", "reject"'),
    ("refresh", 'on_upstream_401 = "always"', "on_upstream_401", 'Write one of "invalid_token", "any", "never"'),
    ("refresh", "unknown_burst = 0", "unknown_burst", "out of range"),
    ("refresh", "unknown_per_second = 0", "unknown_per_second", "out of range"),
    ("refresh", "unknown_per_second = nan", "unknown_per_second", "out of range"),
    ("refresh", 'unknown_per_second = "10"', "unknown_per_second", "is not a number"),
    ("credentials", 'mode = "cookie"', "mode", '"cookie" is not built yet'),
    ("credentials", 'mode = "session"', "mode", '"session" is not built yet'),
    ("credentials", 'access = "Host"', "access", "is a field that HTTP itself uses"),
    ("credentials", 'refresh = "Transfer-Encoding"', "refresh", "is a field that HTTP itself uses"),
    ("credentials", 'refreshed = "content-LENGTH"', "refreshed", "is a field that HTTP itself uses"),
    ("credentials", 'refresh = "X Token"', "refresh", "is not a header field name"),
    ("credentials", 'scheme = "Bearer x"', "scheme", "is not an authentication scheme"),
    ("credentials", 'scheme = "DPoP"', "scheme", "carries no bearer token"),
    ("errors", 'envelope = "xml"', "envelope", 'Write one of "problem", "result"'),
    ("errors", 'realm = "a\\"b"', "realm", "holds a character that is not allowed"),
    ("store", 'on_failure = "ignore"', "on_failure", 'Write one of "refuse", "local"'),
    ("log", 'level = "trace"', "level", 'Write one of "debug", "info"'),
    ("log", 'format = "xml"', "format", 'Write one of "auto", "console", "json"'),
    ("admin", 'listen = "127.0.0.1:9090"', None, "is not built yet"),
    ("sever", "x = 1", None, 'Did you mean "server"?'),
]

ROUTES_REFUSED = [
    ('match = "auth"', "match", "does not start with /"),
    ('match = "/a//b"', "match", "two servers would read differently"),
    ('match = "/a/../b"', "match", "two servers would read differently"),
    ('match = "/a/./b"', "match", "two servers would read differently"),
    ('match = "/a%2fb"', "match", "two servers would read differently"),
    ('match = "/a%2Eb"', "match", "two servers would read differently"),
    ('match = "/a%5cb"', "match", "two servers would read differently"),
    ('match = "/a%00"', "match", "two servers would read differently"),
    ('match = "/a%252fb"', "match", "two servers would read differently"),
    ('match = "/a%zz"', "match", "two servers would read differently"),
    ('match = "/a;b"', "match", "two servers would read differently"),
    ("match = '/a\\b'", "match", "two servers would read differently"),
    ('match = "/a?b=1"', "match", "rules never read the query"),
    ('match = "/a#b"', "match", "rules never read the query"),
    ('match = "/a*"', "match", 'a "*" that is not a final "/*"'),
    ('match = "/*/b"', "match", 'a "*" that is not a final "/*"'),
    ('match = "/a/**"', "match", 'a "*" that is not a final "/*"'),
    ("match = 1", "match", "does not start with /"),
    ('methods = ["GET"]', "match", 'is missing. Add match = "/auth/login"'),
    ('match = "/a"\nmethods = ["get"]', "methods[0]", "in upper case"),
    ('match = "/a"\nmethods = ["GE T"]', "methods[0]", "is not a method"),
    ('match = "/a"\nmethods = ["TRACE"]', "methods[0]", "never forwards"),
    ('match = "/a"\nmethods = "GET"', "methods", "is not a list"),
    ('match = "/a"\nauth = "none"', "auth", 'Write one of "required", "optional", "off"'),
    ('match = "/a"\naudience = []', "audience", "is empty"),
    ('match = "/a"\nstrip_prefix = "/a/"', "strip_prefix", "is not a prefix of whole segments"),
    ('match = "/a"\nstrip_prefix = "/"', "strip_prefix", "is not a prefix of whole segments"),
    ('match = "/a"\ncapture = { access_token = "/t" }', "capture", "is not built yet"),
    ('match = "/a"\nresponse_timeout = "0s"', "response_timeout", "is zero"),
    ('match = "/a"\nmax_connections = 0', "max_connections", "is out of range"),
    ('match = "/a"\nauht = "off"', "auht", 'Did you mean "auth"?'),
]


@pytest.mark.parametrize(("section", "line", "result"), ACCEPTED, ids=lambda v: str(v)[:40])
def test_a_value_becomes_what_the_program_uses(tmp_path, section, line, result):
    """Durations are seconds, sizes bytes, lists tuples, addresses small values."""
    found = getattr(getattr(loaded(tmp_path, f"[{section}]\n{line}"), section), line.partition(" ")[0])
    assert found == result
    assert type(found) is type(result) or section in ("refresh", "upstream")


@pytest.mark.parametrize(("section", "line", "key", "words"), REFUSED, ids=lambda v: str(v)[:40])
def test_a_wrong_value_is_named_with_its_remedy(tmp_path, section, line, key, words):
    """O1: the dotted path, what is wrong, what to write instead; and nothing else is complained about."""
    found = said(tmp_path, f"[{section}]\n{line}")
    assert [path for path, _ in found] == [f"{section}.{key}" if key else section]
    assert words in found[0][1]


@pytest.mark.parametrize(("lines", "key", "words"), ROUTES_REFUSED, ids=lambda v: str(v)[:40])
def test_a_wrong_route_is_named_with_its_number(tmp_path, lines, key, words):
    """N2, N3, O1: no rule that can be read in two ways, none that looks at a query."""
    found = said(tmp_path, f'[[routes]]\nmatch = "/first"\n[[routes]]\n{lines}')
    assert [path for path, _ in found] == [f"routes[1].{key}"]
    assert words in found[0][1]


@pytest.mark.parametrize("match", ["/", "/*", "/a", "/a/*", "/a.b/c-d_e~f", "/caf%C3%A9", "/café", "/a:b@c"])
def test_plain_paths_are_accepted(tmp_path, match):
    config = loaded(tmp_path, f'[[routes]]\nmatch = "{match}"')
    assert config.routes[0].match == match


def test_urls_give_nothing_away_in_a_repr(tmp_path):
    """X9: no upstream address in a repr, which is where log lines and tracebacks get their text."""
    config = loaded(tmp_path, '[upstream]\nurl = "https://inner.example:8443/v1"')
    assert "inner" not in repr(config)
    assert str(config.upstream.url) == "https://inner.example:8443/v1"
    assert config.upstream.url.authority == "inner.example:8443"
    assert str(Url("https", "::1", 443, "/a", "b=1")) == "https://[::1]/a?b=1"
    assert str(Listen("::1", 80)) == "[::1]:80"
