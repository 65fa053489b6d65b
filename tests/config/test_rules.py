"""Combinations that are unsafe or senseless: TOML in, path and words out (O1)."""

import pytest

from tests.config.files import loaded, said

SECRET_32 = "0123456789abcdef0123456789abcdef"
ENVIRON = {"HS": SECRET_32, "SHORT": SECRET_32[:31], "CLIENT": "from-the-environment"}
CUSTOM = """
[auth_server]
-client_secret
[access_token]
algorithms = ["HS256"]
key = { env = "HS" }
[auth_server.refresh]
url = "http://127.0.0.1:9000/refresh"
"""

AUTH_SERVER = [
    ("[auth_server]\n-issuer", "auth_server.token_endpoint", "there is no way to refresh a token"),
    ("[auth_server]\n-issuer", "auth_server.jwks_uri", "there is no way to get keys"),
    ("[auth_server]\n-client_id", "auth_server.client_id", "is missing"),
    ("[auth_server]\n-client_secret", "auth_server.client_secret", "client_auth = client_secret_basic needs it"),
    (
        '[auth_server]\n-client_secret\nclient_auth = "client_secret_post"',
        "auth_server.client_secret",
        "client_auth = client_secret_post needs it",
    ),
    ('[auth_server]\nclient_auth = "none"', "auth_server.client_secret", "client_auth = none sends no secret"),
    (
        '[auth_server]\ntimeout = "10s"\nlate_answer = "9s"',
        "auth_server.late_answer",
        "nobody listens for",
    ),
    (
        '[auth_server]\nissuer = "http://as.example"\nclient_secret = { env = "CLIENT" }',
        "auth_server.issuer",
        "would cross the network in clear",
    ),
    (
        '[auth_server]\ntoken_endpoint = "http://as.example/t"\nclient_secret = { env = "CLIENT" }',
        "auth_server.token_endpoint",
        "allow_http = true",
    ),
    (
        '[auth_server]\njwks_uri = "http://10.0.0.1/jwks"\nclient_secret = { env = "CLIENT" }',
        "auth_server.jwks_uri",
        "in clear",
    ),
    ('[auth_server]\nissuer = "https://as.example"', "auth_server.client_secret", "outside loopback development"),
    ('[auth_server]\njwks_uri = "https://as.example/k"', "auth_server.client_secret", "outside loopback"),
    ('[server]\nlisten = "0.0.0.0:8080"', "auth_server.client_secret", "outside loopback development"),
]

KEYS = [
    (
        '[access_token]\nkey = { env = "HS" }\nalgorithms = ["HS256"]\n[auth_server]\njwks_uri = "http://127.0.0.1/k"',
        "access_token.key",
        "together with auth_server.jwks_uri",
    ),
    ('[access_token]\nalgorithms = ["HS256"]', "access_token.key", "which no key set publishes"),
    (
        '[access_token]\nalgorithms = ["HS256"]\nkey = { env = "SHORT" }',
        "access_token.key",
        "too short for HS256 (RFC 7518 §3.2). Write a random secret of at least 32 bytes",
    ),
    ('[access_token]\nalgorithms = ["HS384"]\nkey = { env = "HS" }', "access_token.key", "at least 48 bytes"),
    ('[access_token]\nalgorithms = ["HS512"]\nkey = { env = "HS" }', "access_token.key", "at least 64 bytes"),
    ('[access_token]\nalgorithms = ["RS256"]\nkey = { env = "HS" }', "access_token.key", "is no key for RS256"),
    ('[access_token]\nalgorithms = ["ES256"]\nkey = { env = "HS" }', "access_token.key", "is no key for ES256"),
    ('[access_token]\nalgorithms = ["EdDSA"]\nkey = { env = "HS" }', "access_token.key", "is no key for EdDSA"),
]

