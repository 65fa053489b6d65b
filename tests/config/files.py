"""Configuration files for tests: a minimal valid one, changed line by line."""

import re
from pathlib import Path

from gateway.config import Config, ConfigError, Problem, load

MINIMAL = {
    "server": {},
    "upstream": {"url": '"http://127.0.0.1:9001"'},
    "auth_server": {
        "issuer": '"http://127.0.0.1:9000"',
        "client_id": '"gateway"',
        "client_secret": '"literal-on-loopback"',
    },
    "access_token": {"issuer": '"http://127.0.0.1:9000"', "audience": '["api"]'},
}
_HEADER = re.compile(r"\[+[^\]]+\]+")


def compose(text: str) -> str:
    """``text`` over the minimal file: ``key = value`` sets a key of the table above it, ``-key`` removes one."""
    tables = {name: dict(keys) for name, keys in MINIMAL.items()}
    others, current = [], None
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name = line.strip("[]")
        if _HEADER.fullmatch(line):
            current = tables.get(name) if not line.startswith("[[") else None
        if current is None:
            others.append(line)
        elif line.startswith("-"):
            del current[line[1:]]
        elif not _HEADER.fullmatch(line):
            key, _, value = line.partition("=")
            current[key.strip()] = value.strip()
    known = [f"[{name}]\n" + "\n".join(f"{k} = {v}" for k, v in keys.items()) for name, keys in tables.items()]
    return "\n".join([*known, *others]) + "\n"


def loaded(folder: Path, text: str = "", environ: dict[str, str] | None = None) -> Config:
    """The minimal file with ``text`` over it."""
    path = folder / "gateway.toml"
    path.write_text(compose(text), encoding="utf-8")
    return load(path, environ or {})


def problems(folder: Path, text: str = "", environ: dict[str, str] | None = None) -> tuple[Problem, ...]:
    """What is wrong with it."""
    try:
        loaded(folder, text, environ)
    except ConfigError as error:
        return error.problems
    return ()


def said(folder: Path, text: str = "", environ: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """Path and full sentence of each problem."""
    return [(problem.path, str(problem)) for problem in problems(folder, text, environ)]
