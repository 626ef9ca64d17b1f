"""What drawn radiographs are worth: frozen features and a logistic head, trained on drawn, real, and real + drawn images.

    python scripts/bench/drawn_worth.py DATA --backbone facebook/dinov2-small

DATA has FracAtlas rows. One backbone, one head, three training sets; scored on the FracAtlas rows of validation and test. The head's
strength is chosen on validation, for each training set by itself.
"""

from __future__ import annotations

import numpy as np
from frozen import films, frozen_features
from harness import Bar, arguments, figure_bars, write_result

from hf_bones.config.recipe import ModelConfig
from hf_bones.dataset.build import load_bones
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.metrics import selection_score
from hf_bones.record import sha256_rows
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.data.rows import DrawnImages
from hf_bones.training.loss import class_weights
from hf_bones.training.probe import fit_head

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--backbone", default="facebook/dinov2-small")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--drawn", type=int, default=900)
    options = parser.parse_args()

    model, spec = load_model(ModelConfig(options.backbone, keep_blocks=options.blocks), THREE_CLASS)
    splits = load_bones(options.data)
    parts = {split: films(splits, split, few=12 if options.quick else None) for split in ("train", "validation", "test")}
    features = {split: frozen_features(model, spec, part.images, part.labels) for split, part in parts.items()}
    count = 30 if options.quick else options.drawn
    drawn_labels = np.arange(count) % 3
    drawn = frozen_features(model, spec, DrawnImages(count, 3_000_000, 320, THREE_CLASS.names), drawn_labels), drawn_labels
    real = features["train"], parts["train"].labels
    both = np.concatenate([real[0], drawn[0]]), np.concatenate([real[1], drawn[1]])
    bars: list[Bar] = []
    for name, (known, labels) in {"drawn images alone": drawn, "real images": real, "real + drawn images": both}.items():
        heads = [fit_head(known, labels, 3, c, class_weights(np.bincount(labels), "sqrt")) for c in STRENGTHS]
        best = max(heads, key=lambda head: selection_score(parts["validation"].labels, scores(head, features["validation"]), 0))
        for split in ("validation", "test"):
            title = f"AUROC(abnormal), fracatlas {split}, frozen features, head on {name} ({len(labels)})"
            bars += figure_bars({"auroc_abnormal": title}, parts[split].labels, scores(best, features[split]), parts[split].groups)
    command = f"drawn_worth.py DATA --backbone facebook/dinov2-small --blocks {options.blocks} --drawn {count}"
    digest = sha256_rows((split, digest) for split, part in parts.items() for digest in part.hashes)
    write_result("drawn_worth", command, digest, bars, quick=options.quick)


def scores(head: tuple[np.ndarray, np.ndarray], features: np.ndarray) -> np.ndarray:
    """Probabilities (N, 3) of a linear head on features (N, F)."""
    weights, biases = head
    return softmax(features @ weights.T + biases)


if __name__ == "__main__":
    main()
