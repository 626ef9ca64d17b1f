"""The study of a search in optuna's terms: its file, its space, and who takes which trial.

Several processes may take trials of one study at a time. Whoever runs a trial holds the lock file in its folder; a trial that is open
and held by nobody was killed, and goes to the next who asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from hf_bones.config.recipe import STAGES, Recipe, SearchConfig
from hf_bones.config.search_space import Range
from hf_bones.training.search.report import trial_rows

if TYPE_CHECKING:
    import optuna

STUDY_FILE, LOCK_FILE = "search.db", "search.lock"
STUDY = "search"


def space_of(recipe: Recipe) -> SearchConfig:
    """The recipe's `search:`; an empty one where it has none."""
    return recipe.search or SearchConfig()


def open_study(recipe: Recipe, output: Path, trials: int = 0) -> optuna.Study:
    """The study in `output`, made if it is not there. The number of `trials` there already gives the next proposal a seed of its own."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = space_of(recipe)
    seed = int(np.random.SeedSequence([recipe.training.seed, trials]).generate_state(1)[0])
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if config.prune_after is not None:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=config.startup_trials, n_warmup_steps=config.prune_after + 1)
    return optuna.create_study(
        study_name=STUDY,
        storage=f"sqlite:///{(output / STUDY_FILE).resolve()}",
        direction="maximize",
        load_if_exists=True,
        pruner=pruner,
        sampler=optuna.samplers.TPESampler(n_startup_trials=config.startup_trials, seed=seed),
    )


def claim_trial(recipe: Recipe, output: Path) -> tuple[optuna.Trial, FileLock] | None:
    """The next trial to run, and the lock that keeps it from others: one that was killed before a new one. None where all are made."""
    from optuna.trial import TrialState

    config = space_of(recipe)
    with FileLock(output / LOCK_FILE):
        study = open_study(recipe, output)
        trials = study.get_trials(deepcopy=False)
        if not trials and (own := own_values(recipe)) is not None:
            study.enqueue_trial(own)
        waiting = {trial.user_attrs.get("folder") for trial in trials if trial.state == TrialState.WAITING}
        for trial in trials:
            if trial.state == TrialState.RUNNING and (folder := trial.user_attrs.get("folder")) and not is_held(output / folder):
                if folder not in waiting:
                    study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
                study.tell(trial.number, state=TrialState.FAIL)
        trials = study.get_trials(deepcopy=False)
        rows = trial_rows(trials)
        if len(rows) >= config.trials and not any(trial.state == TrialState.WAITING for trial in trials):
            return None
        claimed = open_study(recipe, output, len(rows)).ask(distributions(config.space))
        # Numbers are ours: optuna counts a trial that was killed and gone on with twice.
        folder = claimed.user_attrs.get("folder") or f"trial-{max((row.number for row in rows), default=-1) + 1:03d}"
        (output / folder).mkdir(exist_ok=True)
        lock = lock_of(output / folder)
        lock.acquire(timeout=0)
        claimed.set_user_attr("folder", folder)
        return claimed, lock


def own_values(recipe: Recipe) -> dict[str, Any] | None:
    """The recipe's own values of the keys searched over, if they all lie within the space."""
    space = space_of(recipe).space
    mine = {key: getattr(getattr(recipe, stage), key) for stage in STAGES for key in space if hasattr(getattr(recipe, stage), key)}
    return mine if all(values.holds(mine[key]) for key, values in space.items()) else None


def distributions(space: dict[str, Range]) -> dict[str, Any]:
    """The space in optuna's terms."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for key, values in space.items():
        if values.choices is not None:
            found[key] = CategoricalDistribution(values.choices)
        elif isinstance(values.low, int):
            found[key] = IntDistribution(values.low, values.high, log=values.log, step=values.step or 1)
        else:
            found[key] = FloatDistribution(values.low, values.high, log=values.log, step=values.step)
    return found


def lock_of(folder: Path) -> FileLock:
    return FileLock(folder / ".held")


def is_held(folder: Path) -> bool:
    """Whether a process that still lives runs the trial in `folder`."""
    if not folder.is_dir():
        return False
    try:
        with lock_of(folder).acquire(timeout=0):
            return False
    except Timeout:
        return True
