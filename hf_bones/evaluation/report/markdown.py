"""The words and tables of report.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_bones.evaluation.report.figures import CHECKPOINT, ENOUGH_GROUPS, MIN_GROUPS, ROUGH, Figure, Resampling, SliceFigures
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.metrics import CALIBRATION_BINS, MIN_ROWS
from hf_bones.metrics.figures import specificity_suffix
from hf_bones.metrics.headlines import IN_CELL, TABLE, TITLES
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.templates import render
from hf_bones.pages.text import NOTICE, bullets, command_point, plain

if TYPE_CHECKING:
    from hf_bones.evaluation.report.results import EvaluationSetup

# Said wherever figures of such an evaluation are shown: they are not those of the checkpoint on upright images.
MIRRORED = "The checkpoint scored each image upright and mirrored left-right (--mirror); its figures are of the mean of the two logits"


def report_text(
    rows: ScoredRows,
    about: EvaluationSetup,
    tables: Sequence[SliceFigures],
    calibration: Mapping[str, Mapping[str, Figure]],
    specificity: float,
    resampling: Resampling,
    folder: Path,
    errors_shown: int,
) -> str:
    """report.md, complete. `folder` is looked into only to link the pictures that are there."""
    level = f"{resampling.level * 100:g} %"
    abnormal = [name for name in rows.names if name != rows.normal]
    sections = [
        f"# {plain(about.checkpoint)} on {plain(about.split)}",
        f"**{NOTICE}**",
        _head(rows, about, tables[0]),
        f"## In short\n\nValue ({level} interval). Sensitivities come with counts.",
        _table(rows, [t for t in tables if t.kind in {"all", "source"}], specificity, with_model=True),
        _shared_source_warning(rows),
        f"## Every figure, all rows\n\n{_every_figure(tables[0], level)}",
    ]
    regions = [table for table in tables if table.kind == "region" and table.model == CHECKPOINT]
    if regions:
        sections += ["## By region", _table(rows, regions, specificity, with_model=False)]
    sections += [
        f"## Calibration\n\n{_calibration(calibration)}\n\n![Reliability diagram](reliability.png)",
        "## Confusion matrix\n\nRows are the true class.\n\n![Confusion matrix](confusion.png)",
        "## ROC curves\n\n![ROC curves](roc.png)",
    ]
    if rows.verdicts is not None:
        sections.append(f"## Verdicts\n\n{_verdicts(rows, rows.verdicts)}")
    if (folder / "worst_errors.html").exists():
        sheet = "\n\n![Contact sheet of the worst errors](worst_errors.png)" if (folder / "worst_errors.png").exists() else ""
        sections.append(f"## Worst errors\n\n[The {errors_shown} worst errors, with pictures](worst_errors.html){sheet}")
    sections.append(_method(rows, abnormal, specificity, resampling))
    return "\n\n".join(section for section in sections if section)


def figure_cell(figure: Figure) -> str:
    """`0.82 (0.78–0.86)`, `0.71 (only 6 rows of beyond_repair)` or `– (no row of healthy)`."""
    if figure.value is None:
        return f"– ({plain(figure.reason)})"
    if figure.interval is None:
        return f"{figure.value:{IN_CELL}} ({plain(figure.reason)})"
    return f"{figure.value:{IN_CELL}} ({_interval(figure)})"


def count_cell(hits: float | None, figure: Figure, support: int, *, with_reason: bool = False) -> str:
    """`72 of 93: 0.77 (0.68–0.85)`; only `5 of 7` where the rows are too few for more.

    Hits that are a mean have a decimal where it is no whole number; `with_reason` says why there is no interval.
    """
    if hits is None or support == 0:
        return f"– ({plain(figure.reason)})" if support else "–"
    counts = f"{hits:.0f} of {support}" if hits == int(hits) else f"{hits:.1f} of {support}"
    if figure.value is None or support < MIN_ROWS:
        return counts
    return f"{counts}: {figure_cell(figure) if figure.interval or with_reason else format(figure.value, IN_CELL)}"


def _interval(figure: Figure) -> str:
    assert figure.interval is not None, "callers have looked"
    return f"{figure.interval[0]:{IN_CELL}}–{figure.interval[1]:{IN_CELL}}{', rough' if (figure.reason or '').startswith(ROUGH) else ''}"


def _head(rows: ScoredRows, about: EvaluationSetup, overall: SliceFigures) -> str:
    classes = ", ".join(f"{count} {plain(name)} in {overall.class_groups[name]}" for name, count in overall.supports.items())
    revision = f" at {plain(about.revision)}" if about.revision else ""
    lines = [
        f"Checkpoint: {plain(about.checkpoint)}{revision}, {'calibrated' if about.calibrated else 'not calibrated'}",
        f"Data: {plain(about.dataset)}, split {plain(about.split)}, SHA-256 {about.dataset_sha256[:16] or 'not given'}",
        f"Rows: {overall.n} in {overall.groups} groups ({classes} groups)",
    ]
    if about.mirror:
        lines.insert(1, MIRRORED)
    if about.left_out:
        reasons = ", ".join(f"{count} {plain(reason)}" for reason, count in Counter(about.left_out.values()).most_common())
        lines.append(f"Left out: {len(about.left_out)} rows ({reasons}); which ones stands in metrics.json")
    if about.looks is not None:
        times = "1 time" if about.looks == 1 else f"{about.looks} times"
        lines.append(f"Looks at {plain(about.split)} so far, this one included: {times}, counted in {plain(about.looks_in)}")
    return bullets([*lines, *command_point(about.command), *map(plain, about.notes)])


def _table(rows: ScoredRows, tables: Sequence[SliceFigures], specificity: float, *, with_model: bool) -> str:
    tag = specificity_suffix(specificity)
    abnormal = [name for name in rows.names if name != rows.normal]
    head = ["rows", *(["model"] if with_model else []), "n", *(TITLES[key] for key in TABLE)]
    head += [f"sensitivity, {plain(name)}" for name in rows.names]
    head += [f"{plain(name)} above the threshold of specificity {specificity:g}" for name in abnormal]
    body = []
    for table in tables:
        counts = " / ".join(str(table.supports[name]) for name in rows.names)
        cells = ["all rows" if table.kind == "all" else plain(table.name), *([table.model] if with_model else [])]
        cells += [f"{table.n} ({counts})", *(figure_cell(table.figures[key]) for key in TABLE)]
        cells += [
            count_cell(table.counts[f"correct_{name}"], table.figures[f"sensitivity_{name}"], table.supports[name]) for name in rows.names
        ]
        cells += [
            count_cell(
                table.counts[f"caught_{name}_at_specificity_{tag}"],
                table.figures[f"sensitivity_{name}_at_specificity_{tag}"],
                table.supports[name],
            )
            for name in abnormal
        ]
        body.append(cells)
    return f"n is the number of rows ({' / '.join(plain(name) for name in rows.names)}).\n\n{markdown_table(head, body)}"


def _shared_source_warning(rows: ScoredRows) -> str:
    """Says so where some sources lack a class: then the source alone tells part of the answer."""
    lacking = []
    for source in sorted(set(rows.sources)):
        labels = {int(label) for label, own in zip(rows.labels, rows.sources, strict=True) if own == source}
        missing = [name for index, name in enumerate(rows.names) if index not in labels]
        if missing:
            lacking.append(f"{plain(source or 'not stated')} has no {' and no '.join(plain(name) for name in missing)}")
    if not lacking or len(set(rows.sources)) < 2:
        return ""
    return (
        f"Sources do not hold the same classes ({'; '.join(lacking)}), so a model can score on all rows by telling sources apart. "
        "Read the rows of each source on their own."
    )


def _every_figure(table: SliceFigures, level: str) -> str:
    body = []
    for key, figure in table.figures.items():
        interval = f"{figure.interval[0]:.3f}–{figure.interval[1]:.3f}" if figure.interval else "–"
        value = "–" if figure.value is None else f"{figure.value:.3f}"
        body.append([plain(key), value, interval, f"{figure.n} ({plain(figure.rests_on)})", str(figure.groups), plain(figure.reason or "")])
    return markdown_table(["figure", "value", f"{level} interval", "scarcest rows it rests on", "groups", "remark"], body)


def _calibration(calibration: Mapping[str, Mapping[str, Figure]]) -> str:
    head = ["probabilities", f"ECE ({CALIBRATION_BINS} bins of equal width, top label)", "Brier (0 to 2)", "log loss (nats)"]
    return markdown_table(head, [[name, *(figure_cell(figure) for figure in figures.values())] for name, figures in calibration.items()])


def _verdicts(rows: ScoredRows, verdicts: Sequence[str]) -> str:
    kinds = sorted(set(verdicts), key=lambda v: (rows.names.index(v) if v in rows.names else len(rows.names), v))
    body = []
    for index, name in enumerate(rows.names):
        own = Counter(verdict for verdict, label in zip(verdicts, rows.labels, strict=True) if label == index)
        body.append([plain(name), *(str(own[kind]) for kind in kinds)])
    return "What the predictor says, by true class. The figures above go by probabilities, whatever the verdict.\n\n" + markdown_table(
        ["true class", *map(plain, kinds)], body
    )


def _method(rows: ScoredRows, abnormal: Sequence[str], specificity: float, resampling: Resampling) -> str:
    limits = {"min_rows": MIN_ROWS, "min_groups": MIN_GROUPS, "enough_groups": ENOUGH_GROUPS}
    template = "evaluation/report/method.md.j2"
    return render(template, normal=rows.normal, abnormal=abnormal, specificity=specificity, resampling=resampling, **limits)
