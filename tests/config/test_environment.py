"""Overrides from the environment, at every depth (CONTRACT §6)."""

import json

import pytest

from gateway.config.addresses import Listen
from gateway.core.secret import Secret
from tests.config.files import loaded, said

ROUTES = '[[routes]]\nmatch = "/a"\n[[routes]]\nmatch = "/b"\n'
UPSTREAMS = '[upstreams."billing.v2"]\nurl = "http://billing"\n[upstreams.Search]\nurl = "http://search"\n'


@pytest.mark.parametrize(
    ("name", "value", "read", "result"),
    [
        ("SERVER__LISTEN", "127.0.0.1:1", lambda c: c.server.listen, Listen("127.0.0.1", 1)),
        ("SERVER__LISTEN", "[::1]:1", lambda c: c.server.listen, Listen("::1", 1)),
        ("server__listen", "127.0.0.1:1", lambda c: c.server.listen, Listen("127.0.0.1", 1)),
        ("SERVER__IDLE_TIMEOUT", "3s", lambda c: c.server.idle_timeout, 3.0),
        ("SERVER__TRUSTED_PROXIES", '["10.0.0.0/8"]', lambda c: len(c.server.trusted_proxies), 1),
        ("UPSTREAM__MAX_CONNECTIONS", "7", lambda c: c.upstream.max_connections, 7),
        ("UPSTREAM__PRESERVE_HOST", "False", lambda c: c.upstream.preserve_host, False),
        ("UPSTREAM", '{"max_waiting": 3}', lambda c: (c.upstream.max_waiting, c.upstream.url.port), (3, 9001)),
        (
            "UPSTREAM__IDENTITY_HEADERS",
            '{"X-User": "sub"}',
            lambda c: c.upstream.identity_headers,
            {"X-User": "sub"},
        ),
        ("UPSTREAMS__BILLING_V2__URL", "http://b2", lambda c: c.upstreams["billing.v2"].url.host, "b2"),
        ("UPSTREAMS__SEARCH__URL", "http://s2", lambda c: c.upstreams["Search"].url.host, "s2"),
        ("UPSTREAMS__NEW__URL", "http://new", lambda c: c.upstreams["new"].url.host, "new"),
        ("ACCESS_TOKEN__AUDIENCE", "web", lambda c: c.access_token.audience, ("web",)),
        ("ACCESS_TOKEN__AUDIENCE", '["web", "api"]', lambda c: c.access_token.audience, ("web", "api")),
        ("REFRESH__UNKNOWN_PER_SECOND", "2.5", lambda c: c.refresh.unknown_per_second, 2.5),
        ("CREDENTIALS__ACCESS", "X-Auth", lambda c: c.credentials.access, "X-Auth"),
        ("ROUTES__1__AUTH", "off", lambda c: [r.auth for r in c.routes], ["required", "off"]),
        ("ROUTES__2__MATCH", "/c", lambda c: [r.match for r in c.routes], ["/a", "/b", "/c"]),
        ("ROUTES__0", '{"match": "/z"}', lambda c: [r.match for r in c.routes], ["/z", "/b"]),
        ("ROUTES", '[{"match": "/z"}]', lambda c: [r.match for r in c.routes], ["/z"]),
        ("AUTH_SERVER__CLIENT_SECRET__ENV", "S", lambda c: c.auth_server.client_secret, Secret("of-s")),
        ("AUTH_SERVER__CLIENT_SECRET", '{"env": "S"}', lambda c: c.auth_server.client_secret, Secret("of-s")),
        ("AUTH_SERVER__CLIENT_SECRET", "{braces", lambda c: c.auth_server.client_secret, Secret("{braces")),
    ],
)
def test_any_key_can_be_overridden(tmp_path, name, value, read, result):
    config = loaded(tmp_path, UPSTREAMS + ROUTES, {f"GATEWAY__{name}": value, "S": "of-s"})
    assert read(config) == result


def test_a_reference_from_the_environment_replaces_the_one_in_the_file(tmp_path):
    (tmp_path / "secret").write_text("of-file")
    environ = {"S": "of-s", "GATEWAY__AUTH_SERVER__CLIENT_SECRET__FILE": "secret"}
    config = loaded(tmp_path, '[auth_server]\nclient_secret = { env = "S" }', environ)
    assert config.auth_server.client_secret == Secret("of-file")


