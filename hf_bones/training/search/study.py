"""The study of a search in optuna's terms: its file, its space, and who takes which trial.

Several processes may take trials of one study at a time. Whoever runs a trial holds the lock file in its folder; a trial that is open
and held by nobody was killed, and goes to the next who asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from hf_bones.config.recipe import SearchConfig
from hf_bones.config.search_space import Range

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

STUDY_FILE, LOCK_FILE = "search.db", "search.lock"
STUDY = "search"


@dataclass(frozen=True)
class TrialRow:
    """A trial as it stands. `score` is that of the kept checkpoint, of a pruned trial the best on the way; `curve` its evaluations."""

    number: int
    folder: str
    state: str  # complete, pruned, ended (could not go on), running
    score: float | None
    standard_error: float
    minutes: float
    curve: list[float]
    params: dict[str, Any]
    reason: str


def trial_rows(trials: Iterable[FrozenTrial]) -> list[TrialRow]:
    """The trials of a study, by number; one that was interrupted and resumed is one row, its last."""
    rows: dict[str, TrialRow] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        folder = trial.user_attrs.get("folder")
        if folder is None or trial.user_attrs.get("dropped"):
            rows.pop(folder or "", None)
            continue
        curve = [value for _, value in sorted(trial.intermediate_values.items())]
        name = trial.state.name.lower()
        state = "ended" if trial.user_attrs.get("ended") else name if name in ("complete", "pruned") else "running"
        rows[folder] = TrialRow(
            number=int(folder.rpartition("-")[2]),
            folder=folder,
            state=state,
            score=trial.value if name == "complete" else max(curve, default=None),
            standard_error=float(trial.user_attrs.get("standard_error", math.nan)),
            minutes=float(trial.user_attrs.get("seconds", 0.0)) / 60,
            curve=curve,
            params=dict(trial.params),
            reason=str(trial.user_attrs.get("reason", "")),
        )
    return sorted(rows.values(), key=lambda row: row.number)


@dataclass(frozen=True)
class Study:
    """The study in the folder `output`: what is searched over, the seed of its proposals, and the recipe's keys with their own `values`."""

    output: Path
    config: SearchConfig
    seed: int
    values: Mapping[str, Any]

    def open(self, trials: int = 0) -> optuna.Study:
        """The study, made if it is not there. The number of `trials` there already gives the next proposal a seed of its own."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = int(np.random.SeedSequence([self.seed, trials]).generate_state(1)[0])
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if self.config.prune_after is not None:
            pruner = optuna.pruners.MedianPruner(n_startup_trials=self.config.startup_trials, n_warmup_steps=self.config.prune_after + 1)
        return optuna.create_study(
            study_name=STUDY,
            storage=f"sqlite:///{(self.output / STUDY_FILE).resolve()}",
            direction="maximize",
            load_if_exists=True,
            pruner=pruner,
            sampler=optuna.samplers.TPESampler(n_startup_trials=self.config.startup_trials, seed=seed),
        )

    def rows(self) -> list[TrialRow]:
        """The trials so far."""
        return trial_rows(self.open().get_trials(deepcopy=False))

    def claim(self) -> tuple[optuna.Trial, FileLock] | None:
        """The next trial to run, and the lock that keeps it from others: one that was killed before a new one. None where all are made."""
        from optuna.trial import TrialState

        with FileLock(self.output / LOCK_FILE):
            study = self.open()
            trials = study.get_trials(deepcopy=False)
            if not trials and (own := self.own_values()) is not None:
                study.enqueue_trial(own)
            waiting = {trial.user_attrs.get("folder") for trial in trials if trial.state == TrialState.WAITING}
            for trial in trials:
                folder = trial.user_attrs.get("folder")
                if trial.state == TrialState.RUNNING and folder and not is_held(self.output / folder):
                    if folder not in waiting:
                        study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
                    study.tell(trial.number, state=TrialState.FAIL)
            trials = study.get_trials(deepcopy=False)
            rows = trial_rows(trials)
            if len(rows) >= self.config.trials and not any(trial.state == TrialState.WAITING for trial in trials):
                return None
            claimed = self.open(len(rows)).ask(distributions(self.config.space))
            # Numbers are ours: optuna counts a trial that was killed and resumed twice.
            folder = claimed.user_attrs.get("folder") or f"trial-{max((row.number for row in rows), default=-1) + 1:03d}"
            (self.output / folder).mkdir(exist_ok=True)
            lock = lock_of(self.output / folder)
            lock.acquire(timeout=0)
            claimed.set_user_attr("folder", folder)
            return claimed, lock

    def own_values(self) -> dict[str, Any] | None:
        """The recipe's own values of the keys searched over, if they all lie within the space."""
        mine = {key: self.values[key] for key in self.config.space}
        return mine if all(allowed.holds(mine[key]) for key, allowed in self.config.space.items()) else None


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
