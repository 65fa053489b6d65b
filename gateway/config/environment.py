"""Overrides from the environment: ``GATEWAY__SERVER__LISTEN`` sets ``server.listen``.

A double underscore separates the parts of a path. Names are compared without regard to case, and a hyphen or a
dot of the file is an underscore, so ``GATEWAY__UPSTREAMS__BILLING_V2__URL`` finds ``[upstreams."billing.v2"]``.
A number counts the elements of a list: ``GATEWAY__ROUTES__0__AUTH``. Lists and tables are written as JSON; a
table adds to that of the file, a list replaces it.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from gateway.config.problems import Problem
from gateway.config.scalars import FromEnvironment
from gateway.config.shape import Loc

PREFIX = "GATEWAY__"

Tree = dict[str, Any]


@dataclass(slots=True)
class Overrides:
    """What the environment says about the file."""

    tree: Tree = field(default_factory=dict)
    """Only what is overridden; to be merged over the file."""
    origins: dict[Loc, str] = field(default_factory=dict)
    """The variable that set a place of the tree."""
    problems: list[Problem] = field(default_factory=list)


class _UnusableError(Exception):
    """What is wrong with a variable, and what to do."""


def overrides(environ: Mapping[str, str], file: Tree) -> Overrides:
    """Read every variable that starts with ``GATEWAY__``; tables before what is inside them."""
    found = Overrides()
    names = [name for name in environ if name.upper().startswith(PREFIX)]
    for name in sorted(names, key=lambda name: (name.count("__"), name)):
        try:
            loc = _place(found.tree, file, _segments(name), _value(environ[name]))
        except _UnusableError as unusable:
            found.problems.append(Problem(name, *unusable.args))
        else:
            found.origins[loc] = name
    return found


def _segments(name: str) -> list[str]:
    segments = name[len(PREFIX) :].split("__")
    if not all(segments):
        raise _UnusableError("names no key", "write GATEWAY__SECTION__KEY")
    return segments


def _value(text: str) -> Any:
    """JSON where the text is a list or a table, otherwise the text; numbers are read where one is expected."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return _marked(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return FromEnvironment(text)


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _marked(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_marked(member) for member in value]
    return FromEnvironment(value) if isinstance(value, str) else value


def _place(node: Tree, below: Any, segments: list[str], value: Any) -> Loc:
    """Put the value into ``node``, the overrides of ``below``, the file's table at the same place."""
    file = below if isinstance(below, dict) else {}
    key = _existing(segments[0], {**file, **node})
    if len(segments) == 1:
        node[key] = value
        return (key,)
    if isinstance(file.get(key), list) and key not in node:
        node[key] = deepcopy(file[key])
    inner = node.setdefault(key, {})
    if isinstance(inner, list):
        return (key, *_place_in_list(inner, segments[1:], value))
    if not isinstance(inner, dict):
        raise _UnusableError("is below a key that another variable sets as a whole", "unset one of the two")
    return (key, *_place(inner, file.get(key), segments[1:], value))


def _place_in_list(elements: list[Any], segments: list[str], value: Any) -> Loc:
    number = segments[0]
    if not number.isdecimal() or len(number) > 4 or int(number) > len(elements):  # noqa: PLR2004
        raise _UnusableError("is not an element of the list", f"write a number from 0 to {len(elements)}")
    index = int(number)
    if index == len(elements):
        elements.append({})
    if len(segments) == 1:
        elements[index] = value
        return (index,)
    if not isinstance(elements[index], dict):
        raise _UnusableError("is inside an element that is not a table", "set the element as a whole")
    return (index, *_place(elements[index], elements[index], segments[1:], value))


def _existing(segment: str, known: Mapping[str, Any]) -> str:
    same = [key for key in known if _folded(key) == _folded(segment)]
    if len(same) > 1:
        raise _UnusableError("names two keys of the file", "rename one of them in the file")
    return same[0] if same else segment.lower()


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
