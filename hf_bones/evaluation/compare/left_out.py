"""Recipes on sources that they have not seen: `hf-bones compare --leave-one-source-out`.

Each source is held out in turn: every recipe is trained on the others (train and validation alike, `without_sources`) and scored on the
source's films of train and validation. Test stays shut, so that a recipe can be worked on by these figures. Everything finished is kept
under `out`, as in a plain comparison.

Not here: training (`runs.py`), the words of the report (`left_out_report.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hf_bones.config.recipe import Recipe, RecipeError, override
from hf_bones.evaluation.compare.choices import CompareChoices
from hf_bones.evaluation.compare.left_out_report import write_left_out
from hf_bones.evaluation.compare.left_out_results import HeldOut, LeftOutComparison, RecipeResult, SourceResult
from hf_bones.evaluation.compare.runs import Entrant, Failure, Finished, Train, entrants_of, reason_of, train_all
from hf_bones.evaluation.compare.scores import SplitRows, own_rows_scores, split_rows
from hf_bones.evaluation.report.figures import MIN_GROUPS, Resampling, stated_figure
from hf_bones.evaluation.report.run import load_splits
from hf_bones.inference.checkpoint import find_checkpoint
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.by_source import named_sources
from hf_bones.metrics.figures import Floats, Ints, weighted_auroc
from hf_bones.metrics.intervals import group_weights, percentile_interval
from hf_bones.record import public_name, read_json
from hf_bones.training.run_scheme import run_scheme

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

OPEN = "train and validation"  # whose films are scored


def compare_left_out(
    recipes: Sequence[str | Path],
    dataset: str,
    out: Path,
    choices: CompareChoices = CompareChoices(),  # noqa: B008 - frozen
    *,
    train: Train,
    command: str = "",
) -> LeftOutComparison:
    """Trains every recipe without each source in turn, scores it there, and writes sources.md, .html, .csv and .json into `out`.

    A run that fails is named (`failures`) and stops no other. Raises ValueError, before anything is trained, for checkpoints, recipes with
    teachers, a dataset of one source, and what a plain comparison refuses.
    """
    entrants = entrants_of(recipes, choices.settings, dataset, choices.licences)
    _check(entrants, choices)
    scheme = run_scheme(entrants[0].recipe.data)
    splits = load_splits(dataset)
    held_out = sources_to_hold_out(split_rows({OPEN: _open_rows(splits)}, OPEN, scheme))
    runs = {(one.name, source.name): without(one, source.name) for one in entrants for source in held_out}
    finished, failures = train_all(list(runs.values()), choices.seeds, out, train)
    resampling = Resampling(repeats=choices.repeats)
    results = []
    for entrant in entrants:
        knew, found, minutes = known_sources(entrant.recipe), [], 0.0
        for source in held_out:
            own = finished[runs[entrant.name, source.name].name]
            tables = _tables(own, source, out, choices, failures)
            if tables:
                minutes += float(np.mean([run.minutes for run in own]))
                found.append(source_result(source, tables, resampling, knew=source.name in knew))
        if found:
            results.append(_summed_up(entrant.name, found, minutes, resampling))
    if not results:
        raise ValueError("nothing to compare: " + "; ".join(f"{failure.title}: {failure.reason}" for failure in failures))
    results.sort(key=lambda one: (one.mean is None, -(one.mean or 0.0), one.name))
    done = LeftOutComparison(
        public_name(dataset), held_out, tuple(results), tuple(failures), scheme.normal, choices.seeds, choices.licences, resampling, command
    )
    write_left_out(done, out)
    return done


def _check(entrants: Sequence[Entrant], choices: CompareChoices) -> None:
    if not entrants:
        raise ValueError("--leave-one-source-out: name recipes to train")
    if choices.checkpoints:
        raise ValueError("--checkpoint: a finished one cannot be trained without a source; compare it without --leave-one-source-out")
    if choices.split != CompareChoices().split:
        raise ValueError(f"--split: with --leave-one-source-out films of {OPEN} are scored; leave it out")
    if len(set(choices.seeds)) != len(choices.seeds) or not choices.seeds:
        raise ValueError(f"seeds {list(choices.seeds)}: give one or more, each once")
    taught = [one.name for one in entrants if one.recipe.distill.is_on]
    if taught:
        raise RecipeError(
            f"distill: {', '.join(taught)}: a teacher that has learnt from the source that is held out hands it on; compare recipes "
            "without teachers"
        )


def _open_rows(splits: DatasetDict) -> Dataset:
    from datasets import concatenate_datasets

    missing = [split for split in ("train", "validation") if split not in splits]
    if missing:
        raise ValueError(f"the dataset has no split {' and no '.join(missing)}; it has {', '.join(splits)}")
    return concatenate_datasets([splits["train"], splits["validation"]])


def sources_to_hold_out(rows: SplitRows) -> tuple[HeldOut, ...]:
    """The sources whose films are not all drawn, each with the rows that are scored: of no group that another source has films of.

    Raises ValueError where there are fewer than two.
    """
    found = [HeldOut(name, _chosen(rows, places), shared) for name, (places, shared) in held_out_places(rows).items()]
    if len(found) < 2:
        raise ValueError(f"--leave-one-source-out: the dataset has films of {len(found)} source (column `source`); it takes two or more")
    return tuple(found)


def held_out_places(rows: SplitRows) -> dict[str, tuple[npt.NDArray[np.int64], int]]:
    """Of each source whose films are not all drawn: the places of the rows that are scored, and how many more share a group."""
    names, groups = named_sources(rows.sources), np.array(rows.groups)
    drawn = np.array(rows.part["synthetic"][:] if "synthetic" in rows.part.column_names else [False] * len(names), dtype=bool)
    found = {}
    for name in np.unique(names).tolist():
        own = names == name
        shared = own & np.isin(groups, groups[~own])
        if not drawn[own].all() and (own & ~shared).any():
            found[str(name)] = np.flatnonzero(own & ~shared), int(shared.sum())
    return found


def _chosen(rows: SplitRows, kept: npt.NDArray[np.int64]) -> SplitRows:
    return split_rows({OPEN: rows.part.select(kept.tolist())}, OPEN, rows.scheme)


def without(entrant: Entrant, source: str) -> Entrant:
    """The entrant whose recipe leaves out `source` beside what it leaves out already; its name is that of the folders of its runs."""
    named = re.sub(r"[^\w.+-]+", "-", source)
    sources = list(dict.fromkeys([*entrant.recipe.data.without_sources, source]))
    return replace(entrant, name=f"{entrant.name}-without-{named}", recipe=override(entrant.recipe, {"without_sources": sources}))


def known_sources(recipe: Recipe) -> set[str]:
    """The sources that the weights which a recipe starts from have learnt from, as their record says; none of weights from the Hub."""
    if recipe.model.from_scratch or not (recipe.model.model == "bundled" or Path(recipe.model.model).is_dir()):
        return set()
    record = find_checkpoint(recipe.model.model).folder / "record.json"
    return set(read_json(record).get("data", {}).get("sources", {})) if record.is_file() else set()


def _tables(own: Sequence[Finished], source: HeldOut, out: Path, choices: CompareChoices, failures: list[Failure]) -> list[Floats]:
    """Probabilities (N, C) of each finished seed on the source's rows; what cannot be scored becomes a failure."""
    tables = []
    for run in own:
        try:
            tables.append(own_rows_scores(str(run.folder), source.rows, out, device=choices.device, batch_size=choices.batch_size))
        except (ValueError, OSError) as error:
            failures.append(Failure(run.name, run.seed, reason_of(error)))
    return tables


