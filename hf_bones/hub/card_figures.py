"""The tables of figures in a model card, from metrics.json of an evaluation and from the validation figures of the record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_bones.evaluation.drawn_films import RECORD_KEY
from hf_bones.evaluation.report.cells import count_cell, few_rows_line, figure_cell
from hf_bones.evaluation.report.figures import CHECKPOINT, SliceFigures, table_from
from hf_bones.evaluation.report.markdown import break_table, views_told
from hf_bones.evaluation.report.slices import UNSEEN
from hf_bones.evaluation.seen import counted_words
from hf_bones.labels import LabelScheme
from hf_bones.metrics import MIN_ROWS, SPECIFICITY
from hf_bones.metrics.headlines import ALONE, CARD, TITLES, figure_name
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.text import plain


def measured_table(measured: Mapping[str, Any], scheme: LabelScheme) -> str:
    """The rows of metrics.json for all images and for each source apart, the checkpoint first, its baselines after it.

    Raises ValueError where metrics.json is of other classes than the checkpoint.
    """
    if list(measured.get("classes", scheme.names)) != list(scheme.names):
        raise ValueError(f"metrics.json is of classes {measured['classes']}, the checkpoint of {list(scheme.names)}: evaluate it again")
    dataset, method = measured.get("dataset") or {}, measured.get("method") or {}
    level = float(method.get("level", 0.95))
    looks = (measured.get("looks") or {}).get("count")
    text = (
        f"On {plain(Path(str(dataset.get('name') or 'a dataset')).name)}, split `{plain(dataset.get('split') or '?')}`"
        + (f", rows SHA-256 `{str(dataset['sha256'])[:16]}`" if dataset.get("sha256") else "")
        + (f", look number {looks}" if looks else "")
        + f". In brackets: {level * 100:g} % intervals by bootstrap over groups. AUROC(abnormal) scores 1 − P({plain(scheme.normal)})."
        + "".join(f" {told}." for told in views_told(bool(method.get("mirror")), method.get("zoom")))
    )
    head = ["images", "model", "n", *(TITLES[key] for key in CARD), *(plain(figure_name(f"sensitivity_{name}")) for name in scheme.names)]
    parts = [table_from(part) for part in measured.get("slices", []) if part["kind"] in {"all", "source", "unseen"}]
    few = {part.name: part.n for part in parts if part.kind == "source" and part.n < MIN_ROWS}
    rows = [_row(part, scheme) for part in parts if part.kind == "all" or part.name not in few]
    sections = (text, markdown_table(head, rows), few_rows_line(few, MIN_ROWS, "source"), _seen(measured), _break(measured, scheme))
    return "\n\n".join(section for section in sections if section)


def _seen(measured: Mapping[str, Any]) -> str:
    """How many of the films the checkpoint had before, as far as its list says."""
    seen = measured.get("seen") or {}
    if not seen.get("known"):
        return "Whether it learnt from any of these films is not known."
    said = counted_words(int(seen["learnt"]), int(seen["chosen"]), int(seen["rows"]))
    if not said:
        return "By its list of films (seen.npz) it learnt from none of these, nor from a near-duplicate of one."
    without = any(part["kind"] == "unseen" for part in measured.get("slices", []))
    rest = f"The rows “{UNSEEN}” are without them." if without else "None is left without them: read no figure as that of new films."
    return f"**{said}.** {rest}"


def _break(measured: Mapping[str, Any], scheme: LabelScheme) -> str:
    """The table of bare films, within regions and by severity; why some are not there stands in the report."""
    tables = [table_from(part) for part in (measured.get("break_slices") or {}).get("tables", [])]
    if not tables:
        return ""
    specificity = float((measured.get("method") or {}).get("specificity", SPECIFICITY))
    return (
        "Where cast, metal or region cannot help it (bare: neither cast nor metal; breaks of each severity against all "
        f"{plain(scheme.normal)} films):\n\n{break_table(tables, scheme.normal, specificity)}"
    )


def _row(part: SliceFigures, scheme: LabelScheme) -> list[str]:
    model = "**this model**" if part.model == CHECKPOINT else f"baseline: {plain(part.model)}"
    images = {"all": "all", "unseen": plain(part.name)}.get(part.kind, f"{plain(part.name)} only")
    cells = [images, model, str(part.n)]
    cells += [figure_cell(part.figures[key]) if key in part.figures else "not measured" for key in CARD]
    for name in scheme.names:
        figure = part.figures.get(f"sensitivity_{name}")
        counts = part.counts.get(f"correct_{name}")
        cells.append(count_cell(counts, figure, part.supports.get(name, 0)) if figure else "not measured")
    return cells


def validation_table(metrics: Mapping[str, Any], scheme: LabelScheme) -> str:
    """The validation figures of the record, on which the kept weights were chosen."""
    known = {TITLES[key]: metrics[key] for key in CARD if isinstance(metrics.get(key), (int, float))}
    if not known:
        return "On validation images: not measured."
    figures = "; ".join(f"{title} {value:{ALONE}}" for title, value in known.items())
    right = [
        f"{plain(name)} {int(metrics[f'correct_{name}'])} of {int(metrics[f'support_{name}'])}"
        for name in scheme.names
        if all(isinstance(metrics.get(f"{kind}_{name}"), (int, float)) for kind in ("correct", "support"))
    ]
    counts = f" Right: {', '.join(right)}." if right else ""
    return f"On validation images, by which settings and checkpoint were chosen (so they flatter): {figures}.{counts}"


def drawn_sentence(record: Mapping[str, Any]) -> str:
    """How many unselected drawn films were judged as drawn (`evaluation/drawn_films.py`); empty where none were judged."""
    found = record.get(RECORD_KEY)
    if not isinstance(found, Mapping):
        return ""
    right, drawn = found["right"], found["drawn"]
    parts = "; ".join(f"{plain(name)} {right[name]} of {drawn[name]}" for name in drawn)
    return f"Right on {sum(right.values())} of {found['count']} unselected drawn radiographs, by its verdict: {parts}."
