"""JSON from strangers: one reading or none (RFC 8259, RFC 7519 §4), and JSON Pointer (RFC 6901)."""

import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, NoReturn


class Missing(Enum):
    """The type of ``MISSING``, which JSON's own ``null`` is not."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_ESCAPE = re.compile(r"~(?![01])")


def parse(data: bytes) -> object:
    """The value that ``data`` says.

    Refuses what two parsers read differently: a name given twice, NaN and Infinity, text that is not UTF-8,
    half of a surrogate pair, nesting beyond the interpreter's stack.

    Raises:
        ValueError: the bytes are no such JSON. Its text quotes nothing of them.
    """
    try:
        value: object = _DECODER.decode(data.decode())
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("not strict JSON") from None
    return value


def resolve(document: object, pointer: str) -> object:
    """The value at ``pointer``, or ``MISSING``.

    Raises:
        ValueError: ``pointer`` is no JSON Pointer.
    """
    found: object = document
    for part in split_pointer(pointer):
        if isinstance(found, Mapping):
            found = found.get(part, MISSING)
        elif isinstance(found, Sequence) and not isinstance(found, str) and _ARRAY_INDEX.fullmatch(part):
            found = found[int(part)] if int(part) < len(found) else MISSING
        else:
            return MISSING
    return found


def split_pointer(pointer: str) -> list[str]:
    """The reference tokens of a JSON Pointer, unescaped (RFC 6901 §4).

    Raises:
        ValueError: it neither is empty nor starts with ``/``, or has a ``~`` that is no ``~0`` or ``~1``.
    """
    if pointer and not pointer.startswith("/"):
        raise ValueError("a JSON Pointer is empty or starts with '/'")
    if _BAD_ESCAPE.search(pointer):
        raise ValueError("in a JSON Pointer '~' is written '~0'")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is given twice")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_refuse_constant)
