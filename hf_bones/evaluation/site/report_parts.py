"""Parts of a local validation's report: subgroups, calibration, films that are missing, the checklist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hf_bones.evaluation.decision_curve import DecisionCurve
from hf_bones.evaluation.report.cells import figure_cell
from hf_bones.evaluation.site.claim.answers import FILE, NOT_APPLICABLE, Answer, summary
from hf_bones.evaluation.site.enough import WANTED, expected_half_width
from hf_bones.evaluation.site.results import Measured, SiteFindings
from hf_bones.evaluation.site.subgroups import SMALL, standing_out
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.headlines import TITLES
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.text import bullets, plain

_LISTED = 50  # films that are named
_SIZES = (25, 50, 100, 200, 400)


def subgroups(measured: Measured, passed: Sequence[str], folder: Path) -> str:
    """One line for each value of each column, what stands out first."""
    left = f"Columns that make no subgroups: {', '.join(map(plain, passed))}." if passed else ""
    if not measured.subgroups:
        return f"No column of the table has a few values that make subgroups. {left}".strip()
    out = standing_out(measured.subgroups, measured.shipped)
    told = (
        "Outside of what chance explains for a subgroup by itself; among many subgroups, one or two are to be expected:"
        if out
        else "No subgroup's interval lies wholly above or below the sensitivity or specificity of all films."
    )
    head = ["films", TITLES["auroc_abnormal"], "sensitivity", "specificity", "referred", "n (abnormal)"]
    body = []
    for each in measured.subgroups:
        shares = [each.shares[key].cell() for key in ("sensitivity", "specificity", "referred")]
        name = f"{plain(each.column)}: {plain(each.value)}{' (small)' if each.small else ''}"
        body.append([name, figure_cell(each.auroc), *shares, f"{each.n} ({each.abnormal})"])
    parts = [
        told,
        bullets(plain(sentence) for sentence in out),
        "![Subgroups](subgroups.png)" if (folder / "subgroups.png").exists() else "",
        markdown_table(head, body),
        f"At the shipped decision. *Small*: fewer than {SMALL} films, or fewer than {MIN_ROWS} "
        f"normal or abnormal ones. Read counts, not shares.",
        left,
    ]
    return "\n\n".join(part for part in parts if part)


def calibration(measured: Measured, folder: Path) -> str:
    """ECE, Brier score and log loss as shipped and with the temperature refitted, and the reliability diagram."""
    versions = [("as shipped", measured.table)]
    if measured.refitted_table is not None:
        versions.append(("temperature refitted, out of fold", measured.refitted_table))
    keys = ("ece", "brier", "log_loss")
    body = [[name, *(figure_cell(table.figures[key]) for key in keys)] for name, table in versions]
    told = "On the dotted line a probability means what it says; below it the model is too sure of itself. Lower is better in the table."
    parts = [told, "![Reliability diagram](reliability.png)", markdown_table(["probabilities", *(TITLES[key] for key in keys)], body)]
    return "\n\n".join(parts if (folder / "reliability.png").exists() else [parts[0], parts[2]])


def curve_sentence(curve: DecisionCurve) -> str:
    """Between which thresholds the model as shipped is worth more than calling all films abnormal, and than calling none."""
    name = next(iter(curve.models))
    best = np.flatnonzero(curve.best(name))
    if not len(best):
        return "At no threshold is the model worth more than calling all films abnormal or calling none (decision curve)."
    low, high = curve.thresholds[best[0]], curve.thresholds[best[-1]]
    whole = len(best) == best[-1] - best[0] + 1
    return (
        f"By the decision curve, the model is worth more than calling all films abnormal or none for thresholds "
        f"{'from' if whole else 'at most of those from'} {low:.2f} to {high:.2f}: where one "
        f"miss is as bad as {_odds(high)} to {_odds(low)} "
        "false alarms."
    )


def _odds(threshold: float) -> str:
    return f"{(1 - threshold) / threshold:.2g}"


def enough(measured: Measured) -> str:
    """What widths can be had, and how many films are missing."""
    head = ["figure", "rests on", "interval now", f"needed for ± {WANTED:g}", "more films", "remark"]
    body = []
    for each in measured.enough:
        width = "–" if each.half_width is None else f"± {each.half_width:.2f}"
        body.append([each.name, f"{each.n} {each.of}", width, f"{each.needed:,}", f"{each.more:,}", plain(each.guessed)])
    abnormal = float(np.mean(measured.rows.labels != measured.rows.normal_id))
    parts = [markdown_table(head, body)]
    sides = {"abnormal films": abnormal, "normal films": 1 - abnormal}
    wanted = [each for each in measured.enough if each.more and sides.get(each.of)]
    if wanted:
        films = max(int(np.ceil(each.more / sides[each.of])) for each in wanted)
        parts.append(
            f"If further films come as these did ({100 * abnormal:.0f} % abnormal), that is about "
            f"{films:,} more films in all. Films chosen for "
            "their label come faster, but predictive values and the decision curve then no longer hold."
        )
    sizes = [[str(size), *(f"± {expected_half_width(share, size):.2f}" for share in (0.8, 0.9, 0.95))] for size in _SIZES]
    parts.append("What width to expect of a share, by the number of films it rests on, each of another patient:")
    parts.append(markdown_table(["films", "share 0.80", "share 0.90", "share 0.95"], sizes, right_from=0))
    return "\n\n".join(parts)


def plots(by_class: bool, measured: Measured, folder: Path, errors_shown: int) -> list[str]:
    """The sections of the worst errors, the confusion matrix and the ROC curves."""
    found = []
    if errors_shown:
        what = "error" if errors_shown == 1 else f"{errors_shown} errors"
        found.append(
            f"## Worst errors\n\nThe {what} whose label got the least probability, each with a "
            f"heat map of where the model saw signs of a break. "
            "A wrong prediction may be a wrong label: look before judging either. Run with "
            "--worst 0 for a report without pictures of films."
            "\n\n![Contact sheet of the worst errors](worst_errors.png)"
        )
    elif not (measured.rows.predicted != measured.rows.labels).any():
        found.append("## Worst errors\n\nNo prediction was wrong.")
    shown = "Rows are the label, columns the likeliest class" + ("." if by_class else " or side.")
    found.append(f"## Confusion matrix\n\n{shown}\n\n![Confusion matrix](confusion.png)")
    if (folder / "roc.png").exists():
        found.append("## ROC curves\n\nThe nearer to the upper left corner, the better.\n\n![ROC curves](roc.png)")
    return found


def unreadable(found: SiteFindings) -> str:
    """Films that could not be read, were left out or have no label: named, so that nothing is lost in silence."""
    parts = []
    for title, films in (("could not be read", found.unreadable), ("were left out of the table", found.films.left_out)):
        if films:
            named = [f"{plain(name)}: {plain(why)}" for name, why in list(films.items())[:_LISTED]]
            more = [f"… and {len(films) - _LISTED} more, in films.csv"] if len(films) > _LISTED else []
            parts.append(f"{len(films)} {title}:\n\n{bullets([*named, *more])}")
    if found.unlabelled:
        parts.append(f"{found.unlabelled} films have no label: they were scored (films.csv) and are in no figure above.")
    return "\n\n".join(parts) or "Every film of the table was read and measured."


def checklist(found: Sequence[Answer]) -> str:
    """The open questions, then all items."""
    asked = [answer for answer in found if answer.question]
    parts = [
        "CLAIM (Checklist for Artificial Intelligence in Medical Imaging, 2024 update) lists "
        "what a study of such a model should report. The "
        f"items are in this project's words. {summary(found)}",
    ]
    if asked:
        parts.append(f"### Questions to you\n\nWrite your answers into {FILE} in this folder, and run the command again with --answers.")
        parts.append(bullets(f"**{answer.item.number}.** {plain(answer.question)}" for answer in asked))
    parts.append("### All items")
    body = []
    for answer in found:
        state = f"**{answer.state}**" if answer.question and answer.state != NOT_APPLICABLE else answer.state
        asks = f"*{plain(answer.item.part)}. {plain(answer.item.asks)}.* {plain(answer.text)}"
        body.append([str(answer.item.number), state, asks.strip()])
    parts.append(markdown_table(["item", "state", "what it asks for, and what is known"], body))
    return "\n\n".join(parts)
