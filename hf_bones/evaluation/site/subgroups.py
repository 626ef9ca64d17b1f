"""Figures of parts of a site's films: one for each value of each column that has few."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hf_bones.evaluation.report.figures import Figure, Resampling, figures_of
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import Slice
from hf_bones.evaluation.site.operating import Share, operating_shares
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.figures import SPECIFICITY, Ints

MOST = 12  # values of a column that makes subgroups
SMALL = 30  # films: with fewer, a subgroup is marked
NOT_STATED = "not stated"
_AGES = ((18, "under 18"), (40, "18 to 39"), (65, "40 to 64"), (np.inf, "65 and over"))
# Never a subgroup: what may name a person.
_PERSONAL = re.compile(r"(?<!model)(?<!model[ _.])name$|birth|\bdob\b|mrn|accession|uid$|address|phone|e-?mail|insurance", re.IGNORECASE)
_AGE = re.compile(r"(patient[_ ]?)?age([_ ]?(years|in[_ ]years))?", re.IGNORECASE)


@dataclass(frozen=True)
class Subgroup:
    """The films with one value of a column: AUROC(abnormal) and shares at the shipped decision. small: few films, or few of a side."""

    column: str
    value: str
    n: int
    abnormal: int
    small: bool
    auroc: Figure
    shares: Mapping[str, Share]


def grouping_columns(columns: Mapping[str, Sequence[str]], keep: Sequence[int]) -> tuple[dict[str, list[str]], list[str]]:
    """The columns that make subgroups, each with a word for each film of `keep`, and why the others make none.

    A column makes subgroups when it has 2 to `MOST` values. One of more values that are all numbers is cut: an age in years at 18, 40 and
    65, anything else at its quartiles.
    """
    found, passed = {}, []
    for name, every in columns.items():
        if _PERSONAL.search(name):
            passed.append(f"{name} (it may name a person)")
            continue
        cells = [every[index] for index in keep]
        values = {cell for cell in cells if cell}
        numbers = _numbers(values) if len(values) > MOST or _AGE.fullmatch(name) else None
        if numbers is not None and len(values) > 1:
            found[name] = _cut(name, cells, numbers)
        elif not 2 <= len(values) <= MOST:
            passed.append(f"{name} ({'no value' if not values else 'one value' if len(values) == 1 else f'{len(values)} values'})")
        else:
            found[name] = [cell or NOT_STATED for cell in cells]
    return found, passed


def subgroup_figures(
    rows: ScoredRows, calls: Ints, columns: Mapping[str, Sequence[str]], resampling: Resampling, specificity: float = SPECIFICITY
) -> list[Subgroup]:
    """Figures of each value of each column (name → a word for each row), largest first within a column."""
    abnormal = rows.labels != rows.normal_id
    found = []
    for column, cells in columns.items():
        values = np.array(cells, dtype=object)
        for value in sorted(set(cells), key=lambda each: (-int((values == each).sum()), each)):
            mask = np.asarray(values == value, dtype=bool)
            groups = [group for group, inside in zip(rows.groups, mask, strict=True) if inside]
            table = figures_of(rows, Slice("subgroup", f"{column}: {value}", mask), specificity, resampling)
            shares = operating_shares(abnormal[mask], calls[mask], groups, resampling)
            many = int(abnormal[mask].sum())
            small = bool(mask.sum() < SMALL or min(many, mask.sum() - many) < MIN_ROWS)
            found.append(Subgroup(column, value, int(mask.sum()), many, small, table.figures["auroc_abnormal"], shares))
    return found


def standing_out(
    found: Sequence[Subgroup], overall: Mapping[str, Share], keys: Sequence[str] = ("sensitivity", "specificity")
) -> list[str]:
    """A sentence for each subgroup whose interval lies wholly below or above the value of all films."""
    said = []
    for each in found:
        for key in keys:
            whole, own = overall[key].figure.value, each.shares[key].figure
            if whole is None or own.interval is None or own.interval[0] <= whole <= own.interval[1]:
                continue
            way = "lower" if own.interval[1] < whole else "higher"
            said.append(
                f"{key} is {way} where {each.column} is {each.value}: {own.value:.2f} "
                f"({own.interval[0]:.2f}–{own.interval[1]:.2f}), against "
                f"{whole:.2f} of all films."
            )
    return said


def _numbers(values: set[str]) -> dict[str, float] | None:
    """Each cell as a number; None where one is none. A year with a Y behind it, as DICOM writes ages, counts."""
    found = {}
    for value in values:
        text = re.sub(r"^0*(\d+)[Yy]$", r"\1", value).replace(",", ".")
        try:
            found[value] = float(text)
        except ValueError:
            return None
    return found if all(np.isfinite(list(found.values()))) else None


def _cut(name: str, cells: Sequence[str], numbers: Mapping[str, float]) -> list[str]:
    """The range that each cell falls into."""
    if _AGE.fullmatch(name):
        return [next(word for limit, word in _AGES if numbers[cell] < limit) if cell else NOT_STATED for cell in cells]
    given = [numbers[cell] for cell in cells if cell]
    edges = sorted({float(edge) for edge in np.percentile(given, [25, 50, 75])})
    words = [
        f"up to {edges[0]:g}",
        *(f"over {low:g} to {high:g}" for low, high in itertools.pairwise(edges)),
        f"over {edges[-1]:g}",
    ]
    return [words[int(np.searchsorted(edges, numbers[cell]))] if cell else NOT_STATED for cell in cells]
