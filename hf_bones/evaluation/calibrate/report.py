"""What a calibration writes beside decision.json: calibration.json, calibration.md with its page, and three plots. And its lines."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hf_bones.evaluation.calibrate import selective
from hf_bones.evaluation.calibrate.figures import Change, as_data
from hf_bones.evaluation.calibrate.plots import plot_calibration, plot_risk_coverage
from hf_bones.evaluation.calibrate.results import MODEL, Calibration
from hf_bones.evaluation.decision_curve import calls_at, place_of, plot_decision_curve
from hf_bones.evaluation.report.decisions import decided_words, decisions_table, share_cell
from hf_bones.inference.conformal import OUT_OF_FOLD
from hf_bones.pages.reports import write_report
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.templates import render
from hf_bones.pages.text import NOTICE, bullets, command_point, plain, span
from hf_bones.record import environment, now, write_json

SCHEMA_VERSION = 1
RECORD, MARKDOWN = "calibration.json", "calibration.md"
SHOWN_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # of the decision curve, in its table
FIGURES = {"ece": "calibration error (ECE) of the likeliest class", "brier": "Brier score", "log_loss": "log loss"}


def write_calibration(done: Calibration, folder: Path) -> None:
    """Writes calibration.json, .md, .html and .png, risk_coverage.png and decision_curve.png into a folder."""
    plot_calibration(done, folder / "calibration.png")
    plot_risk_coverage(done, folder / "risk_coverage.png")
    plot_decision_curve(done.fitted.curve, folder / "decision_curve.png")
    write_json(folder / RECORD, as_json(done))
    write_report(folder / MARKDOWN, report_text(done))


def terminal_lines(done: Calibration) -> list[str]:
    """A few lines for people."""
    fitted, overall = done.fitted, done.fitted.decisions[0]
    tried = ", ".join(f"{method} {loss:.4f}" for method, loss in fitted.losses.items())
    lines = [f"scaling     {fitted.method}, {len(done.rows.labels)} films of {done.dataset}, {done.split} (log loss out of fold: {tried})"]
    lines += [
        f"{'figures' if not place else '':<12}{words}: {change_words(fitted.changes[key])}"
        for place, (key, words) in enumerate(FIGURES.items())
    ]
    for place, (name, threshold) in enumerate((fitted.decision.thresholds or {}).items()):
        lines.append(f"{'thresholds' if not place else '':<12}{name} {threshold:.4f} ({_rests_on(done, name)})")
    lines.append(f"decisions   {decided_words(overall)}; by class and at other coverages: {done.folder / MARKDOWN}")
    left_out = ", ".join(f"{count} {reason}" for reason, count in done.left_out.items())
    lines += [f"left out    {left_out}"] * bool(left_out) + [f"note        {note}" for note in fitted.notes]
    return [*lines, f"written: {done.folder / 'decision.json'}; every answer has it from now on ({RECORD}, {MARKDOWN} and plots beside it)"]


def change_words(change: Change) -> str:
    """`0.094 → 0.031 (−0.063, −0.081 to −0.040)`."""
    interval = change.change_interval
    told = f" ({change.change:+.3f}" + (f", {interval[0]:+.3f} to {interval[1]:+.3f})" if interval is not None else ")")
    return f"{change.before:.3f} → {change.after:.3f}{told}"


def _rests_on(done: Calibration, name: str) -> str:
    levels = done.fitted.decision.conformal
    assert levels is not None
    if levels.costs is not None and name == done.fitted.decision.scheme.normal:
        return f"by costs {levels.costs['miss']:g} to {levels.costs['alarm']:g}; {done.fitted.conformal_thresholds[name]:.4f} without"
    where = " out of fold" if levels.fitted_on == OUT_OF_FOLD else ""
    return f"error level {levels.alpha[name]:g}, {levels.n[name]} films{where}"


def report_text(done: Calibration) -> str:
    """calibration.md, complete."""
    fitted, names = done.fitted, done.fitted.decision.scheme.names
    counts = ", ".join(f"{int((done.rows.labels == index).sum())} {plain(name)}" for index, name in enumerate(names))
    films, groups = len(done.rows.labels), len(set(done.rows.groups))
    about = [
        f"{films} films in {groups} groups ({counts}) of {plain(done.dataset)}, split {plain(done.split)}",
        *(f"Left out: {count} films, {plain(reason)}" for reason, count in done.left_out.items()),
        *command_point(done.command),
        *map(plain, fitted.notes),
    ]
    tried = " and ".join(f"{loss:.4f} for {method}" for method, loss in fitted.losses.items())
    sections = [
        f"# Calibration of {plain(done.checkpoint)}",
        f"**{NOTICE}**",
        bullets(about),
        f"## Probabilities\n\nScaling: {fitted.method}. Log loss out of fold: {tried}.",
        _figures_table(done),
        f"With perfect probabilities the calibration error of these films would stay below {fitted.by_chance:.3f} in 95 of 100 draws of "
        "their labels.",
        "![Reliability by class, before and after](calibration.png)",
        "### By class\n\nFilms in bins of equally many by the probability of the class, after calibration.",
        _reliability_table(done),
        "## Prediction sets and verdicts",
        _thresholds_table(done),
        decisions_table(fitted.decisions, fitted.decision.scheme.normal),
        "Counted on the films that were fitted on, each scaled by numbers fitted to other groups; the thresholds are those of all. On new "
        "films `hf-bones evaluate` counts the same.",
        "## Risk against coverage\n\nWithout thresholds: the least confident films are referred until the named share is decided.",
        _risk_table(done),
        "![Error among decided films against the share decided](risk_coverage.png)",
        "## Decision curve\n\nActing on a film from a probability of abnormal on. Net benefit: finds less false alarms, each of these "
        "worth t ÷ (1 − t) of a find, per film.",
        _benefit_table(done),
        "![Net benefit of the model, of acting on every film and on none](decision_curve.png)",
        render("evaluation/calibrate/method.md.j2", settings=done.recipe.scaling, sets=done.recipe.sets),
    ]
    return "\n\n".join(sections)


def _figures_table(done: Calibration) -> str:
    names = done.fitted.decision.scheme.names
    rows = {**FIGURES, **{f"ece_{name}": f"calibration error of P({plain(name)})" for name in names}}
    body = []
    for key, words in rows.items():
        each = done.fitted.changes[key]
        cells = ((each.before, each.before_interval), (each.after, each.after_interval))
        body.append([words, *(f"{value:.3f}{span(interval, '.3f')}" for value, interval in cells)])
        body[-1].append(f"{each.change:+.3f}{span(each.change_interval, '+.3f', ' to ')}")
    return markdown_table(["figure (95 % interval)", "before", "after, out of fold", "change"], body)


def _reliability_table(done: Calibration) -> str:
    body = []
    for name, bins in done.fitted.reliability["after"].items():
        body += [[plain(name), f"{each.probability:.3f}", share_cell(each.share)] for each in bins]
    return markdown_table(["class", "mean probability", "share that is of it"], body)


def _thresholds_table(done: Calibration) -> str:
    thresholds = done.fitted.decision.thresholds or {}
    body = [[plain(name), f"{threshold:.4f}", plain(_rests_on(done, name))] for name, threshold in thresholds.items()]
    return markdown_table(["class", "in the set from this probability on", "fitted to"], body)


def _risk_table(done: Calibration) -> str:
    risk, names = done.fitted.risk, done.fitted.decision.scheme.names
    body = []
    for coverage in selective.SHOWN:
        step = risk.at(coverage)
        cells = [f"{100 * coverage:g} %", f"{risk.risk[step]:.3f}"]
        for name in names:
            decided, wrong = risk.class_coverage[name][step], risk.class_risk[name][step]
            cells.append("–" if decided != decided or wrong != wrong else f"{wrong:.3f} ({100 * decided:.0f} %)")
        body.append(cells)
    return markdown_table(["decided", "error", *(f"error, {plain(name)} (its share decided)" for name in names)], body)


def _benefit_table(done: Calibration) -> str:
    curve, labels, normal_id = done.fitted.curve, done.rows.labels, done.fitted.decision.scheme.normal_id
    model = curve.models[MODEL]
    chance = 1 - done.fitted.probabilities[:, normal_id]
    body = []
    for threshold in SHOWN_THRESHOLDS:
        place = place_of(threshold)
        finds, alarms = calls_at(labels != normal_id, chance, threshold)
        low, high = float(model.over_low[place]), float(model.over_high[place])
        over = f"{model.over[place]:+.3f}{span(None if low != low else (low, high), '+.3f', ' to ')}"
        body.append([f"{threshold:g}", str(finds), str(alarms), f"{model.value[place]:.3f}", f"{curve.everyone[place]:.3f}", "0", over])
    head = ["act from t", "finds", "false alarms", "net benefit", "of acting on all", "on none", "over the better of these"]
    return markdown_table(head, body)


def as_json(done: Calibration) -> dict[str, Any]:
    """calibration.json."""
    fitted, rule = done.fitted, done.fitted.decision
    assert rule.conformal is not None
    curve, risk = fitted.curve, fitted.risk
    steps = [risk.at(coverage) for coverage in selective.SHOWN]
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": NOTICE,
        "command": done.command,
        "date": now(),
        "environment": environment(),
        "checkpoint": done.checkpoint,
        "dataset": {"name": done.dataset, "split": done.split, "sha256": done.dataset_sha256},
        "rows": {
            "n": len(done.rows.labels),
            "groups": len(set(done.rows.groups)),
            "counts": {name: int((done.rows.labels == index).sum()) for index, name in enumerate(rule.scheme.names)},
            "left_out": dict(done.left_out),
        },
        "recipe": dataclasses.asdict(done.recipe),
        "scaling": {
            "method": fitted.method,
            "log_loss_out_of_fold": fitted.losses,
            "temperature": rule.temperature,
            "vector": None if rule.vector is None else {"scale": list(rule.vector.scale), "bias": list(rule.vector.bias)},
        },
        "figures": {key: as_data(change) for key, change in fitted.changes.items()},
        "ece_by_chance_95": fitted.by_chance,
        "reliability": {
            when: {name: [dataclasses.asdict(each) for each in bins] for name, bins in table.items()}
            for when, table in fitted.reliability.items()
        },
        "thresholds": {"used": rule.thresholds, "conformal": fitted.conformal_thresholds, **rule.conformal.as_dict()},
        "decisions": [dataclasses.asdict(each) for each in fitted.decisions],
        "risk_coverage": {
            "area": risk.area,
            "coverage": [float(risk.coverage[step]) for step in steps],
            "risk": [float(risk.risk[step]) for step in steps],
            "class_coverage": {name: [_number(values[step]) for step in steps] for name, values in risk.class_coverage.items()},
            "class_risk": {name: [_number(values[step]) for step in steps] for name, values in risk.class_risk.items()},
        },
        "decision_curve": {
            "thresholds": [_number(value) for value in curve.thresholds],
            "call_all": [_number(value) for value in curve.everyone],
            "model": {key: [_number(value) for value in values] for key, values in vars(curve.models[MODEL]).items()},
        },
        "replaced": dict(done.replaced),
        "notes": list(fitted.notes),
    }


def _number(value: float) -> float | None:
    return None if value != value else float(value)
