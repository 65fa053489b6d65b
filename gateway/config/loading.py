"""From ``gateway.toml`` and the environment to a ``Config``, or to everything that is wrong with them.

A broken key must not hide the others. pydantic judges each key; the broken ones are then put aside, and the
rules about combinations judge the rest, as long as they do not rest on a key that was put aside.
"""

import re
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from gateway.config.environment import Overrides, Tree, overrides
from gateway.config.model import Config
from gateway.config.problems import ConfigError, Problem, overlaps
from gateway.config.rules import findings
from gateway.config.secrets import Surroundings
from gateway.config.shape import Loc, field_of
from gateway.config.translate import location, problem

_ROUNDS = 5
"""How often a file is repaired; each round puts aside at least the tables around what was broken before."""


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in ``path``, overridden by ``environ``, with all secrets and files read.

    Raises:
        ConfigError: it cannot be used; says everything that is wrong, and no value.
    """
    tree, override = _read(path, environ)
    surroundings = Surroundings(environ, path.absolute().parent)
    config, problems = _judge(tree, surroundings, override)
    if config is None or problems:
        raise ConfigError(path.name, problems)
    return config


def _read(path: Path, environ: Mapping[str, str]) -> tuple[Tree, Overrides]:
    """The file's tree with the environment's merged over it, by pydantic-settings."""
    failure = None
    try:
        path.open("rb").close()
        file = TomlConfigSettingsSource(_Layers, path)
    except tomllib.TOMLDecodeError as error:
        failure = _syntax(str(error), path)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        failure = Problem(f"line {line}", "is not UTF-8", "save the file as UTF-8")
    except OSError as error:
        failure = Problem("file", f"cannot be read ({error.strerror})", "name one with --config that can be read")
    if failure:
        raise ConfigError(path.name, [failure])
    override = overrides(environ, file.toml_data)
    return _merged(InitSettingsSource(_Layers, override.tree), file), override


def _syntax(message: str, path: Path) -> Problem:
    what, _, place = message.partition(" (at ")
    found = re.match(r"line (\d+), column (\d+)", place)
    lines = path.read_text(encoding="utf-8").split("\n")
    line, column = found.groups() if found else (len(lines), len(lines[-1]) + 1)
    return Problem(f"line {line}, column {column}", f"is not TOML: {what}", "correct the syntax there")


class _Layers(BaseSettings):
    model_config = SettingsConfigDict(extra="allow", case_sensitive=True)


def _merged(*sources: PydanticBaseSettingsSource) -> Tree:
    """The sources' trees over one another, the first on top."""

    class Layers(_Layers):
        @classmethod
        def settings_customise_sources(cls, *_: object, **__: object) -> tuple[PydanticBaseSettingsSource, ...]:
            return sources

    return dict(Layers().model_extra or {})


def _judge(tree: Tree, surroundings: Surroundings, override: Overrides) -> tuple[Config | None, list[Problem]]:
    problems = list(override.problems)
    broken: list[str] = []
    mended, tried = tree, set[Loc]()
    for _ in range(_ROUNDS):
        try:
            config = Config.model_validate(mended, context=surroundings)
            break
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
        errors = [e for e in errors if e["type"] != "default_factory_not_called"]
        said = [problem(e, override.origins) for e in errors]
        problems += [p for p in said if not _rests_on(broken, (p.path,))]
        broken += [path for p in said for path in (p.path, *p.also)]
        mended = _mended(mended, errors, tried)
    else:
        return None, problems
    problems += [f for f in findings(config, tree) if not _rests_on(broken, (f.path, *f.also))]
    return config, problems


def _rests_on(broken: list[str], paths: tuple[str, ...]) -> bool:
    return any(overlaps(path, other) for path in paths for other in broken)


def _mended(tree: Tree, errors: list[ErrorDetails], tried: set[Loc]) -> Tree:
    """The tree without its broken keys; a required one gets its example, and if that failed its table goes."""
    tree = deepcopy(tree)
    for loc in sorted({location(e) for e in errors}, key=len, reverse=True):
        for length in range(len(loc), 0, -1):
            if _put_aside(tree, loc[:length], tried):
                break
    return tree


def _put_aside(tree: Tree, place: Loc, tried: set[Loc]) -> bool:
    """Whether the tree can be judged without what was at ``place``, or else its table must go too."""
    last, holder = place[-1], _holder(tree, place)
    if isinstance(last, int):
        return _put_aside_element(holder, last) if place[0] == "routes" and len(place) == 2 else False  # noqa: PLR2004
    if isinstance(holder, dict):
        holder.pop(last, None)
    field = field_of(place)
    if field is None or not field.is_required():
        return True
    if not field.examples or place in tried or not isinstance(holder, dict):
        return False
    tried.add(place)
    holder[last] = field.examples[0]
    return True


def _put_aside_element(routes: Any, index: int) -> bool:
    """Another route takes its place, so that the later ones keep their numbers."""
    if isinstance(routes, list):
        routes[index] = {"match": f"/{index}"}
    return isinstance(routes, list)


def _holder(tree: Tree, loc: Loc) -> Any:
    node: Any = tree
    for part in loc[:-1]:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return None
    return node
