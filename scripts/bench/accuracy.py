"""The accuracy bars: checkpoints, the frozen reference and the trivial baselines on the FracAtlas test rows, the scraped rows apart.

    python scripts/bench/accuracy.py DATA --model bundled --model dinov2-small=runs/dinov2-small --reference facebook/dinov2-small

DATA is a folder that `hf-bones build` wrote. The reference is logistic regression on frozen features (CLS and mean patch token of the
whole DINOv2-small, 224 px) from the CC BY rows of train and validation. Each evaluation of a checkpoint counts as a look at test.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from result_file import bar, write_result

from hf_bones.config.recipe import ModelConfig
from hf_bones.dataset.build import load_bones
from hf_bones.evaluation.report.choices import EvaluateChoices
from hf_bones.evaluation.report.run import evaluate_checkpoint
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.metrics import bootstrap_intervals, classification_metrics
from hf_bones.record import read_json
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.data.rows import StoredImages
from hf_bones.training.loss import class_weights
from hf_bones.training.probe import fit_head, head_features

TARGETS = {"bundled": 0.83, "dinov2-small": 0.82}
FIGURES = ("auroc_abnormal", "balanced_accuracy", "auroc_ovr_beyond_repair")
COUNTS = ("healthy", "fractured", "beyond_repair")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", action="append", default=[], metavar="NAME[=PATH]")
    parser.add_argument("--reference", help="DINOv2-small: a Hub id or folder; left out: no reference row")
    parser.add_argument("--quick", action="store_true", help="40 images a split, under a minute; for checking that it runs")
    options = parser.parse_args()
    splits = load_bones(options.data)
    if options.quick:
        for split in splits:
            labels = np.array(splits[split]["label"])
            kept = np.concatenate([np.flatnonzero(labels == label)[:13] for label in range(3)])
            splits[split] = splits[split].select(np.sort(kept).tolist())
    bars: list[dict[str, Any]] = []
    digest = ""
    for index, name in enumerate(options.model or ["bundled"]):
        label, _, path = name.partition("=")
        with tempfile.TemporaryDirectory() as folder:
            done = evaluate_checkpoint(
                path or label, splits, Path(folder), EvaluateChoices(baselines=index == 0, baseline_licences=("CC-BY-4.0",))
            )
            digest = read_json(done.metrics)["dataset"]["sha256"]
        for table in done.tables:
            if table.kind != "source":
                continue
            who = label if table.model == "checkpoint" else table.model
            for key in FIGURES:
                figure = table.figures[key]
                if figure.value is not None:
                    target = TARGETS.get(label) if key == "auroc_abnormal" and table.name == "fracatlas" and who == label else None
                    bars.append(bar(f"{who}: {key}, {table.name} test", figure.value, n=table.n, interval=figure.interval, target=target))
            for category in COUNTS:
                figure = table.figures[f"sensitivity_{category}"]
                if table.supports[category] and figure.value is not None:
                    bars.append(
                        bar(
                            f"{who}: recall of {category}, {table.name} test",
                            figure.value,
                            n=table.supports[category],
                            interval=figure.interval,
                        )
                    )
    if options.reference:
        bars += reference_bars(options.reference, splits)
    command = "python scripts/bench/accuracy.py DATA " + " ".join(f"--model {name.partition('=')[0]}" for name in options.model)
    write_result("accuracy", command, digest, options.quick, bars)


def reference_bars(backbone: str, splits: Any) -> list[dict[str, Any]]:
    """The frozen reference on the FracAtlas test rows."""
    model, spec = load_model(ModelConfig(backbone), THREE_CLASS)
    parts: list[tuple[np.ndarray, np.ndarray, list[str]]] = []
    for names in (("train", "validation"), ("test",)):
        features: list[np.ndarray] = []
        labels: list[int] = []
        groups: list[str] = []
        for split in names:
            table = splits[split].select_columns(["label", "group", "source"]).to_pandas()
            table = table[table["source"] == "fracatlas"]
            rows = TrainingRows([StoredImages(splits[split].select(table.index.to_list()))], table["label"].to_numpy(), spec.size, 0)
            features.append(head_features(model, spec, rows, 16, torch.device("cpu")))
            labels += table["label"].tolist()
            groups += table["group"].tolist()
        parts.append((np.concatenate(features), np.array(labels), groups))
    (known, known_labels, _), (unseen, truth, test_groups) = parts
    weights, biases = fit_head(known, known_labels, 3, 1e-3, class_weights(np.bincount(known_labels), "balanced"))
    probabilities = softmax(unseen @ weights.T + biases)
    figures = classification_metrics(truth, probabilities, THREE_CLASS.names)
    spans = bootstrap_intervals(truth, probabilities, test_groups, THREE_CLASS.names)
    peer = "logistic regression on frozen DINOv2-small"
    return [bar(f"reference: {key}, fracatlas test", figures[key], n=len(truth), interval=spans[key], peer=peer) for key in FIGURES]


if __name__ == "__main__":
    main()
