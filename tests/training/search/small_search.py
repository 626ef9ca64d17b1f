"""A recipe whose trials are short, and the table of a search."""

from pathlib import Path

import yaml

from hf_bones.training.search.study import Study, TrialRow

SPACE = {"learning_rate": {"choices": [1e-3, 1e-9, 1e30]}, "label_smoothing": {"low": 0.0, "high": 0.1}, "batch_size": {"choices": [8, 12]}}


def recipe_file(ground: Path, output: Path, **search: object) -> Path:
    """A recipe whose trials learn the bars in seconds, do not learn at all, or blow up."""
    data = {
        "name": "bars",
        "description": "Tells one bar from two and three.",
        "model": {"model": str(ground / "start"), "trainable": "all", "image_size": 56},
        "data": {"dataset": str(ground / "dataset")},
        "training": {
            "batch_size": 8,
            "epochs": 3,
            "learning_rate": 1e-3,
            "cpu": True,
            "seed": 3,  # with which four trials are enough: one diverges and one is pruned
            "output_dir": str(output),
        },
        "search": {"trials": 4, "startup_trials": 2, "prune_after": 1, "space": SPACE, **search},
    }
    file = ground / f"{output.name}.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def row(number: int, state: str, score: float | None, **more: object) -> TrialRow:
    fields = {"folder": f"trial-{number:03d}", "standard_error": 0.01, "minutes": 2.0, "curve": [], "params": {}, "reason": ""}
    return TrialRow(number=number, state=state, score=score, **{**fields, **more})


def study_of(recipe, output) -> Study:
    return Study(output, recipe.search, recipe.training.seed, {**vars(recipe.training), **vars(recipe.model)})
