"""Recipes against each other on one dataset and split: `hf-bones compare`.

Trains each recipe with each seed, scores what came out on the same rows beside checkpoints from elsewhere and the trivial baselines, and
writes one leaderboard. The order is that of validation; the shown split (test) is only shown. Everything finished is kept under `out`: the
same command resumes, and trains and predicts nothing twice.

Not here: training (handed in as a function), a search over settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hf_bones.evaluation.compare.choices import CompareChoices, parse_checkpoints
from hf_bones.evaluation.compare.costs import ModelCost, cost_images, model_costs
from hf_bones.evaluation.compare.figures import (
    ABNORMAL,
    SELECTION,
    Part,
    ScoreDraws,
    abnormal_score,
    difference,
    parts_of,
    score_draws,
    seed_figures,
)
from hf_bones.evaluation.compare.results import ABOUT, BASELINE, CHECKPOINT, RECIPE, Comparison, Contender, Neighbours, Standing
from hf_bones.evaluation.compare.runs import Entrant, Failure, Train, entrants_of, reason_of, settings_of, train_all
from hf_bones.evaluation.compare.scores import (
    Scores,
    baseline_scores,
    check_classes,
    checkpoint_scores,
    looks_at,
    split_rows,
    training_sample,
)
from hf_bones.evaluation.compare.seen import seen_before, with_seen
from hf_bones.evaluation.report.figures import Resampling
from hf_bones.evaluation.report.run import load_splits
from hf_bones.labels import LabelScheme
from hf_bones.metrics.figures import weighted_selection
from hf_bones.record import public_name
from hf_bones.training.run_scheme import run_scheme


def compare(
    recipes: Sequence[str | Path],
    dataset: str,
    out: Path,
    choices: CompareChoices = CompareChoices(),  # noqa: B008 - frozen
    *,
    train: Train,
    command: str = "",
) -> Comparison:
    """Trains, scores, ranks and writes leaderboard.md, .csv, .json and .png into `out`. `recipes`: see `entrants_of`.

    A recipe that fails is a row without figures (`failures`). Raises ValueError, before anything is trained, for what cannot be compared.
    """
    from hf_bones.evaluation.compare.plot import plot_leaderboard
    from hf_bones.evaluation.compare.table import write_tables

    seeds, licences, split = choices.seeds, choices.licences, choices.split
    device, batch_size, resampling = choices.device, choices.batch_size, Resampling(repeats=choices.repeats)
    entrants = entrants_of(recipes, choices.settings, dataset, licences)
    elsewhere = parse_checkpoints(choices.checkpoints)
    _check(entrants, elsewhere, seeds)
    splits = load_splits(dataset)
    scheme = _scheme(entrants, elsewhere)
    validation = split_rows(splits, "validation", scheme, licences)
    shown = split_rows(splits, split, scheme)
    finished, failures = train_all(entrants, seeds, out, train)
    contenders = []
    for entrant in entrants:
        kept: list[tuple[int, Path, float, Scores]] = []
        for run in finished[entrant.name]:
            try:
                sample = training_sample(run.recipe.data, run.recipe.training.seed, scheme, choices.train_images)
                scores = checkpoint_scores(
                    entrant.name, str(run.folder), validation, shown, out, sample=sample, device=device, batch_size=batch_size
                )
                kept.append((run.seed, run.folder, run.minutes, scores))
            except (ValueError, OSError) as error:  # a checkpoint damaged since, say
                failures.append(Failure(entrant.name, run.seed, reason_of(error)))
        if kept:
            own_seeds, folders, minutes, each = zip(*kept, strict=True)
            contenders.append(
                Contender(
                    entrant.name, RECIPE, entrant.recipe.description, own_seeds, len(seeds), str(folders[0]), float(np.mean(minutes)), each
                )
            )
    for name, checkpoint in elsewhere.items():
        own = checkpoint_scores(name, checkpoint, validation, shown, out, device=device, batch_size=batch_size)
        contenders.append(Contender(name, CHECKPOINT, f"checkpoint {public_name(checkpoint)}", (), 0, checkpoint, None, (own,)))
    if choices.baselines:
        for name, own in baseline_scores(splits, validation, shown, out, licences, resampling.seed).items():
            contenders.append(Contender(name, BASELINE, ABOUT[name], (), 0, None, None, (own,)))
    if not contenders:
        raise ValueError("nothing to compare: " + "; ".join(f"{failure.title}: {failure.reason}" for failure in failures))
    contenders = with_seen(contenders, shown, validation)
    costs, clockwork = model_costs({one.name: one.checkpoint for one in contenders if one.checkpoint}, cost_images(shown))
    validation_part = replace(parts_of(validation, [s.validation for one in contenders for s in one.scores])[-1], name="validation")
    parts = parts_of(shown, [s.shown for one in contenders for s in one.scores])
    standings, neighbours = rank(contenders, validation_part, parts, costs, choices.specificity, resampling, split, out)
    done = Comparison(
        public_name(dataset), split, validation_part, tuple(parts), validation.sha256, shown.sha256, licences, scheme, seeds,
        standings, neighbours, tuple(failures), settings_of(entrants), clockwork, choices.specificity, resampling,
        choices.train_images, command,
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    plot_leaderboard(done, out / "leaderboard.png")
    write_tables(done, out)
    return done


def rank(
    contenders: Sequence[Contender],
    validation: Part,
    parts: Sequence[Part],
    costs: Mapping[str, ModelCost],
    specificity: float,
    resampling: Resampling,
    split: str,
    out: Path,
) -> tuple[tuple[Standing, ...], tuple[Neighbours, ...]]:
    """Orders the contenders by their selection score on validation, best first, and compares each with the next."""
    by_selection = partial(weighted_selection, normal_id=validation.normal_id)
    by_abnormal = abnormal_score(validation.normal_id)
    scored: list[tuple[Contender, ScoreDraws]] = [
        (one, score_draws(validation, [s.validation for s in one.scores], by_selection, SELECTION, resampling)) for one in contenders
    ]
    # A score that cannot be had (no validation row of a class, say) stands last; names settle what is left.
    scored.sort(key=lambda pair: (np.isnan(pair[1].value), -pair[1].value, pair[0].name))
    standings = []
    for place, (one, score) in enumerate(scored, start=1):
        figures = seed_figures(validation, [s.validation for s in one.scores], specificity, resampling)
        learnt = [s.train_auroc for s in one.scores if s.train_auroc is not None]
        train_auroc = float(np.mean(learnt)) if learnt else None
        on_validation = figures.figures["auroc_abnormal"].value
        standings.append(
            Standing(
                rank=place,
                contender=one,
                selection=score.figure,
                validation=figures,
                shown=tuple(seed_figures(part, [s.shown for s in one.scores], specificity, resampling) for part in parts),
                train_auroc=train_auroc,
                gap=train_auroc - on_validation if train_auroc is not None and on_validation is not None else None,
                cost=costs.get(one.name),
                looks=looks_at(one.name, one.checkpoint, split, out) if one.checkpoint else None,
                seen=seen_before(one, split, parts[0], validation, resampling),
            )
        )
    on_shown = [score_draws(parts[0], [s.shown for s in one.scores], by_abnormal, ABNORMAL, resampling) for one, _ in scored]
    neighbours = tuple(
        Neighbours(
            scored[place][0].name,
            scored[place + 1][0].name,
            difference(scored[place][1], scored[place + 1][1], resampling.level),
            difference(on_shown[place], on_shown[place + 1], resampling.level),
        )
        for place in range(len(scored) - 1)
    )
    return tuple(standings), neighbours


def _check(entrants: Sequence[Entrant], checkpoints: Mapping[str, str], seeds: Sequence[int]) -> None:
    """Raises ValueError for names that collide and for nothing to compare."""
    names = {entrant.name for entrant in entrants} | set(ABOUT)
    for name in checkpoints:
        if name in names:
            raise ValueError(f"--checkpoint {name}=…: there is a row of that name already; choose another one")
        if not name.replace("-", "").replace("_", "").replace(".", "").replace("+", "").isalnum():
            raise ValueError(f"--checkpoint {name}=…: use letters, digits, '-', '_', '.' and '+' in its name")
    if not entrants and not checkpoints:
        raise ValueError("nothing to compare: name recipes, or checkpoints with --checkpoint NAME=PATH")
    if len(set(seeds)) != len(seeds) or (entrants and not seeds):
        raise ValueError(f"seeds {list(seeds)}: give one or more, each once")


def _scheme(entrants: Sequence[Entrant], checkpoints: Mapping[str, str]) -> LabelScheme:
    """The scheme of the recipes, else of the first checkpoint. Loads every checkpoint, so that a wrong one is told of before training."""
    from hf_bones.inference.predictor import BonePredictor

    scheme = run_scheme(entrants[0].recipe.data) if entrants else None
    for checkpoint in checkpoints.values():
        predictor = BonePredictor.from_pretrained(checkpoint, device="cpu")
        scheme = scheme or predictor.scheme
        check_classes(predictor, scheme)
    assert scheme is not None, "there are recipes or checkpoints"
    return scheme
