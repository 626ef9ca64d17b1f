"""`--search optuna`: trials of a recipe with other values in the keys of its `search: space:`, the hopeless ones stopped early.

Each trial is a whole run of its own in `output_dir/trial-NNN`, trained as any recipe is, and scored by its validation selection score
(mean of AUROC(abnormal) and mean AUROC of one against rest of the kept checkpoint). The first is the recipe as it stands; some are drawn at
random; the rest are proposed by a tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter Optimization",
NeurIPS 2011). After `prune_after` evaluations a trial whose best is under the median of the finished ones at that evaluation is stopped.

The study lies in `search.db` (SQLite). A trial that was killed resumes from its last checkpoint when the same command is run again, and
what is proposed depends on the trials there alone. Several processes may search at once, one a GPU: each takes a trial that nobody
holds (a lock file says who does), so trials, and not batches, are shared out; a trial itself runs in one process.

optuna is asked directly and not through `Trainer.hyperparameter_search`: that one changes TrainingArguments of one Trainer, while a recipe
also chooses the network, its size, what of it learns, the augmentation and the loss; and it neither resumes trials nor keeps them apart.
Not here: the space (`hf_bones/config/search_space.py`), the study and its locks (`study.py`), tables, plot and best recipe
(`report.py`).
"""

from __future__ import annotations

import gc
import importlib.util
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import FileLock
from transformers import TrainerCallback

from hf_bones.config.fields import is_removed
from hf_bones.config.recipe import STAGES, Recipe, RecipeError, SearchConfig, override
from hf_bones.config.rules import check_rules
from hf_bones.logits import softmax
from hf_bones.metrics import selection_score
from hf_bones.metrics.figures import weighted_figures
from hf_bones.metrics.intervals import group_weights
from hf_bones.record import read_json, write_json
from hf_bones.training.cached_views.fill import FOLDER as KEPT
from hf_bones.training.errors import DivergedError, TooLittleMemoryError
from hf_bones.training.processes import process_count
from hf_bones.training.run.checkpoints import RUN_FILE, START
from hf_bones.training.run.result import TrainedModel
from hf_bones.training.run_scheme import noted
from hf_bones.training.search.report import best_of, write_report
from hf_bones.training.search.study import LOCK_FILE, STUDY_FILE, Study, TrialRow

if TYPE_CHECKING:
    import optuna

RunTrial = Callable[[Recipe, Sequence[TrainerCallback]], TrainedModel]
"""Trains a recipe to a finished checkpoint in its `output_dir`, with callbacks for the Trainer."""

NOTE_FILE = "search.json"
WEIGHTS = (
    "model.safetensors",
    "patch_head.safetensors",
    "box_head.safetensors",
    "config.json",
    "preprocessor_config.json",
    "decision.json",
    "README.md",
)
REPEATS = 300  # resamples of validation groups for a trial's standard error


def search(recipe: Recipe, run_trial: RunTrial) -> Path:
    """Makes the trials that are still to be made and reports on all of them. Returns the file of the best recipe.

    Only the best trial keeps its weights; of the others there remain record.json and curves.png. Raises `RecipeError` for a recipe without
    a space, another search in the same `output_dir`, a launcher with several processes, a missing optuna, and where every trial failed.
    """
    output, config = Path(recipe.training.output_dir), recipe.search or SearchConfig()
    check_search()
    check_rules(recipe, "search")
    space = {f"search.space.{key}": vars(values) for key, values in config.space.items()}
    prepare_search({**noted(recipe), **space}, output, recipe.training.resume)
    values = {key: value for stage in STAGES for key, value in vars(getattr(recipe, stage)).items()}
    study = Study(output, config, recipe.training.seed, values)
    while (claimed := study.claim()) is not None:
        trial, lock = claimed
        folder = trial.user_attrs["folder"]
        try:
            own = override(recipe, {**trial.params, "output_dir": str(output / folder), "resume": True})
            own.search = None
            if own.training.cached_views and not own.training.cached_dir:
                own.training.cached_dir = str(output / KEPT)  # trials with the same frozen part compute it once
            run_claimed(trial, partial(run_trial, own))
        finally:
            lock.release()
        with FileLock(output / LOCK_FILE):
            rows = study.rows()
            drop_weights(rows, output)
            write_report(rows, recipe.as_dict(), config.space, output)
        say(rows, folder, config.trials)
        forget_network(recipe.training.torch_compile)
    rows = study.rows()
    if running := [row.folder for row in rows if row.state == "running"]:
        print(f"\nnote        other processes still run {', '.join(running)}")
    return write_report(rows, recipe.as_dict(), config.space, output, whole=True)


def check_search() -> None:
    """Raises `RecipeError` for what keeps this process from searching."""
    if process_count() > 1:
        raise RecipeError(
            f"--search: a trial runs in one process, and {process_count()} were started. For several GPUs run the command without a "
            "launcher, once for each of them, with CUDA_VISIBLE_DEVICES=0, 1, …: they share out the trials"
        )
    if importlib.util.find_spec("optuna") is None:
        raise RecipeError("--search: optuna is not installed; pip install 'hf-bones[search]'")


