"""The process: what it prints, how it ends, and with which status (CONTRACT §6, §8)."""

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import jwt
import pytest

from gateway import server
from gateway.config import load
from gateway.settings import listening
from tests.e2e.processes import ROOT, connection, gateway
from tests.e2e.raw_client import head_bytes
from tests.house import config_text, defaults

SECRET = "a secret of more than thirty-two bytes, for HS256"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def listener():
    """The API, or the authorization server: the test itself."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(30)
        yield opened


def url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def sections(tmp_path, listener, *, shutdown: str = "1h", **more):
    """A gateway that needs no other process: the keys are in a file."""
    key = tmp_path / "secret.key"
    key.write_text(SECRET)
    return {
        "server": {"shutdown_timeout": shutdown},
        "upstream": {"url": url(listener)},
        "auth_server": {"jwks_uri": None, "client_secret": {"file": str(key)}, **more},
        "access_token": {"algorithms": ["HS256"], "key": {"file": str(key)}},
    }


def token(*, ends_in: float = 3600) -> str:
    now = int(time.time())
    claims = {"iss": "http://127.0.0.1:9", "aud": "api", "sub": "ada", "iat": now - 3600, "exp": now + int(ends_in)}
    return jwt.encode(claims, SECRET, "HS256")


@contextmanager
def under_way(running, listener, pair):
    """One request that has reached the API (or the authorization server): the client's end, and the other."""
    with connection(running) as client:
        client.sendall(head_bytes(target="/x", pair=pair))
        with closing(listener.accept()[0]) as api:
            api.settimeout(30)
            assert api.recv(65536)
            yield client, api


def refused(running) -> None:
    """Return when the gateway accepts nobody any more."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", running.port)).close()
        except ConnectionRefusedError:
            return
        except ConnectionError:
            pass  # closed between its arrival and its acceptance
        time.sleep(0.01)


def rest(client: socket.socket) -> bytes:
    """Everything until the end, or the cut."""
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def whole(client: socket.socket) -> bytes:
    """The answer ``OK``, without waiting for an end of the connection."""
    data = b""
    while not data.endswith(b"\r\n\r\nok"):
        piece = client.recv(65536)
        assert piece, data
        data += piece
    return data


def is_clean(running) -> None:
    """Nothing but log lines, and none of them a complaint of Python's."""
    for line in running.log.read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_with_status_0(tmp_path, listener, number):
    """CONTRACT §8: one line once it is ready, and no other; an idle connection holds nothing up."""
    with gateway(tmp_path, sections(tmp_path, listener)) as running:
        assert running.lines == [f"gateway: listening on http://127.0.0.1:{running.port}"]
        with under_way(running, listener, (token(), None)) as (client, api):
            api.sendall(OK)
            assert whole(client).startswith(b"HTTP/1.1 200 OK\r\n")
            assert running.stop(number) == 0
            assert rest(client) == b""
        assert running.printed_since() == ""
        is_clean(running)


def test_a_reload_that_is_not_built_yet_ends_nothing(tmp_path, listener):
    """CONTRACT §8: SIGHUP would kill a process that does not handle it."""
    with gateway(tmp_path, sections(tmp_path, listener)) as running:
        with under_way(running, listener, (token(), None)) as (client, api):
            running.process.send_signal(signal.SIGHUP)
            api.sendall(OK)
            assert whole(client).startswith(b"HTTP/1.1 200 OK\r\n")
        assert running.stop() == 0
        assert "reload_not_supported" in running.log.read_text()
        is_clean(running)


def test_a_request_under_way_is_finished_first(tmp_path, listener):
    """B23: nobody new is accepted; who is inside gets the whole answer."""
    with gateway(tmp_path, sections(tmp_path, listener)) as running:
        with under_way(running, listener, (token(), None)) as (client, api):
            running.process.send_signal(signal.SIGTERM)
            refused(running)
            api.sendall(OK)
            answer = rest(client)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n\r\nok")
        assert running.ended() == 0
        is_clean(running)


@pytest.mark.parametrize("began", [True, False])
def test_a_request_that_does_not_end_is_cut_when_the_time_is_over(tmp_path, listener, began):
    """B23, P15: shutdown_timeout; what the client has does not look complete, and no word is not an answer."""
    with gateway(tmp_path, sections(tmp_path, listener, shutdown="300ms")) as running:
        with under_way(running, listener, (token(), None)) as (client, api):
            if began:
                api.sendall(STREAM)
                assert client.recv(65536, socket.MSG_PEEK)
            running.process.send_signal(signal.SIGTERM)
            got = rest(client)
            assert not got.endswith(b"0\r\n\r\n")
            assert not got if not began else got.startswith(b"HTTP/1.1 200 OK")
            assert rest(api) == b""
        assert running.ended() == 0
        is_clean(running)


