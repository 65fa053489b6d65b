"""Starts the programs that are measured, each on its core, and ends every one of them."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.errors import BenchError
from bench.priority import share_with

ROOT = Path(__file__).parent.parent
LOOPBACK = "127.0.0.1"
_PINNED = Path(__file__).with_name("pinned.py")
_BESIDE_PATH = "/usr/sbin:/usr/local/sbin:/sbin"
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_LAST_LINES = 12


def find(name: str) -> str:
    """The path of a program: beside this Python, in ``PATH``, or where Debian keeps servers.

    Raises:
        BenchError: it is not installed.
    """
    where = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}:{_BESIDE_PATH}"
    found = shutil.which(name, path=where)
    if found is None:
        raise BenchError(f"{name} is not installed; `make bench` as root on Debian installs it")
    return found


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now.

    Below those that the kernel gives to connections: thousands of these come and go while a program starts.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)  # noqa: S311  # nobody is to guess it, or not to
        with socket.socket() as sock, suppress(OSError):
            sock.bind((LOOPBACK, port))
            return port


@dataclass(frozen=True, slots=True)
class Command:
    """How a program is started."""

    argv: Sequence[str]
    environ: Mapping[str, str] | None = None
    """Added to this process's own."""


class Program:
    """A running program, pinned to a core. Leaving the context ends it and its children."""

    def __init__(self, command: Command, core: int, log: Path) -> None:
        """Args: log: where its standard output and error go."""
        self._log = log
        self._name = Path(command.argv[0]).name
        argv = [sys.executable, "-I", "-S", str(_PINNED), str(core), *command.argv]
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={**os.environ, **(command.environ or {})},
                start_new_session=True,
            )
        self.pid = self._process.pid
        share_with(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def await_port(self, port: int) -> None:
        """Wait until it listens.

        Raises:
            BenchError: it has ended, or does not listen within a minute; with the last lines of its log.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
                return
            time.sleep(0.02)
        raise BenchError(f"{self._name} does not listen:\n{self.last_lines()}")

    def last_lines(self) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:])

    def stop(self) -> None:
        """SIGTERM to the whole process group, and SIGKILL to what is left of it after 5 s."""
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)