def prepare_search(search: Mapping[str, Any], output: Path, resume: bool) -> None:
    """Notes what is searched (the recipe's keys, as `comparable` gives them, and the space) in `output`, or checks that it is what an
    earlier command searched there.

    Without `resume` an earlier search is taken away first. Raises `RecipeError` naming the keys that differ.
    """
    output.mkdir(parents=True, exist_ok=True)
    mine, note = json.loads(json.dumps(search)), output / NOTE_FILE
    with FileLock(output / LOCK_FILE):
        if not resume:
            (output / STUDY_FILE).unlink(missing_ok=True)
            for folder in output.glob("trial-*"):
                if (folder / RUN_FILE).is_file():
                    shutil.rmtree(folder)
        elif note.is_file() and (output / STUDY_FILE).is_file():
            theirs = {key: value for key, value in read_json(note).items() if not is_removed(key, f"{note}: {key}")}
            if differing := sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key)):
                raise RecipeError(
                    f"output_dir: {output} holds a search whose {', '.join(differing)} differ, and scores of the two cannot be compared; "
                    "choose another output_dir, or start over in this one with --resume false"
                )
        write_json(note, mine)


def run_claimed(trial: optuna.Trial, run: Callable[[Sequence[TrainerCallback]], TrainedModel]) -> None:
    """Runs a trial and tells the study how it ended; one that is interrupted stays open, and is resumed later.

    Settings that the network or the machine cannot take end the trial; where no trial has been finished yet, the search too.
    """
    import optuna
    from optuna.trial import TrialState

    study, folder = trial.study, trial.user_attrs["folder"]
    print(f"\n{folder:<12}{', '.join(f'{key} {written(value)}' for key, value in trial.params.items())}")
    watch = TrialWatch(trial)
    try:
        try:
            trained = run([watch])
        finally:
            watch.note_time()
    except optuna.TrialPruned:
        trial.set_user_attr("reason", f"under the median after {watch.reported} evaluations")
        study.tell(trial, state=TrialState.PRUNED)
    except (DivergedError, TooLittleMemoryError) as error:
        end(trial, str(error))
    except ValueError as error:  # a recipe's keys that do not go together, or not with the network
        if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            trial.set_user_attr("dropped", True)
            study.tell(trial, state=TrialState.FAIL)
            raise
        end(trial, str(error))
    else:
        probabilities = softmax(trained.logits)
        score = selection_score(trained.labels, probabilities, trained.scheme.normal_id)
        trial.set_user_attr("standard_error", standard_error(trained, probabilities))
        if math.isnan(score):
            end(trial, "the validation rows give no score: a class is missing")
        else:
            study.tell(trial, score)


def end(trial: optuna.Trial, reason: str) -> None:
    """Ends a trial that cannot go on. As a pruned one, so that the next proposals keep away from its values."""
    from optuna.trial import TrialState

    trial.set_user_attr("reason", reason)
    trial.set_user_attr("ended", True)
    trial.study.tell(trial, state=TrialState.PRUNED)
    print(f"\n{trial.user_attrs['folder']:<12}ended early: {reason}")


class TrialWatch(TrainerCallback):
    """Tells the study the score of each evaluation, in order from 1, and stops a trial that the pruner gives up."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial
        self.reported = 0
        self.started, self.before = time.monotonic(), float(trial.user_attrs.get("seconds", 0.0))

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        import optuna

        # All of them from the log, since a trial that resumes from a checkpoint had some in its earlier life.
        scores = [entry["eval_selection"] for entry in state.log_history if "eval_selection" in entry and entry["step"] > 0]
        for number, score in enumerate(scores[self.reported :], start=self.reported + 1):
            self.trial.report(score, number)
        self.reported = len(scores)
        self.note_time()
        if scores and state.global_step < state.max_steps and self.trial.should_prune():
            raise optuna.TrialPruned

    def note_time(self) -> None:
        """Notes how long the trial has run, in all its lives."""
        self.trial.set_user_attr("seconds", self.before + time.monotonic() - self.started)


def standard_error(trained: TrainedModel, probabilities: np.ndarray) -> float:
    """Standard deviation of the selection score over resamples of whole validation groups; NaN for fewer than two groups."""
    if len(set(trained.groups)) < 2:
        return float("nan")
    scores: list[np.ndarray] = []
    for weights in group_weights(trained.groups, len(trained.labels), REPEATS):
        drawn = weighted_figures(trained.labels, probabilities, weights, trained.scheme.names, trained.scheme.normal_id, 0.85)
        scores.append((drawn["auroc_abnormal"] + drawn["auroc_ovr_macro"]) / 2)
    return float(np.nanstd(np.concatenate(scores)))


def drop_weights(rows: Sequence[TrialRow], output: Path) -> None:
    """Deletes the training state of finished trials, and the weights of all but the best one."""
    best = best_of(rows)
    for row in rows:
        folder = output / row.folder
        if row.state == "running":
            continue
        for place in [*folder.glob("checkpoint-*"), folder / START]:
            shutil.rmtree(place, ignore_errors=True)
        if best is None or row.folder != best.folder:
            for name in WEIGHTS:
                (folder / name).unlink(missing_ok=True)


def forget_network(torch_compile: str) -> None:
    """Gives the memory of a trial's network back before the next one is made."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch_compile != "off":
        torch.compiler.reset()


def written(value: Any) -> str:
    """A value as people write it: three digits are enough of a number."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def say(rows: Sequence[TrialRow], folder: str, trials: int) -> None:
    """One line on the trial that has just ended."""
    row, best = next(row for row in rows if row.folder == folder), best_of(rows)
    score = f"selection {row.score:.4f}" if row.state == "complete" and row.score is not None else row.state
    so_far = f", best so far {best.score:.4f} (trial {best.number})" if best is not None else ""
    print(f"{folder:<12}{score}{so_far}; {sum(r.state != 'running' for r in rows)} of {trials} trials, {row.minutes:.1f} min")
