"""The sections of a local validation's report, from which report.html is made. Whoever reads it need not know the package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hf_bones.evaluation.report.cells import figure_cell, meanings
from hf_bones.evaluation.site.claim.answers import summary
from hf_bones.evaluation.site.drift.comparison import Comparison
from hf_bones.evaluation.site.operating import SHARES, Share
from hf_bones.evaluation.site.refit import Refit
from hf_bones.evaluation.site.report_parts import calibration, checklist, curve_sentence, enough, plots, subgroups, unreadable
from hf_bones.evaluation.site.results import Measured, SiteFindings
from hf_bones.metrics.headlines import TABLE, TITLES, figure_name
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.templates import render
from hf_bones.pages.text import NOTICE, bullets, command_point, plain


def report_text(found: SiteFindings, folder: Path, errors_shown: int) -> str:
    """report.md, complete. `folder` is looked into only to link the pictures that are there."""
    measured = found.measured
    sections = [f"## In short\n\n{bullets(in_short(found))}"]
    if found.comparison is not None:
        sections.append(f"## What has moved\n\n{_moved(found.comparison)}")
    if measured is not None:
        sections.append(f"## Figures\n\n{_figures(measured)}")
        sections.append(f"## Are there enough films?\n\n{enough(measured)}")
        sections.append(f"## Subgroups\n\n{subgroups(measured, found.passed, folder)}")
        sections.append(f"## Calibration\n\n{calibration(measured, folder)}")
        if measured.curve is not None:
            sections.append(f"## Is it worth using?\n\n{curve_sentence(measured.curve)}\n\n![Decision curve](decision_curve.png)")
        sections += plots(found.truth.by_class, measured, folder, errors_shown)
    sections.append(f"## Verdicts\n\n{_verdicts(found)}")
    sections.append(f"## Films that were not measured\n\n{unreadable(found)}")
    sections.append(f"## What was validated\n\n{_setup(found)}")
    sections.append(f"## The CLAIM checklist\n\n{checklist(found.claim)}")
    told = meanings("\n".join(sections))
    first = [
        f"# Local validation of {plain(found.setup.checkpoint)} on {plain(found.films.table)}",
        f"**{NOTICE}**",
        *(f"**{plain(caution)}**" for caution in found.cautions),
        sections[0],
        bullets(["In brackets: the 95 % interval, or why there is none.", *told]) if measured is not None else "",
    ]
    return "\n\n".join(part for part in [*first, *sections[1:], _method(found)] if part)


def in_short(found: SiteFindings) -> list[str]:
    """What was found, in sentences (Markdown)."""
    films, measured = found.films, found.measured
    counts = Counter(found.truth.names[label] for label in found.truth.labels if label >= 0)
    sides = ", ".join(f"{counts[name]} {plain(name)}" for name in found.truth.names if counts[name])
    groups = len(set(films.groups))
    whose = f" of {groups} patients or other groups" if films.grouped else ", each taken as one of another patient"
    said = [
        f"{len(films.rows)} films{whose}; {sum(counts.values())} have a label{f' ({sides})' if sides else ''}. "
        f"{len(found.unreadable)} could not be read."
    ]
    if found.comparison is not None:
        said.append(f"Since the validation of {found.comparison.date} on {plain(found.comparison.table)}: {found.comparison.summary()}")
    if measured is None:
        return [*said, summary(found.claim)]
    shares = measured.shipped
    said.append(
        f"{TITLES['auroc_abnormal']}: {figure_cell(measured.table.figures['auroc_abnormal'])}. 1 "
        f"tells all abnormal films from all normal ones, "
        "0.5 is chance."
    )
    said.append(
        f"As shipped, it calls {_of(shares['found_or_referred'])} abnormal films abnormal or "
        f"refers them, calls {_of(shares['false_alarms'])} "
        f"normal films abnormal, and refers {_of(shares['referred'])} films."
    )
    if measured.refitted is not None and isinstance(measured.refit, Refit):
        rule = measured.refit.rule
        said.append(
            f"With a threshold refitted to find {100 * rule.sensitivity:g} % of the abnormal films (abnormal from P(abnormal) "
            f"{rule.abnormal_from:.2f} on), measured on films that it was not fitted to: sensitivity "
            f"{measured.refitted['sensitivity'].cell()}, specificity {measured.refitted['specificity'].cell()}."
        )
    elif isinstance(measured.refit, str):
        said.append(measured.refit)
    before = measured.table.figures["ece"]
    after = (
        "" if measured.refitted_table is None else f", {figure_cell(measured.refitted_table.figures['ece'])} with the temperature refitted"
    )
    said.append(f"Calibration error (ECE): {figure_cell(before)} as shipped{after}. 0 is perfect.")
    if measured.curve is not None:
        said.append(curve_sentence(measured.curve))
    missing = max((each.more for each in measured.enough), default=0)
    if missing:
        most = max(measured.enough, key=lambda each: each.more)
        said.append(f"For ± 0.05 on each main figure, about {missing:,} more {most.of} are needed ({most.name}).")
    elif measured.enough:
        said.append("There are enough films for ± 0.05 on sensitivity and specificity.")
    return [*said, summary(found.claim)]


def _of(share: Share) -> str:
    return f"{share.hits} of {share.count}"


def _moved(comparison: Comparison) -> str:
    parts = [
        f"Compared with the validation of {comparison.date} on {plain(comparison.table)}. {comparison.summary()}",
        *(f"**{plain(caution)}**" for caution in comparison.cautions),
    ]
    if comparison.figures:
        parts += ["### Figures", bullets(f"{plain(each.sentence())}." for each in comparison.figures)]
    if comparison.moved:
        parts += ["### Films and answers that moved", bullets(f"{plain(each.sentence())}." for each in comparison.moved)]
    head = ["measure", "before", "now", "distance", "by chance up to", "PSI", "moved"]
    body = [[plain(cell) for cell in each.cells()] for each in comparison.changes]
    parts += ["### Every measure", markdown_table(head, body)]
    if comparison.alone:
        parts.append(f"Not compared, since only one of the two has them: {', '.join(map(plain, comparison.alone))}.")
    parts.append(
        "Before and now: the median, or the share of the word that changed most. KS is the largest difference between two distributions (0 "
        "to 1), PSI the population stability index. *A little*, *clearly* and *far* stand for a PSI below 0.1, below 0.25, and above. What "
        "chance reaches is worked out for as many patients as there are, and allows for the number of measures. That something moved does "
        "not say that the model got worse: look at the figures, and at films."
    )
    return "\n\n".join(parts)


def _figures(measured: Measured) -> str:
    """Shares at the shipped and the refitted decision beside each other, then the figures that need no decision."""
    again = measured.refitted
    head = ["share", "as shipped", *(["refitted, out of fold"] if again is not None else [])]
    body = [
        [plain(words), measured.shipped[key].cell(), *([again[key].cell()] if again is not None else [])] for key, words in SHARES.items()
    ]
    whole, refitted = measured.table, measured.refitted_table
    keys = [*TABLE, *(f"sensitivity_{name}" for name in measured.rows.names), "brier", "log_loss"]
    more = [
        [plain(figure_name(key)), figure_cell(whole.figures[key]), *([figure_cell(refitted.figures[key])] if refitted is not None else [])]
        for key in keys
    ]
    parts = [markdown_table(head, body)]
    if again is not None and isinstance(measured.refit, Refit):
        parts.append(
            f"The refitted decision: temperature {measured.refit.rule.temperature:.3g} on top of "
            f"the shipped one, and abnormal from P(abnormal) "
            f"{measured.refit.rule.abnormal_from:.3f} on. Its figures come from fits to four fifths of the patients, each measured on the "
            "fifth that it did not see. It refers no film. It stands beside the shipped decision in "
            "decision.json of this folder; the checkpoint is as it was."
        )
    elif isinstance(measured.refit, str):
        parts.append(measured.refit)
    parts += ["Whatever the decision, by the likeliest class:", markdown_table(["figure", *head[1:]], more)]
    return "\n\n".join(parts)


def _verdicts(found: SiteFindings) -> str:
    """What was said, by label, unlabelled films included."""
    names = [*found.truth.names, "no label"]
    kinds = sorted({finding.verdict for finding in found.scored.findings})
    rows = []
    for place, name in enumerate(names):
        wanted = place if place < len(names) - 1 else -1
        pairs = zip(found.truth.labels, found.scored.findings, strict=True)
        own = Counter(finding.verdict for label, finding in pairs if label == wanted)
        if own:
            rows.append([plain(name), *(str(own[kind]) for kind in kinds), str(sum(own.values()))])
    return markdown_table(["label", *map(plain, kinds), "films"], rows, right_from=1)


def _setup(found: SiteFindings) -> str:
    setup, films = found.setup, found.films
    at = f" at {plain(setup.revision)}" if setup.revision else f", {plain(setup.digest)}" if setup.digest else ""
    lines = [
        f"Checkpoint: {plain(setup.checkpoint)}{at}, {'calibrated' if setup.calibrated else 'not calibrated'}",
        f"Films: {plain(films.table)}, {len(films.rows)} rows; groups: {'as the table says' if films.grouped else 'none stated'}",
        *(
            f"Label {plain(repr(word))} ({count} films) counts as {plain(name)}"
            if name != "unused"
            else f"Label {plain(repr(word))}: not measured"
            for word, (count, name) in _first(list(found.truth.words.items()))
        ),
    ]
    return bullets([*lines, *command_point(setup.command), *map(plain, found.notes)])


def _first(pairs: Sequence[tuple[str, tuple[int, str]]]) -> Sequence[tuple[str, tuple[int, str]]]:
    return pairs[:20]


def _method(found: SiteFindings) -> str:
    choices = found.choices
    return render("evaluation/site/method.md.j2", repeats=choices.repeats, seed=choices.seed, sensitivity=choices.sensitivity)
