"""A leave-one-source-out comparison as files: sources.md and .html for people, .csv for spreadsheets, .json for programs; the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hf_bones.evaluation.compare.left_out_results import HeldOut, LeftOutComparison, RecipeResult, SourceResult
from hf_bones.evaluation.report.cells import figure_cell, meanings
from hf_bones.evaluation.report.figures import Figure
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.headlines import IN_CELL, TITLES
from hf_bones.pages.reports import write_report
from hf_bones.pages.tables import markdown_table, text_table, write_csv
from hf_bones.pages.templates import render
from hf_bones.pages.text import NOTICE, bullets, plain, span
from hf_bones.record import environment, now, write_json

SCHEMA_VERSION = 1
_NONE = "–"


def write_left_out(done: LeftOutComparison, out: Path) -> None:
    """Writes sources.md, sources.html, sources.csv and sources.json into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    write_report(out / "sources.md", left_out_text(done))
    head = ["recipe", "source", "seeds", "normal", "abnormal", "score", "score_low", "score_high"]
    keys = ("recall", "specificity", "auroc")
    head += [f"{key}{end}" for key in keys for end in ("", "_low", "_high")]
    body = [
        [one.name, each.source, each.seeds, each.normal, each.abnormal, *_numbers(each.score, each.interval)]
        + [number for key in keys for number in _numbers(getattr(each, key).value, getattr(each, key).interval)]
        for one in done.results
        for each in one.sources
    ]
    write_csv(out / "sources.csv", head, body)
    write_json(out / "sources.json", left_out_data(done))


def left_out_text(done: LeftOutComparison) -> str:
    """sources.md, complete."""
    sections = [
        f"# Recipes on sources that they have not seen: {plain(done.dataset)}",
        f"**{NOTICE}**",
        "Each source was held out in turn: the recipe was trained on the others and scored on that source. A source's score is the mean of "
        "its recall and specificity; of a source with one class it is the one that there is. Test was not opened.",
        "## Mean and worst",
        _summary(done),
    ]
    for source in done.held_out:
        sections += [f"## {plain(source.name)}: {_films(source, done.normal)}", *_remarks(source, done), _of_source(source, done)]
    if done.failures:
        sections += ["## Failed", "\n".join(f"- {plain(failure.title)}: {plain(failure.reason)}" for failure in done.failures)]
    if said := meanings("\n".join(sections)):
        sections += ["## What the words in the tables mean", bullets(said)]
    return "\n\n".join([*sections, render("evaluation/compare/left_out_method.md.j2", done=done, least=MIN_ROWS)])


def _summary(done: LeftOutComparison) -> str:
    head = ["recipe", "mean over sources", "worst source", "its score", "sources", "train minutes"]
    return markdown_table(head, [_summary_cells(one) for one in done.results])


def _summary_cells(one: RecipeResult) -> list[str]:
    worst = one.of(one.worst)
    scored = sum(each.score is not None for each in one.sources)
    return [
        plain(one.name),
        _score(one.mean, one.interval),
        plain(one.worst) if one.worst is not None else _NONE,
        _score(worst.score, worst.interval) if worst is not None else _NONE,
        f"{scored} of {len(one.sources)}" if scored < len(one.sources) else str(scored),
        f"{one.minutes:.1f}",
    ]


def _score(value: float | None, interval: tuple[float, float] | None) -> str:
    return _NONE if value is None else f"{value:{IN_CELL}}{span(interval, IN_CELL)}"


def _films(source: HeldOut, normal: str) -> str:
    normal_count, count = _sides(source)
    return f"{normal_count} {plain(normal)}, {count - normal_count} abnormal, in {len(set(source.rows.groups))} groups"


def _sides(source: HeldOut) -> tuple[int, int]:
    return int((source.rows.labels == source.rows.scheme.normal_id).sum()), len(source.rows.labels)


