"""What the tests of distillation share: recipes of a small student, its teacher's folder, and pictures without labels."""

from functools import partial
from pathlib import Path

import numpy as np
from command_line import parse_recipe
from PIL import Image
from tiny import bar_picture

from hf_bones.dataset.build import load_bones
from hf_bones.labels import THREE_CLASS
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.build import make_trainer
from hf_bones.training.data.rows import training_rows
from hf_bones.training.distill.run import prepare_lessons
from hf_bones.training.distill.trainer import DistillTrainer

NAMES = THREE_CLASS.names


def write_pictures(folder: Path, seeds) -> None:
    """Bar pictures that are nobody's near-duplicates: each is crossed by a dark band of its own, at its own place and of its own slope."""
    folder.mkdir(parents=True)
    down, across = np.mgrid[:64, :48]
    for seed in seeds:
        place, slope = np.random.default_rng(seed).uniform((8, -2), (40, 2))
        band = abs(across - place - slope * (down - 32)) < 5
        Image.fromarray(np.where(band, 0, bar_picture(seed % 3, seed))).save(folder / f"{seed}.png")


def common(ground: Path) -> list[str]:
    return [
        *("--recipe", str(ground / "last.yaml"), "--cpu", "true", "--dataset", str(ground / "dataset"), "--batch_size", "8"),
        *("--learning_rate", "3e-3", "--head_learning_rate", "3e-3"),
    ]


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    student = ["--model", str(ground / "small"), "--image_size", "42", "--output_dir", str(output)]
    return [*common(ground), *student, "--teacher", str(ground / "teacher"), "--epochs", "2", *more]


def recipe_of(ground: Path, output: Path, *more: str):
    return parse_recipe(arguments(ground, output, *more))


def trainer_of(recipe):
    """The Trainer of a recipe before its first step."""
    train_rows, validation_rows = training_rows(recipe.data, THREE_CLASS, 0)
    model, spec = load_model(recipe.model, THREE_CLASS)
    output = Path(recipe.training.output_dir)
    rows, lessons = prepare_lessons(recipe.distill, recipe.data, output, model, spec, THREE_CLASS, train_rows)
    make = partial(DistillTrainer, distill=recipe.distill, lessons=lessons)
    return make_trainer(recipe, model, spec, THREE_CLASS, rows, validation_rows, make)


def hashes_of(ground: Path, split: str) -> list[str]:
    return list(load_bones(str(ground / "dataset"))[split]["sha256"])
