"""Plain data into dataclasses: every value checked against its field's type, every unknown key answered with the nearest known one."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any


class RecipeError(ValueError):
    """A recipe or override that cannot be used; the message names the file, the key and what is wanted."""


def option(default: Any, text: str) -> Any:
    """A dataclass field with a default and its line of help."""
    return field(default=default, metadata={"help": text})


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for an error message: "; did you mean 'epochs'?", or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def dataclass_from_dict(kind: type, data: Mapping[str, Any], source: str) -> Any:
    """A `kind` from plain data. Raises `RecipeError` naming `source`, the key, and the nearest known key or the type wanted."""
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in hints:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(str(key), hints)}; known: {', '.join(hints)}")
        values[key] = checked_value(value, hints[key], f"{source}.{key}")
    return kind(**values)


def plain_type(wanted: Any) -> tuple[Any, bool]:
    """The type that a field's hint asks for, and whether None will do as well."""
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return next(kind for kind in typing.get_args(wanted) if kind is not type(None)), True
    return wanted, False


def checked_value(value: Any, wanted: Any, source: str) -> Any:
    """`value` as the field's type; YAML reads `5e-5` as text, so text that is a number is taken as one."""
    wanted, optional = plain_type(wanted)
    if value is None and optional:
        return None
    if typing.get_origin(wanted) is list and typing.get_args(wanted)[0] is float:
        if not isinstance(value, list) or not value:
            raise RecipeError(f"{source}: expected a list of numbers, got {value!r}")
        return [checked_value(item, float, f"{source}[{place}]") for place, item in enumerate(value)]
    if typing.get_origin(wanted) is list:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise RecipeError(f"{source}: expected a list of words, got {value!r}")
        return list(value)
    if wanted is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    elif wanted is int and isinstance(value, (int, float)) and not isinstance(value, bool) and int(value) == value:
        return int(value)
    elif wanted in (bool, str) and isinstance(value, wanted):
        return value
    raise RecipeError(f"{source}: expected {wanted.__name__}, got {value!r}")
