"""An audit as files: audit.html and audit.md for people, audit.json for programs; and the lines of the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hf_bones.evaluation.audit.changes import FLIPS, MASKED
from hf_bones.evaluation.audit.choices import AuditChoices
from hf_bones.evaluation.audit.results import Audit, Section, Table
from hf_bones.evaluation.report.cells import meanings
from hf_bones.evaluation.report.figures import Resampling
from hf_bones.pages.reports import write_report
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.templates import render
from hf_bones.pages.text import NOTICE, bullets, command_point, plain
from hf_bones.record import environment, now, write_json

SCHEMA_VERSION = 1
PAGE, MARKDOWN, DATA = "audit.html", "audit.md", "audit.json"
_NOT_MEASURED = "Not measured"


@dataclass(frozen=True)
class AuditSetup:
    """What was audited. `films`: class → films that are scored; `left_out`: image id → why it is not. `looks` and `looks_in` as in an
    evaluation; None where looks are not counted. `warnings` stand at the top of the page."""

    checkpoint: str
    revision: str | None
    dataset: str
    dataset_sha256: str
    films: Mapping[str, int]
    groups: int
    open_films: int
    choices: AuditChoices
    resampling: Resampling
    left_out: Mapping[str, str] = field(default_factory=dict)
    looks: int | None = None
    looks_in: str = ""
    command: str = ""
    warnings: tuple[str, ...] = ()


def write_audit(sections: Sequence[Section], about: AuditSetup, out: Path) -> Audit:
    """Writes audit.md, audit.html and audit.json into `out`, where the pictures are by then."""
    page = write_report(out / MARKDOWN, audit_text(sections, about))
    write_json(out / DATA, _as_json(sections, about))
    return Audit(page, out / MARKDOWN, out / DATA, tuple(sections), about.warnings)


def audit_text(sections: Sequence[Section], about: AuditSetup) -> str:
    """audit.md, complete."""
    choices = about.choices
    classes = ", ".join(f"{count} {plain(name)}" for name, count in about.films.items())
    first = [
        f"# Audit of {plain(about.checkpoint)} on {plain(about.dataset)}",
        f"**{NOTICE}**",
        f"Does the model read the bone, or something that goes with it? {sum(about.films.values())} films of {plain(choices.split)} in "
        f"{about.groups} groups: {classes}.",
        *(f"**{plain(warning)}**" for warning in about.warnings),
        "## In short",
        bullets(f"[{section.title}](#{_anchor(section.title)}): {_headline(section)}" for section in sections),
    ]
    text = "\n\n".join([*first, *(_section_text(section) for section in sections)])
    last = ["## What was audited", bullets(_setup(about))]
    if said := meanings(text):
        last += ["## What the words in the tables mean", bullets(said)]
    method = render("evaluation/audit/method.md.j2", about=about, names=[section.name for section in sections], masked=MASKED, flips=FLIPS)
    return "\n\n".join([text, *last, method])


def terminal_lines(done: Audit) -> list[str]:
    """The first sentence of each part, and where the page is."""
    lines = [f"warning: {warning}" for warning in done.warnings]
    lines += [f"{section.title}: {_headline(section)}".replace("\\", "") for section in done.sections]
    return [*lines, f"audit: {done.page} ({done.data.name} beside it is for programs)"]


def _headline(section: Section) -> str:
    return section.said[0] if section.said else f"{_NOT_MEASURED}: {'; '.join(section.missing)}."


def _section_text(section: Section) -> str:
    pictures = [f"![{plain(words)}]({name})" for name, words in section.pictures.items()]
    parts = [f"## {section.title}", f"*{section.asks}*", bullets(section.said) if section.said else ""]
    parts += [*(_table_text(table) for table in section.tables), *pictures]
    if section.missing and section.said:
        parts.append(f"{_NOT_MEASURED}, or to be kept in mind:\n\n{bullets(section.missing)}")
    elif section.missing:
        parts.append(_headline(section))
    return "\n\n".join(part for part in parts if part)


def _table_text(table: Table) -> str:
    return markdown_table(table.head, table.rows, right_from=table.right_from)


def _anchor(title: str) -> str:
    """As `pages/reports.py` makes them."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def _setup(about: AuditSetup) -> list[str]:
    revision = f" at {plain(about.revision)}" if about.revision else ""
    lines = [
        f"Checkpoint: {plain(about.checkpoint)}{revision}",
        f"Data: {plain(about.dataset)}, split {plain(about.choices.split)}, SHA-256 {about.dataset_sha256[:16]}",
        f"Films whose features were read: {about.open_films} of train and validation",
    ]
    if about.choices.films:
        lines.append(f"A sample: at most about {about.choices.films} films of each; without --quick and --limit all are used")
    if about.left_out:
        lines.append(f"Left out: {len(about.left_out)} films that cannot be opened; which ones stands in audit.json")
    if about.looks is not None:
        times = "1 time" if about.looks == 1 else f"{about.looks} times"
        lines.append(f"Looks at {plain(about.choices.split)} so far: {times}, counted in {plain(about.looks_in)}")
    return [*lines, *command_point(about.command)]


def _as_json(sections: Sequence[Section], about: AuditSetup) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": NOTICE,
        "checkpoint": {"name": about.checkpoint, "revision": about.revision},
        "dataset": {"name": about.dataset, "split": about.choices.split, "sha256": about.dataset_sha256},
        "command": about.command,
        "date": now(),
        "environment": environment(),
        "films": {"scored": dict(about.films), "groups": about.groups, "features": about.open_films, "left_out": dict(about.left_out)},
        "looks": {"count": about.looks, "recorded_in": about.looks_in},
        "warnings": list(about.warnings),
        "method": {
            **asdict(about.resampling),
            "bootstrap_over": "groups",
            "specificity": about.choices.specificity,
            "limit": about.choices.films,
        },
        "sections": {
            section.name: {
                "title": section.title,
                "measured": bool(section.said),
                "said": [line.replace("\\", "") for line in section.said],
                "missing": [line.replace("\\", "") for line in section.missing],
                "figures": section.data,
            }
            for section in sections
        },
    }
