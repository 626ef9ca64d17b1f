"""The tables of figures in a model card, from metrics.json of an evaluation and from the validation figures of the record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_bones.evaluation.report.cells import count_cell, few_rows_line, figure_cell
from hf_bones.evaluation.report.figures import CHECKPOINT, Figure
from hf_bones.evaluation.report.markdown import views_told
from hf_bones.labels import LabelScheme
from hf_bones.metrics import MIN_ROWS
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
    parts = [part for part in measured.get("slices", []) if part["kind"] in {"all", "source"}]
    few = {str(part["name"]): int(part["n"]) for part in parts if part["kind"] == "source" and part["n"] < MIN_ROWS}
    rows = [_row(part, scheme) for part in parts if part["kind"] == "all" or part["name"] not in few]
    return "\n\n".join(section for section in (text, markdown_table(head, rows), few_rows_line(few, MIN_ROWS, "source")) if section)


def _row(part: Mapping[str, Any], scheme: LabelScheme) -> list[str]:
    figures = {key: _figure(value) for key, value in part["figures"].items()}
    model = "**this model**" if part["model"] == CHECKPOINT else f"baseline: {plain(part['model'])}"
    cells = ["all" if part["kind"] == "all" else f"{plain(part['name'])} only", model, str(part["n"])]
    cells += [figure_cell(figures[key]) if key in figures else "not measured" for key in CARD]
    for name in scheme.names:
        figure = figures.get(f"sensitivity_{name}")
        support = int(part["supports"].get(name, 0))
        cells.append(count_cell(part["counts"].get(f"correct_{name}"), figure, support) if figure else "not measured")
    return cells


def _figure(value: Mapping[str, Any]) -> Figure:
    interval = value.get("interval")
    return Figure(
        value=value["value"],
        interval=None if interval is None else (float(interval[0]), float(interval[1])),
        n=int(value["n"]),
        rests_on=str(value["rests_on"]),
        groups=int(value["groups"]),
        reason=value.get("reason"),
    )


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
