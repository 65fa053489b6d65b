"""Plain values as TOML has them, strictly: no text for a number, no number for a text.

The environment has only text. ``FromEnvironment`` marks such text, and numbers and truth values are read
from it; the same text in the file is refused.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.config.problems import bad, not_built

MANY = 1_000_000
"""More connections, waiters or records than one process can hold are a slip of the keyboard."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class FromEnvironment(str):
    """Text that an environment variable set; ``scalars`` and ``secrets`` treat it differently from the file's."""

    __slots__ = ()


class Section(BaseModel):
    """A table of the file: immutable, no unknown keys, defaults written as in the file."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def default(value: Any, **facts: Any) -> Any:
    """A key's default as one would write it in the file (``"10s"``); typed Any, since it is not the result."""
    return Field(value, **facts)


def required(example: str) -> Any:
    """A key without a default. The example goes into the reference and into the message when it is missing."""
    return Field(examples=[example])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise bad("is not text", "put it in quotes")
    if _CONTROL.search(value):
        raise bad("holds a control character", "take it out")
    return str(value)


def _name(value: object) -> str:
    text = _text(value)
    if not text:
        raise bad("is empty", "write a value, or take the key out")
    return text


def _boolean(value: object) -> bool:
    if isinstance(value, FromEnvironment) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise bad("is neither true nor false", "write true or false, without quotes")
    return value


def whole(minimum: int, maximum: int) -> BeforeValidator:
    """Accepts whole numbers between two bounds, both included."""

    def check(value: object) -> int:
        if isinstance(value, FromEnvironment) and re.fullmatch(r"[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise bad("is not a whole number", f"write one from {minimum} to {maximum}, without quotes")
        if not minimum <= value <= maximum:
            raise bad("is out of range", f"write a whole number from {minimum} to {maximum}")
        return value

    return BeforeValidator(check)


def between(minimum: int, maximum: int) -> WithJsonSchema:
    """The schema of ``whole``."""
    return WithJsonSchema({"type": "integer", "minimum": minimum, "maximum": maximum})


def _rate(value: object) -> float:
    if isinstance(value, FromEnvironment) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad("is not a number", "write one above 0, without quotes")
    if not 0 < value <= MANY:  # also false for nan
        raise bad("is out of range", "write a number above 0 and up to 1000000")
    return float(value)


def one_of(*values: str, later: tuple[str, ...] = (), never: Mapping[str, str] | None = None) -> BeforeValidator:
    """Accepts the values; names those that are not built yet, and those refused for a reason, as what they are."""

    def check(value: object) -> str:
        if isinstance(value, str) and value in later:
            raise not_built(f'"{value}"')
        if isinstance(value, str) and never and value in never:
            raise bad(f'"{value}" is refused: {never[value]}', f"write one of {', '.join(values)}")
        if not isinstance(value, str) or value not in values:
            quoted = ", ".join(f'"{v}"' for v in values)
            raise bad("is not an accepted value", f"write {'one of ' * (len(values) > 1)}{quoted}")
        return str(value)

    return BeforeValidator(check)


def listed(example: str) -> BeforeValidator:
    """Accepts only a list; text is not taken for a list of its letters."""

    def check(value: object) -> object:
        if not isinstance(value, list | tuple):
            raise bad("is not a list", f"write {example} (in the environment as JSON)")
        return value

    return BeforeValidator(check)


def _one_or_more(value: object) -> object:
    if isinstance(value, str) and value.startswith("["):
        raise bad(
            "looks like a list and is not one", 'write a text, or a list: ["api"] (in the environment as JSON)'
        )
    return (value,) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_text)]
"""Text, possibly empty, without control characters."""
Name = Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": "string", "minLength": 1})]
"""Text that is not empty."""
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Count = Annotated[int, whole(1, MANY), between(1, MANY)]
CountOrZero = Annotated[int, whole(0, MANY), between(0, MANY)]
Rate = Annotated[float, BeforeValidator(_rate), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
"""How many a second."""
# The validator written last is the first to run.
Names = Annotated[
    tuple[Name, ...],
    listed('["api"]'),
    BeforeValidator(_one_or_more),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "x-type": "text or list"}
    ),
]
"""One text or a list of them."""

K = TypeVar("K")
V = TypeVar("V")
_freeze: Callable[[Mapping[Any, Any]], Mapping[Any, Any]] = MappingProxyType
Frozen = Annotated[Mapping[K, V], AfterValidator(_freeze)]
"""A table with free keys; read-only once it is read."""
