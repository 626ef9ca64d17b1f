"""The sides that `train.py` compares. Run by it, each in a process of its own:

    python scripts/bench/train_sides.py SIDE SETTINGS.json TASK [TASK …]

SIDE is `ours` (from the array cache), `decoding` (ours without it) or `plain` (`plain_recipe.py`). TASKs: `steps` times steps of
fine-tuning, `frozen` a run on a frozen backbone, `score` trains and gives validation probabilities, `input` prepares batches and nothing
else. Network, weights, images, batches and steps are the same for all. Prints one line of JSON with what each task
found. A side imports only its own code, whose memory is measured too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memory import peak_memory
from plain_recipe import accuracy_metric, batch_transform, plain_trainer, stack, transforms_of
from step_timing import steps_in_turns, time_steps
from transformers import PreTrainedModel

from hf_bones.config.recipe import AugmentConfig, DataConfig, ModelConfig, Recipe, TrainConfig
from hf_bones.labels import load_scheme
from hf_bones.logits import softmax
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.loading import load_model

SCHEME = load_scheme("three-class")
SIDES = ("ours", "decoding", "plain")
SEED, RATE, WARM_STEPS = 0, 5e-5, 2
QUIET: dict[str, Any] = {"eval_strategy": "no", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}


@dataclass(frozen=True)
class Settings:
    """What all sides share. `data` is a folder of `hf-bones build` with its array cache in `arrays`; `files` names its images as files."""

    data: str
    arrays: str
    files: str
    work: str
    model: str
    size: int
    batch: int
    trainable: str
    timed: int
    epochs: int  # of the frozen run; the plain one is timed over one of them
    input_images: int
    workers: int


def network(settings: Settings, trainable: str) -> tuple[PreTrainedModel, InputSpec]:
    """The same weights for every side, the new head's among them."""
    torch.manual_seed(SEED)
    return load_model(ModelConfig(model=settings.model, image_size=settings.size, trainable=trainable), SCHEME)


def recipe_of(settings: Settings, side: str, trainable: str, training: dict[str, Any], trainer: dict[str, Any]) -> Recipe:
    output = Path(settings.work) / f"{side}-{trainable.replace(':', '-')}-{time.monotonic_ns()}"
    return Recipe(
        data=DataConfig(dataset=settings.data, use_arrays=side == "ours", arrays_dir=settings.arrays),
        model=ModelConfig(model=settings.model, image_size=settings.size, trainable=trainable),
        training=TrainConfig(
            output_dir=str(output), batch_size=settings.batch, eval_batch_size=settings.batch, seed=SEED,
            learning_rate=RATE, data_loader_workers=settings.workers, **training,
        ),
        trainer={"disable_tqdm": True, **trainer},
    )  # fmt: skip


def plain_rows(settings: Settings, split: str, spec: InputSpec) -> Any:
    """Image files as `imagefolder` gives them, with the example's transforms."""
    from datasets import Dataset, Image

    listed = json.loads(Path(settings.files).read_text(encoding="utf-8"))[split]
    training, validation, _ = transforms_of(spec)
    rows = Dataset.from_dict({"image": [file for file, _ in listed], "label": [label for _, label in listed]})
    rows = rows.cast_column("image", Image())
    rows.set_transform(batch_transform(training if split == "train" else validation))
    return rows


def plain(settings: Settings, trainable: str, **arguments: Any) -> Any:
    model, spec = network(settings, trainable)
    rows = {split: plain_rows(settings, split, spec) for split in ("train", "validation")}
    output = f"{settings.work}/plain-{time.monotonic_ns()}"
    return plain_trainer(
        model, rows["train"], rows["validation"], accuracy_metric(), output_dir=output, seed=SEED,
        learning_rate=RATE, per_device_train_batch_size=settings.batch, per_device_eval_batch_size=settings.batch,
        dataloader_num_workers=settings.workers, bf16=torch.cuda.is_available(), **arguments,
    )  # fmt: skip


def steps(settings: Settings, side: str) -> dict[str, Any]:
    """Seconds of steps of fine-tuning inside the Trainer's loop, those spent waiting for data, and those of preparing the input."""
    allowed = WARM_STEPS + settings.timed + 2
    if side == "plain":
        trainer = plain(settings, settings.trainable, max_steps=allowed, **QUIET)
    else:
        from hf_bones.training.build import make_trainer
        from hf_bones.training.data.rows import training_rows

        settled = {**QUIET, "load_best_model_at_end": False}
        recipe = recipe_of(settings, side, settings.trainable, {"max_steps": allowed}, settled)
        rows = training_rows(recipe.data, SCHEME, SEED, settings.size)
        trainer = make_trainer(recipe, *network(settings, settings.trainable), SCHEME, *rows)
    preparing = Stopwatch(trainer.network_inputs)
    trainer.network_inputs = preparing
    if torch.cuda.is_available():
        times = time_steps(trainer, WARM_STEPS, settings.timed)
        return {"seconds": [times.step], "waited": [times.waited / times.steps], "gpu_bytes": times.peak_bytes}
    found = steps_in_turns(trainer, settings.timed, wait_for_turn)
    return {
        "seconds": [step.seconds for step in found],
        "waited": [step.waited for step in found],
        "cpu": [step.cpu for step in found],
        "preparing": preparing.seconds[-len(found) :],
    }


