"""Plain data into dataclasses: each value checked against its type, range and choices, each unknown key answered with the nearest."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
Reader = Callable[[Any, str], Any]
"""Makes a value of plain data; given that and how messages call it."""

REMOVED = {"teacher_size": "each teacher sees images at its own size"}
"""Keys that recipes once had, and what holds in their place."""

log = logging.getLogger(__name__)


class RecipeError(ValueError):
    """A recipe or override that cannot be used; the message names the file, the key and what is wanted."""


def option(default: Any, help: str, within: str = "", choices: tuple[Any, ...] = ()) -> Any:
    """A dataclass field with a default and, in its metadata, its `help`, the interval it lies `within` ("[0, 1)") and its `choices`.

    With both, either will do. A choice "last:K" stands for "last:1", "last:2" and so on. Of a list, each item is checked; None never is.
    """
    metadata = {"help": help, "within": within, "choices": choices}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class Checked:
    """A dataclass of options that is checked when made: `RecipeError`, naming the key, for a value out of range or no choice."""

    def __post_init__(self) -> None:
        made: Any = self
        for key in dataclasses.fields(made):
            check_value(getattr(made, key.name), key.metadata, key.name)


def check_value(value: Any, metadata: Mapping[str, Any], source: str) -> None:
    """Raises `RecipeError` for a value out of the range and none of the choices of an option's metadata."""
    if isinstance(value, list):
        for item in value:
            check_value(item, metadata, source)
    elif value is not None and (wanted := _wanted(metadata)):
        interval, choices = metadata["within"], metadata["choices"]
        if not (interval and within(value, interval)) and not any(_is_choice(value, choice) for choice in choices):
            raise RecipeError(f"{source}: expected {wanted}, got {value!r}{nearest(str(value), map(str, choices))}")


def within(value: float, interval: str) -> bool:
    """Whether a number lies in an interval such as "[0, 1)"."""
    low, high = (float(end.replace("∞", "inf")) for end in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    return above and below and not math.isnan(value)


def _is_choice(value: Any, choice: Any) -> bool:
    if isinstance(choice, str) and choice.endswith(":K"):
        return re.fullmatch(rf"{re.escape(choice[:-1])}[1-9]\d*", str(value)) is not None
    return bool(value == choice)


def _wanted(metadata: Mapping[str, Any]) -> str:
    said = [str(choice) for choice in metadata.get("choices", ())]
    if metadata.get("within"):
        said.append(f"a number in {metadata['within']}")
    return " or ".join(filter(None, [", ".join(said[:-1]), *said[-1:]]))


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for an error message: "; did you mean 'epochs'?", or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def dataclass_from_dict(
    kind: type[T], data: object, source: str, separator: str = ".", read: Mapping[str, Reader] = MappingProxyType({})
) -> T:
    """A `kind` from plain data, dataclasses within it too; `read` reads the keys that are more than a value of their field's type.

    Keys that were taken out of recipes (`REMOVED`) are passed over with a warning. Raises `RecipeError` naming `source`, after a
    `separator` the key, and the nearest known key or what is wanted.
    """
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in checked_mapping(data, source, "keys to values").items():
        where = f"{source}{separator}{key}"
        if is_removed(key, where):
            continue
        if key not in hints:
            raise RecipeError(f"{source}: unknown key {key!r}{nearest(str(key), hints)}; known: {', '.join(hints)}")
        values[key] = read[key](value, where) if key in read else checked_value(value, hints[key], where)
    if missing := [repr(key.name) for key in dataclasses.fields(kind) if key.name not in values and _is_required(key)]:
        raise RecipeError(f"{source}: needs {' and '.join(missing)}")
    try:
        return kind(**values)
    except RecipeError as error:
        raise RecipeError(f"{source}{separator}{error}") from None


def is_removed(key: str, where: str) -> bool:
    """Whether recipes once had this key; warns, naming `where` it stands, that it is ignored."""
    if key in REMOVED:
        log.warning("%s is ignored: this key was removed; %s", where, REMOVED[key])
    return key in REMOVED


def _is_required(key: dataclasses.Field[Any]) -> bool:
    return key.default is dataclasses.MISSING and key.default_factory is dataclasses.MISSING


def text_of(value: Any, _where: str) -> str:
    """A `Reader` of names and descriptions, which may look like numbers; without spaces around them."""
    return "" if value is None else str(value).strip()


def checked_mapping(data: object, source: str, of: str) -> Mapping[str, Any]:
    """Plain data that must be a mapping `of` something; one without any entries is None in YAML."""
    if not isinstance(data, Mapping | None):
        raise RecipeError(f"{source}: expected a mapping of {of}, got {data!r}")
    return data or {}


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
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return dataclass_from_dict(wanted, value, source)
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
    raise RecipeError(f"{source}: expected {'true or false' if wanted is bool else wanted.__name__}, got {value!r}")