def source_result(source: HeldOut, tables: Sequence[Floats], resampling: Resampling, *, knew: bool = False) -> SourceResult:
    """The figures of a recipe's seeds, each an (N, C) table of the source's rows; an image that cannot be read counts for none of them."""
    rows = source.rows
    readable = np.all([~np.isnan(table).any(axis=1) for table in tables], axis=0)
    kept = np.flatnonzero(readable)
    labels, groups = rows.labels[kept], np.array(rows.groups)[kept]
    normal_id, names = rows.scheme.normal_id, rows.scheme.names
    abnormal = labels != normal_id
    sides = {"recall": int(abnormal.sum()), "specificity": int((~abnormal).sum())}
    once = _side_figures([table[kept] for table in tables], labels, normal_id, np.ones((1, len(kept))))
    drawn: dict[str, list[Floats]] = {key: [] for key in once}
    if len(np.unique(groups)) >= MIN_GROUPS:
        for weights in group_weights(groups, len(kept), resampling.repeats, resampling.seed):
            for key, values in _side_figures([table[kept] for table in tables], labels, normal_id, weights).items():
                drawn[key].append(values)
    draws = {key: np.concatenate(each) if each else np.zeros(0) for key, each in drawn.items()}
    supports = {name: int((labels == index).sum()) for index, name in enumerate(names)}
    holding = {name: set(groups[labels == index].tolist()) for index, name in enumerate(names)}
    # Seen from the normal class: its specificity is the share of abnormal films that are not called normal.
    of_class = {"recall": f"specificity_{names[normal_id]}", "specificity": f"sensitivity_{names[normal_id]}", "auroc": "auroc_abnormal"}
    figures = {
        key: stated_figure(
            metric,
            float(once[key][0]),
            percentile_interval(draws[key], resampling.level) if len(draws[key]) else None,
            supports,
            holding,
            names[normal_id],
        )
        for key, metric in of_class.items()
    }
    counted = [key for key, count in sides.items() if count >= MIN_ROWS]
    score = float(np.mean([once[key][0] for key in counted])) if counted else None
    # A resample without a film of one side takes that side's figure as it is.
    each = [np.where(np.isnan(draws[key]), once[key][0], draws[key]) for key in counted]
    own_draws = np.mean(each, axis=0) if counted and len(draws[counted[0]]) else np.zeros(0)
    return SourceResult(
        source.name, len(tables), sides["specificity"], sides["recall"], figures["recall"], figures["specificity"], figures["auroc"], score,
        _interval(own_draws, resampling), own_draws, knew,
    )  # fmt: skip


