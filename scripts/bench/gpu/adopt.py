"""A network that teacher.py trained and kept becomes the finished checkpoint of its recipe: balanced, calibrated, recorded, with a card.

    python scripts/bench/gpu/adopt.py DATA KEPT --jobs jobs.jsonl --job NAME --recipe bundled --device "NVIDIA H200" --out runs/bundled

DATA is a folder that `hf-bones build` wrote, KEPT the folder of the network; jobs.jsonl is what teacher.py wrote. The job must be one of
all of train, with the recipe's values and probabilities: a key that differs ends this. Only validation is looked at.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from films import LICENCES

from hf_bones.config.recipe import DistillConfig, Recipe, load_recipe, override
from hf_bones.finetune import finish
from hf_bones.hub.card import write_card
from hf_bones.logits import softmax
from hf_bones.metrics import classification_metrics
from hf_bones.record import now, read_json, sha256_file, write_json
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.backbone.patch_head import read_patch_head
from hf_bones.training.build import make_trainer
from hf_bones.training.data.rows import training_rows
from hf_bones.training.distill.probabilities import probability_file
from hf_bones.training.distill.run import prepare_lessons
from hf_bones.training.distill.trainer import DistillTrainer
from hf_bones.training.loss import learnt_log_prior
from hf_bones.training.run.checkpoints import shift_biases
from hf_bones.training.run_scheme import run_scheme, with_scheme
from hf_bones.training.trainer import train

# Places, what only tells how fast it went, and what comes after training. Probabilities are compared by their hash.
NOT_TRAINING = {
    "output_dir", "resume", "data_loader_workers", "torch_compile", "save_dtype", "balanced_verdicts", "teacher_probabilities",
    "patch_head", "join_patches", "second_look",
}  # fmt: skip
# No step is taken: what was kept is loaded and validated.
STILL = {
    "epochs": 0, "box_loss": 0, "label_smoothing": 0, "ema_decay": 0, "drop_path": 0, "layer_decay": 1, "balanced_verdicts": False,
    "patch_head": "trained", "join_patches": False, "second_look": False,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("kept", type=Path)
    parser.add_argument("--jobs", type=Path, required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--recipe", default="bundled")
    parser.add_argument("--device", required=True, help="what trained it, for the record")
    parser.add_argument("--name", help="title of the card")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    started = now()
    lines = {line["job"]["name"]: line for line in map(json.loads, options.jobs.read_text(encoding="utf-8").splitlines())}  # the latest
    if options.job not in lines:
        raise SystemExit(f"--job: {options.jobs} has no {options.job!r}; it has {', '.join(lines)}")
    line = lines[options.job]
    places = {"dataset": options.data, "output_dir": options.out}
    recipe = with_scheme(
        override(load_recipe(options.recipe), {**places, "train_licences": list(LICENCES)})
    )  # the rows that teacher.py was given
    recipe.trainer = line["recipe"]["trainer"]  # so the record says that no checkpoint was chosen among epochs
    scheme = run_scheme(recipe.data)
    rows = training_rows(recipe.data, scheme, recipe.training.seed, recipe.model.image_size)
    check_same(line, recipe, len(rows[0]))
    still = override(recipe, {**STILL, "model": str(options.kept)})
    still.distill, still.trainer = DistillConfig(), {}
    trained = train(still, rows=rows)
    trained.patch_head = read_patch_head(options.kept)
    if recipe.training.balanced_verdicts:
        shift = shift_biases(trained.model, -learnt_log_prior(recipe.training, rows[0].label_counts(scheme)), recipe.training.save_dtype)
        trained.logits += shift
        trained.verdict_shift = dict(zip(scheme.names, shift.tolist(), strict=True))
        trained.metrics = dict(classification_metrics(trained.labels, softmax(trained.logits), scheme.names, scheme.normal_id))
    if recipe.distill.is_on:
        model, spec = load_model(still.model, scheme)
        taught, lessons = prepare_lessons(recipe.distill, recipe.data, Path(options.out), model, spec, scheme, rows[0])
        trained.rows = (taught, rows[1])
        make = partial(DistillTrainer, distill=recipe.distill, lessons=lessons)
        trainer = make_trainer(recipe, model, spec, scheme, taught, rows[1], make)
        steps = len(trainer.get_train_dataloader())
        trained.distillation = trainer.describe() | {"steps": round(steps * recipe.training.epochs), "steps_an_epoch": steps}
    trained.seconds = line["seconds"]
    finish(recipe, trained, started)
    record = Path(options.out) / "record.json"
    write_json(record, {**read_json(record), "trained_on": f"{options.device}, {trained.seconds:.0f} s"})
    write_card(Path(options.out), name=options.name)


def check_same(line: dict[str, Any], recipe: Recipe, count: int) -> None:
    """Ends the program at the first value in which the job differs from the recipe on these `count` rows."""
    name, wanted, there = line["job"]["name"], recipe.as_dict(), line["recipe"]
    hashes = [sha256_file(probability_file(place)) for place in recipe.distill.teacher_probabilities]
    differing = [("probabilities", hashes, line["probability_files"]), ("rows", count, line["train"])]
    differing += [("fold", None, line["job"].get("fold"))]
    for stage in ("model", "augment", "training", "distill"):
        keys = {*wanted.get(stage, {}), *there.get(stage, {})} - NOT_TRAINING - {"model"}
        differing += [(key, wanted.get(stage, {}).get(key), there.get(stage, {}).get(key)) for key in sorted(keys)]
    for key, mine, theirs in differing:
        if mine != theirs:
            raise SystemExit(f"{key}: {mine!r} in the recipe {recipe.name!r}, {theirs!r} in the job {name!r}")


if __name__ == "__main__":
    main()
