"""From scored rows to a folder: metrics.json, report.md, report.html, plots and the page of the worst errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hf_bones.evaluation.report.cautions import seen_caution, seen_note
from hf_bones.evaluation.report.decisions import decisions_of
from hf_bones.evaluation.report.figures import CHECKPOINT, Resampling, figures_of, main_figures
from hf_bones.evaluation.report.markdown import Measured, report_text
from hf_bones.evaluation.report.plots import confusion_counts, plot_confusion, plot_reliability, plot_roc
from hf_bones.evaluation.report.results import Evaluation, EvaluationSetup
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import break_slices, slices_of
from hf_bones.evaluation.report.worst import show_errors, worst_rows, write_page, write_sheet
from hf_bones.metrics import CALIBRATION_BINS, SPECIFICITY
from hf_bones.metrics.figures import Floats, specificity_suffix
from hf_bones.pages.reports import write_report
from hf_bones.pages.text import NOTICE
from hf_bones.record import environment, now, write_json

SCHEMA_VERSION = 1
CALIBRATION_KEYS = ("ece", "brier", "log_loss")
# Panels beside each other in one picture; more sources than this stay in the tables.
_MAX_PANELS = 3


def evaluate_probabilities(
    rows: ScoredRows,
    out_dir: str | Path,
    about: EvaluationSetup,
    *,
    baselines: Mapping[str, Floats] | None = None,
    specificity: float = SPECIFICITY,
    resampling: Resampling = Resampling(),  # noqa: B008 - frozen
    least_rows: int = 1,
    worst: int = 40,
) -> Evaluation:
    """Scores `rows` and writes metrics.json, report.md, report.html, confusion.png, roc.png, reliability.png and, where rows have pictures,
    worst_errors.html and worst_errors.png into `out_dir` (made if missing; files of these names are replaced).

    baselines: name → (N, C) probabilities on the same rows, for the same tables. least_rows: in the report, sources and regions of fewer
    rows share one line. worst: at most this many errors on the page; 0: no page.
    Raises ValueError where there are no rows.
    """
    if not len(rows.labels):
        raise ValueError(f"{about.dataset}, split {about.split!r}: no row to score ({len(about.left_out)} left out)")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    parts = list(slices_of(rows))
    models: dict[str, Floats | None] = {CHECKPOINT: None, **(baselines or {})}
    tables = {
        (part.kind, part.name, model): figures_of(rows, part, specificity, resampling, model, scores)
        for part in parts
        for model, scores in models.items()
    }
    break_parts, break_notes = break_slices(rows)
    caught = f"abnormal_at_specificity_{specificity_suffix(specificity)}"
    break_tables = tuple(
        main_figures(figures_of(rows, part, specificity, resampling), ("auroc_abnormal", f"sensitivity_{caught}"), (f"caught_{caught}",))
        for part in break_parts
    )
    warnings = (*seen_caution(rows.seen, about.split, tuple(tables.values())), *about.warnings)
    about = replace(about, warnings=warnings, notes=(*about.notes, *seen_note(rows.seen)))
    panels = [part for part in parts if part.kind in {"all", "source"}][:_MAX_PANELS]
    plot_confusion(rows, panels, folder / "confusion.png")
    with_normal = [part for part in panels if 0 < rows.supports(part.mask)[rows.normal] < part.mask.sum()]
    shown = with_normal or panels[:1]
    plot_roc(rows, [(part, tables[part.kind, part.name, CHECKPOINT]) for part in shown], folder / "roc.png")
    plot_reliability(rows, _versions(rows, about), folder / "reliability.png")
    calibration = {
        name: {key: figures_of(rows, parts[0], specificity, resampling, name, scores).figures[key] for key in CALIBRATION_KEYS}
        for name, scores in _versions(rows, about).items()
    }
    chosen = worst_rows(rows, worst)
    for stale in ("worst_errors.html", "worst_errors.png"):
        (folder / stale).unlink(missing_ok=True)  # a page of an earlier run must not pass for this one's
    shows_errors = rows.image is not None and worst > 0
    if shows_errors:
        errors = show_errors(rows, chosen)
        write_page(rows, errors, folder / "worst_errors.html", f"Worst errors of {about.checkpoint} on {about.split}")
        if chosen:
            write_sheet(rows, errors, folder / "worst_errors.png")
    measured = tuple(tables.values())
    confusions = {f"{part.kind}:{part.name}": confusion_counts(rows, part) for part in parts}
    decided = tuple(decisions_of(rows, resampling))
    found = Measured(rows, about, measured, calibration, specificity, resampling, least_rows, break_tables, tuple(break_notes), decided)
    write_json(folder / "metrics.json", _as_json(found, confusions))
    page = write_report(folder / "report.md", report_text(found, folder, len(chosen)))
    errors_page = folder / "worst_errors.html" if shows_errors else None
    return Evaluation(
        folder / "report.md",
        page,
        folder / "metrics.json",
        errors_page,
        measured,
        about.mirror,
        about.zoom,
        least_rows,
        warnings,
        break_tables,
        rows.seen,
        decided,
    )


def _versions(rows: ScoredRows, about: EvaluationSetup) -> dict[str, Floats]:
    """The probabilities before and after calibration, or the only ones there are."""
    if rows.raw_probabilities is None or not about.calibrated:
        return {"as given" if about.calibrated else "not calibrated": rows.probabilities}
    return {"before calibration": rows.raw_probabilities, "after calibration": rows.probabilities}


def _as_json(found: Measured, confusions: Mapping[str, Any]) -> dict[str, Any]:
    rows, about, seen = found.rows, found.about, found.rows.seen
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": NOTICE,
        "checkpoint": {"name": about.checkpoint, "revision": about.revision, "calibrated": about.calibrated},
        "dataset": {"name": about.dataset, "split": about.split, "sha256": about.dataset_sha256},
        "command": about.command,
        "date": now(),
        "environment": environment(),
        "looks": {"count": about.looks, "recorded_in": about.looks_in},
        "classes": list(rows.names),
        "normal": rows.normal,
        "rows": {"scored": len(rows.labels), "left_out": dict(about.left_out)},
        "notes": list(about.notes),
        "warnings": list(about.warnings),
        "method": {
            **asdict(found.resampling),
            "bootstrap_over": "groups",
            "mirror": about.mirror,
            "zoom": about.zoom,
            "specificity": found.specificity,
            "threshold": "chosen on the same rows",
            "calibration_bins": CALIBRATION_BINS,
            "calibration_binning": "equal width, top label",
        },
        "seen": {"known": seen.how is not None, "learnt": seen.learnt, "chosen": seen.chosen, "rows": len(rows.labels)},
        "slices": [asdict(table) for table in found.tables],
        "break_slices": {"tables": [asdict(table) for table in found.break_tables], "notes": list(found.break_notes)},
        "decisions": [asdict(each) for each in found.decisions],
        "confusion_rows_true": confusions,
        "calibration": {name: {key: asdict(figure) for key, figure in figures.items()} for name, figures in found.calibration.items()},
    }