def test_a_second_signal_does_not_wait(tmp_path, listener):
    """CONTRACT §8: an operator who asks twice means it."""
    with gateway(tmp_path, sections(tmp_path, listener)) as running:
        with under_way(running, listener, (token(), None)) as (client, api):
            api.sendall(STREAM)
            assert client.recv(65536)
            running.process.send_signal(signal.SIGTERM)
            refused(running)
            assert running.process.poll() is None
            assert running.stop(signal.SIGINT) == 0
            assert not rest(client).endswith(b"0\r\n\r\n")
        is_clean(running)


def test_two_signals_at_once_do_not_wait(tmp_path, listener):
    """An impatient operator, before the first one has been looked at."""
    with (
        gateway(tmp_path, sections(tmp_path, listener)) as running,
        under_way(running, listener, (token(), None)) as (client, _),
    ):
        running.process.send_signal(signal.SIGINT)
        assert running.stop() == 0
        assert rest(client) == b""
        is_clean(running)


def test_an_open_flight_is_awaited(tmp_path, listener):
    """B23, CONTRACT §4.2: its client is cut at shutdown_timeout; the rotated token is taken before the end."""
    more = {"token_endpoint": url(listener) + "/token"}
    settings = sections(tmp_path, listener, shutdown="100ms", **more)
    with gateway(tmp_path, settings) as running:
        with under_way(running, listener, (token(ends_in=-60), "refresh-1")) as (client, auth_server):
            running.process.send_signal(signal.SIGTERM)
            assert rest(client) == b""
            assert running.process.poll() is None
            body = json.dumps(
                {"access_token": token(), "token_type": "Bearer", "refresh_token": "refresh-2"}
            ).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            auth_server.sendall(head % len(body) + body)
            assert running.ended() == 0
        lines = [json.loads(line) for line in running.log.read_text().splitlines()]
        assert ("refresh", "granted") in {(line["event"], line.get("outcome")) for line in lines}


def test_a_second_signal_does_not_wait_for_a_flight_either(tmp_path, listener):
    """CONTRACT §8: an authorization server that hangs holds up nobody who insists."""
    more = {"token_endpoint": url(listener) + "/token", "late_answer": "10m"}
    with gateway(tmp_path, sections(tmp_path, listener, shutdown="0s", **more)) as running:
        with under_way(running, listener, (token(ends_in=-60), "refresh-1")) as (client, _):
            running.process.send_signal(signal.SIGTERM)
            assert rest(client) == b""
            assert running.process.poll() is None
            assert running.stop(signal.SIGTERM) == 0
        is_clean(running)


def test_fractions_of_a_second_count(tmp_path):
    """CONTRACT §6: what the file says in milliseconds is not rounded to nothing."""
    path = tmp_path / "gateway.toml"
    merged = defaults("http://127.0.0.1:9", "http://127.0.0.1:8")
    merged["server"] |= {"shutdown_timeout": "300ms", "idle_timeout": "1500ms"}
    path.write_text(config_text(merged, []))
    config = load(path, {})
    assert server.settings(config, object()).timeout_graceful_shutdown == 0.3
    assert listening(config).idle_timeout == 1.5


def test_it_listens_on_ipv6_too(tmp_path, listener):
    """CONTRACT §8: the line names an address that can be copied."""
    settings = sections(tmp_path, listener)
    settings["server"]["listen"] = "[::1]:0"
    with gateway(tmp_path, settings) as running:
        assert running.lines == [f"gateway: listening on http://[::1]:{running.port}"]
        with socket.create_connection(("::1", running.port), timeout=30) as client:
            client.sendall(head_bytes())
            assert client.recv(65536).startswith(b"HTTP/1.1 401 ")
        assert running.stop() == 0


def run(tmp_path, text: str) -> subprocess.CompletedProcess:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    words = [sys.executable, "-W", "error", "-m", "gateway", "run", "--config", str(path)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("listen", ["taken", "name.invalid:8080", "192.0.2.1:8080"])
def test_an_address_that_cannot_be_used_is_named_with_a_remedy(tmp_path, listener, listen):
    """CONTRACT §8: exit status 1: taken, unknown, or another machine's."""
    settings = sections(tmp_path, listener)
    taken = f"127.0.0.1:{listener.getsockname()[1]}"
    settings["server"]["listen"] = taken if listen == "taken" else listen
    settings["upstream"] = {"url": "http://127.0.0.1:9"}
    merged = {name: {**keys, **settings.get(name, {})} for name, keys in defaults("http://127.0.0.1:9", "").items()}
    result = run(tmp_path, config_text(merged, []))
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"gateway: cannot listen on {settings['server']['listen']}: ")
    assert line.endswith(". Free it or set server.listen.")
    assert "Unknown error" not in line


def test_a_wrong_file_ends_it_with_status_2_and_every_reason(tmp_path):
    """O1: before anything listens; no value of a secret is shown."""
    result = run(
        tmp_path, '[server]\nlisten = 1\nunknown = 2\n[auth_server]\nclient_secret = { env = "NOT_SET_X" }\n'
    )
    assert (result.returncode, result.stdout) == (2, "")
    for path in ("server.listen", "server.unknown", "upstream", "auth_server.client_secret"):
        assert path in result.stderr
    assert "Traceback" not in result.stderr
