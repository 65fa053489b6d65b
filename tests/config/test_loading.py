"""The file as a whole: all problems at once, syntax errors with their place, and the value that comes out."""

import traceback
from types import MappingProxyType

import pytest
from pydantic import ValidationError

from gateway.config import Config, ConfigError, load
from gateway.config.shape import keys
from tests.config.files import loaded, problems, said

EVERYTHING = """
[server]
listen = "nonsense"
litsen = "x"
express = "yes"
workers = 4
idle_timeout = 10
tls = { cert = "none.pem", key = "none.key" }
[upstream]
-url
max_connections = "256"
[auth_server]
issuer = "http://as.example"
timeout = "30s"
late_answer = "10s"
client_auth = "private_key_jwt"
[access_token]
required = ["sub"]
leeway = "2m"
key = { env = "UNSET" }
[[routes]]
match = "/a//b"
upstream = "billing"
[[routes]]
match = "/x"
methods = ["post"]
[[routes]]
match = "/y"
[[routes]]
match = "/y"
"""


def test_all_problems_come_at_once(tmp_path):
    """O1: broken keys hide neither one another nor the combinations that do not rest on them."""
    environ = {"GATEWAY__REFRESH__AHEED": "3s", "GATEWAY__ROUTES__99__AUTH": "off"}
    assert [problem.path for problem in problems(tmp_path, EVERYTHING, environ)] == [
        "GATEWAY__ROUTES__99__AUTH",
        "server.listen",
        "server.tls.cert",
        "server.tls.key",
        "server.idle_timeout",
        "server.express",
        "server.litsen",
        "upstream.url",
        "upstream.max_connections",
        "auth_server.client_auth",
        "access_token.key",
        "access_token.leeway",
        "access_token.required",
        "refresh.aheed",
        "routes[0].match",
        "routes[1].methods[0]",
        "auth_server.issuer",
        "auth_server.late_answer",
        "routes[0].upstream",
        "routes[3].match",
        "server.workers",
    ]


def test_a_broken_key_causes_no_complaint_about_its_absence(tmp_path):
    """A rule that rests on a key which is itself wrong, or only misspelt, waits until that is mended."""
    for line in ("client_id = 5", 'client_idd = "x"'):
        found = problems(tmp_path, f"[auth_server]\n-client_id\n{line}")
        assert [problem.path for problem in found] == [f"auth_server.{line.partition(' ')[0]}"]


def test_a_table_in_place_of_a_list_and_the_reverse_are_named(tmp_path):
    assert [path for path, _ in said(tmp_path, '[routes]\nmatch = "/a"')] == ["routes"]
    assert [path for path, _ in said(tmp_path, "[upstreams]\na = 1\nb = []")] == ["upstreams.a", "upstreams.b"]
    path = tmp_path / "gateway.toml"
    path.write_text("upstream = 1\nserver = []\nroutes = [1]\n")
    with pytest.raises(ConfigError) as failure:
        load(path, {})
    assert {p.path for p in failure.value.problems} >= {"upstream", "server", "routes[0]"}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"[server]\nlisten = \n", "line 2, column 10"),
        (b"[server]\n[server]\n", "line 2, column 8"),
        (b"a = 1\na = 2\n", "line 2, column 6"),
        (b"[server", "line 1, column 8"),
        (b'x = """\nabc', "line 2, column 4"),
        (b"# \xff\n", "line 1"),
        (b"ok = 1\n# \xff\n", "line 2"),
    ],
)
def test_a_syntax_error_has_its_line_and_column(tmp_path, content, place):
    path = tmp_path / "gateway.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as failure:
        load(path, {})
    assert [problem.path for problem in failure.value.problems] == [place]


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            load(path, {})


def test_an_empty_file_says_what_is_needed(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text("")
    with pytest.raises(ConfigError) as failure:
        load(path, {})
    assert {p.path for p in failure.value.problems} == {
        "upstream",
        "auth_server.client_id",
        "auth_server.client_secret",
        "auth_server.token_endpoint",
        "auth_server.jwks_uri",
    }


def test_the_error_reads_as_a_list(tmp_path):
    with pytest.raises(ConfigError) as failure:
        loaded(tmp_path, '[log]\nlevel = "x"\nlevle = "x"')
    assert str(failure.value).splitlines() == [
        "gateway.toml: 2 problems",
        '  log.level: is not an accepted value. Write one of "debug", "info", "warning", "error".',
        '  log.levle: is not a key. Did you mean "level"?',
    ]


def leaves(model=Config, path=()):
    """Every key of the file that is not a table of known keys."""
    for key, field in keys(model).items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Config.__base__):
            yield from leaves(inner, (*path, key))
        else:
            yield (*path, key)


@pytest.mark.parametrize("path", list(leaves()), ids=".".join)
def test_no_value_of_any_key_is_ever_quoted(tmp_path, path):
    """O1, X9: a secret in the wrong place stays unseen in every key, in the error, its repr and its traceback."""
    values = (
        '"canary"',
        '"canary\\u0007"',
        '["canary\\u0007"]',
        '{ other = "canary\\u0007" }',
        '{ env = "canary" }',
    )
    for value in values:
        file = tmp_path / "gateway.toml"
        file.write_text(f"{'.'.join(path)} = {value}\n", encoding="utf-8")
        with pytest.raises(ConfigError) as failure:
            load(file, {})
        error = failure.value
        assert "canary" not in "".join(traceback.format_exception(error)) + repr(error) + str(error)
        assert error.__context__ is None
        assert error.__cause__ is None


def test_the_configuration_is_frozen(tmp_path):
    config = loaded(tmp_path, '[upstreams.a]\nurl = "http://a"')
    with pytest.raises(ValidationError):
        config.server.workers = 2
    with pytest.raises(ValidationError):
        config.server = None
    assert isinstance(config.upstreams, MappingProxyType)
    assert isinstance(config.upstream.identity_headers, MappingProxyType)
    assert isinstance(config.routes, tuple)
