"""What an audit finds, apart from who measures it and who writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table of the page; its cells are Markdown. Columns from `right_from` on stand at the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right_from: int | None = None


@dataclass(frozen=True)
class Section:
    """One part of an audit. `asks`: its question, for the top of the part; `said`: sentences made of its figures, the first of which also
    stands at the top of the page; `missing`: what could not be measured, and why. `pictures`: file beside the page → its description.
    `data` goes into audit.json.
    """

    name: str
    title: str
    asks: str
    said: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """What an audit found and wrote: `page` (HTML), `report` (the same in Markdown) and `data` (audit.json)."""

    page: Path
    report: Path
    data: Path
    sections: tuple[Section, ...]
    warnings: tuple[str, ...]
