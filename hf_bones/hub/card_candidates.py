"""How a card says which finished candidates its model was chosen from: a table that the record has under `candidates`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_bones.metrics.headlines import ALONE
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.text import plain

RECORD_KEY = "candidates"


def candidates_table(record: Mapping[str, Any]) -> str:
    """Measures down, candidates across, those that chose marked; empty where the record has none.

    `names` of the candidates, the measures `chosen_by`, `rows` of a measure, its n, and a value and an interval (or null) a candidate, and,
    where two were compared film by film, the `difference` (measure, value, interval).
    """
    found = record.get(RECORD_KEY)
    if not isinstance(found, Mapping):
        return ""
    rows = []
    for row in found["rows"]:
        marked = f"**{plain(row['measure'])}**" if row["measure"] in found["chosen_by"] else plain(row["measure"])
        cells = [_cell(value, interval) for value, interval in zip(row["values"], row["intervals"], strict=True)]
        rows.append([marked, str(row["n"]), *cells])
    table = markdown_table(["figure", "n", *map(plain, found["names"])], rows)
    gained = found.get("difference")
    if not gained:
        return table
    value, (low, high) = gained["value"], gained["interval"]
    return f"{table}\n\n{plain(gained['measure'])}: {value:+{ALONE}} ({low:+{ALONE}} to {high:+{ALONE}}), film by film."


def _cell(value: float, interval: list[float | None] | None) -> str:
    if not interval or None in interval:
        return f"{value:{ALONE}}"
    low, high = interval
    return f"{value:{ALONE}} ({low:{ALONE}}–{high:{ALONE}})"
