"""Runs wrk, the load generator for everything that many equal requests can tell."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, WrongAnswerError
from bench.programs import find
from bench.targets import Target

_SCRIPT = Path(__file__).with_name("wrk.lua")
_PATIENCE = 60
_LONGER = (4, 16)
"""Times the wanted length."""
_RESULT = "RESULT "


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk sends."""

    path: str = "/json"
    clients: int = 64
    mode: str = "same"
    """``same``, ``unique`` or ``tokens``: see wrk.lua."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What wrk has counted. Times are milliseconds."""

    requests: int
    seconds: float
    bytes: int
    p50: float
    p99: float
    longest: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def wrk(target: Target, load: Load, seconds: int) -> Loaded:
    """Load a target with keep-alive connections. wrk inherits this process's core.

    Where nobody was answered in that time, as on a machine that is busy with other things, it is tried for longer.

    Raises:
        BenchError: wrk itself failed.
        WrongAnswerError: a request was not answered, or not with 2xx.
    """
    for length in (seconds, *(seconds * factor for factor in _LONGER)):
        told = _run(_argv(target, load, length), length)
        if told["failed"]:
            raise WrongAnswerError(
                f"{target.label}: {told['failed']} of {told['requests']} requests failed under load"
            )
        if told["requests"]:
            return _read(told)
    raise WrongAnswerError(f"{target.label}: nobody was answered")


def _argv(target: Target, load: Load, seconds: int) -> list[str]:
    fields = target.stage.folder / "fields"
    fields.write_text("\n".join(target.stage.fields(target.stage.token, target.host)) + "\n")
    argv = [find("wrk"), "-t1", f"-c{load.clients}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPT)]
    argv += [target.url + load.path, "--", str(fields), load.mode]
    return [*argv, str(_tokens(target))] if load.mode == "tokens" else argv


def _run(argv: list[str], seconds: int) -> dict[str, int]:
    ended = subprocess.run(  # noqa: S603  # our own command
        argv, capture_output=True, text=True, timeout=seconds + _PATIENCE, check=False
    )
    line = next((line for line in ended.stdout.splitlines() if line.startswith(_RESULT)), None)
    if line is None:
        raise BenchError(f"wrk failed: {ended.stderr.strip() or ended.stdout.strip()}")
    told: dict[str, int] = json.loads(line.removeprefix(_RESULT))
    return told


def _tokens(target: Target) -> Path:
    path = target.stage.folder / "tokens"
    if not path.exists():
        path.write_text("\n".join(target.stage.tokens) + "\n")
    return path


def _read(told: dict[str, int]) -> Loaded:
    return Loaded(
        requests=told["requests"],
        seconds=told["microseconds"] / 1e6,
        bytes=told["bytes"],
        p50=told["p50"] / 1e3,
        p99=told["p99"] / 1e3,
        longest=told["max"] / 1e3,
    )
