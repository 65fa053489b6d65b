"""docs/limits.md names every limit of the configuration, with its true default."""

import re
from pathlib import Path

import pytest

from gateway.auth_server import client, discovery, jwks, keys
from gateway.config.schema import raw_schema
from gateway.core import grants, jws
from gateway.credentials import header
from gateway.edge import body, cors, cycle, listener, transport
from gateway.refresher import addresses, guard, presentation
from gateway.upstream import UpstreamSettings, parser

PAGE = (Path(__file__).parents[1] / "docs" / "limits.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| ")
]
NO_LIMITS = {"server.workers", "refresh.signal_status"}
"""A whole number that is 1, and a status."""


def fields():
    """Every key of the file by its path, with what the schema says of it."""
    root = raw_schema()
    sections = {name: node for name, node in root["properties"].items() if name != "upstreams"}
    for name, node in sections.items():
        yield from _below(name, node, root["$defs"])


def _below(path, node, defs):
    reference = next((n["$ref"] for n in (node, node.get("items", {}), *node.get("anyOf", ())) if "$ref" in n), "")
    model = defs.get(reference.rpartition("/")[2], {})
    if "properties" not in model:
        yield path, node
    for key, entry in model.get("properties", {}).items():
        yield from _below(f"{path}.{key}", entry, defs)


def is_limit(entry) -> bool:
    """A duration, a size, a count or a rate."""
    kinds = [str(e.get("x-type") or e.get("type")) for e in (entry, *entry.get("anyOf", ()))]
    return any(kind.startswith(("duration", "size", "integer", "number")) for kind in kinds)


LIMITS = {path: entry for path, entry in fields() if is_limit(entry) and path not in NO_LIMITS}
ON_THE_PAGE = {row[0].strip("`"): row for row in ROWS if re.fullmatch(r"`[a-z_]+\.[a-z_]+`", row[0])}


def test_the_models_have_limits():
    assert len(LIMITS) > 35


def test_every_limit_of_the_configuration_is_on_the_page_and_no_other():
    """D1, D2, D5, D6: what it is, and what happens there."""
    assert sorted(ON_THE_PAGE) == sorted(LIMITS)


def test_no_key_is_there_twice():
    named = [row[0] for row in ROWS if row[0].startswith("`")]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("path", LIMITS)
def test_its_default_is_the_true_one(path):
    default = LIMITS[path].get("default")
    shown = ON_THE_PAGE[path][1]
    if default is None:
        assert shown.startswith("absent: ")
    else:
        assert shown == (f'`"{default}"`' if isinstance(default, str) else f"`{default}`")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_row_says_what_happens_at_the_limit(row):
    assert len(row) == 4
    assert row[2]


KIB = 1024
FIXED = {
    "a body's bytes that the API has not taken": (cycle._HIGH_WATER / KIB, "64 KiB"),
    "a body that is kept for a replay, in memory": (body._IN_MEMORY / KIB, "64 KiB"),
    "an access token": (jws.MAX_TOKEN / KIB, "16 KiB"),
    "its payload, decompressed": (jws.MAX_PAYLOAD / KIB, "64 KiB"),
    "a refresh token": (header._MAX_REFRESH_TOKEN / KIB, "8 KiB"),
    "an answer's head": (UpstreamSettings(host="", port=0).max_head_bytes / KIB, "64 KiB"),
    "interim answers (1xx) before it": (parser._MAX_INTERIM, "16"),
    "an answer's bytes that the client has not taken": (
        UpstreamSettings(host="", port=0).max_buffered / KIB,
        "64 KiB",
    ),
    "an unused connection": (UpstreamSettings(host="", port=0).keepalive, "60s"),
    "an answer to a token request": (client.MAX_ANSWER / KIB, "64 KiB"),
    "metadata": (discovery.MAX_METADATA / KIB, "256 KiB"),
    "a key set": (jwks.MAX_JWKS / KIB, "512 KiB"),
    "one fetch of metadata or keys": (jwks.JwksSettings().timeout, "5s"),
    "fetches for unknown keys": (jwks.JwksSettings().unknown_interval, "one in 10s"),
    "failed token requests in a row": (guard.Breaker.threshold, "5"),
    "`Retry-After` of the server": (grants.MAX_RETRY_AFTER, "60s"),
    "client addresses, throttled tokens, good refresh tokens: each": (addresses._REMEMBERED, "100,000"),
    "origins that an API allows: remembered": (cors._REMEMBERED, "10,000"),
}


@pytest.mark.parametrize("what", FIXED)
def test_a_fixed_limit_is_what_the_code_has(what):
    """D6: nothing of these can be configured."""
    value, shown = FIXED[what]
    row = next(row for row in ROWS if row[0] == what)
    assert row[1].startswith(shown)
    assert float(re.sub(r"\D", "", shown)) == value


def test_what_the_page_says_in_words_is_what_the_code_has():
    """The lingering close, the number of keys, the three caches of one size."""
    words = " ".join(PAGE.split())
    assert f"for at most {listener.LINGER:g}s or `idle_timeout`" in words
    assert f"no longer than {transport._SILENCE:g}s in silence" in words
    assert f"and for {listener.SHORT_LINGER:g}s during a shutdown" in words
    assert f", {keys.MAX_KEYS} keys" in PAGE
    assert addresses._REMEMBERED == guard._REMEMBERED == presentation._REMEMBERED
