"""The runs of a comparison: recipes made alike in data and split, trained seed by seed, each kept in a folder and never trained again.

Seeds are the outer loop, so that a comparison that is stopped early has every recipe once before it has any of them twice.
"""

from __future__ import annotations

import dataclasses
import gc
import re
import shutil
import sys
import time
import traceback
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hf_bones.config.loading import parse_yaml
from hf_bones.config.recipe import STAGES, Recipe, RecipeError, load_recipe, nearest, override
from hf_bones.record import read_json, write_json
from hf_bones.training.cached_views.fill import FOLDER as KEPT
from hf_bones.training.run.checkpoints import START, differing_keys, last_complete_checkpoint
from hf_bones.training.run_scheme import noted

Train = Callable[[Recipe], Path]  # runs a recipe to a finished checkpoint in its `output_dir`

CLOCK_FILE = "clock.json"  # how long the run took, over all its tries
ERROR_FILE = "error.txt"  # the trace of a try that failed
# What a comparison decides for all of its recipes, and where to say it instead.
_OWN = {
    "dataset": "--dataset", "output_dir": "--out", "seed": "--seeds", "train_licences": "--licence",
    "drawn_validation_images": "nowhere: all are chosen on the same validation rows",
    "push_to_hub": "nowhere: push the one that you choose, afterwards",
    "resume": "nowhere: a comparison always resumes",
}  # fmt: skip


@dataclass(frozen=True)
class Entrant:
    """A recipe that takes part, under a name that is also that of its folders."""

    name: str
    recipe: Recipe


@dataclass(frozen=True)
class Finished:
    """A trained checkpoint of an entrant, and the minutes that it took."""

    name: str
    seed: int
    folder: Path
    minutes: float
    recipe: Recipe


@dataclass(frozen=True)
class Failure:
    """What went wrong with an entrant (`seed`), or with a checkpoint that was named (None)."""

    name: str
    seed: int | None
    reason: str

    @property
    def title(self) -> str:
        return self.name if self.seed is None else f"{self.name}, seed {self.seed}"


def entrants_of(recipes: Sequence[str | Path], settings: Sequence[str], dataset: str, licences: Sequence[str]) -> list[Entrant]:
    """Shipped recipes by name, or YAML files (named by their stem), all on the same data.

    `settings` are `key=value` for all of them or `NAME:key=value` for one; `licences`, where given, limit what all of them learn from and
    are chosen on. Raises `RecipeError` naming the recipe and the key, for names that occur twice, and for two label schemes.
    """
    names = [Path(str(recipe)).stem if Path(str(recipe)).is_file() else str(recipe) for recipe in recipes]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"recipe {name!r} is named twice; a comparison needs names that differ (rename the file)")
    changes = _changes(settings, names)
    common: dict[str, Any] = {"dataset": dataset, "drawn_validation_images": 0, "push_to_hub": None, "resume": True}
    if licences:
        common["train_licences"] = list(licences)
    found = []
    for name, given in zip(names, recipes, strict=True):
        if not re.fullmatch(r"[\w.+-]+", name):
            raise RecipeError(f"recipe {name!r}: its name becomes a folder's; use letters, digits, '-', '_', '.' and '+'")
        own = override(load_recipe(given), changes[name], f"--set, recipe {name!r}")
        found.append(Entrant(name, override(own, common, f"recipe {name!r}")))
    schemes = {entrant.recipe.data.label_scheme for entrant in found}
    if len(schemes) > 1:
        raise RecipeError(f"label_scheme: the recipes have {sorted(schemes)}; only recipes of one scheme can be compared")
    return found


