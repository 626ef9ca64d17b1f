"""What a command asks for, as fields of a dataclass: `cli/commands.py` makes the options of `hf-bones` from them."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def choice(default: Any, help: str, *, name: str | None = None, metavar: str | None = None, least: float | None = None) -> Any:
    """A field with its default and line of help. `name`: of the option, where it is not the field's. `metavar` stands for the value in
    `--help`; one that ends with "…" takes several words, whole numbers where it is "N…". `least`: the smallest number taken."""
    return field(default=default, metadata={"help": help, "name": name, "metavar": metavar, "least": least})
