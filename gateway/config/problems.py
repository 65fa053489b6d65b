"""What is wrong with a configuration, said so that its author can mend it.

No text made here quotes a value of the file or of the environment: any of them may be a secret in the wrong
place. The dotted path says where to look.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic_core import PydanticCustomError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: where, what is wrong, what to write instead."""

    path: str
    """Dotted, such as ``routes[2].match``; ``line 3, column 7`` for a syntax error."""
    what: str
    instead: str
    also: tuple[str, ...] = field(default=(), compare=False)
    """Further keys that the statement rests on: if one of them is broken itself, it is not made."""

    def __str__(self) -> str:
        end = "" if self.instead.endswith("?") else "."
        return f"{self.path}: {self.what}. {self.instead[:1].upper()}{self.instead[1:]}{end}"


class ConfigError(Exception):
    """The configuration cannot be used. ``problems`` holds everything that is wrong, not the first thing."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__(file, self.problems)

    def __str__(self) -> str:
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        return "\n".join([f"{self.file}: {count}", *(f"  {problem}" for problem in self.problems)])


def bad(what: str, instead: str) -> PydanticCustomError:
    """The exception with which a validator of ours refuses a value."""
    return PydanticCustomError("config", "{what}", {"what": what, "instead": instead})


def not_built(what: str) -> PydanticCustomError:
    """The refusal of a value that the contract knows and this version does not build."""
    return bad(f"{what} is not built yet", "write a value that docs/configuration.md lists")


def dotted(loc: Iterable[int | str]) -> str:
    """``("routes", 2, "match")`` as ``routes[2].match``; names that need quotes in TOML have them."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            name = part if part.replace("-", "_").isidentifier() or part.isalnum() else f'"{part}"'
            path += f".{name}" if path else name
    return path


def overlaps(one: str, other: str) -> bool:
    """Whether one path is the other, lies within it or contains it."""
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))
