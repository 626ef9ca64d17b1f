"""One whole fine-tuning run, from a recipe to a checkpoint that can be loaded, judged and pushed; or, with `--search`, many of them.

train or distil (training) → calibrate on validation (inference) → curves, record.json, model card → push (hub). `scripts/train.py`,
`hf-bones train` and the quickstart all come through `main`, `scripts/distill.py` and `hf-bones distill` through `distill_main`. Heavy
libraries are imported inside, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_bones.config.recipe import STAGES, Recipe, RecipeError, load_recipe, nearest, override, recipe_names
from hf_bones.training.errors import RunEndedError

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from hf_bones.training.run.result import TrainedModel


_DOES = {
    "train": "Fine-tune a ViT or ConvNeXt on bone radiographs.",
    "distill": "Train a small network on bone radiographs under larger ones: --teacher, --teacher_probabilities.",
}


def make_parser(command: str = "train", recipe: str = "quickstart") -> argparse.ArgumentParser:
    """The parser of `hf-bones train` and `distill` and of their scripts: `--recipe`, then every recipe field as `--key value`."""
    from transformers import HfArgumentParser

    parser = HfArgumentParser(
        list(STAGES.values()),
        prog=f"hf-bones {command}",
        description=f"{_DOES[command]} Values given here win over the recipe's. Given bare, an option for several values is an empty list.",
    )
    for action in parser._actions:
        if action.nargs == "+":  # what HfArgumentParser makes of a list, so that none could be emptied
            action.nargs = "*"
    parser.add_argument("--recipe", default=recipe, help=f"A shipped recipe ({', '.join(recipe_names())}) or a YAML file.")
    if command == "train":
        parser.add_argument("--search", choices=["optuna"], help="Search over the recipe's `search: space:` (extra `search`).")
        parser.add_argument("--trials", type=int, help="Trials of the search, in place of the recipe's.")
    return parser


def parse_recipe(arguments: Sequence[str], command: str = "train", default: str = "quickstart") -> Recipe:
    """The recipe that a command line asks for; without `--recipe` it is `default`.

    Raises `RecipeError` for an unknown `--key`, naming the nearest one, and for values of the wrong type.
    """
    parser = make_parser(command, default)
    for action in parser._actions:
        action.default = argparse.SUPPRESS  # so that only what was typed overrides the recipe
    given, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        known = [f"--{field.name}" for kind in STAGES.values() for field in dataclasses.fields(kind)]
        first = next((word for word in unknown if word.startswith("--")), unknown[0])
        raise RecipeError(f"unknown option {first!r}{nearest(first.replace('-', '_').replace('__', '--', 1), known)}; see --help")
    changes = dict(vars(given))
    recipe = load_recipe(changes.pop("recipe", default))
    changes.pop("search", None)
    if (trials := changes.pop("trials", None)) is not None:
        if recipe.search is None or trials < 1:
            raise RecipeError(f"--trials: expected 1 or more, and a recipe with a search: space:, got {trials} for {recipe.name!r}")
        recipe.search.trials = trials
    return override(recipe, changes)


def run(recipe: Recipe) -> Path:
    """Trains (and distils, where the recipe has teachers), calibrates, records and, where asked, pushes.

    Returns the folder of the finished checkpoint.
    """
    from hf_bones.record import now
    from hf_bones.training.processes import finish_processes

    started = now()
    trained = fit(recipe)
    folder = Path(recipe.training.output_dir)
    if recipe.distill.with_baseline:
        if trained.is_main_process:
            finish(recipe, trained, started)  # kept, should the second run be stopped
        alone_recipe, alone_started = _without_teachers(recipe, trained), now()
        alone = fit(alone_recipe)
    finish_processes()  # the others need not wait for what the first one still does
    if not trained.is_main_process:
        return folder
    if recipe.distill.with_baseline and trained.distillation is not None:
        from hf_bones.training.distill.labels_alone import compare_with_labels_alone, comparison_lines

        finish(alone_recipe, alone, alone_started)
        trained.distillation["labels_alone"] = compare_with_labels_alone(trained, alone)
        print("\n".join(f"validation  {line}" for line in comparison_lines(trained.distillation["labels_alone"])))
    finish(recipe, trained, started)
    _report(folder, trained.metrics, trained.data)
    if recipe.training.push_to_hub:
        from hf_bones.hub.push import push_checkpoint

        print(f"pushed      {push_checkpoint(folder, recipe.training.push_to_hub).url}")
    return folder


def fit(recipe: Recipe, callbacks: Sequence[TrainerCallback] = ()) -> TrainedModel:
    """The training itself, under the recipe's teachers where it has any; `callbacks` go to the Trainer."""
    if recipe.distill.is_on:
        from hf_bones.training.distill.run import distill

        return distill(recipe, callbacks=callbacks)
    from hf_bones.training.trainer import train

    return train(recipe, callbacks=callbacks)


