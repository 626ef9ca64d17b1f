"""Made-up scores of rows of several sources, and the resampling that is quick enough for tests."""

from __future__ import annotations

import numpy as np
from PIL import Image

from hf_bones.evaluation.report.figures import Resampling
from hf_bones.evaluation.report.report import EvaluationSetup
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.labels import THREE_CLASS

NAMES = THREE_CLASS.names
QUICK = Resampling(repeats=50)


def scored(rows: int = 120, seed: int = 0, **changes: object) -> ScoredRows:
    """Rows of two sources, the second ("web") without a healthy one, in groups of four; a picture for each."""
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(rows - 24) % 3, 1 + np.arange(24) % 2]
    scores = rng.dirichlet(np.ones(3), rows)
    scores[np.arange(rows), labels] += 0.4
    given = {
        "names": NAMES,
        "normal_id": 0,
        "labels": labels,
        "probabilities": scores / scores.sum(axis=1, keepdims=True),
        "groups": [f"g{index // 4}" for index in range(rows)],
        "sources": ["hospital"] * (rows - 24) + ["web"] * 24,
        "regions": ["hand", "leg", ""] * (rows // 3),
        "image_ids": [f"image-{index}" for index in range(rows)],
        "image": lambda index: Image.new("L", (40 + index, 30), index % 256),
    }
    return ScoredRows(**(given | changes))  # type: ignore[arg-type]


ABOUT = EvaluationSetup("a checkpoint", "data/bones", "test", dataset_sha256="ab" * 32, looks=3, looks_in="record.json")