def _changes(settings: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The overrides of each recipe, those for it alone winning."""
    hints = {key: hint for kind in STAGES.values() for key, hint in typing.get_type_hints(kind).items()}
    alike: dict[str, Any] = {}
    alone: dict[str, dict[str, Any]] = {name: {} for name in names}
    for setting in settings:
        where, equals, text = setting.partition("=")
        name, colon, key = where.rpartition(":")
        if not equals or not key:
            raise RecipeError(f"--set {setting!r}: expected key=value, or NAME:key=value for one recipe")
        if colon and name not in alone:
            raise RecipeError(f"--set {setting!r}: no recipe {name!r} takes part{nearest(name, names)}")
        if key not in hints:
            raise RecipeError(f"--set {setting!r}: unknown key {key!r}{nearest(key, hints)}")
        if key in _OWN:
            raise RecipeError(f"--set {setting!r}: {key!r} is set for all recipes alike, by {_OWN[key]}")
        (alone[name] if colon else alike)[key] = _value(text, hints[key], setting)
    return {name: {**alike, **own} for name, own in alone.items()}


def _value(text: str, hint: Any, setting: str) -> Any:
    if hint is str or str in typing.get_args(hint):
        return text  # YAML would make a truth value of `no`
    try:
        return parse_yaml(text, "the value")
    except RecipeError as error:
        raise RecipeError(f"--set {setting[:200]!r}: {error}") from error


def run_recipe(entrant: Entrant, seed: int, out: Path) -> Recipe:
    """The recipe of one run, with its seed and its folder."""
    return override(entrant.recipe, {"seed": seed, "output_dir": str(out / "runs" / f"{entrant.name}-{seed}")})


def check_folders(entrants: Sequence[Entrant], seeds: Sequence[int], out: Path) -> None:
    """Raises `RecipeError` where the folder of a run holds one of other settings, before anything is trained."""
    for entrant in entrants:
        for seed in seeds:
            recipe = run_recipe(entrant, seed, out)
            folder = Path(recipe.training.output_dir)
            if (folder / "record.json").is_file() or last_complete_checkpoint(folder) is not None:
                differing = differing_keys(noted(recipe), folder)
                if differing:
                    raise RecipeError(
                        f"{folder} holds a run of {entrant.name!r} whose {', '.join(differing)} differ; "
                        "choose another --out, or remove that folder to train it again"
                    )


def train_all(
    entrants: Sequence[Entrant], seeds: Sequence[int], out: Path, train: Train
) -> tuple[dict[str, list[Finished]], list[Failure]]:
    """Trains what is not finished yet. A run that fails leaves its trace in error.txt, and the others go on; Ctrl-C stops all."""
    check_folders(entrants, seeds, out)
    finished: dict[str, list[Finished]] = {entrant.name: [] for entrant in entrants}
    failures = []
    plan = [(entrant, seed) for seed in seeds for entrant in entrants]
    for place, (entrant, seed) in enumerate(plan, start=1):
        recipe = run_recipe(entrant, seed, out)
        folder = Path(recipe.training.output_dir)
        title = f"[{place}/{len(plan)}] {entrant.name}, seed {seed}"
        if is_finished(folder):
            print(f"{title}: trained already ({folder})")
        else:
            print(f"{title}: training into {folder}", flush=True)
            try:
                _train_timed(partial(train, recipe), folder)
            except Exception as error:  # noqa: BLE001 - whatever one recipe trips over, the others are worth their hours
                failures.append(Failure(entrant.name, seed, reason_of(error)))
                (folder / ERROR_FILE).write_text(traceback.format_exc(), encoding="utf-8")
                print(f"{title}: failed, {reason_of(error)} (trace: {folder / ERROR_FILE})", file=sys.stderr, flush=True)
                continue
            finally:
                gc.collect()
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
        finished[entrant.name].append(Finished(entrant.name, seed, folder, read_json(folder / CLOCK_FILE)["seconds"] / 60, recipe))
    return finished, failures


def is_finished(folder: Path) -> bool:
    """Whether the run in `folder` came to its end: the clock is stopped last."""
    return (folder / CLOCK_FILE).is_file() and bool(read_json(folder / CLOCK_FILE).get("finished"))


def reason_of(error: BaseException) -> str:
    """An exception in one line, for a table."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _train_timed(train: Callable[[], object], folder: Path) -> None:
    """Trains to the end, notes the seconds of this try on top of those that it resumed from, and clears what only resuming needs."""
    before, clock = _seconds_so_far(folder), {"finished": False}
    began, began_at = time.monotonic(), time.time()
    write_json(folder / CLOCK_FILE, {**clock, "seconds": before, "began": began_at})
    try:
        train()
        clock = {"finished": True}
    finally:
        write_json(folder / CLOCK_FILE, {**clock, "seconds": before + time.monotonic() - began})
    (folder / ERROR_FILE).unlink(missing_ok=True)
    for leftover in [*folder.glob("checkpoint-*"), folder / START, folder / KEPT]:
        shutil.rmtree(leftover, ignore_errors=True)


def _seconds_so_far(folder: Path) -> float:
    """What the tries took that a run resumes from; of one that was killed outright, the time up to its last checkpoint."""
    latest = last_complete_checkpoint(folder)
    if (latest is None and not (folder / START).is_dir()) or not (folder / CLOCK_FILE).is_file():
        return 0.0
    clock = read_json(folder / CLOCK_FILE)
    killed = max(0.0, latest.stat().st_mtime - clock["began"]) if latest is not None and "began" in clock else 0.0
    return float(clock["seconds"]) + killed


def settings_of(entrants: Sequence[Entrant]) -> dict[str, dict[str, Any]]:
    """The keys of each recipe that are not the same in all of them: what the comparison is about."""
    flat = {
        entrant.name: {
            field.name: getattr(getattr(entrant.recipe, stage), field.name)
            for stage, kind in STAGES.items()
            for field in dataclasses.fields(kind)
        }
        for entrant in entrants
    }
    common = [key for key in next(iter(flat.values()), {}) if len({str(own[key]) for own in flat.values()}) > 1 and key != "output_dir"]
    return {name: {key: own[key] for key in common} for name, own in flat.items()}
