"""The command: exit statuses, what goes to which stream, and no secret anywhere (CONTRACT §8)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.config.reference import markdown
from gateway.config.schema import json_schema
from gateway.edge import express
from tests.config.files import compose

CANARY = "canary-client-secret"
FILE = compose(f"""
[auth_server]
client_secret = "{CANARY}"
[access_token]
-audience
[upstreams.billing]
url = "https://billing.example/v1"
[[routes]]
match = "/billing/*"
methods = ["GET", "POST"]
auth = "optional"
upstream = "billing"
strip_prefix = "/billing"
audience = "billing"
on_expired = "signal"
on_upstream_401 = "never"
response_timeout = "5s"
""")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def gateway(*arguments, env=None):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=env)


def test_check_says_what_a_file_would_do(file):
    result = gateway("check", "--config", file)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "gateway.toml is valid",
        "listens on    http://127.0.0.1:8080",
        "endpoints     its own under /_gateway/",
        "upstream      http://127.0.0.1:9001 (default)",
        "upstream      https://billing.example/v1 (billing)",
        "refreshes at  what http://127.0.0.1:9000 publishes",
        "client        gateway, authenticated by client_secret_basic",
        "keys          what http://127.0.0.1:9000 publishes",
        "accepts       RS256; issuer http://127.0.0.1:9000; audience any",
        "requires      exp, sub, iss; clocks may differ by 5 s",
        "refresh       60 s ahead beside a request, 5 s ahead before it",
        "expired       refresh; 401 of the API: invalid_token",
        "client sends  Authorization: Bearer and X-Refresh-Token",
        "client gets   X-Access-Token, X-Refresh-Token, X-Access-Token-Expires-At, X-Token-Refreshed",
        "store         memory://; 1 worker",
        "limits        as many clients as descriptors allow; 10 s for a head, 30 s without progress of a body",
        "open streams  keep when their token expires",
        "CORS          what the API answers",
        (
            "route         GET POST /billing/*: auth optional, without /billing, audience billing, expired: signal, "
            "401 of the API: never, answered within 5 s -> billing"
        ),
        "route         any other: auth required -> default upstream",
        "warning       access_token.audience is left out: tokens meant for other APIs are accepted",
    ]


def test_check_says_what_becomes_of_streams_and_of_other_origins(file):
    environ = {
        "GATEWAY__CORS__ALLOW_ORIGINS": '["https://app.example"]',
        "GATEWAY__REFRESH__ON_OPEN_STREAM": "close",
        "GATEWAY__ROUTES__0__MAX_CONNECTIONS": "7",
        "GATEWAY__SERVER__MAX_CONNECTIONS": "100",
    }
    shown = gateway("check", "--config", file, env=environ).stdout
    for line in (
        "limits        100 clients; 10 s",
        "open streams  close when",
        "CORS          answered for https://app.example",
        "at most 7 at once",
    ):
        assert line in shown


def test_check_shows_no_query_of_an_endpoint_and_no_static_key(file):
    """X9: some deployments keep a key in the query."""
    env = {
        "GATEWAY__ACCESS_TOKEN__KEY": CANARY * 2,
        "GATEWAY__ACCESS_TOKEN__ALGORITHMS": '["HS256"]',
        "GATEWAY__AUTH_SERVER__TOKEN_ENDPOINT": f"http://127.0.0.1/t?key={CANARY}",
    }
    result = gateway("check", "--config", file, env=env)
    assert result.exit_code == 0
    assert "refreshes at  http://127.0.0.1/t\n" in result.stdout
    assert "keys          the static access_token.key\n" in result.stdout
    assert CANARY not in result.output


def test_check_describes_a_refresh_endpoint(file):
    with file.open("a") as text:
        text.write('[auth_server.refresh]\nurl = "http://127.0.0.1/r"\nquery = { a = "{refresh_token}" }\n')
    result = gateway("check", "--config", file)
    assert "refreshes at  http://127.0.0.1/r\n" in result.stdout
    assert "client  " not in result.stdout.replace("client sends", "").replace("client gets", "")


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_that_cannot_be_used_is_exit_status_2_with_every_reason(file, command):
    """O1: on standard error, and without the secret."""
    env = {"GATEWAY__SERVER__LISTEN": CANARY, "GATEWAY__LOG__LEVLE": CANARY}
    result = gateway(command, "--config", file, env=env)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "gateway.toml: 2 problems" in result.stderr
    assert "server.listen: is not host:port (set by GATEWAY__SERVER__LISTEN)" in result.stderr
    assert 'log.levle: is not a key (set by GATEWAY__LOG__LEVLE). Did you mean "level"?' in result.stderr
    assert CANARY not in result.output


def test_run_ends_with_the_status_of_the_server(file, monkeypatch):
    """The server gets the validated configuration; what it does with it is tested with real sockets elsewhere."""
    served = []
    stand_in = ModuleType("gateway.server")
    stand_in.run = lambda config: served.append(config) or 7
    monkeypatch.setitem(sys.modules, "gateway.server", stand_in)
    assert gateway("run", "--config", file).exit_code == 7
    assert [config.upstreams["billing"].url.host for config in served] == ["billing.example"]


def test_schema_prints_the_schema_or_the_reference():
    assert json.loads(gateway("schema").stdout) == json_schema()
    assert gateway("schema", "--markdown").stdout == markdown()


def test_version_names_the_program_and_says_whether_it_is_compiled():
    """docs/adr/0011: an operator can tell which of the two wheels is installed."""
    result = gateway("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("gateway, version ")
    assert result.stdout.endswith(" (compiled)\n") != express.__file__.endswith(".py")


def test_the_program_itself_ends_with_status_2(tmp_path):
    """O1: the real process, from its own folder, with the default file name."""
    (tmp_path / "gateway.toml").write_text(FILE.replace('"http://127.0.0.1:9001"', "9001"), encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "GATEWAY__NONSENSE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "run"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "upstream.url: is not a URL" in done.stderr
    assert "nonsense: is not a key (set by GATEWAY__NONSENSE)" in done.stderr
    assert CANARY not in done.stderr
