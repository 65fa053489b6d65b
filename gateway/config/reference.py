"""``docs/configuration.md``, written from the models so that it cannot differ from them."""

import json
import re
from collections.abc import Iterator
from typing import Any

from gateway.config.schema import raw_schema
from gateway.config.translate import NOT_BUILT

_INTRODUCTION = """\
# Configuration

<!-- Written by `gateway schema --markdown` from the models in gateway/config. Do not edit. -->

The file is TOML; `gateway check` says whether it is right and what it would do. Everything that is wrong is
reported at once, with the path of the key, and the exit status is 2.

- A **duration** is `"250ms"`, `"10s"`, `"5m"`, `"24h"` or `"30d"`; a **size** is `"512B"`, `"32KiB"`, `"1MiB"`,
  `"2GiB"` or `"0"`.
- [limits.md](limits.md) says of each time, size and count what happens at the limit, and what other servers have.
- A **secret** is `{ env = "NAME" }` or `{ file = "path" }`. A newline at the end of the file is not part of it.
- A **path** of a file that is relative starts at the folder of the configuration file.
- **Any key** can be set by the environment: `GATEWAY__SERVER__LISTEN` sets `server.listen`,
  `GATEWAY__UPSTREAMS__BILLING__URL` sets `url` in `[upstreams.billing]`, `GATEWAY__ROUTES__0__AUTH` sets `auth` of
  the first route. Lists and tables are written as JSON: `GATEWAY__ACCESS_TOKEN__AUDIENCE='["api"]'`. A variable
  that starts with `GATEWAY__` and names no key is an error.
- `gateway.schema.json` is the JSON Schema of the file; editors that know TOML find it by its first line,
  `#:schema ./gateway.schema.json`.
"""


def markdown() -> str:
    """The reference of every key."""
    root = raw_schema()
    lines = [_INTRODUCTION]
    for key, node in root["properties"].items():
        if key == "upstreams":
            lines += [
                "## [upstreams.NAME]\n",
                f"{_cell(node['description'])} The keys are those of `[upstream]`.\n",
            ]
        else:
            lines += _table(key, node, root["$defs"])
    lines += ["## Not built yet\n", "These are known and refused by name:\n"]
    lines += [f"- `{path}`: {what}" for path, what in NOT_BUILT.items()]
    return "\n".join(lines) + "\n"


def _table(path: str, node: dict[str, Any], defs: dict[str, Any]) -> Iterator[str]:
    model = _model(node, defs) or {}
    heading = f"[[{path}]]" if node.get("type") == "array" else f"[{path}]"
    yield f"## {heading}\n"
    yield f"{model['description']}\n"
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    inner = []
    for key, entry in model["properties"].items():
        if _model(entry, defs):
            inner.append((f"{path}.{key}", entry))
        default = _default(entry, mandatory=key in model.get("required", ()))
        yield f"| `{key}` | {_type(entry, defs)} | {default} | {_cell(entry['description'])} |"
    yield ""
    for name, entry in inner:
        yield from _table(name, entry, defs)


def _model(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any] | None:
    reference = node.get("$ref") or node.get("items", {}).get("$ref", "")
    found = defs.get(reference.rpartition("/")[2])
    return found if found and "properties" in found else None


def _default(entry: dict[str, Any], *, mandatory: bool) -> str:
    if mandatory:
        return "**required**"
    value = entry.get("default")
    return "" if value is None or value in ([], {}) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(entry: dict[str, Any], defs: dict[str, Any]) -> str:
    """What to write, in the words of the introduction."""
    if _model(entry, defs):
        return "table"
    if "x-type" in entry:
        return str(entry["x-type"])
    if "const" in entry or "enum" in entry:
        values = entry.get("enum", [entry.get("const")])
        return " ".join(f"`{json.dumps(value)}`" for value in values)
    if entry.get("type") == "array":
        return f"list of {_type(entry['items'], defs)}"
    if entry.get("type") == "integer" and "minimum" in entry:
        return f"{entry['minimum']} to {entry['maximum']}"
    return {"string": "text", "boolean": "true or false", "object": "table"}.get(entry["type"], str(entry["type"]))


def _cell(text: str) -> str:
    """One line; a bar ends a cell even in code."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
