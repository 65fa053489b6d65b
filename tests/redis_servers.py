"""Real Redis servers for tests, each in an empty folder and on ports of its own.

    with redis_server() as redis:          # redis.url is a Unix socket; redis_server(tcp=True) has a port too
        redis.pause(); redis.resume()      # SIGSTOP, SIGCONT
        redis.restart()                    # SIGKILL, then empty again at the same place
        redis.ask("DBSIZE")                # anything, from beside the gateway

``tests/redis_fleets.py`` has a master with its Sentinels, and a cluster.
"""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.programs import program

_PATIENCE = 30.0
"""Seconds; only a test that fails waits so long."""
_ATTEMPTS = 20
"""A port that is free may be another test's a moment later."""


def free_port() -> int:
    """A port that nobody listens on just now, below 55535: Redis Cluster wants the one 10000 above it too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = int(found.getsockname()[1])
        if port < 55_535:
            return port
        port -= 10_000
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def until(condition: Any, what: str) -> Any:
    """What ``condition`` says as soon as it is true."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"in vain: {what}")


@dataclass
class RedisServer:
    """One server."""

    home: Path
    """An empty folder with a short path."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """As in redis.conf; ``{home}`` stands for the folder."""
    tcp: bool = False
    sentinel: bool = False
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.home / "s"

    @property
    def url(self) -> str:
        """Where the gateway finds it: its Unix socket, or its port where it has one."""
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    @property
    def address(self) -> tuple[str, int] | str:
        return ("127.0.0.1", self.port) if self.port else str(self.socket)

    def start(self) -> "RedisServer":
        """Until it answers; at the same place, where it has run before."""
        for _ in range(_ATTEMPTS):
            if self.tcp and not self.port:
                self.port = free_port()
            if self._try():
                return self
            if "in use" not in self.log():
                break
            self.port = 0
        raise AssertionError(f"redis-server does not start:\n{self.log()}")

    def stop(self, number: int = signal.SIGKILL) -> None:
        """End it; what it held is lost."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(_PATIENCE)
            self.process = None

    def restart(self) -> None:
        """Kill it; then it is there again, and empty."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """It keeps its connections, accepts more, and answers nothing (B19)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *command: Any) -> Any:
        """The answer to one command, from a connection beside everybody's."""
        with self.client() as client:
            return client.execute_command(*command)

    def client(self, **options: Any) -> redis.Redis:
        """For more than one command; to be closed."""
        options.setdefault("password", self.settings.get("requirepass"))
        return redis.Redis(unix_socket_path=str(self.socket), protocol=2, **options)

    def commands(self) -> dict[str, int]:
        """How often each command was called, those within scripts included."""
        found = self.ask("INFO", "commandstats")
        return {name.removeprefix("cmdstat_"): int(facts["calls"]) for name, facts in found.items()}

    def log(self) -> str:
        written = self.home / "log"
        return written.read_text() if written.exists() else "(no log)"

    def _try(self) -> bool:
        (self.home / "log").unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        self._configure()
        arguments = [program("redis-server"), str(self.home / "redis.conf"), *(["--sentinel"] * self.sentinel)]
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask("PING")
            except redis.ConnectionError:
                time.sleep(0.005)
            else:
                return True
        self.stop()
        return False

    def _configure(self) -> None:
        """A Sentinel writes into its file, so it is made anew for each start."""
        common: dict[str, Any] = {
            "bind": "127.0.0.1",
            "port": self.port,
            "unixsocket": self.socket,
            "dir": self.home,
            "logfile": self.home / "log",
            "save": '""',
            "daemonize": "no",
        }
        every = {**common, **self.settings}
        lines = [f"{name} {str(value).format(home=self.home)}" for name, value in every.items()]
        (self.home / "redis.conf").write_text("\n".join(lines) + "\n")


@contextmanager
def redis_server(*, tcp: bool = False, **settings: Any) -> Iterator[RedisServer]:
    """One server; underscores in the names of settings stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix="redis") as home:
        server = RedisServer(Path(home), named, tcp=tcp)
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def redis_with_tls(chain: Path, key: Path, authority: Path, **settings: Any) -> Iterator[RedisServer]:
    """A server whose port speaks TLS; its Unix socket does not."""
    with tempfile.TemporaryDirectory(prefix="redis") as home:
        server = RedisServer(Path(home), {}, tcp=True)
        server.settings = {
            "tls-cert-file": chain,
            "tls-key-file": key,
            "tls-ca-cert-file": authority,
            "tls-auth-clients": "no",
            **{name.replace("_", "-"): value for name, value in settings.items()},
        }
        for _ in range(_ATTEMPTS):
            server.port = free_port()
            server.settings |= {"port": 0, "tls-port": server.port}
            if server._try():
                break
        else:
            raise AssertionError(f"redis-server does not start:\n{server.log()}")
        try:
            yield server
        finally:
            server.stop()
