"""What a local validation leaves in its folder: the report, site.json, a row for each film, plots, the refitted decision, questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hf_bones.evaluation.decision_curve import plot_decision_curve
from hf_bones.evaluation.report.plots import plot_confusion, plot_reliability, plot_roc
from hf_bones.evaluation.report.slices import Slice
from hf_bones.evaluation.report.worst import show_errors, worst_rows, write_sheet
from hf_bones.evaluation.site.claim import answers as claim
from hf_bones.evaluation.site.drift.comparison import KEY, SCHEMA_VERSION, Comparison
from hf_bones.evaluation.site.operating import SHARES
from hf_bones.evaluation.site.plots import plot_subgroups
from hf_bones.evaluation.site.refit import Refit, write_site_decision
from hf_bones.evaluation.site.report import in_short, report_text
from hf_bones.evaluation.site.results import Measured, SiteFindings, SiteRun
from hf_bones.inference.decision import FILE_NAME as DECISION_FILE
from hf_bones.inference.decision import DecisionRule
from hf_bones.pages.reports import write_report
from hf_bones.pages.tables import write_csv
from hf_bones.pages.text import NOTICE
from hf_bones.record import environment, now, sha256_rows, write_json

PLOTS = ("confusion.png", "roc.png", "reliability.png", "decision_curve.png", "subgroups.png", "worst_errors.png")


def site_data(found: SiteFindings, kept: Mapping[str, Any]) -> dict[str, Any]:
    """site.json: every figure, and under `baseline` what a later run is compared with. It names no film and no patient."""
    films, measured, setup = found.films, found.measured, found.setup
    reasons = Counter(finding.reasons[0] for finding in found.scored.findings if finding.reasons and not finding.readable)
    labels = (row.label for row in films.rows)
    rows = zip(found.scored.hashes, labels, (row.group for row in films.rows), strict=True)
    return {
        KEY: SCHEMA_VERSION,
        "notice": NOTICE,
        "date": now(),
        "command": setup.command,
        "environment": environment(),
        "table": films.table,
        "table_sha256": sha256_rows(rows),
        "checkpoint": {
            "name": setup.checkpoint,
            "revision": setup.revision,
            "digest": setup.digest,
            "calibrated": setup.calibrated,
        },
        "films": {
            "rows": len(films.rows),
            "groups": len(set(films.groups)),
            "grouped": films.grouped,
            "measured": 0 if measured is None else len(measured.where),
            "unlabelled": found.unlabelled,
            "unreadable": dict(reasons),
            "left_out": dict(Counter(films.left_out.values())),
        },
        "labels": {"classes": list(found.truth.names), "by_class": found.truth.by_class, "words": found.truth.words},
        "cautions": list(found.cautions),
        "headline": {} if measured is None else {name: asdict(figure) for name, figure in measured.headline.items()},
        "measured": None if measured is None else _measured(measured),
        "claim": {
            "counts": claim.counted(found.claim),
            "items": [
                {"number": each.item.number, "state": each.state, "text": each.text, "question": each.question} for each in found.claim
            ],
        },
        "baseline": dict(kept),
    }


def _measured(measured: Measured) -> dict[str, Any]:
    refit, curve = measured.refit, measured.curve
    return {
        "shipped": {"figures": asdict(measured.table), "shares": measured.shipped},
        "refitted": None
        if not isinstance(refit, Refit)
        else {"rule": refit.rule, "out_of_fold": {"figures": measured.refitted_table, "shares": measured.refitted}},
        "not_refitted": refit if isinstance(refit, str) else None,
        "share_names": SHARES,
        "subgroups": list(measured.subgroups),
        "decision_curve": None
        if curve is None
        else {
            "thresholds": [round(float(each), 4) for each in curve.thresholds],
            "call_all": curve.everyone,
            "models": {name: {"net_benefit": each.value, "low": each.low, "high": each.high} for name, each in curve.models.items()},
        },
        "enough_films": list(measured.enough),
    }


def write_site(
    found: SiteFindings,
    data: dict[str, Any],
    comparison: Comparison | None,
    said: Mapping[int, str],
    decision: DecisionRule,
    folder: Path,
) -> SiteRun:
    """Writes all files into `folder`, made if missing, and returns where they are. What an earlier run left there is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (*PLOTS, DECISION_FILE):
        (folder / stale).unlink(missing_ok=True)  # what an earlier run left must not pass for this one's
    found = replace(found, comparison=comparison)
    if comparison is not None:
        changes = [{**asdict(each), "moved": each.moved} for each in comparison.changes]
        data["comparison"] = {**asdict(comparison), "changes": changes}
    shown, written = 0, None
    if found.measured is not None:
        shown = _plots(found, found.measured, folder)
        if isinstance(found.measured.refit, Refit):
            written = write_site_decision(decision, found.measured.refit.rule, folder, found.films.table)
    write_json(folder / "site.json", data)
    _write_films(found, folder / "films.csv")
    claim.write_questions(found.claim, said, folder / claim.FILE)
    page = write_report(folder / "report.md", report_text(found, folder, shown))
    lines = [*(f"warning: {caution}" for caution in found.cautions), *in_short(found), f"report: {page}"]
    return SiteRun(
        page,
        folder / "report.md",
        folder / "site.json",
        folder / "films.csv",
        folder / claim.FILE,
        written,
        tuple(line.replace("\\", "").replace("**", "") for line in lines),
        data,
    )


