"""Which keys the models have where: for suggestions, and for repairing a file enough to go on judging it."""

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config.model import Config

Loc = tuple[int | str, ...]


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a table as the file writes them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def bare(annotation: Any) -> Any:
    """The annotation without ``Annotated`` and ``None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return bare(next(arg for arg in get_args(annotation) if arg is not type(None)))
    return annotation


def _below(annotation: Any, part: int | str) -> Any:
    kind = bare(annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = keys(kind).get(str(part))
        return field.annotation if field else None
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        return arguments[0]
    return arguments[1] if origin is Mapping else None


def table_of(loc: Sequence[int | str]) -> type[BaseModel] | None:
    """The model of the table that holds the last key of ``loc``; None where no model describes it."""
    annotation: Any = Config
    for part in loc[:-1]:
        annotation = _below(annotation, part)
    kind = bare(annotation)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def field_of(loc: Sequence[int | str]) -> FieldInfo | None:
    """The field at ``loc``, if a model describes it."""
    table = table_of(loc)
    return keys(table).get(str(loc[-1])) if table and loc else None
