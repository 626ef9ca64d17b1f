"""The accuracy bars: checkpoints, the frozen reference and the trivial baselines on the FracAtlas test rows, the scraped rows apart.

    python scripts/bench/accuracy.py DATA --model bundled --model dinov2-small=runs/dinov2-small --reference facebook/dinov2-small

The reference is logistic regression on frozen features (CLS and mean patch token of the whole DINOv2-small, 224 px) from the CC BY rows of
train and validation. Each evaluation of a checkpoint counts as a look at test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from frozen import films, frozen_features
from harness import Bar, arguments, bar, few_of_each, figure_bars, work_folder, write_result

from hf_bones.config.recipe import ModelConfig
from hf_bones.dataset.build import load_bones
from hf_bones.evaluation.report.choices import EvaluateChoices
from hf_bones.evaluation.report.run import evaluate_checkpoint
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.record import read_json
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.loss import class_weights
from hf_bones.training.probe import fit_head

TARGETS = {"bundled": 0.83, "dinov2-small": 0.82}
FIGURES = ("auroc_abnormal", "balanced_accuracy", "auroc_ovr_beyond_repair")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", action="append", default=[], metavar="NAME[=PATH]")
    parser.add_argument("--reference", help="DINOv2-small: a Hub id or folder; left out: no reference row")
    options = parser.parse_args()
    splits = load_bones(options.data)
    if options.quick:
        for split in splits:
            splits[split] = few_of_each(splits[split], 13)
    bars: list[Bar] = []
    for index, name in enumerate(options.model or ["bundled"]):
        label, _, path = name.partition("=")
        with work_folder() as folder:
            choices = EvaluateChoices(baselines=index == 0, baseline_licences=("CC-BY-4.0",))
            done = evaluate_checkpoint(path or label, splits, folder, choices)
            digest = read_json(done.metrics)["dataset"]["sha256"]
        for table in done.tables:
            if table.kind == "source":
                bars += table_bars(table, label if table.model == "checkpoint" else table.model)
    if options.reference:
        bars += reference_bars(options.reference, splits)
    command = " ".join(["accuracy.py DATA", *(f"--model {name.partition('=')[0]}" for name in options.model)])
    write_result("accuracy", command, digest, bars, quick=options.quick)


def table_bars(table: Any, who: str) -> list[Bar]:
    """What `evaluate_checkpoint` found on the test rows of one source."""
    wanted = [(key, key, table.n) for key in FIGURES]
    wanted += [(f"recall of {label}", f"sensitivity_{label}", table.supports[label]) for label in THREE_CLASS.names]
    bars = []
    for title, key, count in wanted:
        figure = table.figures[key]
        if count and figure.value is not None:
            target = TARGETS.get(who) if (key, table.name) == ("auroc_abnormal", "fracatlas") else None
            bars.append(bar(f"{who}: {title}, {table.name} test", figure.value, n=count, interval=figure.interval, target=target))
    return bars


def reference_bars(backbone: str, splits: Any) -> list[Bar]:
    """The frozen reference on the FracAtlas test rows."""
    model, spec = load_model(ModelConfig(backbone), THREE_CLASS)
    known, unseen = [films(splits, *names) for names in (("train", "validation"), ("test",))]
    weight = class_weights(np.bincount(known.labels), "balanced")
    weights, biases = fit_head(frozen_features(model, spec, known.images, known.labels), known.labels, 3, 1e-3, weight)
    probabilities = softmax(frozen_features(model, spec, unseen.images, unseen.labels) @ weights.T + biases)
    names = {key: f"reference: {key}, fracatlas test" for key in FIGURES}
    peer = "logistic regression on frozen DINOv2-small"
    return figure_bars(names, unseen.labels, probabilities, unseen.groups, peer=peer)


if __name__ == "__main__":
    main()
