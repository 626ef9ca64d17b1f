"""Training on the kept output of a frozen backbone: recipes, trainers and runs."""

from pathlib import Path

from command_line import parse_recipe
from small_run import arguments

from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.auxiliary import attach_auxiliary
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.build import make_trainer
from hf_bones.training.cached_views.fill import keep_frozen_output
from hf_bones.training.data.rows import training_rows

PLAIN = ("--head_start", "random", "--epochs", "1", "--augment", "false")


def recipe_of(ground: Path, output: Path, *more: str):
    return parse_recipe(arguments(ground, output, *PLAIN, *more))


def kept_rows(ground: Path, output: Path, *more: str, heads: dict[str, int] | None = None):
    """A trainer whose rows are cached views, its recipe, and the rows it had before; a network with `heads` has one of boxes too."""
    recipe = recipe_of(ground, output, *more)
    rows, validation = training_rows(recipe.data, THREE_CLASS, 0, 56)
    model, spec = load_model(recipe.model, THREE_CLASS)
    if heads:
        attach_auxiliary(model, 56, heads, boxes=True)
    trainer = make_trainer(recipe, model, spec, THREE_CLASS, rows, validation)
    before = trainer.train_dataset
    hashes = {"train": rows.hashes, "validation": validation.hashes}
    length = len(trainer.sampler) if recipe.training.sampling == "uniform" else None
    trainer.train_dataset, trainer.eval_dataset, trainer.data_collator = keep_frozen_output(
        trainer, recipe.training, recipe.model.trainable, recipe.augment, spec, hashes, length
    )
    return trainer, recipe, before
