"""The figures of the jobs that teacher.py ran, from the logits that it left: what validation prefers, and what that reaches on test.

    python scripts/bench/gpu/teacher_record.py FILMS

FILMS is the folder that films.py wrote (for the groups of the bootstrap). Reads results/teacher/*.npz and writes results/teacher.json. Of
the networks of each size the one whose mean over film and mirror image scores best on validation is measured against the targets; beside it
stand what it says of the film alone, and the others. Verdicts are balanced as the recipes have it (`balanced_verdicts`): all were trained
with the same weights. Folds of train follow, each scored by networks that had not learnt from it.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1])]

# ruff: noqa: E402 - it is found there
from harness import RESULTS, Bar, bar, figure_bars, write_result

from hf_bones.config.recipe import load_recipe
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.metrics import classification_metrics, selection_score
from hf_bones.record import sha256_rows
from hf_bones.training.loss import learnt_log_prior

TEACHERS = {
    "boxes_24_epochs": "dinov2-small-448",
    "boxes": "dinov2-small-448 at 2e-4, 15 epochs",
    "no_boxes": "dinov2-small-448 at 2e-4, 15 epochs, no box_loss",
    "boxes_higher_rate": "dinov2-small-448 at 3e-4, layer_decay 0.8, 25 epochs",
}
STUDENTS = {
    "student": "bundled",
    "student_seed_1": "bundled, another seed",
    "student_labels_alone": "bundled, from labels alone, 24 epochs of 28",
}
FOLDS = {
    "dinov2-small-448": ("fold0", "fold1", "fold2"),
    "dinov2-small-448 at 6e-5, head 6e-4": ("fold0_rate_6e-5",),
    "bundled, from labels alone, 24 epochs": ("fold0_8_blocks",),
    "bundled at 336 px, from labels alone, 24 epochs": ("fold0_8_blocks_336", "fold1_8_blocks_336", "fold2_8_blocks_336"),
}
RECALL = "sensitivity_fractured_at_specificity_85"
TARGETS: tuple[tuple[dict[str, str], dict[str, float | None]], ...] = (
    (TEACHERS, {"auroc_abnormal": 0.88, RECALL: 0.75, "auroc_ovr_beyond_repair": 0.90}),
    (STUDENTS, {"auroc_abnormal": 0.83, RECALL: None, "auroc_ovr_beyond_repair": None}),
)
NAMES = THREE_CLASS.names
Logits = dict[str, np.ndarray]


def main() -> None:
    with (Path(sys.argv[1]) / "films.csv").open(encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    groups = {row["sha256"]: row["group"] for row in table}
    runs: dict[str, Logits] = {path.stem: dict(np.load(path)) for path in sorted((RESULTS / "teacher").glob("*.npz"))}
    counts = np.array([sum(row["split"] == "train" and row["label"] == name for row in table) for name in NAMES])
    shift = learnt_log_prior(load_recipe("dinov2-small-448").training, counts)
    for run in runs.values():
        run |= {key: run[key] - shift for key in set(run) if run[key].ndim == 2}
    trained = [*TEACHERS, *STUDENTS]
    scores = {name: selection_score(runs[name]["validation_labels"], softmax(runs[name]["validation"]), 0) for name in trained}
    bars: list[Bar] = []
    for titles, targets in TARGETS:
        order = sorted(titles, key=lambda name: -scores[name])
        for name in order:
            run, title = runs[name], titles[name]
            count = len(run["validation_labels"])
            bars.append(bar(f"{title}: validation score (mean of AUROC(abnormal) and macro AUROC)", scores[name], n=count))
            for split in ("validation", "test"):
                aims = targets if name == order[0] and split == "test" else dict.fromkeys(targets)
                bars += split_bars(title, run, split, run[split], groups, aims)
                if name == order[0]:
                    bars += split_bars(f"{title}, film alone", run, split, run[f"{split}_plain"], groups, dict.fromkeys(targets))
    bars += fold_bars(runs)
    first = runs[next(iter(TEACHERS))]
    digest = sha256_rows(zip(*(first[f"test_{key}"].tolist() for key in ("sha256", "labels")), strict=True))
    command = "gpu/teacher.py FILMS … (one H200), then teacher_record.py FILMS"
    write_result("teacher", command, digest, bars, machine="one NVIDIA H200")


def split_bars(
    title: str, run: Logits, split: str, logits: np.ndarray, groups: Mapping[str, str], aims: Mapping[str, float | None]
) -> list[Bar]:
    """Figures of one network on one split, with intervals over groups."""
    labels, probabilities = run[f"{split}_labels"], softmax(logits)
    of_films = [groups[digest] for digest in run[f"{split}_sha256"].tolist()]
    bars = figure_bars({key: f"{title}: {key}, {split}" for key in aims}, labels, probabilities, of_films, aims)
    figures = classification_metrics(labels, probabilities, NAMES)
    return bars + [
        bar(f"{title}: recall of {label}, {split}", figures[f"sensitivity_{label}"], n=int(figures[f"support_{label}"])) for label in NAMES
    ]


def fold_bars(runs: Mapping[str, Logits]) -> list[Bar]:
    """Out-of-fold AUROC(abnormal): of the first fold, which all have, and on average over the folds where there are three."""
    bars = []
    for title, names in FOLDS.items():
        found = [classification_metrics(runs[name]["fold_labels"], softmax(runs[name]["fold"]), NAMES)["auroc_abnormal"] for name in names]
        sizes = [len(runs[name]["fold_labels"]) for name in names]
        bars.append(bar(f"{title}: auroc_abnormal, first of three folds of train", found[0], n=sizes[0]))
        if len(names) > 1:
            bars.append(bar(f"{title}: auroc_abnormal, mean of the folds", float(np.mean(found)), n=sum(sizes)))
    return bars


if __name__ == "__main__":
    main()
