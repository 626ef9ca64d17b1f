"""Training's speed bars, beside the plain recipe of the Hugging Face example of image classification (`plain_recipe.py`).

    python scripts/bench/train.py DATA --model MODEL

MODEL is a folder or Hub id of weights. Both sides (`train_sides.py`) start from the same
weights and see the same images in batches of the same size for as many steps, at the same precision; each measurement is a process of its
own, the sides taking turns, in fine-tuning on a CPU after each step. Ours reads the array cache, or, without it, decodes the stored images
as the plain recipe does.

- fine-tuning: images/s inside the Trainer's loop, the share of a step that waits for data, peak memory;
- frozen backbone: a whole run with `cached_views: 1`, validated and saved after each epoch. The plain recipe computes the backbone anew in
  each epoch; it is timed over one epoch and multiplied;
- AUROC(abnormal) on validation after fine-tuning, on the same rows;
- data alone: images/s as normalised batches, and augmented.

On a CPU without --quick it takes about a quarter of an hour. For a GPU with nothing else on it see `gpu/throughput.py` too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from harness import MB, Bar, arguments, bar, median_bar, ratios, sampled_bar, work_folder, write_result
from plain_recipe import transforms_of
from train_sides import Settings

from hf_bones.dataset.arrays.writing import write_arrays
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.schema import image_bytes
from hf_bones.metrics import bootstrap_intervals, classification_metrics
from hf_bones.metrics.intervals import paired_differences
from hf_bones.preprocess import InputSpec
from hf_bones.record import sha256_rows

SIDES_FILE = Path(__file__).with_name("train_sides.py")
PLAIN = f"plain recipe ({transforms_of(InputSpec(224))[2]})"
NAMES = {"ours": "ours", "decoding": "ours without the array cache", "plain": "plain recipe"}
Rounds = dict[str, list[dict[str, Any]]]  # side → what each round found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="facebook/dinov2-small", help="folder or Hub id of the weights")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--trainable", default="last:3", help="what learns in fine-tuning")
    parser.add_argument("--workers", type=int, default=12 if torch.cuda.is_available() else 0, help="loader workers, of both sides")
    parser.add_argument("--rounds", type=int, default=4, help="how often fine-tuning and reading are timed, the other runs less often")
    options = parser.parse_args()
    if options.workers and not torch.cuda.is_available():
        parser.error("--workers: on a CPU the sides take turns, and workers would read ahead in the other's turn; leave it at 0")
    found: dict[str, Rounds] = defaultdict(lambda: defaultdict(list))  # by task
    with work_folder() as work:
        settings, small = settings_of(options, work)
        for tasks, sides, which in plan(options, settings, small):
            for side, results in run_sides(sides, which, tasks, work).items():
                for task, result in results.items():
                    found[task][side].append(result)
                    print(f"{side}, {task}: {shown(result)}", flush=True)
        films = len(json.loads(Path(small.files).read_text(encoding="utf-8"))["train"])
    bars = [*step_bars(found["steps"], settings), *frozen_bars(found["frozen"], small, films), *score_bars(found["score"])]
    bars += input_bars(found["input"], settings)
    command = f"train.py DATA --model MODEL --size {options.size} --rounds {options.rounds}"
    digest = sha256_rows((split, sha) for split, part in load_bones(options.data).items() for sha in part["sha256"])
    write_result("train", command, digest, bars, quick=options.quick)


def settings_of(options: argparse.Namespace, work: Path) -> tuple[Settings, Settings]:
    """The settings of fine-tuning and those of the frozen run, on fewer rows."""
    quick, size = options.quick, 56 if options.quick else options.size
    made = []
    for name, train, validation in (("fine-tuning", 768, 400), ("frozen", 400, 100)):
        folder = work / name
        write_films(options.data, {"train": 24, "validation": 12} if quick else {"train": train, "validation": validation}, folder)
        write_arrays(folder / "data", size, folder / "arrays" / str(size), progress=False)
        settings = Settings(
            data=str(folder / "data"), arrays=str(folder / "arrays"), files=str(folder / "files.json"), work=str(work),
            model=options.model, size=size, batch=4 if quick else 16 if not torch.cuda.is_available() else 128, trainable=options.trainable,
            timed=2 if quick else 12, epochs=4 if quick else 20, input_images=64 if quick else 2048, workers=options.workers,
        )  # fmt: skip
        (folder / "settings.json").write_text(json.dumps(asdict(settings)), encoding="utf-8")
        made.append(settings)
    return made[0], made[1]


def write_films(data: Path, counts: Mapping[str, int], folder: Path) -> None:
    """Some rows of train and validation, classes in proportion: as a dataset, and their images as files with a list of them."""
    from datasets import DatasetDict, Image

    parts = DatasetDict()
    listed: dict[str, list[tuple[str, int]]] = {}
    for split, rows in load_bones(data).items():
        if split not in counts:
            continue
        labels = np.array(rows["label"])
        share, random = min(1.0, counts[split] / len(labels)), np.random.default_rng(0)
        of_classes = [random.permutation(np.flatnonzero(labels == label)) for label in range(3)]
        chosen = np.concatenate([places[: max(2, round(share * len(places)))] for places in of_classes])
        parts[split] = rows.select(np.sort(chosen).tolist())
        listed[split] = []
        (folder / "files" / split).mkdir(parents=True)
        for number, row in enumerate(parts[split].select_columns(["image", "label"]).cast_column("image", Image(decode=False))):
            content = image_bytes(row["image"])
            file = folder / "files" / split / f"{number:05}{'.jpg' if content[:2] == bytes((0xFF, 0xD8)) else '.png'}"
            file.write_bytes(content)
            listed[split].append((str(file), row["label"]))
    parts.save_to_disk(str(folder / "data"))
    (folder / "files.json").write_text(json.dumps(listed), encoding="utf-8")


def plan(options: argparse.Namespace, settings: Settings, small: Settings) -> list[tuple[list[str], list[str], Settings]]:
    """(tasks, sides, settings) of what runs one after the other. Sides named together take turns; else each has its turn in a round."""
    both, all_three = ["ours", "plain"], ["ours", "plain", "decoding"]
    if options.quick:
        return [(["steps"], both, small), *[(["frozen", "score", "input"], [side], small) for side in both]]
    order: list[tuple[list[str], list[str], Settings]] = []
    for number in range(options.rounds):
        turn = 1 if number % 2 == 0 else -1  # whoever comes first in one round comes last in the next
        order += [(["steps"], all_three[::turn], settings)]
        order += [(["frozen"], [side], small) for side in both[::turn] if number < 2]
        order += [(["input"], [side], settings) for side in all_three[::turn]]
    return order + [(["score"], [side], settings) for side in both]


def run_sides(sides: Sequence[str], settings: Settings, tasks: Sequence[str], work: Path) -> dict[str, dict[str, Any]]:
    """What the processes of these sides print. They are started one after the other; then each goes on only while it is its turn."""
    path = Path(settings.files).with_name("settings.json")
    # A home of its own for what `datasets` keeps, so that no side finds what another left.
    environment = {**os.environ, "HF_DATASETS_CACHE": str(work / "datasets"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        running: dict[str, subprocess.Popen[str]] = {}
        for side in sides:
            errors = stack.enter_context((work / f"{side}.log").open("w+", encoding="utf-8"))
            command = [sys.executable, str(SIDES_FILE), side, str(path), *tasks]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1, env=environment
            )
            stack.callback(process.wait)  # else it may still write into the folder that is deleted next
            stack.callback(process.kill)
            if follow(side, process, work, found):  # else it took no turns and has ended
                running[side] = process
        order = list(sides)
        while running:
            for side in [side for side in order if side in running]:
                print(file=running[side].stdin)
                if not follow(side, running[side], work, found):
                    del running[side]
            order.reverse()
    return {side: found[side] for side in sides}


def follow(side: str, process: subprocess.Popen[str], work: Path, found: dict[str, dict[str, Any]]) -> bool:
    """Reads what a side prints until it waits for its next turn (True), or to its end, which is what it found (False)."""
    last = ""
    for line in process.stdout or ():
        last = line.strip()
        if last == "turn":
            return True
    if process.wait() != 0 or not last.startswith("{"):
        raise SystemExit(f"{side}: {(work / f'{side}.log').read_text(encoding='utf-8')[-3000:]}")
    found[side] = json.loads(last)
    return False


def shown(result: Mapping[str, Any]) -> str:
    """A line on what a task found: of lists the medians."""
    numbers = {key: median(value) if isinstance(value, list) else value for key, value in result.items() if key != "labels"}
    return ", ".join(f"{key} {value:,.4g}" for key, value in numbers.items())


def step_bars(found: Rounds, settings: Settings) -> list[Bar]:
    """Step by step: each of ours is divided by the plain one next to it."""
    gpu = torch.cuda.is_available()

    def all_of(side: str, key: str) -> list[float]:
        return [value for each in found[side] for value in each.get(key, [])]

    title = f"fine-tuning ({settings.trainable}, {settings.size} px)"
    seconds = {side: all_of(side, "seconds") for side in found}
    rates = {side: [settings.batch / value for value in values] for side, values in seconds.items()}
    target = 1.3 if gpu else 1.0
    bars = [sampled_bar(f"{title}, images/s ÷ plain recipe's", ratios(rates["ours"], rates["plain"]), target=target, peer=PLAIN)]
    if "decoding" in found:
        faster = ratios(rates["decoding"], rates["plain"])
        bars.append(sampled_bar(f"{title} without the array cache, images/s ÷ plain recipe's", faster, peer=PLAIN))
    where, key = ("GPU", "gpu_bytes") if gpu else ("RSS", "rss")
    peaks = {side: [each[key] / MB for each in rounds] for side, rounds in found.items()}
    less = ratios(peaks["ours"], peaks["plain"])
    bars.append(median_bar("fine-tuning, peak memory ÷ plain recipe's", less, len(less), target=1.0, at_most=True, peer=PLAIN))
    for side in found:
        name, shares = NAMES[side], {"waits for data": "waited"}
        if side != "plain" and not gpu:
            shares["augments and normalises"] = "preparing"
        bars.append(sampled_bar(f"{name}: fine-tuning, images/s", rates[side]))
        for what, key in shares.items():
            values = [100 * value for value in ratios(all_of(side, key), seconds[side])]
            most = 3 if side == "ours" and key == "waited" else None
            bars.append(sampled_bar(f"{name}: share of a step that {what}, %", values, target=most, at_most=True))
        if not gpu:
            each = [value / settings.batch for value in all_of(side, "cpu")]
            bars.append(sampled_bar(f"{name}: fine-tuning, CPU seconds an image", each))
        bars.append(median_bar(f"{name}: fine-tuning, peak memory ({where}), MB", peaks[side], len(peaks[side])))
    return bars


def frozen_bars(found: Rounds, small: Settings, count: int) -> list[Bar]:
    """`count` is that of the training images."""
    seconds = {side: [each["seconds"] for each in rounds] for side, rounds in found.items()}
    title = f"frozen backbone, {small.epochs} epochs"
    faster = ratios(seconds["plain"], seconds["ours"])
    bars = [median_bar(f"{title}, plain recipe's seconds ÷ ours", faster, count, target=10 if small.epochs == 20 else None, peer=PLAIN)]
    for side, values in seconds.items():
        how = f", one timed and times {small.epochs}" if side == "plain" else ""
        bars.append(median_bar(f"{NAMES[side]}: {title}{how}, s", values, count))
        bars.append(median_bar(f"{NAMES[side]}: frozen backbone, peak memory (RSS), MB", [each["rss"] / MB for each in found[side]], count))
    return bars


def score_bars(found: Rounds) -> list[Bar]:
    """AUROC of both sides on the same rows, and the paired bootstrap of the difference: ours is no worse where it reaches 0."""
    labels = found["ours"][0]["labels"]
    if labels != found["plain"][0]["labels"]:
        raise SystemExit("the sides did not validate on the same rows")
    ill, names = (np.array(labels) != 0).astype(int), ("healthy", "abnormal")
    groups = list(map(str, range(len(ill))))  # each row by itself
    scores = {side: np.array([[1 - p, p] for p in rounds[0]["abnormal"]]) for side, rounds in found.items()}
    value, low, high = paired_differences(ill, scores["ours"], scores["plain"], groups, names)["auroc_abnormal"]
    line = bar("AUROC(abnormal) on validation minus plain recipe's", value, n=len(ill), interval=(low, high), target=0.0, peer=PLAIN)
    bars = [{**line, "holds": high >= 0}]
    for side, values in scores.items():
        value = classification_metrics(ill, values, names)["auroc_abnormal"]
        interval = bootstrap_intervals(ill, values, groups, names)["auroc_abnormal"]
        bars.append(bar(f"{NAMES[side]}: AUROC(abnormal) on validation", value, n=len(ill), interval=interval))
    return bars


def input_bars(found: Rounds, settings: Settings) -> list[Bar]:
    bars = []
    for side, rounds in found.items():
        for kind in rounds[0]:
            if kind != "rss":
                target = 1500 if side == "ours" and kind == "normalised" and settings.size == 224 else None
                rates = [each[kind] for each in rounds]
                bars.append(median_bar(f"{NAMES[side]}: data alone, {kind}, images/s", rates, settings.input_images, target=target))
    added = [1000 / each["augmented"] - 1000 / each["normalised"] for each in found["ours"]]
    return [*bars, median_bar("what augmentation adds on the device, ms an image", added, settings.input_images)]


if __name__ == "__main__":
    main()