def wait_for_turn() -> None:
    print("turn", flush=True)
    if not sys.stdin.readline():
        raise SystemExit("nobody gave this process its turn")


class Stopwatch:
    """A function that notes the seconds of each call."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.seconds: list[float] = []

    def __call__(self, inputs: Any) -> Any:
        started = time.perf_counter()
        result = self.function(inputs)
        self.seconds.append(time.perf_counter() - started)
        return result


def frozen(settings: Settings, side: str) -> dict[str, Any]:
    """A run in which only the head learns, validated and saved after each epoch: seconds for all of its epochs."""
    if side == "plain":
        each: dict[str, Any] = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True, "save_total_limit": 2}
        trainer = plain(settings, "head", num_train_epochs=1, **each)
        started = time.perf_counter()
        trainer.train()
        return {"seconds": (time.perf_counter() - started) * settings.epochs}
    from hf_bones.training.trainer import train

    return {"seconds": train(recipe_of(settings, side, "head", {"epochs": settings.epochs, "cached_views": 1}, {})).seconds}


def score(settings: Settings, side: str) -> dict[str, Any]:
    """Fine-tunes for an epoch and gives P(abnormal) of the validation rows with their labels, in the rows' order."""
    if side == "plain":
        trainer = plain(settings, settings.trainable, num_train_epochs=1, **QUIET)
        trainer.train()
        found = trainer.predict(trainer.eval_dataset)
        logits, labels = found.predictions, found.label_ids
    else:
        from hf_bones.training.trainer import train

        done = train(recipe_of(settings, side, settings.trainable, {"epochs": 1}, {**QUIET, "load_best_model_at_end": False}))
        logits, labels = done.logits, done.labels
    abnormal = 1 - softmax(np.asarray(logits, dtype=np.float64))[:, SCHEME.normal_id]
    return {"abnormal": abnormal.tolist(), "labels": np.asarray(labels).tolist()}


def inputs(settings: Settings, side: str) -> dict[str, Any]:
    """Images/s of the data alone, with no loader workers: normalised batches in random order, plainly and augmented."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    readers: dict[str, Callable[[list[int]], Any]] = {}
    rows: Any
    if side == "plain":
        rows = plain_rows(settings, "train", InputSpec(settings.size))
        readers["augmented"] = lambda chosen: stack(rows.__getitems__(chosen))["pixel_values"].to(device)
    else:
        from hf_bones.training.data.batches import TrainingRows, batch_to_input, collate
        from hf_bones.training.data.rows import training_rows

        stored, _ = training_rows(recipe_of(settings, side, "head", {}, {}).data, SCHEME, SEED, settings.size)
        rows = TrainingRows(stored.sources, np.asarray(stored.labels), settings.size, SEED)

        def prepared(policy: AugmentConfig | None, chosen: list[int]) -> torch.Tensor:
            batch = collate(rows.__getitems__([(row, place) for place, row in enumerate(chosen)]), settings.size)
            return batch_to_input({key: value.to(device) for key, value in batch.items()}, InputSpec(settings.size), policy)

        readers = {"normalised": partial(prepared, None), "augmented": partial(prepared, AugmentConfig())}
    order = np.random.default_rng(0).integers(len(rows), size=settings.input_images).tolist()
    return {title: images_per_second(order, settings.batch, read) for title, read in readers.items()}


def images_per_second(order: list[int], batch: int, read: Callable[[list[int]], Any]) -> float:
    """Over whole batches of an order of rows, after a few to warm up."""
    batches = [order[start : start + batch] for start in range(0, len(order) - batch + 1, batch)]
    for chosen in batches[:3]:
        read(chosen)
    started = time.perf_counter()
    for chosen in batches:
        read(chosen)
    return len(batches) * batch / (time.perf_counter() - started)


TASKS: dict[str, Callable[[Settings, str], dict[str, Any]]] = {"steps": steps, "frozen": frozen, "score": score, "input": inputs}


def main() -> None:
    side, path, *wanted = sys.argv[1:]
    if side not in SIDES or not wanted or set(wanted) - set(TASKS):
        raise SystemExit(__doc__)
    settings = Settings(**json.loads(Path(path).read_text(encoding="utf-8")))
    found: dict[str, Any] = {}
    for task in wanted:
        found[task] = TASKS[task](settings, side) | {"rss": peak_memory()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
