"""Calibrates a checkpoint on films that it did not learn from: what `hf-bones calibrate` does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hf_bones.curation.duplicates.film_code import WORDS
from hf_bones.curation.duplicates.seen_films import LEARNT
from hf_bones.dataset.schema import require_split
from hf_bones.evaluation.calibrate.answers import answers_of
from hf_bones.evaluation.calibrate.choices import CalibrateChoices
from hf_bones.evaluation.calibrate.fit import fit_decision
from hf_bones.evaluation.calibrate.heads import HeadAnswers, features_of, head_answers
from hf_bones.evaluation.calibrate.recipe import DEFAULT_RECIPE, CalibrateRecipe, changed, error_levels, load_calibrate_recipe
from hf_bones.evaluation.calibrate.report import write_calibration
from hf_bones.evaluation.calibrate.results import CalibratedRows, Calibration, Fitted
from hf_bones.evaluation.columns import text_column
from hf_bones.evaluation.report.looks import own_folder
from hf_bones.evaluation.report.run import load_splits, scheme_labels
from hf_bones.evaluation.shipped_rule import keep_shipped, kept_shipped, rule_parts
from hf_bones.evaluation.study_fit import fit_study
from hf_bones.inference.checkpoint import find_checkpoint, find_seen_films
from hf_bones.inference.decision import FILE_NAME as DECISION_FILE
from hf_bones.inference.decision import DecisionRule, write_decision
from hf_bones.inference.study.join import StudyJoin
from hf_bones.logits import softmax
from hf_bones.record import public_name, sha256_rows

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from hf_bones.inference.predictor import BonePredictor

TRAIN = "train"


def calibrate_checkpoint(
    model: str | Path,
    dataset: str | Path | DatasetDict,
    out: str | Path | None = None,
    choices: CalibrateChoices = CalibrateChoices(),  # noqa: B008 - frozen
    *,
    recipe: str | Path | CalibrateRecipe = DEFAULT_RECIPE,
    command: str = "",
) -> Calibration:
    """Fits scaling and thresholds of a checkpoint, and writes them into its decision.json, plots and calibration.json beside it.

    model: a folder of one's own, which is changed, or, with `out`, any checkpoint, which is copied there (a new or an empty folder). Rows
    without a label, of other licences and sources than asked for, and rows that the checkpoint learnt from by its list are left out.

    Raises ValueError for a checkpoint that cannot be written to and no `out`, for the split `train`, where no row is left, and what
    `fit_decision` raises.
    """
    settings = recipe if isinstance(recipe, CalibrateRecipe) else load_calibrate_recipe(recipe)
    told = ("method", "alpha", "class_alpha", "fit_on", "cost_miss", "cost_alarm")
    settings = changed(settings, **{key: getattr(choices, key) for key in told})
    target = _target(model, out)
    if choices.split == TRAIN:
        raise ValueError("split 'train': the checkpoint knows these films, and its doubts there are not those about new ones")
    data = load_splits(dataset)
    name = public_name(dataset) if isinstance(dataset, (str, Path)) else "dataset in memory"
    require_split(data, choices.split, name)
    found = find_checkpoint(model, choices.revision)
    predictor = _predictor(model, choices)
    decision = predictor.decision
    error_levels(settings.sets, decision.scheme.names)  # a class that is none is refused before the network runs
    part = data[choices.split]
    labels = scheme_labels(part, decision.scheme, f"{name}, split {choices.split!r}")
    rows, left_out = _chosen(part, labels, choices, predictor)
    answers = answers_of(predictor, found.folder, part, rows, choices.batch_size, Path(choices.cache) if choices.cache else None)
    if answers.refused:
        left_out["cannot be opened"] = answers.refused
    groups = _groups(part, choices.split)
    evidence = answers.evidence if decision.patches is not None else None
    joined = decision.joined(answers.logits, evidence)
    fitted_rows = CalibratedRows(
        joined, softmax(decision.scaled(joined)), labels[answers.rows], [groups[row] for row in answers.rows.tolist()]
    )

    def heads() -> HeadAnswers:
        return _heads(data, name, (choices.split, answers.rows.tolist()), predictor, found.folder, settings, choices)

    fitted = fit_decision(fitted_rows, decision, settings, heads if TRAIN in data and len(data[TRAIN]) else None)
    hashes, regions = text_column(part, "sha256"), text_column(part, "region")
    study = _study_of(fitted, labels[answers.rows], [regions[row] for row in answers.rows.tolist()], fitted_rows.groups)
    fitted = replace(fitted, decision=replace(fitted.decision, study=study))
    done = Calibration(
        folder=target,
        checkpoint=public_name(model),
        dataset=name,
        split=choices.split,
        dataset_sha256=sha256_rows((hashes[row], labels[row], groups[row]) for row in answers.rows.tolist()),
        recipe=settings,
        rows=fitted_rows,
        fitted=fitted,
        left_out=left_out,
        replaced=_replaced(decision, predictor.calibrated),
        command=command,
    )
    if target.resolve() == found.folder.resolve():
        _write(done, target, choices.site)
        return done
    with tempfile.TemporaryDirectory(dir=_made(target.parent), prefix=f".{target.name}-") as temporary:
        copy = Path(temporary) / "checkpoint"
        shutil.copytree(found.folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
        _write(done, copy, choices.site)
        if target.is_dir():
            target.rmdir()  # it is empty
        copy.replace(target)
    return done


def _study_of(fitted: Fitted, labels: npt.NDArray[np.int64], regions: list[str], groups: Sequence[str]) -> StudyJoin | None:
    """How views are joined best; None, which is their mean, where the films allow no studies to be made up."""
    try:
        return fit_study(fitted.probabilities, labels.tolist(), regions, groups, fitted.decision.scheme.normal_id)
    except ValueError:
        return None


def _write(done: Calibration, folder: Path, site: bool) -> None:
    """The decision comes last: a run that is killed before leaves the answers as they were."""
    write_calibration(done, folder)
    kept = kept_shipped(folder / DECISION_FILE)
    shipped = done.replaced if kept is None else kept
    path = write_decision(done.fitted.decision, folder)
    if site:
        keep_shipped(path, shipped, f"{done.dataset}, split {done.split}")


def _target(model: str | Path, out: str | Path | None) -> Path:
    own = own_folder(model)
    if out is None:
        if own is None:
            raise ValueError(f"{model}: it cannot be written to; name a folder for a calibrated copy with --out")
        return own
    target = Path(out).expanduser()
    if own is not None and target.resolve() == own.resolve():
        return own
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target}: it is there already; name a new folder for the calibrated copy")
    return target


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _predictor(model: str | Path, choices: CalibrateChoices) -> BonePredictor:
    from hf_bones.inference.predictor import BonePredictor

    return BonePredictor.from_pretrained(model, revision=choices.revision, device=choices.device)


def _chosen(
    part: Dataset, labels: np.ndarray, choices: CalibrateChoices, predictor: BonePredictor | None
) -> tuple[list[int], dict[str, int]]:
    """The rows to fit on, and reason → how many of the others. Raises ValueError naming the licences or sources that there are."""
    kept = np.flatnonzero(labels >= 0)
    left_out = {"without a label": int((labels < 0).sum())}
    for column, wanted, words in (("licence", choices.licences, "another licence"), ("source", choices.sources, "another source")):
        if wanted:
            values = np.array(text_column(part, column), dtype=object)
            chosen = kept[np.isin(values[kept], list(wanted))]
            if not len(chosen):
                there = ", ".join(sorted(set(values[kept]))) or "none"
                raise ValueError(f"no labelled row has a {column} among {', '.join(wanted)}; there are: {there}")
            left_out[words] = len(kept) - len(chosen)
            kept = chosen
    seen = find_seen_films(predictor.checkpoint, predictor.revision) if predictor is not None else None
    if seen is not None:  # by their hashes alone: codes would open every film once more
        hashes = text_column(part, "sha256")
        learnt = np.array([seen.find(hashes[row], lambda: np.zeros((0, WORDS), np.uint64)) == LEARNT for row in kept], dtype=bool)
        left_out["learnt from"] = int(learnt.sum())
        kept = kept[~learnt]
    if not len(kept):
        raise ValueError("no row to fit on: all of them were learnt from, or have no label")
    return kept.tolist(), {reason: count for reason, count in left_out.items() if count}


def _groups(part: Dataset, split: str) -> list[str]:
    """The group of each row; one without is a group of its own."""
    return [group or f"{split} row {row}" for row, group in enumerate(text_column(part, "group"))]


def _heads(
    data: Any,
    name: str,
    validation: tuple[str, list[int]],
    predictor: BonePredictor,
    folder: Path,
    settings: CalibrateRecipe,
    choices: CalibrateChoices,
) -> HeadAnswers:
    """Answers out of fold over the chosen rows of train and of the split that is fitted on."""
    split, held = validation
    train = data[TRAIN]
    learnt = scheme_labels(train, predictor.scheme, f"{name}, split {TRAIN!r}")
    rows, _ = _chosen(train, learnt, choices, None)
    parts = [(data[split], held), (train, rows)]
    features = features_of(str(folder), parts, Path(choices.cache) if choices.cache else None, choices.device)
    labels = np.concatenate([scheme_labels(data[split], predictor.scheme, split)[held], learnt[rows]])
    groups = [
        group for part, own, which in ((data[split], held, split), (train, rows, TRAIN)) for group in np.array(_groups(part, which))[own]
    ]
    in_training = np.arange(len(labels)) >= len(held)
    kept = features.kept
    return head_answers(
        features.values[kept],
        labels[kept],
        [groups[row] for row in kept.tolist()],
        in_training[kept],
        predictor.names,
        predictor.scheme.normal_id,
        settings.sets,
        settings.scaling,
    )


def _replaced(decision: DecisionRule, calibrated: bool) -> dict[str, object]:
    """What the checkpoint's decision.json said before; nothing where it had none."""
    if not calibrated:
        return {}
    return rule_parts(decision)
