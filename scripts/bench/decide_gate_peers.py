"""pytorch-ood's detectors on features: asked by decide_gate.py, run in a venv of their own.

    python scripts/bench/decide_gate_peers.py mahalanobis FEATURES.npz
    python scripts/bench/decide_gate_peers.py knn FEATURES.npz

FEATURES.npz: `films` (N, D) to fit on, and any other arrays (M, D). Prints one JSON line: the outlier scores of each other array.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from pytorch_ood.detector import KNN, Mahalanobis  # type: ignore[import-not-found]

DETECTORS = {"mahalanobis": lambda: Mahalanobis(None), "knn": lambda: KNN(None)}

if __name__ == "__main__":
    arrays = {name: torch.from_numpy(values).double() for name, values in np.load(sys.argv[2]).items()}
    films = arrays.pop("films")
    torch.set_default_dtype(torch.float64)
    detector = DETECTORS[sys.argv[1]]().fit_features(films, torch.zeros(len(films), dtype=torch.long))
    print(json.dumps({name: detector.predict_features(values).double().tolist() for name, values in arrays.items()}))
