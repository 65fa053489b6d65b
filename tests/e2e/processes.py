"""The gateway and the stub as processes of their own, as an operator starts them."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.house import config_text, defaults

ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0
"""Seconds; only a test that fails waits so long."""


@dataclass
class Running:
    """One process that has said where it listens."""

    process: subprocess.Popen[str]
    lines: list[str]
    """What it had printed when it was ready."""
    log: Path
    """Its standard error."""

    @property
    def port(self) -> int:
        """Of the last listener that it named."""
        return int(self.lines[-1].rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and return its exit status."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Its exit status, once it has ended by itself."""
        return self.process.wait(_PATIENCE)

    def printed_since(self) -> str:
        """The rest of its standard output, after its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def descriptors(self) -> int:
        """How many it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field: str = "VmHWM") -> int:
        """Bytes: ``VmHWM``, the most that it ever had in memory, or ``VmRSS``, what it has now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024


@contextmanager
def started(
    *command: str, log: Path, lines: int, env: Mapping[str, str] | None = None, descriptors: int | None = None
) -> Iterator[Running]:
    """``python -W error -m command…``, once it has printed so many lines; ``descriptors``: all that it may have."""
    with log.open("w") as stderr:
        words = [sys.executable, "-W", "error", "-m", *command]
        if descriptors is not None:
            words = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(descriptors), *words]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT, env=env)
    try:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(lines)]
        if not all(said):
            raise AssertionError(f"exit status {process.wait(_PATIENCE)}: {log.read_text()}")
        yield Running(process, said, log)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def gateway(
    folder: Path,
    sections: Mapping[str, Any],
    routes: list[dict[str, Any]] | None = None,
    *,
    descriptors: int | None = None,
) -> Iterator[Running]:
    """``gateway run`` with ``sections`` over the house's defaults, which name authorities that are not there."""
    merged: dict[str, Any] = defaults("http://127.0.0.1:9", "http://127.0.0.1:9")
    for name, keys in sections.items():
        merged[name] = {**merged.get(name, {}), **keys}
    path = folder / "gateway.toml"
    path.write_text(config_text(merged, routes or []))
    words = ("gateway", "run", "--config", str(path))
    with started(*words, log=folder / "gateway.log", lines=1, descriptors=descriptors) as running:
        yield running


@dataclass
class Stub:
    """``python -m upstream_stub``."""

    auth_url: str
    api_url: str

    def login(self) -> str:
        """An access token."""
        form = {"username": "ada", "password": "password"}
        answer = httpx.post(self.auth_url + "/login", json=form, trust_env=False, timeout=30)
        return str(answer.json()["data"]["token"])


@contextmanager
def stub(folder: Path) -> Iterator[Stub]:
    """Both servers of the stub, with tokens that live for an hour."""
    options = ["--auth-port", "0", "--api-port", "0", "--lifetime", "3600"]
    with started("upstream_stub", *options, log=folder / "stub.log", lines=2) as running:
        yield Stub(*(line.rpartition(" ")[2] for line in running.lines))


@contextmanager
def connection(running: Running, *, buffer: int | None = None) -> Iterator[socket.socket]:
    """A blocking connection to the gateway; ``buffer`` bounds what the kernel holds for it."""
    with socket.socket() as client:
        if buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        client.settimeout(_PATIENCE)
        client.connect(("127.0.0.1", running.port))
        yield client
