"""`hf-bones curate checks`: salvage and drop where that is asked for, measure, judge, report; and what is printed of it."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from hf_bones.collect.upkeep.salvaging import salvage_refused
from hf_bones.curation.checks.page import number
from hf_bones.curation.checks.reasons import RULES, Reason
from hf_bones.curation.checks.report import write_report
from hf_bones.curation.checks.run import CheckRun, cut_off_shares, drop_flagged, run_checks
from hf_bones.curation.recipe import CheckSettings
from hf_bones.curation.subject import COLLECTION_KIND, Subject
from hf_bones.images.salvage import percent
from hf_bones.pages.tables import rich_table


@dataclass(frozen=True)
class CheckChoices:
    """What was asked for on the command line: `salvage_rows` instead of the recipe's, reasons to `drop` for, processes (None: cores)."""

    report: Path | None = None
    salvage_truncated: bool = False
    salvage_rows: float | None = None
    drop: tuple[Reason, ...] = ()
    workers: int | None = None


@dataclass(frozen=True)
class CheckOutcome:
    """What was done: the run, hashes salvaged, drops appended and taken back, files written, and the share of rows of each refused file
    that was only cut off, with the share that salvage asks for."""

    run: CheckRun
    salvaged: tuple[str, ...]
    dropped: int
    taken_back: int
    written: tuple[Path, ...]
    cut_off: tuple[float, ...]
    salvage_rows: float


def checks_command(subject: Subject, settings: CheckSettings, choices: CheckChoices, *, show_progress: bool = True) -> CheckOutcome:
    """Does all of it. Raises ValueError for thresholds that make no sense, and where salvage is asked for a built dataset."""
    if choices.salvage_rows is not None:
        settings = dataclasses.replace(settings, salvage_rows=choices.salvage_rows)
    salvaged: list[str] = []
    if choices.salvage_truncated:
        if subject.kind != COLLECTION_KIND:
            anew = "rebuild it with: hf-bones build … --salvage-truncated"
            raise ValueError(f"{subject.folder}: a built dataset has no refused files to salvage; {anew}")
        salvaged = salvage_refused(subject.manifest, settings.salvage_rows)
    run = run_checks(subject, settings, workers=choices.workers or os.cpu_count() or 1, show_progress=show_progress)
    dropped, taken_back = drop_flagged(subject.manifest, choices.drop) if choices.drop else (0, 0)
    written = write_report(subject, settings, choices.report) if choices.report else ()
    cut_off = tuple(cut_off_shares(subject.manifest))
    return CheckOutcome(run, tuple(salvaged), dropped, taken_back, written, cut_off, settings.salvage_rows)


def check_table(done: CheckOutcome) -> Table:
    """A row a reason, for the terminal."""
    rows = []
    for one in done.run.summaries:
        rule = RULES[one.reason]
        flagged = f"[bold]{one.flagged:,}[/bold]" if one.flagged else "0"
        threshold = f"{'<' if rule.below else '>'} {number(one.threshold)}"
        rows.append([one.reason, flagged, f"{one.measured:,}", number(one.worst), threshold, rule.value])
    return rich_table(["reason", "flagged", "of", "worst", "threshold", "measured is"], rows, left=(0, 5))


def check_lines(done: CheckOutcome) -> list[str]:
    """What the table does not say, a line each."""
    lines = [f"{done.run.measured:,} images measured, {done.run.known:,} known from before"]
    if done.salvaged:
        lines.append(f"salvaged: {len(done.salvaged):,} cut-off files, which are images now, marked with the share of their rows")
    if done.cut_off:
        spread = " to ".join(dict.fromkeys([percent(min(done.cut_off)), percent(max(done.cut_off))]))
        fit = sum(share >= done.salvage_rows for share in done.cut_off)
        lines += [
            f"refused though only cut off: {len(done.cut_off):,}, with {spread} of their rows",
            f"  --salvage-truncated takes those with {percent(done.salvage_rows)} or more ({fit:,}); --salvage-rows sets another share",
        ]
    if done.dropped or done.taken_back:
        lines.append(f"dropped by the checks: {done.dropped:,} images; earlier drops of theirs taken back: {done.taken_back:,}")
    return lines + [f"written: {path}" for path in done.written]
