"""Imports point one way (docs: ARCHITECTURE, "The plan")."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "gateway"
SOURCES = {str(path.relative_to(ROOT)): path for path in ROOT.rglob("*.py")}
FOLDERS = {name.partition("/")[0] for name in SOURCES if "/" in name}

EVERYTHING = {"app.py", "settings.py", "server.py", "cli.py", "__main__.py"}
"""Composition: these may import every other."""

BESIDES_CORE = {
    "auth_server": {"gateway.descriptors", "gateway.events"},
    "edge": {"gateway.deadline", "gateway.duplex", "gateway.events", "gateway.exchange"},
    "refresher": {"gateway.events"},
    "serving.py": {"gateway.accepting", "gateway.events", "gateway.runtime", "gateway.workers"},
    "store": {"gateway.events"},
    "log.py": {"gateway.events", "gateway.writing"},
    "upstream": {"gateway.deadline", "gateway.descriptors", "gateway.duplex"},
    "websocket": {"gateway.duplex"},
    "workers": {"gateway.events"},
}
"""What of ours a folder or a file of its own may import, besides ``gateway.core`` and itself."""

IMPURE = {
    "asyncio",
    "logging",
    "os",
    "random",
    "secrets",
    "select",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}
"""The standard library's clocks, dice and doors: the core has none (I/O, time and chance are arguments)."""

PURE = {
    "base64",
    "binascii",
    "collections",
    "dataclasses",
    "email",
    "enum",
    "hashlib",
    "hmac",
    "http",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "re",
    "types",
    "typing",
    "urllib",
    "zlib",
}
"""What the core uses of the standard library. A new name here is a decision."""


def imported(path):
    """Every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module, packages):
    return any(module == package or module.startswith(package + ".") for package in packages)


def ours(path):
    """Modules of the gateway's own, without the bare package's name."""
    return {module for module in imported(path) if within(module, {"gateway"}) and module != "gateway"}


@pytest.mark.parametrize("name", sorted(SOURCES.keys() - EVERYTHING))
def test_a_file_imports_its_own_folder_and_the_core(name):
    home = name.partition("/")[0]
    allowed = {"gateway.core", f"gateway.{home.removesuffix('.py')}"} | BESIDES_CORE.get(home, set())
    assert not {module for module in ours(SOURCES[name]) if not within(module, allowed)}


@pytest.mark.parametrize("name", sorted(name for name in SOURCES if name.startswith("core/")))
def test_the_core_is_pure(name):
    """No I/O, no clock, no randomness, no async, no framework, and nothing of ours but the core."""
    used = {module.partition(".")[0] for module in imported(SOURCES[name])}
    assert not used & IMPURE
    assert used <= PURE | {"gateway"}
    tree = ast.parse(SOURCES[name].read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


def test_only_the_composition_imports_everything():
    """Nobody imports those who import everybody, but they each other."""
    composition = {f"gateway.{name.removesuffix('.py')}" for name in EVERYTHING}
    for name in SOURCES.keys() - EVERYTHING:
        assert not {module for module in ours(SOURCES[name]) if within(module, composition)}, name


def test_this_test_sees_the_whole_house():
    assert {"core", "config", "credentials", "auth_server", "upstream", "store", "edge", "refresher"} <= FOLDERS
    assert SOURCES.keys() >= EVERYTHING | {"judge.py", "exchange.py", "events.py"}
    assert "gateway.core.lifecycle" in ours(SOURCES["exchange.py"])
