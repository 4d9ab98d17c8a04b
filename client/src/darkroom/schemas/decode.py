"""JSON into frozen dataclasses, by their types. Unknown fields are ignored; optional ones may be absent."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from darkroom.errors import Problem, UnexpectedAnswer

T = TypeVar("T")


def decode(kind: type[T], value: object) -> T:
    """Raises UnexpectedAnswer where a required field is absent or a value has another type."""
    try:
        return cast(T, _decoded(kind, value, kind.__name__))
    except (TypeError, ValueError) as error:
        raise UnexpectedAnswer(f"The service answered something else than expected: {error}") from error


def json_name(field: Field[Any]) -> str:
    """The name in JSON: a field that is called like a keyword of Python ends with `_`."""
    return field.name.rstrip("_")


def _decoded(kind: Any, value: Any, place: str) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        return _optional(get_args(kind), value, place)
    if origin is tuple:
        item = get_args(kind)[0]
        return tuple(
            _decoded(item, each, f"{place}[{index}]") for index, each in enumerate(_checked(list, value, place))
        )
    if origin is not None:
        item = get_args(kind)[1]
        return {key: _decoded(item, each, f"{place}.{key}") for key, each in _checked(dict, value, place).items()}
    if kind is Problem:
        return Problem.of(_checked(dict, value, place))
    if is_dataclass(kind):
        return _dataclass(kind, _checked(dict, value, place), place)
    if kind is datetime:
        return datetime.fromisoformat(_checked(str, value, place).replace("Z", "+00:00"))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _checked(kind, value, place)


def _optional(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    (kind,) = [each for each in kinds if each is not NoneType]
    return None if value is None else _decoded(kind, value, place)


def _dataclass(kind: Any, value: Mapping[str, Any], place: str) -> Any:
    given = {}
    for field, hint in _fields(kind):
        name = json_name(field)
        if name in value:
            given[field.name] = _decoded(hint, value[name], f"{place}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise TypeError(f"{place} has no {name}.")
    return kind(**given)


@cache
def _fields(kind: Any) -> tuple[tuple[Field[Any], Any], ...]:
    # The names of the module alone: a field called `bytes` must not hide the type.
    hints = get_type_hints(kind, vars(sys.modules[kind.__module__]), {})
    return tuple((field, hints[field.name]) for field in fields(kind) if not field.metadata.get("local"))


def _checked(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{place} is {type(value).__name__}, not {kind.__name__}.")
    return value
