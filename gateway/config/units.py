"""Durations and sizes: text with a unit in the file, float seconds and int bytes once read."""

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from gateway.config.problems import bad

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
LONGEST = 3650 * 86400
"""Seconds. Ten years: more is a slip of the keyboard, and adding it to a date would overflow."""

_DURATION = r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)"
_SIZE = r"([0-9]{1,12})(B|KiB|MiB|GiB)?"


def seconds(value: object) -> float:
    """``"250ms"``, ``"10s"``, ``"5m"``, ``"24h"``, ``"30d"`` as seconds."""
    found = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    if not found:
        raise bad("is not a duration", 'write a number and a unit in quotes, such as "250ms", "10s", "5m" or "30d"')
    length = float(found[1]) * SECONDS[found[2]]
    if length > LONGEST:
        raise bad("is longer than ten years", "write a shorter duration")
    return length


def octets(value: object) -> int:
    """``"32KiB"``, ``"1MiB"``, ``"512B"`` and ``"0"`` as bytes."""
    found = re.fullmatch(_SIZE, value) if isinstance(value, str) else None
    if not found:
        raise bad("is not a size", 'write a number and a unit in quotes: "512B", "32KiB", "1MiB" or "2GiB"')
    return int(found[1]) * BYTES[found[2] or ""]


def duration(*, positive: bool = False, maximum: float = LONGEST) -> BeforeValidator:
    """Reads a duration within bounds (seconds)."""

    def check(value: object) -> float:
        length = seconds(value)
        if positive and length == 0:
            raise bad("is zero, and nothing could happen in that time", 'write a longer duration, such as "10s"')
        if length > maximum:
            raise bad("is too long", f'write "{maximum:g}s" or less')
        return length

    return BeforeValidator(check)


def size(minimum: int) -> BeforeValidator:
    """Reads a size of at least so many bytes."""

    def check(value: object) -> int:
        number = octets(value)
        if number < minimum:
            raise bad("is too small", f'write "{minimum}B" or more')
        return number

    return BeforeValidator(check)


def _schema(pattern: str, kind: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "x-type": kind})


Duration = Annotated[float, duration(), _schema(_DURATION, "duration")]
"""Seconds, zero allowed."""
PositiveDuration = Annotated[float, duration(positive=True), _schema(_DURATION, "duration")]
"""Seconds, above zero."""
Leeway = Annotated[float, duration(maximum=60), _schema(_DURATION, "duration, 60s at most")]
"""Seconds, at most 60 (T11)."""
Size = Annotated[int, size(0), _schema(_SIZE, "size")]
"""Bytes, zero allowed."""
HeaderSize = Annotated[int, size(1024), _schema(_SIZE, "size, 1KiB at least")]
"""Bytes, enough for the smallest browser request."""