def _side_figures(tables: Sequence[Floats], labels: Ints, normal_id: int, weights: Floats) -> Mapping[str, Floats]:
    """Recall, specificity and AUROC(abnormal), (R,) for each of R weightings (R, N), mean over the tables; NaN where a side is missing."""
    abnormal = labels != normal_id
    each: dict[str, list[Floats]] = {"recall": [], "specificity": [], "auroc": []}
    with np.errstate(divide="ignore", invalid="ignore"):
        for table in tables:
            called = table.argmax(axis=1) != normal_id
            each["recall"].append(weights[:, abnormal & called].sum(axis=1) / weights[:, abnormal].sum(axis=1))
            each["specificity"].append(weights[:, ~abnormal & ~called].sum(axis=1) / weights[:, ~abnormal].sum(axis=1))
            each["auroc"].append(weighted_auroc(abnormal, 1 - table[:, normal_id], weights))
    return {key: np.asarray(np.mean(values, axis=0)) for key, values in each.items()}


def _interval(draws: Floats, resampling: Resampling) -> tuple[float, float] | None:
    found = percentile_interval(draws, resampling.level) if len(draws) else (np.nan, np.nan)
    return None if np.isnan(found[0]) or found[0] == found[1] else found


def _summed_up(name: str, found: Sequence[SourceResult], minutes: float, resampling: Resampling) -> RecipeResult:
    """The mean over the sources that have a score, with the interval of the mean of their resamples, and the worst of them."""
    scored = [each for each in found if each.score is not None]
    mean = float(np.mean([each.score for each in scored if each.score is not None])) if scored else None
    together = np.mean([each.draws for each in scored], axis=0) if scored and all(len(each.draws) for each in scored) else np.zeros(0)
    worst = min(scored, key=lambda each: (each.score or 0.0, each.source)).source if scored else None
    return RecipeResult(name, tuple(found), mean, _interval(together, resampling), worst, minutes)