def _plots(found: SiteFindings, measured: Measured, folder: Path) -> int:
    """Writes the plots that these films allow; returns how many errors are shown."""
    rows = measured.rows
    whole = Slice("all", "all", rows.labels >= 0)
    plot_confusion(rows, [whole], folder / "confusion.png")
    versions = {"as shipped": rows.probabilities}
    if isinstance(measured.refit, Refit):
        again = measured.refit.probabilities
        versions["temperature refitted"] = found.truth.of_classes(again, _normal_column(found))
    plot_reliability(rows, versions, folder / "reliability.png")
    if measured.curve is not None:
        plot_roc(rows, [(whole, measured.table)], folder / "roc.png")
        plot_decision_curve(measured.curve, folder / "decision_curve.png")
    if measured.subgroups:
        overall = [(key, measured.shipped[key].figure.value) for key in ("sensitivity", "specificity")]
        plot_subgroups(measured.subgroups, overall, folder / "subgroups.png")
    chosen = worst_rows(rows, found.choices.worst)
    if chosen:
        write_sheet(rows, show_errors(rows, chosen), folder / "worst_errors.png")
    return len(chosen)


def _normal_column(found: SiteFindings) -> int:
    """The place of the normal class among those of the checkpoint."""
    names = next(list(finding.probabilities) for finding in found.scored.findings if finding.readable)
    return names.index(found.truth.names[found.truth.normal_id])


def _write_films(found: SiteFindings, path: Path) -> None:
    """films.csv: what was said of each film, in the order of the table; films that were left out stand at its end."""
    names = next(list(finding.probabilities) for finding in found.scored.findings if finding.readable)
    head = ["file", "label", "counted_as", "verdict", *(f"p_{name}" for name in names), "remark"]
    rows = []
    for row, label, finding in zip(found.films.rows, found.truth.labels, found.scored.findings, strict=True):
        shares = [f"{finding.probabilities[name]:.6f}" if finding.readable else "" for name in names]
        meant = found.truth.names[label] if label >= 0 else ""
        rows.append([row.name, row.label, meant, finding.verdict, *shares, "; ".join(part for part in finding.reasons if part)])
    rows += [[name, "", "", "", *("" for _ in names), f"left out: {why}"] for name, why in found.films.left_out.items()]
    write_csv(path, head, rows)
