"""The figures of the jobs that teacher.py ran, from the logits that it left: which one validation prefers, and what it reaches on test.

    python scripts/bench/gpu/teacher_record.py FILMS

FILMS is the folder that films.py wrote (for the groups of the bootstrap). Reads results/teacher/*.npz and writes results/teacher.json. The
job whose mean over film and mirror image scores best on validation is measured against the targets; the others stand beside it.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1])]

# ruff: noqa: E402 - it is found there
from result_file import RESULTS, bar, write_result

from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.metrics import bootstrap_intervals, classification_metrics, selection_score
from hf_bones.record import sha256_rows

NAMES = {
    "boxes": "dinov2-small-448",
    "no_boxes": "the same without box_loss",
    "boxes_higher_rate": "the same, learning_rate 3e-4, layer_decay 0.8, 25 epochs",
}
TARGETS = {"auroc_abnormal": 0.88, "sensitivity_fractured_at_specificity_85": 0.75, "auroc_ovr_beyond_repair": 0.90}
COUNTS = THREE_CLASS.names


def main() -> None:
    with (Path(sys.argv[1]) / "films.csv").open(encoding="utf-8") as stream:
        groups = {row["sha256"]: row["group"] for row in csv.DictReader(stream)}
    runs = {path.stem: np.load(path) for path in sorted((RESULTS / "teacher").glob("*.npz"))}
    scores = {name: selection_score(run["validation_labels"], softmax(run["validation"]), 0) for name, run in runs.items()}
    chosen = max(scores, key=scores.__getitem__)
    bars: list[dict[str, Any]] = []
    for name in sorted(scores, key=lambda each: -scores[each]):
        run, who = runs[name], NAMES[name]
        bars.append(
            bar(f"{who}: validation score (mean of AUROC(abnormal) and macro AUROC)", scores[name], n=len(run["validation_labels"]))
        )
        for split in ("validation", "test"):
            labels, probabilities = run[f"{split}_labels"], softmax(run[split])
            figures = classification_metrics(labels, probabilities, COUNTS)
            spans = bootstrap_intervals(labels, probabilities, [groups[digest] for digest in run[f"{split}_sha256"].tolist()], COUNTS)
            for key, target in TARGETS.items():
                wanted = target if name == chosen and split == "test" else None
                bars.append(bar(f"{who}: {key}, {split}", figures[key], n=len(labels), interval=spans.get(key), target=wanted))
            for label in COUNTS:
                bars.append(bar(f"{who}: recall of {label}, {split}", figures[f"sensitivity_{label}"], n=int(figures[f"support_{label}"])))
    digest = sha256_rows(list(zip(*(runs[chosen][f"test_{key}"].tolist() for key in ("sha256", "labels")), strict=True)))
    write_result("teacher", "python scripts/bench/gpu/teacher.py FILMS … (one H200), then teacher_record.py FILMS", digest, False, bars)


if __name__ == "__main__":
    main()
