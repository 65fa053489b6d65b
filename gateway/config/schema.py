"""The JSON Schema of ``gateway.toml``, for editors (``gateway schema``)."""

from typing import Any

from gateway.config.model import Config

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_HELPERS = ("title", "x-type")


def raw_schema() -> dict[str, Any]:
    """The schema of the models without ``null``, which TOML lacks; ``x-type`` names our own kinds of text."""
    schema: dict[str, Any] = _without_null(Config.model_json_schema())
    return schema


def json_schema() -> dict[str, Any]:
    """The schema as editors read it."""
    head = {"$schema": _DIALECT, "title": "gateway.toml"}
    return {**head, **_without_helpers(raw_schema()), "description": "The configuration of the gateway."}


def _without_null(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_null(member) for member in node]
    if not isinstance(node, dict):
        return node
    node = {name: _without_null(member) for name, member in node.items() if name != "default" or member is not None}
    options = node.get("anyOf", [])
    if {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        del node["anyOf"]
        node = {**rest[0], **node} if len(rest) == 1 else {**node, "anyOf": rest}
    return node


def _without_helpers(node: Any, *, names: bool = False) -> Any:
    """Drops what only the reference uses. Inside ``properties`` (``names``) "title" would be a key."""
    if isinstance(node, list):
        return [_without_helpers(member) for member in node]
    if not isinstance(node, dict):
        return node
    if not names and isinstance(node.get("description"), str):
        node = {**node, "description": " ".join(node["description"].split())}
    return {
        name: _without_helpers(member, names=name in ("properties", "$defs") and not names)
        for name, member in node.items()
        if names or not (name in _HELPERS or (name == "default" and member == {}))
    }
