"""Parts of the rows: all, by source, by region, those never seen, and those that tell whether a model looks at the break.

A model that reads casts, metal or the region scores well on all rows together and less well where these cannot help it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_bones.evaluation.report.rows import NOT_STATED, ScoredRows
from hf_bones.metrics import MIN_ROWS
from hf_bones.pages.text import plain

Mask = npt.NDArray[np.bool_]
UNSEEN = "not seen in training"
BARE = "bare"
# Grades of severity lie anywhere in [0, 1]: light is below the first, severe from the second on.
LIGHT_BELOW, SEVERE_FROM = 0.4, 0.75
BREAK_KINDS = ("bare", "within region", "severity")
_NAMED = 8  # regions that are named in their one sentence


@dataclass(frozen=True, eq=False)
class Slice:
    """A named part of the rows. `kind` is "all", "source", "region", "unseen", or one of `BREAK_KINDS`."""

    kind: str
    name: str
    mask: Mask

    @property
    def title(self) -> str:
        return "all rows" if self.kind == "all" else self.name


def slices_of(rows: ScoredRows) -> Iterator[Slice]:
    """All rows; those never seen, where some were; then, where there is more than one, each source and each region, largest first."""
    yield Slice("all", "all", np.ones(len(rows.labels), dtype=bool))
    unseen = unseen_of(rows)
    if unseen is not None:
        yield Slice("unseen", UNSEEN, unseen)
    for kind, column in (("source", rows.sources), ("region", rows.regions)):
        values = np.array([value or NOT_STATED for value in column], dtype=object)
        found = sorted(set(values), key=lambda value: (-int((values == value).sum()), value))
        if len(found) > 1:
            for value in found:
                mask = np.asarray(values == value, dtype=bool)
                yield Slice(kind, str(value), mask)
                if kind == "source" and unseen is not None and 0 < (mask & unseen).sum() < mask.sum():
                    yield Slice("unseen", f"{value}, {UNSEEN}", mask & unseen)


def unseen_of(rows: ScoredRows) -> Mask | None:
    """(N,) the rows that the model never had, where it had some of them and not all; else None."""
    unseen = rows.seen.unseen
    return unseen if unseen is not None and unseen.any() and not unseen.all() else None


def break_slices(rows: ScoredRows) -> tuple[list[Slice], list[str]]:
    """The parts that tell whether a model looks at the break, and a sentence on each kind that is left out, with why.

    *bare*: abnormal films known to show neither cast nor metal, against healthy ones that are not known to show either. *within region*:
    one region at a time, of at least ten healthy and ten abnormal films, and its bare films. *severity*: abnormal films of one grade,
    against all healthy ones. Rows that the model had seen are in none of them, unless it had seen all.
    """
    unseen = unseen_of(rows)
    taken = np.ones(len(rows.labels), dtype=bool) if unseen is None else unseen
    healthy, abnormal = taken & (rows.labels == rows.normal_id), taken & (rows.labels != rows.normal_id)
    if not healthy.any() or not abnormal.any():
        lacking = rows.normal if not healthy.any() else "abnormal"
        return [], [f"Bare, within region, by severity: left out, since no {lacking} film is among the rows."]
    bare, why = _bare(rows, healthy, abnormal)
    slices = [] if bare is None else [Slice("bare", BARE, bare)]
    regions, few = _regions(rows, healthy, abnormal, bare)
    severities, ungraded = _severities(rows, healthy, abnormal)
    return [*slices, *regions, *severities], [sentence for sentence in (why, few, ungraded) if sentence]


def bare_films(healthy: Mask, abnormal: Mask, hardware: Sequence[bool | None], casts: Sequence[bool | None]) -> Mask:
    """(N,) the bare films: abnormal ones known to show neither cast nor metal, and healthy ones that are not known to show either.

    Whether a healthy limb is in a cast is seldom written down, and casts stand on broken ones.
    """
    return ~_either(casts, hardware, True) & (healthy | (abnormal & ~_either(casts, hardware, None)))


def _either(casts: Sequence[bool | None], hardware: Sequence[bool | None], value: bool | None) -> Mask:
    """(N,) where the one or the other is `value`."""
    return np.array([cast is value or metal is value for cast, metal in zip(casts, hardware, strict=True)], dtype=bool)


def _bare(rows: ScoredRows, healthy: Mask, abnormal: Mask) -> tuple[Mask | None, str]:
    casts, hardware = rows.casts, rows.hardware
    if casts is None or _all_unknown(casts, abnormal):
        return None, "Bare: left out, since the dataset says of no abnormal film whether it shows a cast (column `cast`)."
    if hardware is None or _all_unknown(hardware, abnormal):
        return None, "Bare: left out, since the dataset says of no abnormal film whether it shows metal (column `hardware`)."
    bare = bare_films(healthy, abnormal, hardware, casts)
    if not (bare & abnormal).any():
        return None, "Bare: left out, since every abnormal film of which it is known shows a cast or metal."
    if not (bare & healthy).any():
        return None, "Bare: left out, since every healthy film shows a cast or metal."
    unknown = _either(casts, hardware, None) & ~_either(casts, hardware, True)
    without, guessed = int((abnormal & unknown).sum()), int((healthy & unknown).sum())
    told = [f"{without} abnormal films are left out, of which it is not known whether they show a cast or metal"] if without else []
    told += [f"of {guessed} of its healthy films it is not known, and they are taken as showing none"] if guessed else []
    return bare, f"Bare: {'; '.join(told)}." if told else ""


def _all_unknown(column: Sequence[bool | None], abnormal: Mask) -> bool:
    return all(value is None for value, wanted in zip(column, abnormal, strict=True) if wanted)


def _regions(rows: ScoredRows, healthy: Mask, abnormal: Mask, bare: Mask | None) -> tuple[list[Slice], str]:
    stated = [value for value in dict.fromkeys(rows.regions) if value and value != "unknown"]
    if len(stated) < 2:
        return [], "Within region: left out, since " + ("all films are of one region." if stated else "no film's region is stated.")
    slices, few = [], []
    values = np.array(rows.regions, dtype=object)
    for region in sorted(stated, key=lambda name: (-int((values == name).sum()), name)):
        own = np.asarray(values == region, dtype=bool) & (healthy | abnormal)
        if not _enough(own, healthy, abnormal):
            few.append(region)
            continue
        slices.append(Slice("within region", f"within {region}", own))
        if bare is not None and _enough(own & bare, healthy, abnormal) and (own & bare).sum() < own.sum():
            slices.append(Slice("within region", f"within {region}, bare", own & bare))
    if not few:
        return slices, ""
    more = ", …" if len(few) > _NAMED else ""
    return (
        slices,
        f"Within region: fewer than {MIN_ROWS} healthy or {MIN_ROWS} abnormal films of {', '.join(map(plain, few[:_NAMED]))}{more}.",
    )


def _enough(part: Mask, healthy: Mask, abnormal: Mask) -> bool:
    return int((part & healthy).sum()) >= MIN_ROWS and int((part & abnormal).sum()) >= MIN_ROWS


def _severities(rows: ScoredRows, healthy: Mask, abnormal: Mask) -> tuple[list[Slice], str]:
    grades = np.full(len(rows.labels), np.nan) if rows.severities is None else np.asarray(rows.severities, dtype=np.float64)
    graded = abnormal & ~np.isnan(grades)
    if not graded.any():
        return [], "By severity: left out, since no abnormal film has a `severity`."
    with np.errstate(invalid="ignore"):
        kinds = {
            "light": grades < LIGHT_BELOW,
            "middle": (grades >= LIGHT_BELOW) & (grades < SEVERE_FROM),
            "severe": grades >= SEVERE_FROM,
        }
    slices = [Slice("severity", f"{name} breaks", healthy | (graded & own)) for name, own in kinds.items() if (graded & own).any()]
    without = int(abnormal.sum() - graded.sum())
    return slices, f"By severity: {without} abnormal films without a grade are left out." if without else ""