REFRESH_ENDPOINT = [
    ("", "auth_server.refresh", "sends no refresh token"),
    ('query = { a = "{refresh_token} {secret}" }', "auth_server.refresh.query", "an unknown placeholder"),
    ('json = { a = [{ b = "{refresh_token}{x}" }] }', "auth_server.refresh.json", "an unknown placeholder"),
    ('headers = { "X-A" = "é{refresh_token}" }', "auth_server.refresh.headers", "not ASCII"),
    (
        'form = { a = "{refresh_token}" }\njson = { a = "{refresh_token}" }',
        "auth_server.refresh.form",
        "together with json",
    ),
    ('method = "GET"\nform = { a = "{refresh_token}" }', "auth_server.refresh.method", "is GET, which has no body"),
    ('url = "http://127.0.0.1/r?a=1"\nform = { a = "{refresh_token}" }', "auth_server.refresh.url", "has a query"),
    ('form = { a = "{refresh_token}", b = "{client_id}" }', "auth_server.client_id", "is missing"),
    ('form = { a = "{refresh_token}" }\naccess_token = "data"', "auth_server.refresh.access_token", "JSON pointer"),
    ('form = { a = "{refresh_token}" }\nok = { "/c~" = [1] }', 'auth_server.refresh.ok."/c~"', "JSON pointer"),
    ('form = { a = "{refresh_token}" }\nok = { "/c" = 200 }', 'auth_server.refresh.ok."/c"', "list of accepted"),
    ('form = { a = "{refresh_token}" }\nok = { "/c" = [[]] }', 'auth_server.refresh.ok."/c"', "neither text"),
    (
        'form = { a = "{refresh_token}" }\nheaders = { Host = "x" }',
        "auth_server.refresh.headers.Host",
        "HTTP itself",
    ),
    ('form = { a = "{refresh_token}" }\nmethod = "DELETE"', "auth_server.refresh.method", "not an accepted value"),
]

HTTP = [
    ('[credentials]\nscheme = ""', "credentials.scheme", "Authorization always has a scheme"),
    ('[credentials]\nrefresh = "authorization"', "credentials.refresh", "is the same header as access"),
    ('[credentials]\naccess = "X-A"\nrefreshed = "Authorization"', "credentials.refreshed", "is Authorization"),
    (
        '[credentials]\nexpires_at = "x-access-token"',
        "credentials.expires_at",
        "is the same header as access_token",
    ),
    ('[credentials]\nrefreshed = "X-Refresh-Token"', "credentials.refreshed", "is the same header as refresh"),
    (
        '[credentials]\nrefresh = "X-Forwarded-Refresh-Token"',
        "credentials.refresh",
        "proxies and browsers tell other",
    ),
    ('[credentials]\naccess = "Access-Control-Request-Method"', "credentials.access", "proxies and browsers tell"),
    (
        '[upstream]\nidentity_headers = { "x-refresh-TOKEN" = "sub" }',
        "upstream.identity_headers",
        "carries credentials",
    ),
    (
        '[upstream]\nidentity_headers = { Authorization = "sub" }',
        "upstream.identity_headers",
        "carries credentials",
    ),
    ('[upstream]\nidentity_headers = { X-A = "sub", x-a = "sub" }', "upstream.identity_headers", "a header twice"),
    (
        '[upstreams.a]\nurl = "http://a"\nidentity_headers = { X-Token-Refreshed = "sub" }',
        "upstreams.a.identity_headers",
        "carries credentials",
    ),
    ('[upstream]\nurl = "http://localhost:8080"', "upstream.url", "is the gateway itself"),
    ('[upstreams."a.b"]\nurl = "http://127.0.0.1:8080"', 'upstreams."a.b".url', "is the gateway itself"),
    ('[upstreams.a__b]\nurl = "http://a"', "upstreams.a__b", "has a name that is not plain"),
    ('[upstreams."ä"]\nurl = "http://a"', "upstreams.ä", "has a name that is not plain"),
    ('[upstreams.a]\nurll = "http://a"', "upstreams.a.url", "is missing"),
]

ROUTES = [
    ('match = "/a"', 'match = "/a"', "match", "has the path and method of routes[0]"),
    ('match = "/a/*"\nmethods = ["GET", "POST"]', 'match = "/a/*"\nmethods = ["POST"]', "match", "routes[0]"),
    ('match = "/café"', 'match = "/caf%C3%A9"', "match", "has the path and method of routes[0]"),
    ('match = "/b"', 'match = "/a"\nmethods = ["GET", "GET"]', "match", "lists a method twice"),
    ('match = "/b"', 'match = "/a"\nupstream = "billing"', "upstream", "names no entry of [upstreams]"),
    ('match = "/b"', 'match = "/_gateway/x"', "match", "is under server.gateway_prefix"),
    ('match = "/b"', 'match = "/a/*"\nstrip_prefix = "/ab"', "strip_prefix", "is not the start of match"),
    ('match = "/b"', 'match = "/ab/*"\nstrip_prefix = "/a"', "strip_prefix", "is not the start of match"),
    (
        'match = "/b"',
        'match = "/a"\nmax_connections = 257',
        "max_connections",
        "is more than its upstream may have",
    ),
]