def search(recipe: Recipe) -> Path:
    """Makes the trials of the recipe's search, each a finished checkpoint. Returns the file of the best recipe."""
    from hf_bones.record import now
    from hf_bones.training.search.run import search as search_trials

    def run_trial(own: Recipe, callbacks: Sequence[TrainerCallback]) -> TrainedModel:
        started = now()
        trained = fit(own, callbacks)
        finish(own, trained, started)
        return trained

    return search_trials(recipe, run_trial)


def _without_teachers(recipe: Recipe, trained: TrainedModel) -> Recipe:
    from hf_bones.training.distill.labels_alone import labels_alone

    made = trained.distillation or {}
    changes = labels_alone(recipe.name, recipe.training, recipe.trainer, made["steps"], made["steps_an_epoch"])
    return dataclasses.replace(recipe, **changes)


def finish(recipe: Recipe, trained: TrainedModel, started: str) -> None:
    """Writes the finished checkpoint: weights, calibration, curves, record and card."""
    from hf_bones.hub.card import write_card
    from hf_bones.inference.decision import calibrate, write_decision
    from hf_bones.record import environment, now, write_json
    from hf_bones.training.run.checkpoints import save_checkpoint
    from hf_bones.training.run.curves import plot_curves

    folder = Path(recipe.training.output_dir)
    save_checkpoint(trained.model, trained.spec, folder, recipe.training.save_dtype)
    write_decision(calibrate(trained.logits, trained.labels, scheme=trained.scheme, image_size=trained.spec.size), folder)
    if any("eval_loss" in entry for entry in trained.history):
        plot_curves(trained.history, folder / "curves.png")
    write_json(
        folder / "record.json",
        {
            "schema_version": 1,
            "recipe": shareable(recipe).as_dict(),
            "base_model": shareable(recipe).model.model,
            "base_model_id": recipe.model.base_model_id,
            "data": trained.data,
            **({"distillation": trained.distillation} if trained.distillation else {}),
            **({"verdict_shift": trained.verdict_shift} if trained.verdict_shift else {}),
            "metrics": {"validation": trained.metrics},
            "history": trained.history,
            "train_seconds": trained.seconds,
            "environment": environment(),
            "started": started,
            "finished": now(),
            "test_looks": [],
        },
    )
    write_card(folder)


def shareable(recipe: Recipe) -> Recipe:
    """The recipe as it goes into a record that is pushed: names instead of this machine's folders."""
    from hf_bones.record import public_name

    model, data = recipe.model, recipe.data
    changes: dict[str, Any] = {"output_dir": public_name(recipe.training.output_dir), "label_scheme": Path(data.label_scheme).name}
    if Path(model.model).is_dir():
        changes["model"] = model.base_model_id or public_name(model.model)
    for key in ("arrays_dir", "stream_dir"):
        if getattr(data, key):
            changes[key] = public_name(getattr(data, key))
    if data.dataset:
        changes["dataset"] = data.dataset_id or public_name(data.dataset)
    if recipe.distill.is_on:
        places = ("teacher", "teacher_probabilities", "unlabelled")
        changes |= {key: [public_name(place) for place in getattr(recipe.distill, key)] for key in places}
    return override(recipe, changes)


def _report(folder: Path, metrics: dict[str, Any], data: dict[str, Any]) -> None:
    keys = ("auroc_abnormal", "auroc_ovr_macro", "balanced_accuracy", "accuracy")
    print("validation  " + ", ".join(f"{key} {metrics[key]:.3f}" for key in keys))
    print(f"checkpoint  {folder} (record.json, README.md and, of a run with steps, curves.png beside it)")
    if data["synthetic_only"]:
        print("note        it learnt from drawn radiographs only: a demonstration, of no worth on real ones")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command-line entry. Returns 0, or 2 after printing what is wrong with the recipe, a path in it or the run."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    wants_search = any(word == "--search" or word.startswith("--search=") for word in words)
    return _run_command(lambda: parse_recipe(words), search if wants_search else run)


def distill_main(arguments: Sequence[str] | None = None) -> int:
    """Entry of `hf-bones distill`: as `main`, from the recipe `distill`, and with a teacher."""
    from hf_bones.config.rules import check_rules

    def parse() -> Recipe:
        recipe = parse_recipe(sys.argv[1:] if arguments is None else arguments, "distill", "distill")
        check_rules(recipe, "distill")
        return recipe

    return _run_command(parse)


def _run_command(parse: Callable[[], Recipe], act: Callable[[Recipe], Path] = run) -> int:
    try:
        act(parse())
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RunEndedError as error:
        print(f"\nerror: {error}", file=sys.stderr)  # on a line of its own, below a progress bar that stands
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