def test_a_part_overrides_the_whole_that_another_variable_sets(tmp_path):
    whole = json.dumps({"max_waiting": 3, "max_connections": 4})
    for name in ("GATEWAY__UPSTREAM", "gateway__upstream"):
        config = loaded(tmp_path, "", {"GATEWAY__UPSTREAM__MAX_WAITING": "9", name: whole})
        assert (config.upstream.max_waiting, config.upstream.max_connections) == (9, 4)


@pytest.mark.parametrize(
    ("name", "value", "path", "words"),
    [
        (
            "GATEWAY__SERVER__LITSEN",
            "x",
            "server.litsen",
            'set by GATEWAY__SERVER__LITSEN). Did you mean "listen"?',
        ),
        ("GATEWAY__SERVR__LISTEN", "x", "servr", 'Did you mean "server"?'),
        ("GATEWAY__LISTEN", "x", "listen", "is a key of [server]"),
        ("GATEWAY__ADMIN__LISTEN", "x", "admin", "is not built yet"),
        ("GATEWAY__", "x", "GATEWAY__", "names no key"),
        ("GATEWAY__SERVER__", "x", "GATEWAY__SERVER__", "names no key"),
        ("GATEWAY__SERVER____LISTEN", "x", "GATEWAY__SERVER____LISTEN", "names no key"),
        ("GATEWAY__SERVER__LISTEN", "x", "server.listen", "set by GATEWAY__SERVER__LISTEN"),
        ("GATEWAY__SERVER__LISTEN__PORT", "1", "server.listen", "is not host:port"),
        ("GATEWAY__SERVER", "x", "server", "is not a table (set by GATEWAY__SERVER)"),
        ("GATEWAY__SERVER__TRUSTED_PROXIES", "10.0.0.0/8", "server.trusted_proxies", "in the environment as JSON"),
        ("GATEWAY__UPSTREAM__MAX_WAITING", "many", "upstream.max_waiting", "is not a whole number"),
        ("GATEWAY__UPSTREAM__PRESERVE_HOST", "yes", "upstream.preserve_host", "is neither true nor false"),
        ("GATEWAY__ROUTES__9__AUTH", "off", "GATEWAY__ROUTES__9__AUTH", "Write a number from 0 to 2"),
        ("GATEWAY__ROUTES__A__AUTH", "off", "GATEWAY__ROUTES__A__AUTH", "is not an element of the list"),
        ("GATEWAY__ROUTES__2__AUTH", "off", "routes[2].match", "is missing"),
        ("GATEWAY__ROUTES", '[{"match": "x"}]', "routes[0].match", "set by GATEWAY__ROUTES"),
    ],
)
def test_a_variable_that_sets_nothing_or_nonsense_is_a_problem(tmp_path, name, value, path, words):
    """O1: a typo in the environment is not silent."""
    found = said(tmp_path, ROUTES, {name: value})
    assert [where for where, _ in found] == [path]
    assert words in found[0][1]


def test_variables_that_contradict_one_another_are_a_problem(tmp_path):
    environ = {"GATEWAY__SERVER": "x", "GATEWAY__SERVER__LISTEN": "127.0.0.1:1"}
    assert "another variable sets as a whole" in dict(said(tmp_path, "", environ))["GATEWAY__SERVER__LISTEN"]
    environ = {"GATEWAY__ROUTES": '["/a"]', "GATEWAY__ROUTES__0__AUTH": "off"}
    assert "not a table" in dict(said(tmp_path, "", environ))["GATEWAY__ROUTES__0__AUTH"]


def test_a_variable_that_could_mean_two_keys_is_a_problem(tmp_path):
    text = '[upstreams."a.b"]\nurl = "http://a"\n[upstreams.a-b]\nurl = "http://b"\n'
    name = "GATEWAY__UPSTREAMS__A_B__URL"
    assert "names two keys of the file" in dict(said(tmp_path, text, {name: "http://c"}))[name]


def test_other_variables_are_none_of_our_business(tmp_path):
    others = {"GATEWAY_SERVER__LISTEN": "x", "SERVER": "x", "GATEWAY": "x", "STORE": "x"}
    assert loaded(tmp_path, "", others) == loaded(tmp_path, "", {})


def test_a_list_that_is_no_json_is_not_taken_for_text(tmp_path):
    """O1: every token would be refused, and nothing would say why."""
    [(path, told)] = said(tmp_path, "", {"GATEWAY__ACCESS_TOKEN__AUDIENCE": '["api2"'})
    assert path == "access_token.audience"
    assert "looks like a list and is not one" in told
