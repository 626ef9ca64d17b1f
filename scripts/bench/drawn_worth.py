"""What drawn radiographs are worth: frozen features and a logistic head, trained on drawn, real, and real + drawn images.

    python scripts/bench/drawn_worth.py DATA --backbone facebook/dinov2-small

DATA is a folder that `hf-bones build` wrote, with FracAtlas rows. One backbone, one head, three training sets; scored on the FracAtlas
rows of validation and test. The head's strength is chosen on validation, for each training set by itself.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from result_file import bar, write_result

from hf_bones.config.recipe import ModelConfig
from hf_bones.dataset.build import load_bones
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.metrics import bootstrap_intervals, classification_metrics, selection_score
from hf_bones.record import sha256_rows
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.data.rows import DrawnImages, StoredImages
from hf_bones.training.loss import class_weights
from hf_bones.training.probe import fit_head, head_features

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backbone", default="facebook/dinov2-small")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--drawn", type=int, default=900)
    parser.add_argument("--quick", action="store_true", help="few images, under a minute; for checking that it runs")
    options = parser.parse_args()

    model, spec = load_model(ModelConfig(options.backbone, keep_blocks=options.blocks), THREE_CLASS)
    splits = load_bones(options.data)
    parts: dict[str, tuple[np.ndarray, np.ndarray, list[str]]] = {}
    hashes: list[tuple[str, str]] = []
    for split in ("train", "validation", "test"):
        table = splits[split].select_columns(["label", "group", "source", "sha256"]).to_pandas()
        table = table[table["source"] == "fracatlas"]
        if options.quick:
            table = table.groupby("label", group_keys=False).head(12)
        labels = table["label"].to_numpy()
        rows = TrainingRows([StoredImages(splits[split].select(table.index.to_list()))], labels, spec.size, 0)
        parts[split] = (head_features(model, spec, rows, 16, torch.device("cpu")), labels, table["group"].tolist())
        hashes += [(split, digest) for digest in table["sha256"]]
    count = 30 if options.quick else options.drawn
    drawn = DrawnImages(count, 3_000_000, 320, THREE_CLASS.names)
    drawn_labels = np.array([row % 3 for row in range(count)])
    drawn_features = head_features(model, spec, TrainingRows([drawn], drawn_labels, spec.size, 0), 16, torch.device("cpu"))
    real_features, real_labels, _ = parts["train"]
    sets = {
        "drawn images alone": (drawn_features, drawn_labels),
        "real images": (real_features, real_labels),
        "real + drawn images": (np.concatenate([real_features, drawn_features]), np.concatenate([real_labels, drawn_labels])),
    }
    bars: list[dict[str, Any]] = []
    for name, (features, labels) in sets.items():
        heads = [fit_head(features, labels, 3, c, class_weights(np.bincount(labels), "sqrt")) for c in STRENGTHS]
        best = max(heads, key=lambda head: selection_score(parts["validation"][1], scores(head, parts["validation"][0]), 0))
        for split in ("validation", "test"):
            values, truth, groups = parts[split]
            figures = classification_metrics(truth, scores(best, values), THREE_CLASS.names)
            spans = bootstrap_intervals(truth, scores(best, values), groups, THREE_CLASS.names)
            title = f"AUROC(abnormal), fracatlas {split}, frozen features, head on {name} ({len(labels)})"
            bars.append(bar(title, figures["auroc_abnormal"], n=len(truth), interval=spans["auroc_abnormal"]))
    command = f"python scripts/bench/drawn_worth.py DATA --backbone facebook/dinov2-small --blocks {options.blocks} --drawn {count}"
    write_result("drawn_worth", command, sha256_rows(hashes), options.quick, bars)


def scores(head: tuple[np.ndarray, np.ndarray], features: np.ndarray) -> np.ndarray:
    """Probabilities (N, 3) of a linear head on features (N, F)."""
    weights, biases = head
    return softmax(features @ weights.T + biases)


if __name__ == "__main__":
    main()
