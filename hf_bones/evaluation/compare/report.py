"""The words of leaderboard.md and of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_bones.evaluation.compare.figures import Difference, Part, SeedFigures
from hf_bones.evaluation.report.cells import count_cell, figure_cell, meanings
from hf_bones.metrics.figures import specificity_suffix
from hf_bones.metrics.headlines import TABLE, TITLES, figure_name
from hf_bones.pages.tables import markdown_table, text_table
from hf_bones.pages.templates import render
from hf_bones.pages.text import NOTICE, bullets, plain, span
from hf_bones.record import public_name

if TYPE_CHECKING:
    from hf_bones.evaluation.compare.results import Comparison, Standing

_NONE = "–"


def leaderboard_text(done: Comparison) -> str:
    """leaderboard.md, complete."""
    first = done.parts[0]
    sections = [
        f"# Recipes compared on {plain(done.dataset)}",
        f"**{NOTICE}**",
        f"The order is that of validation. {_title(done)} is only shown: a choice by it would make it a second validation split.",
        f"## {_title(done)}, {plain(first.name)}: {_rows(first)}",
        ranking_table(done),
        "![Accuracy against latency](leaderboard.png)",
    ]
    sections += ["## Films that a model had before", seen_text(done)]
    if done.failures:
        lines = [f"- {plain(failure.title)}: {plain(failure.reason)}" for failure in done.failures]
        sections += ["## Failed", "\n".join(lines)]
    for place, part in enumerate(done.parts):
        sections += [f"## Sensitivity of each class, {plain(part.name)}: {_rows(part)}", _sensitivities(done, place)]
    sections += ["## What it costs", _costs(done)]
    if done.neighbours:
        sections += ["## Neighbours", _neighbours(done)]
    if any(done.settings.values()):
        sections += ["## What differs between the recipes", _settings(done)]
    if said := meanings("\n".join(sections)):
        sections += ["## What the words in the tables mean", bullets(said)]
    return "\n\n".join([*sections, _method(done)])


def ranking_table(done: Comparison) -> str:
    """Rank, validation, and the main figures of the shown split's first part."""
    rare = [name for name in done.scheme.names if name != done.scheme.normal][1:]
    tag = specificity_suffix(done.specificity)
    head = ["", "model", "validation score", *(TITLES[key] for key in TABLE)]
    head += [plain(figure_name(f"auroc_ovr_{name}")) for name in rare]
    head += [plain(figure_name(f"sensitivity_{name}_at_specificity_{tag}")) for name in _abnormal(done)]
    head += ["ms an image", "MB on disk", "train minutes", "gap"]
    body = []
    for standing in done.standings:
        shown = standing.shown[0]
        cells = [str(standing.rank), plain(_name(standing)), figure_cell(standing.selection)]
        cells += [_with_spread(shown, key) for key in TABLE]
        cells += [_with_spread(shown, f"auroc_ovr_{name}") for name in rare]
        cells += [
            _count_cell(shown, f"caught_{name}_at_specificity_{tag}", f"sensitivity_{name}_at_specificity_{tag}", name)
            for name in _abnormal(done)
        ]
        cost = standing.cost
        cells += [_number(cost.milliseconds, 0) if cost else _NONE, _number(cost.megabytes, 1) if cost else _NONE]
        cells += [_number(standing.contender.minutes, 1), _signed(standing.gap)]
        body.append(cells)
    finished = {standing.name for standing in done.standings}
    for name in dict.fromkeys(failure.name for failure in done.failures if failure.name not in finished):
        body.append([_NONE, plain(name), "failed, see below", *[_NONE] * (len(head) - 3)])
    return markdown_table(head, body)


def seen_text(done: Comparison) -> str:
    """How many of the films each checkpoint had before, and its AUROC(abnormal) without them."""
    told = [(standing.name, each) for standing in done.standings for each in standing.seen]
    body = []
    for name, each in told:
        if each.words:
            without = figure_cell(each.without) if each.without is not None else "no film is left"
            body.append([plain(name), plain(each.split), plain(each.words), without])
    unknown = list(dict.fromkeys(name for name, each in told if not each.known))
    said = [markdown_table(["model", "split", "what it had", f"{TITLES['auroc_abnormal']} without them"], body)] if body else []
    if any(each.known for _, each in told):
        others = "any other film of these" if body else "any of these films"
        said.append(f"By the lists of films that they carry (seen.npz), no model learnt from {others}, nor from a near-duplicate of one.")
    if unknown:
        said.append(f"Not known of {', '.join(map(plain, unknown))}: without such a list nobody can say what a checkpoint learnt from.")
    return "\n\n".join(said) or "Baselines only: they carry no checkpoint."


def _abnormal(done: Comparison) -> list[str]:
    return [name for name in done.scheme.names if name != done.scheme.normal]


def _title(done: Comparison) -> str:
    return done.split.capitalize()


def _rows(part: Part) -> str:
    counts = ", ".join(f"{count} {plain(name)}" for name, count in part.supports.items())
    return f"{len(part.labels)} images in {len(set(part.groups.tolist()))} groups ({counts})"


