"""The published schema and reference are those of the models."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from gateway.config import Config, load
from gateway.config.reference import markdown
from gateway.config.schema import json_schema
from gateway.config.shape import keys

ROOT = Path(__file__).parents[2]
DEFS = json_schema()["$defs"]


def test_the_published_files_are_up_to_date():
    """Mend with `gateway schema > gateway.schema.json` and `gateway schema --markdown > docs/configuration.md`."""
    assert json.loads((ROOT / "gateway.schema.json").read_text(encoding="utf-8")) == json_schema()
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == markdown()


def test_every_key_has_a_description():
    for model in (json_schema(), *DEFS.values()):
        for key, entry in model.get("properties", {}).items():
            table = DEFS.get(entry.get("$ref", "").rpartition("/")[2], {})
            assert entry.get("description") or table.get("description"), key
    assert len(list(keys(Config))) == len(json_schema()["properties"])


def test_the_schema_knows_no_null_and_no_helpers():
    text = json.dumps(json_schema())
    assert '"null"' not in text
    assert "x-type" not in text
    assert DEFS["Server"]["properties"]["idle_timeout"]["pattern"]
    assert DEFS["Server"]["additionalProperties"] is False


def holds(value, schema) -> bool:
    """The part of JSON Schema that ours uses, without a library for it."""
    if "$ref" in schema:
        return holds(value, DEFS[schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return any(holds(value, option) for option in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kind = {"string": str, "integer": int, "number": float | int, "boolean": bool, "array": list, "object": dict}
    if not isinstance(value, kind[schema["type"]]):
        return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, list):
        return all(holds(member, schema["items"]) for member in value)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        others = schema.get("additionalProperties") is not False
        return set(schema.get("required", ())) <= set(value) and all(
            holds(member, known[name]) if name in known else others for name, member in value.items()
        )
    return True


def test_the_example_at_the_root_is_valid_by_schema_and_by_model():
    path = ROOT / "gateway.toml"
    assert path.read_text(encoding="utf-8").startswith("#:schema ./gateway.schema.json\n")
    assert holds(tomllib.loads(path.read_text(encoding="utf-8")), json_schema())
    config = load(path, {})
    assert config.warnings == ()
    assert str(config.server.listen) == "127.0.0.1:8080"
    assert str(config.upstream.url) == "http://127.0.0.1:9001"
    assert {str(route.auth) for route in config.routes} == {"off"}


@pytest.mark.parametrize("tree", [{"upstream": {}}, {"upstream": {"url": "x"}}, {"upstrem": {}}])
def test_the_check_by_schema_can_fail(tree):
    assert not holds(tree, json_schema())


def test_defaults_of_the_schema_are_what_the_models_accept(tmp_path):
    """The schema's default of each key, written into a file, changes nothing."""
    minimal = (ROOT / "gateway.toml").read_text(encoding="utf-8")
    for section in ("server", "refresh", "credentials", "errors", "store", "log"):
        entries = DEFS[section.capitalize()]["properties"].items()
        lines = [f"{key} = {json.dumps(entry['default'])}" for key, entry in entries if "default" in entry]
        path = tmp_path / "gateway.toml"
        path.write_text(
            re.sub(rf"(?ms)^\[{section}\]$.*?(?=^\[)", "", minimal) + f"[{section}]\n" + "\n".join(lines)
        )
        fresh = tmp_path / "fresh.toml"
        fresh.write_text(re.sub(rf"(?ms)^\[{section}\]$.*?(?=^\[)", "", minimal))
        assert getattr(load(path, {}), section) == getattr(load(fresh, {}), section)
