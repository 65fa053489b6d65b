"""pydantic's errors as problems in the words of the file. Never with the value that caused them."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway.config.model import Config
from gateway.config.problems import Problem, dotted
from gateway.config.shape import Loc, field_of, keys, table_of

NOT_BUILT = {
    "admin": "the admin listener",
    "metrics": "metrics",
    "auth_server.profile": "a profile of a known authorization server",
    "auth_server.introspection_endpoint": "token introspection",
    "access_token.introspection": "token introspection",
    "access_token.introspection_endpoint": "token introspection",
    "access_token.introspection_cache": "token introspection",
    "routes.capture": "capturing a login",
}
"""Keys that the contract knows and this version does not build, by their path without indices."""

_SHAPES = {
    "model_type": ("is not a table", "write its keys under a [table] header, or as { key = value }"),
    "dict_type": ("is not a table", "write its keys under a [table] header, or as { key = value }"),
    "mapping_type": ("is not a table", "write its keys under a [table] header, or as { key = value }"),
    "tuple_type": ("is not a list", 'write ["…", "…"]'),
    "string_too_short": ("is empty", "write a value, or take the key out"),
    "string_pattern_mismatch": ("holds a character that is not allowed there", "take it out"),
}


def problem(error: ErrorDetails, origins: Mapping[Loc, str]) -> Problem:
    """What one error of pydantic's means. ``origins`` names the variables that set a place of the tree."""
    loc = location(error)
    what, instead, also = _explain(error, loc)
    variable = next((origins[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in origins), None)
    return Problem(dotted(loc), f"{what} (set by {variable})" if variable else what, instead, also)


def location(error: ErrorDetails) -> Loc:
    """Where in the tree the error is; an error of a table's key is at that key."""
    return tuple(part for part in error["loc"] if part != "[key]")


def _explain(error: ErrorDetails, loc: Loc) -> tuple[str, str, tuple[str, ...]]:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "config":
        return str(context["what"]), str(context["instead"]), ()
    if kind == "missing":
        return "is missing", f"add {_sample(loc)}", ()
    if kind == "extra_forbidden":
        return _unknown(loc)
    what, instead = _SHAPES.get(kind, ("has a value that is not accepted", "see docs/configuration.md"))
    return what, instead, ()


def _sample(loc: Loc) -> str:
    field = field_of(loc)
    example: Any = field.examples[0] if field and field.examples else "…"
    if isinstance(example, dict):
        return f"[{loc[-1]}] with " + ", ".join(f'{k} = "{v}"' for k, v in example.items())
    return f"{loc[-1]} = {json.dumps(example)}, for example"


def _unknown(loc: Loc) -> tuple[str, str, tuple[str, ...]]:
    plain = ".".join(part for part in loc if isinstance(part, str))
    if plain in NOT_BUILT:
        return f"is not built yet ({NOT_BUILT[plain]})", "take it out", ()
    table = table_of(loc)
    known = sorted(keys(table)) if table else []
    close = _nearest(str(loc[-1]), known)
    if close:
        return "is not a key", f'did you mean "{close}"?', (dotted((*loc[:-1], close)),)
    return "is not a key", _elsewhere(str(loc[-1])) or f"the keys here are: {', '.join(known)}", ()


def _nearest(key: str, known: list[str]) -> str | None:
    close = get_close_matches(key.lower().replace("-", "_"), known, n=1, cutoff=0.7)
    return close[0] if close else None


def _elsewhere(key: str) -> str | None:
    homes = [
        name
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type)
        and issubclass(field.annotation, BaseModel)
        and key in keys(field.annotation)
    ]
    return f"it is a key of [{homes[0]}]" if len(homes) == 1 else None
