"""Training's speed bars, beside the plain recipe of the Hugging Face example of image classification (`plain_recipe.py`).

    python scripts/bench/train.py DATA --model MODEL

DATA is a folder that `hf-bones build` wrote, MODEL a folder or Hub id of weights. Both sides (`train_sides.py`) start from the same
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
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from cache import median_bar, ratios
from plain_recipe import transforms_of
from result_file import bar, write_result
from sklearn.metrics import roc_auc_score
from train_sides import Settings

from hf_bones.dataset.arrays.writing import write_arrays
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.schema import image_bytes
from hf_bones.preprocess import InputSpec
from hf_bones.record import sha256_rows

SIDES_FILE = Path(__file__).with_name("train_sides.py")
PLAIN = f"plain recipe ({transforms_of(InputSpec(224))[2]})"
NAMES = {"ours": "ours", "decoding": "ours without the array cache", "plain": "plain recipe"}
MB = 1e6
RESAMPLES = 2000
Found = dict[str, dict[str, list[dict[str, Any]]]]  # task → side → what each round found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="facebook/dinov2-small", help="folder or Hub id of the weights")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--trainable", default="last:3", help="what learns in fine-tuning")
    parser.add_argument("--workers", type=int, default=12 if torch.cuda.is_available() else 0, help="loader workers, of both sides")
    parser.add_argument("--rounds", type=int, default=4, help="how often fine-tuning and reading are timed, the other runs less often")
    parser.add_argument("--quick", action="store_true", help="a few images at 56 px, one round: under a minute, to see that it runs")
    options = parser.parse_args()
    if options.workers and not torch.cuda.is_available():
        parser.error("--workers: on a CPU the sides take turns, and workers would read ahead in the other's turn; leave it at 0")
    with tempfile.TemporaryDirectory(prefix="hf-bones-bench-") as folder:
        work = Path(folder)
        settings, small = settings_of(options, work)
        found: Found = defaultdict(lambda: defaultdict(list))
        for tasks, sides, which in plan(options, settings, small):
            for side, results in run_sides(sides, which, tasks, work).items():
                for task, result in results.items():
                    found[task][side].append(result)
                    print(f"{side}, {task}: {shown(result)}", flush=True)
        films = len(json.loads(Path(small.files).read_text(encoding="utf-8"))["train"])
    bars = [*step_bars(found["steps"], settings), *frozen_bars(found["frozen"], small, films), *score_bars(found["score"])]
    bars += input_bars(found["input"], settings)
    command = f"python scripts/bench/train.py DATA --model MODEL --size {options.size} --rounds {options.rounds}"
    digest = sha256_rows((split, sha) for split, part in load_bones(options.data).items() for sha in part["sha256"])
    write_result("train", command, digest, options.quick, bars)


def settings_of(options: argparse.Namespace, work: Path) -> tuple[Settings, Settings]:
    """The settings of fine-tuning and those of the frozen run, on fewer rows."""
    sizes = {"train": 24, "validation": 12} if options.quick else {"train": 768, "validation": 400}
    few = {"train": 24, "validation": 12} if options.quick else {"train": 400, "validation": 100}
    size = 56 if options.quick else options.size
    batch = 4 if options.quick else 16 if not torch.cuda.is_available() else 128
    made = []
    for name, counts in (("fine-tuning", sizes), ("frozen", few)):
        folder = work / name
        write_films(options.data, counts, folder)
        write_arrays(folder / "data", size, folder / "arrays" / str(size), progress=False)
        made.append(
            Settings(
                data=str(folder / "data"), arrays=str(folder / "arrays"), files=str(folder / "files.json"), work=str(work),
                model=options.model, size=size, batch=batch, trainable=options.trainable, learning_rate=5e-5,
                warm=2, timed=2 if options.quick else 12, epochs=4 if options.quick else 20, plain_epochs=1, score_epochs=1,
                input_images=64 if options.quick else 2048, workers=options.workers, seed=0,
            )
        )  # fmt: skip
        (folder / "settings.json").write_text(json.dumps(asdict(made[-1])), encoding="utf-8")
    return made[0], made[1]


def write_films(data: Path, counts: Mapping[str, int], folder: Path) -> None:
    """Some rows of train and validation, classes in proportion: as a dataset, and their images as files with a list of them."""
    parts = load_bones(data)
    listed = {}
    for split in list(parts):
        if split not in counts:
            del parts[split]
            continue
        labels = np.array(parts[split]["label"])
        share = min(1.0, counts[split] / len(labels))
        random = np.random.default_rng(0)
        chosen = [
            random.permutation(np.flatnonzero(labels == label))[: max(2, round(share * (labels == label).sum()))] for label in range(3)
        ]
        parts[split] = parts[split].select(np.sort(np.concatenate(chosen)).tolist())
        listed[split] = write_files(parts[split], folder / "files" / split)
    parts.save_to_disk(str(folder / "data"))
    (folder / "files.json").write_text(json.dumps(listed), encoding="utf-8")


def write_files(part: Any, folder: Path) -> list[tuple[str, int]]:
    from datasets import Image

    folder.mkdir(parents=True)
    files = []
    cells = part.select_columns(["image", "label"]).cast_column("image", Image(decode=False))
    for number, row in enumerate(cells):
        content = image_bytes(row["image"])
        file = folder / f"{number:05}{'.jpg' if content[:2] == bytes((0xFF, 0xD8)) else '.png'}"
        file.write_bytes(content)
        files.append((str(file), row["label"]))
    return files


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
            stack.callback(end, process)
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


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()  # else it may still write into the folder that is deleted next


def follow(side: str, process: subprocess.Popen[str], work: Path, found: dict[str, dict[str, Any]]) -> bool:
    """Reads what a side prints until it waits for its next turn (True), or to its end, which is what it found (False)."""
    if process.stdout is None:
        raise ValueError(f"{side} has no output to follow")
    last = ""
    for line in process.stdout:
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


def paired_median(name: str, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """The median of figures of single steps, with its bootstrap interval."""
    random = np.random.default_rng(0)
    drawn = np.median(random.choice(np.array(values), size=(RESAMPLES, len(values))), axis=1)
    return bar(name, median(values), n=len(values), interval=np.quantile(drawn, [0.025, 0.975]).tolist(), **more)


def step_bars(found: Mapping[str, list[dict[str, Any]]], settings: Settings) -> list[dict[str, Any]]:
    """Step by step: each of ours is divided by the plain one next to it."""
    gpu = torch.cuda.is_available()

    def all_of(side: str, key: str) -> list[float]:
        return [value for each in found[side] for value in each.get(key, [])]

    title = f"fine-tuning ({settings.trainable}, {settings.size} px)"
    seconds = {side: all_of(side, "seconds") for side in found}
    rates = {side: [settings.batch / value for value in values] for side, values in seconds.items()}
    target = 1.3 if gpu else 1.0
    bars = [paired_median(f"{title}, images/s ÷ plain recipe's", ratios(rates["ours"], rates["plain"]), target=target, peer=PLAIN)]
    if "decoding" in found:
        faster = ratios(rates["decoding"], rates["plain"])
        bars.append(paired_median(f"{title} without the array cache, images/s ÷ plain recipe's", faster, peer=PLAIN))
    memory = "gpu_bytes" if gpu else "rss"
    peaks = {side: [each[memory] / MB for each in rounds] for side, rounds in found.items()}
    less = ratios(peaks["ours"], peaks["plain"])
    bars.append(median_bar("fine-tuning, peak memory ÷ plain recipe's", less, len(less), target=1.0, at_most=True, peer=PLAIN))
    for side in found:
        waiting = [100 * value for value in ratios(all_of(side, "waited"), seconds[side])]
        most = 3 if side == "ours" else None
        bars.append(paired_median(f"{NAMES[side]}: fine-tuning, images/s", rates[side]))
        bars.append(paired_median(f"{NAMES[side]}: share of a step that waits for data, %", waiting, target=most, at_most=True))
        if side != "plain" and not gpu:
            preparing = [100 * value for value in ratios(all_of(side, "preparing"), seconds[side])]
            bars.append(paired_median(f"{NAMES[side]}: share of a step that augments and normalises, %", preparing))
        if not gpu:
            each = [value / settings.batch for value in all_of(side, "cpu")]
            bars.append(paired_median(f"{NAMES[side]}: fine-tuning, CPU seconds an image", each))
        where = "GPU" if gpu else "RSS"
        bars.append(median_bar(f"{NAMES[side]}: fine-tuning, peak memory ({where}), MB", peaks[side], len(peaks[side])))
    return bars


def frozen_bars(found: Mapping[str, list[dict[str, Any]]], small: Settings, count: int) -> list[dict[str, Any]]:
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


def score_bars(found: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """AUROC of both sides on the same rows, and the paired bootstrap of the difference: ours is no worse where it reaches 0."""
    labels = np.array(found["ours"][0]["labels"])
    if labels.tolist() != found["plain"][0]["labels"]:
        raise SystemExit("the sides did not validate on the same rows")
    ill = labels != 0
    scores = {side: np.array(rounds[0]["abnormal"]) for side, rounds in found.items()}
    random = np.random.default_rng(0)
    drawn = [picked for picked in random.integers(len(labels), size=(RESAMPLES, len(labels))) if 0 < ill[picked].sum() < len(labels)]
    aurocs = {side: [roc_auc_score(ill[picked], values[picked]) for picked in drawn] for side, values in scores.items()}
    difference = np.array(aurocs["ours"]) - np.array(aurocs["plain"])
    value = roc_auc_score(ill, scores["ours"]) - roc_auc_score(ill, scores["plain"])
    low, high = np.quantile(difference, [0.025, 0.975]).tolist()
    line = bar("AUROC(abnormal) on validation minus plain recipe's", value, n=len(labels), interval=(low, high), target=0.0, peer=PLAIN)
    bars = [{**line, "holds": high >= 0}]
    for side, values in scores.items():
        interval = np.quantile(aurocs[side], [0.025, 0.975]).tolist()
        bars.append(bar(f"{NAMES[side]}: AUROC(abnormal) on validation", roc_auc_score(ill, values), n=len(labels), interval=interval))
    return bars


def input_bars(found: Mapping[str, list[dict[str, Any]]], settings: Settings) -> list[dict[str, Any]]:
    bars = []
    for side, rounds in found.items():
        for kind in rounds[0]:
            if kind == "rss":
                continue
            target = 1500 if side == "ours" and kind == "normalised" and settings.size == 224 else None
            rates = [each[kind] for each in rounds]
            bars.append(median_bar(f"{NAMES[side]}: data alone, {kind}, images/s", rates, settings.input_images, target=target))
    added = [1000 / each["augmented"] - 1000 / each["normalised"] for each in found["ours"]]
    return [
        *bars,
        bar("what augmentation adds on the device, ms an image", median(added), n=settings.input_images, interval=(min(added), max(added))),
    ]


if __name__ == "__main__":
    main()
