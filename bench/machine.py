"""On what, and with which versions. Nothing that names a host, a user or a path."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.programs import find

_PACKAGES = ("aiohttp", "httptools", "httpx", "pyjwt", "starlette", "uvicorn", "uvloop")
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_GIB = 1024**3


def machine() -> dict[str, str]:
    """What it ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return {
        "CPU": _cpu_model(),
        "cores": f"{len(os.sched_getaffinity(0))}, of which two are used",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
    }


def _cpu_model() -> str:
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    facts = {name.strip(): fact.strip() for name, _, fact in lines}
    family = f"family {facts.get('cpu family', '?')}, model {facts.get('model', '?')}"
    return f"{facts.get('model name', platform.processor())} ({family})"


def versions() -> dict[str, str]:
    """Of every program and library that takes part."""
    programs = {
        "nginx": _said("nginx", "-v"),
        "Envoy": _said("envoy", "--version"),
        "wrk": _said("wrk", "-v"),
        "Python": platform.python_version(),
        "Evergreen": _package("evergreen-gateway"),
    }
    return programs | {name: _package(name) for name in _PACKAGES}


def _said(program: str, flag: str) -> str:
    ended = subprocess.run(  # noqa: S603  # our own command
        [find(program), flag], capture_output=True, text=True, check=False, timeout=30
    )
    found = _VERSION.search(ended.stdout + ended.stderr)
    return found.group() if found else "?"


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "of a source tree"
