"""The sections of report.md, from which report.html is made: headline figures, plots, worst errors, and only then the long tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_bones.evaluation.report.cells import count_cell, few_rows, figure_cell, meanings
from hf_bones.evaluation.report.decisions import decided_words, decisions_table
from hf_bones.evaluation.report.figures import CHECKPOINT, ENOUGH_GROUPS, MIN_GROUPS, Figure, Resampling, SliceFigures
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.report.slices import UNSEEN
from hf_bones.metrics import CALIBRATION_BINS, MIN_ROWS
from hf_bones.metrics.decisions import ClassDecisions
from hf_bones.metrics.figures import specificity_suffix
from hf_bones.metrics.headlines import TABLE, TITLES, figure_name
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.templates import render
from hf_bones.pages.text import NOTICE, bullets, command_point, plain

if TYPE_CHECKING:
    from hf_bones.evaluation.report.results import EvaluationSetup

# Said wherever figures of such an evaluation are shown: they are not those of the checkpoint on upright images.
MIRRORED = "The checkpoint scored each image upright and mirrored left-right (--mirror); its figures are of the mean of the two logits"
ZOOMED = "The checkpoint looked at {count} doubtful films again, in windows at twice the size (--zoom), which its figures include"

_LACKING = 6  # sources without some class that are named


def views_told(mirror: bool, zoom: int | None) -> list[str]:
    """How the checkpoint looked at its films, where not once and upright: sentences without their full stop."""
    return [MIRRORED] * mirror + ([ZOOMED.format(count=zoom)] if zoom is not None else [])


@dataclass(frozen=True, eq=False)
class Measured:
    """All that a report tells of. `tables[0]` is the checkpoint on all rows; `calibration`: version of the probabilities → its figures.

    least_rows: sources and regions of fewer rows share one line. break_tables: the checkpoint on the parts that tell whether it looks at
    the break; break_notes: which of these are left out, and why. decisions: of a rule that may refer, over all rows and by class.
    """

    rows: ScoredRows
    about: EvaluationSetup
    tables: Sequence[SliceFigures]
    calibration: Mapping[str, Mapping[str, Figure]]
    specificity: float
    resampling: Resampling
    least_rows: int
    break_tables: Sequence[SliceFigures] = ()
    break_notes: Sequence[str] = ()
    decisions: Sequence[ClassDecisions] = ()

    def of(self, kind: str) -> list[SliceFigures]:
        return [table for table in self.tables if table.kind == kind]


def report_text(found: Measured, folder: Path, errors_shown: int) -> str:
    """report.md, complete. `folder` is looked into only to link the pictures that are there."""
    rows, about = found.rows, found.about
    headline, looks, sections = _headline(found), _break_section(found), _plots()
    if (folder / "worst_errors.html").exists():
        sections.append(f"## Worst errors\n\n{_worst_errors(folder, errors_shown)}")
    sections.append(f"## What was evaluated\n\n{_setup(found)}")
    if found.of("source") and len(found.of("all")) > 1:
        unseen = [table for table in found.of("unseen") if table.name != UNSEEN]
        shown, others = few_rows([*found.of("source"), *unseen], found.least_rows, "source")
        sections += ["## By source, baselines beside the model", *_table(found, shown), others] if shown else []
    if found.of("region"):
        shown, others = few_rows((table for table in found.of("region") if table.model == CHECKPOINT), found.least_rows, "region")
        sections += ["## By region", *_table(found, shown, with_model=False), others]
    sections.append(f"## Every figure, all rows\n\n{_every_figure(found.tables[0], found.resampling)}")
    sections.append(f"## Calibration\n\n{_calibration(found.calibration)}")
    if rows.verdicts is not None:
        sections += [f"## Verdicts\n\n{_verdicts(rows, rows.verdicts)}", _decisions(found)]
    overall = found.tables[0]
    classes = ", ".join(f"{count} {plain(name)}" for name, count in overall.supports.items())
    first = [
        f"# Evaluation of {plain(about.checkpoint)} on {plain(about.split)}",
        f"**{NOTICE}**",
        f"{overall.n} films in {overall.groups} groups: {classes}." + "".join(f" {told}." for told in views_told(about.mirror, about.zoom)),
        *(f"**{plain(warning)}**" for warning in about.warnings),
        "## In short",
        *headline,
        _words_in_tables(found, "\n".join([*headline, looks, *sections])),
        f"## Does it look at the break?\n\n{looks}",
    ]
    return "\n\n".join(section for section in [*first, *sections, _method(found)] if section)


def _headline(found: Measured) -> list[str]:
    """All rows with every model, each source with the checkpoint alone."""
    shown, others = few_rows((table for table in found.of("source") if table.model == CHECKPOINT), found.least_rows, "source")
    whole = [*found.of("all"), *(table for table in found.of("unseen") if table.name == UNSEEN)]
    return [*_table(found, [*whole, *shown]), others, _shared_source_warning(found.rows)]


def _break_section(found: Measured) -> str:
    """The table of the parts that tell whether the checkpoint looks at the break, and why some of them are not there."""
    explained = (
        "A model that reads casts, metal, the region or gross displacement scores well on all rows. These figures are of films where "
        "that does not help it: *bare* ones, with neither cast nor metal; one region at a time; breaks of each severity against all "
        f"{plain(found.rows.normal)} films."
    )
    whole = next((table for table in found.of("unseen") if table.name == UNSEEN), found.tables[0])
    parts = [explained, break_table([whole, *found.break_tables], found.rows.normal, found.specificity)]
    return "\n\n".join([*(parts if found.break_tables else []), *([bullets(found.break_notes)] if found.break_notes else [])])


def break_table(tables: Sequence[SliceFigures], normal: str, specificity: float) -> str:
    """AUROC(abnormal) and sensitivity of each of `tables`, with its counts."""
    caught = f"abnormal_at_specificity_{specificity_suffix(specificity)}"
    keys = ("auroc_abnormal", f"sensitivity_{caught}")
    body = []
    for table in tables:
        healthy = table.supports[normal]
        body.append([
            "all rows" if table.kind == "all" else plain(table.name),
            figure_cell(table.figures[keys[0]]),
            count_cell(table.counts[f"caught_{caught}"], table.figures[keys[1]], table.n - healthy),
            str(healthy),
            str(table.n - healthy),
        ])  # fmt: skip
    return markdown_table(["films", *(plain(figure_name(key)) for key in keys), plain(normal), "abnormal"], body)


def _words_in_tables(found: Measured, tables: str) -> str:
    """What the words in the cells of `tables` mean."""
    normal = plain(found.rows.normal)
    told = [
        f"A row is one film. In brackets: {_level(found.resampling)} interval, or why there is none. A count alone, such as 5 of 7, is of "
        f"a class with fewer than {MIN_ROWS} films.",
        f"AUROC(abnormal) says how well {normal} films are told from all others: 1 is perfect, 0.5 is chance. Sensitivity of a class "
        "is the share of its films that the model gives the largest probability for that class; balanced accuracy is the mean of "
        "these shares.",
        f"At specificity {found.specificity:g}: not by the largest probability, but by a threshold that at least "
        f"{100 * found.specificity:g} % of the {normal} films stay below. What lies above it counts as found.",
        *meanings(tables),
    ]
    return bullets(told)


def _plots() -> list[str]:
    return [
        "## Plots",
        "### Confusion matrix\n\nRows are the true class, columns the predicted one.\n\n![Confusion matrix](confusion.png)",
        "### ROC curves\n\nEach class against all others; the nearer to the upper left corner, the better.\n\n![ROC curves](roc.png)",
        "### Reliability\n\nOn the dotted line a probability means what it says; below it the model is too sure of itself.\n\n"
        "![Reliability diagram](reliability.png)",
    ]


def _worst_errors(folder: Path, shown: int) -> str:
    if not (folder / "worst_errors.png").exists():
        return "No wrong prediction to show. [worst_errors.html](worst_errors.html)"
    what = "The worst error" if shown == 1 else f"The {shown} worst errors"
    return (
        f"[{what}, with heat maps and fracture boxes](worst_errors.html): the wrong predictions that gave the true class the "
        "least probability. The first of them:\n\n![Contact sheet of the worst errors](worst_errors.png)"
    )


def _setup(found: Measured) -> str:
    about, overall = found.about, found.tables[0]
    classes = ", ".join(f"{count} {plain(name)} in {overall.class_groups[name]}" for name, count in overall.supports.items())
    revision = f" at {plain(about.revision)}" if about.revision else ""
    lines = [
        f"Checkpoint: {plain(about.checkpoint)}{revision}, {'calibrated' if about.calibrated else 'not calibrated'}",
        f"Data: {plain(about.dataset)}, split {plain(about.split)}, SHA-256 {about.dataset_sha256[:16] or 'not given'}",
        f"Rows: {overall.n} in {overall.groups} groups ({classes} groups)",
    ]
    if about.left_out:
        reasons = ", ".join(f"{count} {plain(reason)}" for reason, count in Counter(about.left_out.values()).most_common())
        lines.append(f"Left out: {len(about.left_out)} rows ({reasons}); which ones stands in metrics.json")
    if about.looks is not None:
        times = "1 time" if about.looks == 1 else f"{about.looks} times"
        lines.append(f"Looks at {plain(about.split)} so far, this one included: {times}, counted in {plain(about.looks_in)}")
    return bullets([*lines, *command_point(about.command), *map(plain, about.notes)])


def _table(found: Measured, tables: Sequence[SliceFigures], *, with_model: bool = True) -> list[str]:
    """The main figures of each of `tables`, a line each; nothing where there is none."""
    if not tables:
        return []
    rows, tag = found.rows, specificity_suffix(found.specificity)
    abnormal = [name for name in rows.names if name != rows.normal]
    caught = {name: f"sensitivity_{name}_at_specificity_{tag}" for name in abnormal}
    head = ["rows", *(["model"] if with_model else [])]  # and n last: on a narrow screen the figures are what is seen first
    head += [plain(figure_name(key)) for key in (*TABLE, *(f"sensitivity_{name}" for name in rows.names), *caught.values())]
    head.append(f"n ({' / '.join(plain(name) for name in rows.names)})")
    body = []
    for table in tables:
        counts = " / ".join(str(table.supports[name]) for name in rows.names)
        cells = ["all rows" if table.kind == "all" else plain(table.name), *([table.model] if with_model else [])]
        cells += [figure_cell(table.figures[key]) for key in TABLE]
        cells += [
            count_cell(table.counts[f"correct_{name}"], table.figures[f"sensitivity_{name}"], table.supports[name]) for name in rows.names
        ]
        cells += [
            count_cell(table.counts[f"caught_{name}_at_specificity_{tag}"], table.figures[key], table.supports[name])
            for name, key in caught.items()
        ]
        body.append([*cells, f"{table.n} ({counts})"])
    return [markdown_table(head, body)]


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
    more = f"; and {len(lacking) - _LACKING} more" if len(lacking) > _LACKING else ""
    return (
        f"Sources do not hold the same classes ({'; '.join(lacking[:_LACKING])}{more}), so a model can score on all rows by telling "
        "sources apart. Read the rows of each source on their own."
    )


def _every_figure(table: SliceFigures, resampling: Resampling) -> str:
    body = []
    for key, figure in table.figures.items():
        interval = f"{figure.interval[0]:.3f}–{figure.interval[1]:.3f}" if figure.interval else "–"
        value = "–" if figure.value is None else f"{figure.value:.3f}"
        rests_on = f"{figure.n} ({plain(figure.rests_on)})"
        body.append([plain(figure_name(key)), value, interval, rests_on, str(figure.groups), plain(figure.reason or "")])
    head = ["figure", "value", f"{_level(resampling)} interval", "scarcest rows it rests on", "groups", "remark"]
    return markdown_table(head, body)


def _calibration(calibration: Mapping[str, Mapping[str, Figure]]) -> str:
    notes = {"ece": f", {CALIBRATION_BINS} bins of equal width, likeliest class", "brier": " (0 to 2)", "log_loss": " (nats)"}
    head = ["probabilities", *(f"{TITLES[key]}{note}" for key, note in notes.items())]
    body = [[name, *(figure_cell(figures[key]) for key in notes)] for name, figures in calibration.items()]
    return "Lower is better for each.\n\n" + markdown_table(head, body)


def _verdicts(rows: ScoredRows, verdicts: Sequence[str]) -> str:
    kinds = sorted(set(verdicts), key=lambda v: (rows.names.index(v) if v in rows.names else len(rows.names), v))
    body = []
    for index, name in enumerate(rows.names):
        own = Counter(verdict for verdict, label in zip(verdicts, rows.labels, strict=True) if label == index)
        body.append([plain(name), *(str(own[kind]) for kind in kinds)])
    return "What the predictor says, by true class. The figures above go by probabilities, whatever the verdict.\n\n" + markdown_table(
        ["true class", *map(plain, kinds)], body
    )


def _decisions(found: Measured) -> str:
    """How many films are decided, and how many of those wrongly."""
    if not found.decisions:
        return ""
    told = (
        f"{decided_words(found.decisions[0])}. A film is decided where its verdict is a class, and referred else. The set should "
        "hold the true class as often as the error levels of the checkpoint say (calibration.json beside it)."
    )
    return f"{told}\n\n{decisions_table(found.decisions, found.rows.normal)}"


def _level(resampling: Resampling) -> str:
    return f"{resampling.level * 100:g} %"


def _method(found: Measured) -> str:
    abnormal = [name for name in found.rows.names if name != found.rows.normal]
    limits = {"min_rows": MIN_ROWS, "min_groups": MIN_GROUPS, "enough_groups": ENOUGH_GROUPS}
    about = {"normal": found.rows.normal, "abnormal": abnormal, "specificity": found.specificity, "resampling": found.resampling}
    return render("evaluation/report/method.md.j2", **about, **limits)