def _remarks(source: HeldOut, done: LeftOutComparison) -> list[str]:
    normal, count = _sides(source)
    said = []
    if normal == 0:
        said.append("One class: the source has no healthy film, so it gives recall alone.".replace("healthy", plain(done.normal)))
    elif normal == count:
        said.append("One class: the source has no abnormal film, so it gives specificity alone.")
    few = [f"{number} {word}" for number, word in ((normal, plain(done.normal)), (count - normal, "abnormal")) if 0 < number < MIN_ROWS]
    if few:
        said.append(f"{' and '.join(few)} films are too few to count in the score.")
    if source.shared:
        said.append(f"{source.shared} more of its films share a group with another source and were not scored.")
    knew = [one.name for one in done.results if (found := one.of(source.name)) is not None and found.knew]
    if knew:
        said.append(f"The weights that {', '.join(map(plain, knew))} started from had learnt from this source: its figures are too good.")
    return [" ".join(said)] if said else []


def _of_source(source: HeldOut, done: LeftOutComparison) -> str:
    head = ["recipe", "score", "recall of abnormal films", "specificity", TITLES["auroc_abnormal"]]
    found = [(one.name, each) for one in done.results if (each := one.of(source.name)) is not None]
    body = [
        [plain(name), _score(each.score, each.interval), *(_cell(each, key) for key in ("recall", "specificity", "auroc"))]
        for name, each in found
    ]
    return markdown_table(head, body)


def _cell(each: SourceResult, key: str) -> str:
    figure: Figure = getattr(each, key)
    missing = (each.abnormal == 0 and key != "specificity") or (each.normal == 0 and key != "recall")
    return _NONE if missing else figure_cell(figure)


def terminal_lines(done: LeftOutComparison) -> Sequence[str]:
    """What a terminal shows: mean and worst of each recipe, its score on each source, and failures."""
    names = [source.name for source in done.held_out]
    body = []
    for one in done.results:
        scores = {each.source: each.score for each in one.sources}
        cells = [_NONE if scores.get(name) is None else f"{scores[name]:{IN_CELL}}" for name in names]
        mean, _, worst = (cell.replace("\\", "") for cell in _summary_cells(one)[1:4])
        body.append([one.name, mean, f"{one.worst or _NONE} {worst}", *cells])
    lines = text_table(["recipe", "mean over sources", "worst source", *names], body, left=(0, 1, 2))
    return [*lines, *(f"failed: {failure.title}: {failure.reason}" for failure in done.failures)]


def left_out_data(done: LeftOutComparison) -> dict[str, Any]:
    """The content of sources.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": NOTICE,
        "date": now(),
        "command": done.command,
        "environment": environment(),
        "dataset": done.dataset,
        "licences": done.licences,
        "normal": done.normal,
        "seeds": done.seeds,
        "method": {**asdict(done.resampling), "bootstrap_over": "groups", "over_seeds": "mean of the figures of each", "least": MIN_ROWS},
        "sources": {
            source.name: {
                "normal": _sides(source)[0],
                "films": _sides(source)[1],
                "shared_groups": source.shared,
                "sha256": source.rows.sha256,
            }
            for source in done.held_out
        },
        "recipes": [
            {
                "name": one.name,
                "mean": one.mean,
                "interval": one.interval,
                "worst": one.worst,
                "train_minutes": one.minutes,
                "sources": [
                    {
                        "source": each.source,
                        "seeds": each.seeds,
                        "score": each.score,
                        "interval": each.interval,
                        "start_had_learnt_from_it": each.knew,
                        **{key: asdict(getattr(each, key)) for key in ("recall", "specificity", "auroc")},
                    }
                    for each in one.sources
                ],
            }
            for one in done.results
        ],
        "failures": [asdict(failure) for failure in done.failures],
    }


def _numbers(value: float | None, interval: tuple[float, float] | None) -> list[object]:
    return ["" if number is None else number for number in (value, *(interval or (None, None)))]
