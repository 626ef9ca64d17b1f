"""Recipes that a CPU can train, against each other and, with --bundled, the bundled model: what `hf-bones compare` finds.

    python scripts/bench/compare.py DATA --dinov2 facebook/dinov2-small

Rows of CC BY and CC0 are learnt from. Runs are kept in --out: one that was stopped resumes.
Each checkpoint's first scoring counts as a look at test. The leaderboard itself stands in --out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from harness import Bar, arguments, bar, few_of_each, write_result

from hf_bones.dataset.schema import load_bones
from hf_bones.evaluation.compare.choices import CompareChoices
from hf_bones.evaluation.compare.report import terminal_lines
from hf_bones.evaluation.compare.results import Comparison
from hf_bones.evaluation.compare.run import compare
from hf_bones.finetune import run
from hf_bones.metrics.figures import specificity_suffix

RECIPES = ("small-cnn", "small-cnn-grey", "small-cnn-regularised", "convnextv2-atto-scratch", "dinov2-small", "dinov2-small-last2")
PRETRAINED = ("dinov2-small", "dinov2-small-last2")
LICENCES = ("CC-BY-4.0", "CC0-1.0")
QUICK = ("max_steps=2", "max_train_rows=60", "batch_size=8", "cached_views=0")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--dinov2", help="DINOv2-small: a Hub id or folder; left out: no recipes that start from it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], metavar="[RECIPE:]KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("runs/compare"))
    parser.add_argument("--bundled", action="store_true", help="also the bundled model, whose 448 px take a CPU some ten minutes")
    options = parser.parse_args()
    recipes = [name for name in RECIPES if options.dinov2 or name not in PRETRAINED]
    settings = [f"{name}:model={options.dinov2}" for name in PRETRAINED if options.dinov2] + options.set
    data = few_rows(options.data, options.out / "few") if options.quick else options.data
    done = compare(
        recipes[:2] if options.quick else recipes,
        str(data),
        options.out / "quick" if options.quick else options.out,
        CompareChoices(
            seeds=tuple(options.seeds),
            settings=(*(one for one in settings if ":" not in one), *QUICK) if options.quick else tuple(settings),
            checkpoints=("bundled=bundled",) if options.bundled else (),
            licences=LICENCES,
            repeats=100 if options.quick else 1000,
        ),
        train=run,
        command="hf-bones compare",
    )
    print("\n".join(terminal_lines(done)))
    command = "compare.py DATA" + (" --dinov2 facebook/dinov2-small" if options.dinov2 else "")
    command += " --bundled" if options.bundled else ""
    command += f" --seeds {' '.join(map(str, options.seeds))}" if options.seeds != [0] else ""
    write_result("compare", command, done.shown_sha256, bars_of(done), quick=options.quick)
    for failure in done.failures:
        raise SystemExit(f"failed: {failure.title}: {failure.reason}")


def few_rows(data: Path, folder: Path) -> Path:
    """Twelve rows of each class and split at most, to learn from only those of the licences asked for."""
    splits = load_bones(data)
    for split, rows in splits.items():
        splits[split] = few_of_each(rows, 12, np.isin(rows["licence"], LICENCES) | (split == "test"))
    splits.save_to_disk(str(folder))
    return folder


def bars_of(done: Comparison) -> list[Bar]:
    """Lines named "model: figure", of validation, of the part of test that is read first, and of costs."""
    tag = specificity_suffix(done.specificity)
    bars = []
    for standing in done.standings:
        shown, cost = standing.shown[0], standing.cost
        lines = {"validation score": standing.selection, "AUROC(abnormal)": shown.figures["auroc_abnormal"]}
        lines |= {"balanced accuracy": shown.figures["balanced_accuracy"]}
        lines |= {f"fractured recall at specificity {done.specificity:g}": shown.figures[f"sensitivity_fractured_at_specificity_{tag}"]}
        lines |= {"AUROC(beyond_repair)": shown.figures["auroc_ovr_beyond_repair"]}
        bars += [
            bar(f"{standing.name}: {key}", figure.value, n=figure.n, interval=figure.interval)
            for key, figure in lines.items()
            if figure.value is not None
        ]
        costs = {"ms an image": cost.milliseconds, "MB on disk": cost.megabytes} if cost else {}
        costs |= {"train minutes": standing.contender.minutes} if standing.contender.minutes is not None else {}
        costs |= {"gap": standing.gap} if standing.gap is not None else {}
        images = done.clockwork.images if done.clockwork else 0
        bars += [bar(f"{standing.name}: {key}", value, n=images if key.startswith("ms") else 1) for key, value in costs.items()]
    for pair in done.neighbours:
        found = pair.on_shown
        n = done.parts[0].supports["fractured"]
        bars.append(bar(f"{pair.first} less {pair.second}, AUROC(abnormal)", found.value, n=n, interval=found.interval))
    return bars


if __name__ == "__main__":
    main()
