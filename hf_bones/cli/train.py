"""`hf-bones train` and `distill`, whose options are the keys of a recipe; `recipes`, `accelerate-config` and `quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hf_bones.cli.commands import RecipeKeys
from hf_bones.cli.errors import WRONG_USE
from hf_bones.cli.output import answer

if TYPE_CHECKING:
    from hf_bones.config.recipe import Recipe

_NEEDS = """hf-bones {command} needs {what}, for example

  hf-bones {command} {example}

It trains by the recipe, calibrates on the validation rows, and writes the checkpoint with its record and card into --out (runs/latest).
Every key of the recipe can be given as an option: hf-bones {command} --help."""


def train(
    search: Annotated[
        str | None, typer.Option(metavar="optuna", help="Search over the recipe's `search: space:` (extra `search`).")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Trials of the search, in place of the recipe's.")] = None,
    *,
    keys: RecipeKeys,
) -> None:
    """Fine-tune from a recipe, in this process (several GPUs: accelerate launch). Options win over the recipe's values.

    A list takes several words; given bare, it is empty. Without --recipe, but with another option, it is `quickstart`, which trains on
    drawn radiographs.
    """
    if not keys and not search and not trials:
        what = "a recipe, and for all but the quickstart's drawn radiographs a dataset"
        _say_needs("train", what, "--recipe dinov2-small --dataset data/films --out runs/mine")
    chosen = recipe_of(keys, "quickstart", trials)
    if search is not None:
        if search != "optuna":
            raise ValueError(f"--search {search!r}: expected optuna")
        from functools import partial

        from hf_bones.finetune import check_places, fit
        from hf_bones.training.run.lock import run_lock

        check_places(chosen)
        with run_lock(Path(chosen.training.output_dir)):
            from hf_bones.training.search.run import search as run_trials

            best = run_trials(chosen, partial(fit, finished=True))
        answer({"recipe": best}, [])
        return
    from hf_bones.finetune import run

    _say_trained(run(chosen))


def distill(keys: RecipeKeys) -> None:
    """Train a small network with larger ones as teachers, with labels and without. Options win over the recipe's values.

    A list takes several words; given bare, it is empty. Without --recipe it is `distill`.
    """
    if not keys:
        _say_needs("distill", "a teacher and a dataset", "--teacher runs/vit-base --dataset data/films --out runs/distilled")
    from hf_bones.config.rules import check_rules

    chosen = recipe_of(keys, "distill")
    check_rules(chosen, "distill")
    from hf_bones.finetune import run

    _say_trained(run(chosen))


def _say_needs(command: str, what: str, example: str) -> None:
    typer.echo(_NEEDS.format(command=command, what=what, example=example), err=True)
    raise typer.Exit(WRONG_USE)


def recipe_of(keys: RecipeKeys, default: str, trials: int | None = None) -> Recipe:
    """The recipe that is named among the keys, or the default, with the others changed in it. Raises `RecipeError` naming the key and
    what is wanted."""
    from hf_bones.config.recipe import RecipeError, load_recipe, override

    recipe = load_recipe(keys.get("recipe", default))
    if trials is not None:
        if recipe.search is None or trials < 1:
            raise RecipeError(f"--trials: expected 1 or more, and a recipe with a search: space:, got {trials} for {recipe.name!r}")
        recipe.search.trials = trials
    return override(recipe, {key: value for key, value in keys.items() if key != "recipe"})


def _say_trained(folder: Path) -> None:
    from hf_bones.record import read_json

    record = folder / "record.json"
    answer({"checkpoint": folder, "metrics": read_json(record)["metrics"] if record.is_file() else {}}, [])


def recipes() -> None:
    """List the recipes that ship with the package: of training, then of collections."""
    from hf_bones.collect.recipe import collect_recipe_names, load_collect_recipe
    from hf_bones.config.recipe import load_recipe, recipe_names

    told = [{"name": name, "command": "train", "description": load_recipe(name).description} for name in recipe_names()]
    told += [{"name": name, "command": "collect", "description": load_collect_recipe(name).description} for name in collect_recipe_names()]
    width = max(len(each["name"]) for each in told) + 2
    used = {"train": "", "collect": " (hf-bones collect)"}
    answer(told, [f"{each['name']:<{width}}{each['description']}{used[each['command']]}" for each in told])


def accelerate_config(
    name: Annotated[str, typer.Argument(help="Which one; without it, all are listed with the machine that each is for.")] = "",
) -> None:
    """Print the path of a launch configuration: accelerate launch --config_file "$(hf-bones accelerate-config gpu)" scripts/train.py …"""
    from hf_bones.config.recipe import launch_config, recipe_names

    if name:
        path, machine = launch_config(name)
        answer({"name": name, "machine": machine, "file": path}, [str(path)])
        return
    known = [(each, *launch_config(each)) for each in recipe_names("accelerate")]
    data = [{"name": each, "machine": machine, "file": path} for each, path, machine in known]
    answer(data, [f"{each:<12}{machine}\n{'':<12}{path}" for each, path, machine in known])


def quickstart(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the dataset, the checkpoint and the report.")] = Path("quickstart"),
    images: Annotated[int, typer.Option(help="Radiographs to draw.", min=30)] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the drawings and of training.")] = 0,
) -> None:
    """The whole pipeline in a few minutes on drawn radiographs: draw, build, fine-tune under accelerate, evaluate."""
    from hf_bones.evaluation.report.summary import summary_text
    from hf_bones.quickstart import closing_text, run
    from hf_bones.record import read_json

    done = run(out, images=images, seed=seed)
    answer({"checkpoint": out / "checkpoint", **read_json(done.metrics)}, [summary_text(done), closing_text(out, done)])
