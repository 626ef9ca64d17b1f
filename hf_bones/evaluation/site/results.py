"""What a local validation found, apart from who works it out and who writes it down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_bones.evaluation.decision_curve import DecisionCurve
from hf_bones.evaluation.report.figures import Figure, SliceFigures
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.site.choices import SiteChoices
from hf_bones.evaluation.site.claim.answers import Answer
from hf_bones.evaluation.site.drift.comparison import Comparison
from hf_bones.evaluation.site.enough import Enough
from hf_bones.evaluation.site.films import SiteFilms
from hf_bones.evaluation.site.operating import Share
from hf_bones.evaluation.site.refit import Refit
from hf_bones.evaluation.site.scoring import ScoredFilms
from hf_bones.evaluation.site.subgroups import Subgroup
from hf_bones.evaluation.site.truth import Truth


@dataclass(frozen=True)
class Setup:
    """Which checkpoint was validated, by which command. digest: a hash of all that its answers rest on, "" for a Hub commit."""

    checkpoint: str
    revision: str | None
    digest: str
    calibrated: bool
    command: str = ""


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of the labelled films. rows: those films; where: their place among all films of the table.

    shipped, refitted: shares at either decision, None where nothing could be refitted (`refit` is then the reason). tables: the checkpoint
    as shipped on all rows, and with the refitted temperature. curve: None where all films are of one side.
    """

    rows: ScoredRows
    where: Sequence[int]
    table: SliceFigures
    shipped: Mapping[str, Share]
    refit: Refit | str
    refitted: Mapping[str, Share] | None
    refitted_table: SliceFigures | None
    subgroups: Sequence[Subgroup]
    curve: DecisionCurve | None
    enough: Sequence[Enough]

    @property
    def headline(self) -> dict[str, Figure]:
        """The figures that later validations are compared with, by the names they are read under."""
        shares = {name: self.shipped[key].figure for key, name in HEADLINE.items()}
        return {"AUROC(abnormal)": self.table.figures["auroc_abnormal"], **shares, "ECE": self.table.figures["ece"]}


HEADLINE = {"sensitivity": "sensitivity", "specificity": "specificity", "referred": "share of films referred"}


@dataclass(frozen=True, eq=False)
class SiteFindings:
    """All that a report tells of. measured: None where no readable film is labelled. passed: columns that make no subgroups, and why."""

    setup: Setup
    choices: SiteChoices
    films: SiteFilms
    scored: ScoredFilms
    truth: Truth
    measured: Measured | None
    passed: Sequence[str]
    claim: Sequence[Answer]
    comparison: Comparison | None
    cautions: Sequence[str]
    notes: Sequence[str]

    @property
    def unreadable(self) -> dict[str, str]:
        """Film → why it could not be read."""
        pairs = zip(self.films.names, self.scored.findings, strict=True)
        return {name: "; ".join(part for part in finding.reasons if part) for name, finding in pairs if not finding.readable}

    @property
    def unlabelled(self) -> int:
        """Readable films without a label."""
        pairs = zip(self.truth.labels, self.scored.findings, strict=True)
        return sum(bool(label < 0 and finding.readable) for label, finding in pairs)


@dataclass(frozen=True)
class SiteRun:
    """What a run wrote: the report as a page and as Markdown, site.json, a row for each film, the refitted decision if there is one, and
    the open questions. lines: what a terminal shows."""

    page: Path
    report: Path
    data: Path
    films: Path
    questions: Path
    decision: Path | None
    lines: tuple[str, ...]
    written: Mapping[str, Any]