def _name(standing: Standing) -> str:
    """The name, with the seeds that it is a mean of; those that failed are told of."""
    count, wanted = len(standing.contender.seeds), standing.contender.wanted
    if count < wanted:
        return f"{standing.name} ({count} of {wanted} seeds: the others failed)"
    return f"{standing.name} ({count} seeds)" if count > 1 else standing.name


def _with_spread(shown: SeedFigures, key: str) -> str:
    """`0.82 (0.78–0.86), seeds ±0.01`."""
    spread = shown.spread[key]
    return figure_cell(shown.figures[key]) + (f", seeds ±{spread:.3f}" if spread is not None else "")


def _count_cell(shown: SeedFigures, count_key: str, figure_key: str, name: str) -> str:
    return count_cell(shown.counts[count_key], shown.figures[figure_key], shown.supports[name], with_reason=True)


def _sensitivities(done: Comparison, place: int) -> str:
    names = done.scheme.names
    head = ["", "model", TITLES["auroc_abnormal"], TITLES["accuracy"], *(plain(figure_name(f"sensitivity_{name}")) for name in names)]
    body = []
    for standing in done.standings:
        shown = standing.shown[place]
        cells = [_with_spread(shown, "auroc_abnormal"), figure_cell(shown.figures["accuracy"])]
        cells += [_count_cell(shown, f"correct_{name}", f"sensitivity_{name}", name) for name in names]
        body.append([str(standing.rank), plain(_name(standing)), *cells])
    return markdown_table(head, body)


def _costs(done: Comparison) -> str:
    head = ["", "model", "input px", "parameters", "MB on disk", "ms an image", "of it the network (range)", "train minutes a seed"]
    head += ["AUROC(abnormal) on rows learnt from", "on validation", "gap", f"looks at {plain(done.split)}", "what it is"]
    body = []
    for standing in done.standings:
        cost, own = standing.cost, standing.contender
        cells = [str(standing.rank), plain(standing.name)]
        if cost is None:
            cells += [_NONE] * 5
        else:
            cells += [str(cost.size), f"{cost.parameters:,}", f"{cost.megabytes:.1f}", f"{cost.milliseconds:.1f}"]
            cells.append(f"{cost.forward_ms:.1f} ({cost.forward_range[0]:.1f}–{cost.forward_range[1]:.1f})")
        cells += [_number(own.minutes, 1), _number(standing.train_auroc, 2), figure_cell(standing.validation.figures["auroc_abnormal"])]
        cells += [_signed(standing.gap), _NONE if standing.looks is None else str(standing.looks), plain(own.description)]
        body.append(cells)
    return markdown_table(head, body)


def _neighbours(done: Comparison) -> str:
    head = ["", "model", "and the next", "validation score, difference", "p"]
    head += [f"AUROC(abnormal), {plain(done.split)}, {plain(done.parts[0].name)}, difference", "p"]
    body = []
    for place, pair in enumerate(done.neighbours, start=1):
        cells = [str(place), plain(pair.first), plain(pair.second)]
        for found in (pair.on_validation, pair.on_shown):
            cells += [_difference(found), _NONE if found.p is None else f"{found.p:.3f}"]
        body.append(cells)
    return markdown_table(head, body)


def _difference(found: Difference) -> str:
    if found.value != found.value:
        return _NONE
    return f"{found.value:+.3f}{span(found.interval, '+.3f', ' to ')}"


def _settings(done: Comparison) -> str:
    keys = list(next(iter(done.settings.values())))
    body = [[plain(key), *(plain(setting_text(own[key])) for own in done.settings.values())] for key in keys]
    return markdown_table(["key", *(plain(name) for name in done.settings)], body)


def setting_text(value: object) -> str:
    """A value for a table: of a folder only its name."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) if len(str(value)) < 60 else f"{len(value)} entries"
    text = public_name(value) if isinstance(value, str) and value else str(value)
    return text if len(text) < 60 else text[:57] + "…"


def _method(done: Comparison) -> str:
    elsewhere = any(standing.contender.kind == "checkpoint" for standing in done.standings)
    values = {"title": _title(done), "validation": _rows(done.validation), "from_elsewhere": elsewhere}
    return render("evaluation/compare/method.md.j2", done=done, **values)


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return _NONE if value is None else f"{value:+.2f}"


def terminal_lines(done: Comparison) -> Sequence[str]:
    """What a terminal shows: the ranking in short, failures, and where the rest is."""
    body = []
    for standing in done.standings:
        auroc = figure_cell(standing.shown[0].figures["auroc_abnormal"]).replace("\\", "")
        cost = [_number(standing.cost.milliseconds, 0), _number(standing.cost.megabytes, 1)] if standing.cost else [_NONE, _NONE]
        body.append([f"{standing.rank:>3} {standing.name}", _number(standing.selection.value, 3), auroc, *cost])
    head = ["    model", "validation", f"{done.split}, {done.parts[0].name}: AUROC(abnormal)", "ms", "MB"]
    lines = text_table(head, body, left=(0, 1, 2))
    for standing in done.standings:
        for each in standing.seen:
            if each.words:
                without = "none is left" if each.without is None else f"without them AUROC(abnormal) {figure_cell(each.without)}"
                lines.append(f"warning: {standing.name}, {each.split}: {each.words} ({without})".replace("\\", ""))
    lines += [f"failed: {failure.title}: {failure.reason}" for failure in done.failures]
    return lines
