"""Random scores of rows of known classes."""

from __future__ import annotations

import numpy as np

NAMES = ("healthy", "fractured", "beyond_repair")


def drawn_rows(seed: int, rows: int = 300, *, ties: bool = False, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Random labels (every class present) and probabilities that know something of them; with ties, many equal scores."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, rows - classes)])
    scores = rng.dirichlet(np.ones(classes), rows)
    scores[np.arange(rows), labels] += 0.3
    scores = np.round(scores, 1) + 0.01 if ties else scores
    return labels, scores / scores.sum(axis=1, keepdims=True)
