"""The log of a process whose standard error is slow, full, gone or was never there."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from tests.e2e.processes import ROOT, connection, gateway
from tests.e2e.raw_client import head_bytes
from tests.house import config_text, defaults

REFUSED = b"HTTP/1.1 401 "
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
OPEN = [{"match": "/*", "auth": "off"}]


def refused(port: int, times: int) -> None:
    """Requests without a token, each answered: each is a line at ``info``."""
    with socket.create_connection(("127.0.0.1", port), 30) as client, client.makefile("rb") as answers:
        for _ in range(times):
            client.sendall(head_bytes(target="/x"))
            assert answers.readline().startswith(REFUSED)
            length = 0
            while (line := answers.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            answers.read(length)


@pytest.fixture
def fifo(tmp_path):
    """The reading end of what ``gateway`` opens as its log."""
    path = tmp_path / "gateway.log"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield reading
    os.close(reading)


def everything(reading: int) -> bytes:
    """All that the process has written, after its end."""
    data = b""
    while piece := os.read(reading, 1 << 20):
        data += piece
    return data


def test_a_log_that_nobody_reads_holds_no_request_up(tmp_path, fifo):
    """A pipe takes 64 KB; lines beyond it wait in the process, and the gateway serves on."""
    with gateway(tmp_path, {}) as running:
        refused(running.port, 300)
        full = os.read(fifo, 1 << 20)
        assert full.count(b"\n") < 300
        refused(running.port, 1)
        assert running.stop() == 0
        lines = [json.loads(line) for line in (full + everything(fifo)).splitlines()]
        assert [line["code"] for line in lines if line["event"] == "request"] == ["missing_token"] * 301


def test_a_log_that_nobody_reads_does_not_hold_the_end_up(tmp_path, fifo):
    with gateway(tmp_path, {}) as running:
        refused(running.port, 300)
        assert running.stop() == 0


def test_a_log_whose_reader_is_gone_ends_nothing(tmp_path, fifo):
    """`gateway run 2>&1 | head`"""
    with gateway(tmp_path, {}) as running:
        refused(running.port, 1)
        os.close(os.dup(fifo))
        elsewhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(elsewhere, fifo)
        os.close(elsewhere)
        refused(running.port, 3)
        assert running.stop() == 0


def test_without_a_standard_error_it_serves(tmp_path):
    """`gateway run 2>&-`: a connection that gets its descriptor must not get the log."""
    path = tmp_path / "gateway.toml"
    path.write_text(config_text(defaults("http://127.0.0.1:9", "http://127.0.0.1:9"), []))
    words = [sys.executable, "-m", "gateway", "run", "--config", str(path)]
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *words], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        port = int(process.stdout.readline().rpartition(":")[2])
        refused(port, 3)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def test_at_the_end_the_lines_of_all_requests_are_there(tmp_path):
    """At ``debug`` they are written together, a moment later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sections = {"upstream": {"url": url}, "log": {"level": "debug"}}
        with gateway(tmp_path, sections, OPEN) as running, connection(running) as client:
            client.sendall(head_bytes(target="/1"))
            with closing(listener.accept()[0]) as api:
                for n in range(1, 21):
                    api.recv(65536)
                    api.sendall(OK)
                    assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
                    client.sendall(head_bytes(target=f"/{n + 1}") if n < 20 else b"")
            assert running.stop() == 0
            lines = [json.loads(line) for line in running.log.read_text().splitlines()]
            assert [line["path"] for line in lines if line["event"] == "request"] == [f"/{n}" for n in range(1, 21)]


def test_an_end_at_once_loses_no_line_either(tmp_path):
    """The second signal waits for nothing; what the log holds back is written."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sections = {"upstream": {"url": url}, "log": {"level": "debug"}}
        with gateway(tmp_path, sections, OPEN) as running, connection(running) as client:
            client.sendall(head_bytes(target="/last"))
            with closing(listener.accept()[0]) as api:
                api.recv(65536)
                api.sendall(OK)
                assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
            running.process.send_signal(signal.SIGINT)
            running.stop()
            assert '"path": "/last"' in running.log.read_text()
