"""A network that teacher.py trained and kept becomes the finished checkpoint of its recipe: rounded, calibrated, recorded, with a card.

    python scripts/bench/gpu/adopt.py DATA KEPT --jobs jobs.jsonl --job NAME --recipe bundled --device "NVIDIA H200" --out runs/bundled

DATA is a folder that `hf-bones build` wrote, KEPT the folder of the network; jobs.jsonl is what teacher.py wrote. The job must have been
trained with the recipe's values: a key that differs ends this. Only validation is looked at.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hf_bones.config import DistillConfig, Recipe, load_recipe, override
from hf_bones.finetune import finish
from hf_bones.hub.card import write_card
from hf_bones.labels import load_scheme
from hf_bones.record import now, read_json, write_json
from hf_bones.training.distill import make_distill_trainer
from hf_bones.training.model import load_model
from hf_bones.training.sources import training_rows
from hf_bones.training.trainer import train

# Names of places, how fast it went, and what comes after training; the teachers of the job are jobs themselves.
NOT_TRAINING = {"output_dir", "data_loader_workers", "torch_compile", "save_dtype", "balanced_verdicts", "teacher_probabilities"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("kept", type=Path)
    parser.add_argument("--jobs", type=Path, required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--recipe", default="bundled")
    parser.add_argument("--device", required=True, help="what trained it, for the record")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    started = now()
    lines = [json.loads(line) for line in options.jobs.read_text(encoding="utf-8").splitlines()]
    line = next((line for line in lines if line["job"]["name"] == options.job), None)
    if line is None:
        raise SystemExit(f"--job: {options.jobs} has no {options.job!r}; it has {', '.join(each['job']['name'] for each in lines)}")
    recipe = override(load_recipe(options.recipe), {"dataset": options.data, "output_dir": options.out})
    check_same(line["job"], recipe)
    scheme = load_scheme(recipe.data.label_scheme)
    rows = training_rows(recipe.data, scheme, recipe.training.seed, recipe.model.image_size)
    # No step is taken: what is kept is loaded, its verdicts are balanced where the recipe asks for it, and validation is scored.
    still = override(recipe, {"model": str(options.kept), "epochs": 0, "box_loss": 0, "label_smoothing": 0, "ema_decay": 0, "drop_path": 0})
    still.distill = DistillConfig()
    trained = train(still, rows=rows)
    if recipe.distill.is_on:
        trainer = make_distill_trainer(recipe, *load_model(still.model, scheme), scheme, *rows)
        steps = len(trainer.get_train_dataloader())
        trained.distillation = trainer.describe() | {"steps": round(steps * recipe.training.epochs), "steps_an_epoch": steps}
    trained.seconds = line["seconds"]
    finish(recipe, trained, started)
    record = Path(options.out) / "record.json"
    write_json(record, {**read_json(record), "trained_on": f"{options.device}, {trained.seconds:.0f} s"})
    write_card(Path(options.out))


def check_same(job: dict[str, Any], recipe: Recipe) -> None:
    """Ends the program at the first value that the job did not have and the recipe has, or the other way round."""
    trained = override(load_recipe(job.get("recipe", "dinov2-small-448")), job["changes"]).as_dict()
    for stage in ("model", "augment", "training", "distill"):
        for key, value in recipe.as_dict().get(stage, {}).items():
            there = trained.get(stage, {}).get(key)
            if key not in NOT_TRAINING and value != there:
                raise SystemExit(f"{key}: the recipe {recipe.name!r} says {value!r}, the job {job['name']!r} was trained with {there!r}")


if __name__ == "__main__":
    main()
