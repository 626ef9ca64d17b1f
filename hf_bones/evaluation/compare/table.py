"""The leaderboard as files: Markdown for people, CSV for spreadsheets, JSON for programs."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_bones.evaluation.compare.figures import SeedFigures
from hf_bones.evaluation.compare.report import leaderboard_text, setting_text
from hf_bones.pages.reports import write_report
from hf_bones.pages.tables import CsvWriter
from hf_bones.pages.text import NOTICE
from hf_bones.record import environment, now, write_json

if TYPE_CHECKING:
    from hf_bones.evaluation.compare.results import Comparison, Standing

SCHEMA_VERSION = 1


def write_tables(done: Comparison, out: Path) -> None:
    """Writes leaderboard.md, leaderboard.html, leaderboard.csv and leaderboard.json into `out`, where leaderboard.png is by then."""
    out.mkdir(parents=True, exist_ok=True)
    write_report(out / "leaderboard.md", leaderboard_text(done))
    (out / "leaderboard.csv").write_text(leaderboard_csv(done), encoding="utf-8")
    write_json(out / "leaderboard.json", leaderboard_data(done))


def leaderboard_csv(done: Comparison) -> str:
    """A line for each model on each part of the shown split, validation first; numbers in full, empty where there is none."""
    figures = list(done.standings[0].validation.figures)
    counts = list(done.standings[0].validation.counts)
    head = ["rank", "model", "kind", "seeds", "rows", "n", "validation_score", "parameters", "megabytes", "milliseconds", "train_minutes"]
    head += [
        "train_auroc_abnormal",
        "gap",
        *(column for key in figures for column in (key, f"{key}_low", f"{key}_high", f"{key}_sd_of_seeds")),
    ]
    stream = io.StringIO()
    writer = CsvWriter(stream, line_end="\n")
    writer.writerow([*head, *counts, "failure"])
    for standing in done.standings:
        own, cost = standing.contender, standing.cost
        for where, found in [("validation", standing.validation), *((f"{done.split}: {each.part}", each) for each in standing.shown)]:
            cells: list[Any] = [standing.rank, standing.name, own.kind, " ".join(map(str, own.seeds)), where, sum(found.supports.values())]
            cells += [standing.selection.value, *([cost.parameters, cost.megabytes, cost.milliseconds] if cost else [None] * 3)]
            cells += [own.minutes, standing.train_auroc, standing.gap]
            for key in figures:
                figure = found.figures[key]
                cells += [figure.value, *(figure.interval or (None, None)), found.spread[key]]
            writer.writerow([*("" if cell is None else cell for cell in (*cells, *(found.counts[key] for key in counts))), ""])
    for failure in done.failures:
        seed = "" if failure.seed is None else failure.seed
        writer.writerow(["", failure.name, "recipe", seed, *[""] * (len(head) - 4 + len(counts)), failure.reason])
    return stream.getvalue()


def leaderboard_data(done: Comparison) -> dict[str, Any]:
    """The content of leaderboard.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": NOTICE,
        "date": now(),
        "command": done.command,
        "environment": environment(),
        "dataset": {"name": done.dataset, "split": done.split, "sha256": done.shown_sha256, "validation_sha256": done.validation_sha256},
        "licences": done.licences,
        "classes": done.scheme.names,
        "normal": done.scheme.normal,
        "seeds": done.seeds,
        "method": {
            **asdict(done.resampling),
            "bootstrap_over": "groups",
            "specificity": done.specificity,
            "over_seeds": "mean of the figures of each",
            "ranked_by": "validation score: mean of AUROC(abnormal) and mean AUROC of one against rest",
            "train_images": done.train_images,
            "clock": asdict(done.clockwork) if done.clockwork else None,
        },
        "rows": {part.name: part.supports for part in (done.validation, *done.parts)},
        "standings": [_standing_data(standing) for standing in done.standings],
        "neighbours": [asdict(pair) for pair in done.neighbours],
        "failures": [asdict(failure) for failure in done.failures],
        "settings": {name: {key: setting_text(value) for key, value in own.items()} for name, own in done.settings.items()},
    }


def _standing_data(standing: Standing) -> dict[str, Any]:
    own = standing.contender
    return {
        "rank": standing.rank,
        "name": standing.name,
        "kind": own.kind,
        "description": own.description,
        "seeds": own.seeds,
        "validation_score": asdict(standing.selection),
        "validation": _figures_data(standing.validation),
        "shown": [_figures_data(each) for each in standing.shown],
        "train_auroc_abnormal": standing.train_auroc,
        "gap": standing.gap,
        "train_minutes": own.minutes,
        "cost": asdict(standing.cost) if standing.cost else None,
        "looks": standing.looks,
        "seen": [asdict(each) for each in standing.seen],
    }


def _figures_data(found: SeedFigures) -> dict[str, Any]:
    figures = {key: {**asdict(figure), "sd_of_seeds": found.spread[key]} for key, figure in found.figures.items()}
    return {"rows": found.part, "supports": found.supports, "figures": figures, "counts": found.counts}
