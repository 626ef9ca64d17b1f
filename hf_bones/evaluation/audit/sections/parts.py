"""Figures on parts of the films: where casts, metal and the region cannot help; and each source, view and size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from hf_bones.evaluation.audit.audited import Audited
from hf_bones.evaluation.audit.choices import BREAKS, PARTS
from hf_bones.evaluation.audit.plots import plot_lines
from hf_bones.evaluation.audit.results import Section, Table
from hf_bones.evaluation.audit.sections.sources import stated_values
from hf_bones.evaluation.audit.weighing import figure_words
from hf_bones.evaluation.report.cells import count_cell, few_rows, figure_cell
from hf_bones.evaluation.report.figures import SliceFigures, figures_of, main_figures
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import Slice, break_slices, slices_of
from hf_bones.evaluation.resolution.header_sizes import header_size
from hf_bones.images.opening import ImageRefusedError
from hf_bones.metrics.figures import specificity_suffix
from hf_bones.metrics.headlines import TITLES, figure_name
from hf_bones.pages.text import plain

_KINDS = ("source", "view", "size")
_AUROC, _BALANCED = "auroc_abnormal", "balanced_accuracy"


def breaks_part(audited: Audited) -> Section:
    """By severity, by cast and metal, and within each region."""
    rows = audited.rows
    slices, notes = break_slices(rows)
    worn, missing = _worn(rows)
    tables = [_figures(audited, part) for part in [_all(rows), *slices, *worn]]
    said = _break_words(tables)
    pictures = _picture(tables, audited, "breaks.png") if len(tables) > 1 else {}
    return Section(
        BREAKS,
        "Does it look at the break?",
        "Is it as good where casts, metal and the region cannot help, and better on worse breaks?",
        tuple(said),
        (_table(tables, audited),) if len(tables) > 1 else (),
        pictures,
        (*notes, *missing),
        {"figures": tables},
    )


def parts_part(audited: Audited) -> Section:
    """By source, view and size."""
    rows = audited.rows
    slices = [part for part in slices_of(rows) if part.kind == "source"]
    missing = [] if slices else ["By source: all films are of one source, or none is stated (column `source`)."]
    for found in (_views(audited), _sizes(audited)):
        if isinstance(found, str):
            missing.append(found)
        else:
            slices += found
    every, few = [_figures(audited, part) for part in [_all(rows), *slices]], []
    tables = every[:1]
    for kind in _KINDS:
        own, line = few_rows((table for table in every if table.kind == kind), audited.choices.least_rows, kind, "audit.json")
        tables += own
        few += [line] if line else []
    pictures = _picture(tables, audited, "parts.png") if len(tables) > 1 else {}
    return Section(
        PARTS,
        "By source, view and size",
        "Is it as good everywhere?",
        tuple(_range_words(tables)),
        (_table(tables, audited),),
        pictures,
        (*missing, *few),
        {"figures": every},
    )


def _all(rows: ScoredRows) -> Slice:
    return Slice("all", "all films", np.ones(len(rows.labels), dtype=bool))


def _figures(audited: Audited, part: Slice) -> SliceFigures:
    caught = f"abnormal_at_specificity_{specificity_suffix(audited.choices.specificity)}"
    table = figures_of(audited.rows, part, audited.choices.specificity, audited.resampling)
    return main_figures(table, (_AUROC, _BALANCED, f"sensitivity_{caught}"), (f"caught_{caught}",))


def _worn(rows: ScoredRows) -> tuple[list[Slice], list[str]]:
    """Abnormal films with and without a cast, with and without metal, each against all films of the normal class."""
    normal = rows.labels == rows.normal_id
    unseen = np.ones(len(normal), dtype=bool) if rows.seen.unseen is None else rows.seen.unseen
    slices, missing = [], []
    for word, column, name in (("a cast", rows.casts, "cast"), ("metal", rows.hardware, "hardware")):
        known = np.array([value is not None for value in column or [None] * len(normal)])
        if not (known & ~normal).any():
            missing.append(f"By {word.removeprefix('a ')}: left out, since of no abnormal film it is known (column `{name}`).")
            continue
        there = np.array([bool(value) for value in column or ()])
        for title, own in ((f"abnormal with {word}", there), (f"abnormal without {word}", ~there)):
            if (own & known & ~normal & unseen).any():
                slices.append(Slice("worn", title, (normal | (own & known)) & unseen))
    return slices, missing


def _views(audited: Audited) -> list[Slice] | str:
    values = stated_values(audited.films.rows.part.select(audited.readable.tolist()), "view")
    if values is None:
        return "By view: left out, since no film's view is stated (column `view`)."
    order = [name for name, _ in Counter(values[values != ""].tolist()).most_common()]
    if len(order) < 2:
        return f"By view: left out, since all films of which it is known are {plain(order[0])}."
    return [Slice("view", f"view {name}", values == name) for name in order]


def _sizes(audited: Audited) -> list[Slice] | str:
    """Thirds by the long side of the image as the dataset has it."""
    sides = np.array([_long_side(audited, int(row)) for row in audited.readable])
    known = sides[~np.isnan(sides)]
    if not len(known) or known.min() == known.max():
        return (
            f"By size: left out, since the long side of every image is {known[0]:.0f} px." if len(known) else "By size: no size is known."
        )
    first, second = np.percentile(known, [100 / 3, 200 / 3])
    masks = (sides <= first, (sides > first) & (sides <= second), sides > second)
    return [Slice("size", f"long side {sides[mask].min():.0f} to {sides[mask].max():.0f} px", mask) for mask in masks if mask.any()]


def _long_side(audited: Audited, row: int) -> float:
    try:
        return float(max(header_size(partial(audited.films.read, row))))
    except (ImageRefusedError, OSError):
        return float("nan")


def _table(tables: Sequence[SliceFigures], audited: Audited) -> Table:
    caught = f"abnormal_at_specificity_{specificity_suffix(audited.choices.specificity)}"
    names = audited.scheme.names
    head = ("films", TITLES[_AUROC], TITLES[_BALANCED], figure_name(f"sensitivity_{caught}"), f"n ({' / '.join(map(plain, names))})")
    body = []
    for table in tables:
        abnormal = sum(table.supports.values()) - table.supports[audited.scheme.normal]
        body.append(
            (
                plain(table.name),
                figure_cell(table.figures[_AUROC]),
                figure_cell(table.figures[_BALANCED]),
                count_cell(table.counts[f"caught_{caught}"], table.figures[f"sensitivity_{caught}"], abnormal),
                f"{table.n} ({' / '.join(str(table.supports[name]) for name in names)})",
            )
        )
    return Table(head, tuple(body))


def _picture(tables: Sequence[SliceFigures], audited: Audited, name: str) -> dict[str, str]:
    lines = {table.name: table.figures[_AUROC] for table in tables}
    if all(figure.value is None for figure in lines.values()):
        return {}
    plot_lines({"all": lines}, TITLES[_AUROC], audited.out / name, chance=0.5)
    return {name: "AUROC(abnormal) on each part of the films"}


def _break_words(tables: Sequence[SliceFigures]) -> list[str]:
    found = {table.name: table.figures[_AUROC] for table in tables}
    whole, said = found["all films"], []
    if "bare" in found:
        said.append(
            f"On bare films, which show neither cast nor metal, AUROC(abnormal) is {figure_words(found['bare'])}, on all films "
            f"{figure_words(whole)}."
        )
    if "light breaks" in found and "severe breaks" in found:
        light, severe = found["light breaks"], found["severe breaks"]
        told = f"On light breaks it is {figure_words(light)}, on severe ones {figure_words(severe)}"
        if light.value is not None and severe.value is not None and severe.value <= light.value:
            told += ": worse breaks are not found better, so something else may be read"
        said.append(f"{told}.")
    within = {table.name.removeprefix("within "): table.figures[_AUROC] for table in tables if table.kind == "within region"}
    known = {name: figure for name, figure in within.items() if figure.value is not None and not name.endswith(", bare")}
    if known:
        low, high = (pick(known, key=lambda name: known[name].value or 0.0) for pick in (min, max))
        said.append(
            f"Within one region it is lowest for {plain(low)}, {figure_words(known[low])}"
            + (f", and highest for {plain(high)}, {figure_words(known[high])}." if high != low else ".")
        )
    for word in ("a cast", "metal"):
        own, other = found.get(f"abnormal with {word}"), found.get(f"abnormal without {word}")
        if own is not None and other is not None:
            apart = own.interval and other.interval and own.interval[0] > other.interval[1]
            why = f": {word} goes with a higher score, whatever is broken" if apart else ""
            said.append(f"With {word} on the abnormal films it is {figure_words(own)}, without {figure_words(other)}{why}.")
    return said or [f"AUROC(abnormal) on all films is {figure_words(whole)}; no part of them could be told apart."]


def _range_words(tables: Sequence[SliceFigures]) -> list[str]:
    said, little = [], []
    for kind in _KINDS:
        own = {table.name: table.figures[_AUROC] for table in tables if table.kind == kind}
        known = {name: figure for name, figure in own.items() if figure.interval is not None}
        if len(known) >= 2:
            low, high = (pick(known, key=lambda name: known[name].value or 0.0) for pick in (min, max))
            apart = (known[low].interval or (0, 0))[1] < (known[high].interval or (0, 0))[0]
            said.append(
                f"By {kind}, AUROC(abnormal) is lowest for {plain(low)}, {figure_words(known[low])}, and highest for {plain(high)}, "
                f"{figure_words(known[high])}" + (": the intervals do not touch." if apart else "; the intervals overlap.")
            )
        elif own:
            count = len(known)
            little.append(f"By {kind}, {count or 'none'} of {len(own)} parts has films enough of both kinds for an interval.")
    return [*said, *little] or ["The films are not parted by source, view or size."]