GOOD = [
    '[auth_server]\nclient_auth = "none"\n-client_secret',
    '[auth_server]\nissuer = "http://as.example"\nallow_http = true\nclient_secret = { env = "CLIENT" }',
    '[auth_server]\nissuer = "https://as.example"\nclient_secret = { env = "CLIENT" }',
    '[auth_server]\ntimeout = "10s"\nlate_answer = "10s"',
    '[auth_server]\n-issuer\ntoken_endpoint = "http://localhost/t"\njwks_uri = "http://[::1]/k"',
    '[access_token]\nalgorithms = ["HS256"]\nkey = { env = "HS" }',
    '[upstream]\nurl = "http://10.1.2.3:8080"',
    '[credentials]\naccess = "X-Auth-Token"\nscheme = ""\naccess_token = "X-Auth-Token"',
    CUSTOM + 'query = { refreshToken = "{refresh_token}" }\nmethod = "GET"',
    CUSTOM + 'headers = { Authorization = "Bearer {refresh_token}" }\nmethod = "GET"\nok = { "/code" = [200] }',
    CUSTOM + 'json = { a = { b = ["{refresh_token}", 1, true] } }\ndenied = { "/code" = [401, "401"] }',
    '[[routes]]\nmatch = "/a"\n[[routes]]\nmatch = "/a"\nmethods = ["POST"]\n[[routes]]\nmatch = "/a/*"',
    '[upstreams.b]\nurl = "http://b"\n[[routes]]\nmatch = "/b/*"\nstrip_prefix = "/b"\nupstream = "b"',
    '[upstreams.b]\nurl = "http://b"\nmax_connections = 300\n[[routes]]\nmatch = "/b"\nupstream = "b"\nmax_connections = 300',
]


@pytest.mark.parametrize(("text", "path", "words"), [*AUTH_SERVER, *KEYS, *HTTP], ids=lambda v: str(v)[:50])
def test_an_unsafe_or_senseless_combination_is_refused(tmp_path, text, path, words):
    """O1, T3: with the key to change, the reason and the remedy."""
    found = said(tmp_path, text, ENVIRON)
    assert [sentence for where, sentence in found if where == path and words in sentence], found
    assert len(found) <= 2


@pytest.mark.parametrize(("lines", "path", "words"), REFRESH_ENDPOINT, ids=lambda v: str(v)[:50])
def test_a_refresh_endpoint_that_cannot_work_is_refused(tmp_path, lines, path, words):
    """O1: the description of an endpoint that is not RFC 6749 is judged at the start, not at the first refresh."""
    text = CUSTOM.replace('url = "http://127.0.0.1:9000/refresh"', "") if "url =" in lines else CUSTOM
    text = text.replace("-client_secret", "-client_secret\n-client_id") + lines
    found = said(tmp_path, text, ENVIRON)
    assert [where for where, _ in found] == [path]
    assert words in found[0][1]


def test_two_descriptions_of_the_refresh_are_refused(tmp_path):
    text = CUSTOM.replace("-client_secret", '-client_secret\ntoken_endpoint = "http://127.0.0.1/t"')
    found = said(tmp_path, text + 'form = { a = "{refresh_token}" }', ENVIRON)
    assert [where for where, _ in found] == ["auth_server.token_endpoint"]


@pytest.mark.parametrize(("one", "other", "key", "words"), ROUTES, ids=lambda v: str(v)[:50])
def test_a_route_that_cannot_be_reached_or_leads_nowhere_is_refused(tmp_path, one, other, key, words):
    """O1, N3: each pair of path and method has one rule."""
    found = said(tmp_path, f"[[routes]]\n{one}\n[[routes]]\n{other}")
    assert [where for where, _ in found] == [f"routes[1].{key}"]
    assert words in found[0][1]


@pytest.mark.parametrize("text", GOOD, ids=lambda v: str(v)[:50])
def test_a_sensible_combination_is_accepted(tmp_path, text):
    assert said(tmp_path, text, ENVIRON) == []


def test_an_upstream_over_plain_http_may_be_anywhere(tmp_path):
    """Only the authorization server insists on TLS: an API often is on a private network."""
    config = loaded(tmp_path, '[upstream]\nurl = "http://api.internal:80"')
    assert (config.upstream.url.scheme, config.upstream.url.host) == ("http", "api.internal")


def test_a_ca_file_needs_https(tmp_path):
    import trustme  # noqa: PLC0415

    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    found = said(tmp_path, '[upstream]\nca_file = "ca.pem"\n[auth_server]\nca_file = "ca.pem"')
    assert [where for where, _ in found] == ["auth_server.ca_file", "upstream.ca_file"]
