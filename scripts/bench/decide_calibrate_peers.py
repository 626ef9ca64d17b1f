"""What netcal and MAPIE make of the same answers, in a venv of their own: `decide_calibrate.py` runs it.

    python scripts/bench/decide_calibrate_peers.py ANSWERS.npz BINS ALPHA

ANSWERS holds `shares` (N, C) and `labels` (N,) to fit on, and `new` (M, C). Prints one JSON document: of netcal the temperature, the
probabilities after vector scaling (no regularisation) and the ECE in bins of equal mass; of MAPIE, for each class, the threshold of its
split conformal classifier on the films of that class, and which of the new films' sets hold it.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import numpy as np


def netcal_answers(shares: np.ndarray, labels: np.ndarray, bins: int) -> dict[str, Any]:
    from netcal.metrics import ECE  # type: ignore[import-not-found]
    from netcal.scaling import LogisticCalibration, TemperatureScaling  # type: ignore[import-not-found]

    temperature = TemperatureScaling()
    temperature.fit(shares, labels)
    vector = LogisticCalibration(temperature_only=False, method="mle")
    vector.fit(shares, labels)
    return {
        "inverse_temperature": float(np.ravel(temperature.temperature)[0]),
        "vector_probabilities": np.asarray(vector.transform(shares)).tolist(),
        "ece": float(ECE(bins, equal_intervals=False).measure(shares, labels)),
    }


class Given:
    """A classifier whose inputs are the probabilities already, as scikit-learn's estimators have it."""

    def __init__(self, classes: int) -> None:
        self.classes_ = np.arange(classes)
        self.n_features_in_ = classes
        self.is_fitted_ = True

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, _x: np.ndarray, _y: np.ndarray) -> Given:
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x).argmax(axis=1)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x)


def mapie_answers(shares: np.ndarray, labels: np.ndarray, new: np.ndarray, alpha: float) -> dict[str, Any]:
    from mapie.classification import SplitConformalClassifier  # type: ignore[import-not-found]

    thresholds, held = [], []
    for label in range(shares.shape[1]):
        classifier = SplitConformalClassifier(_estimator(shares.shape[1]), confidence_level=1 - alpha, conformity_score="lac", prefit=True)
        own = labels == label
        classifier.conformalize(shares[own], labels[own])
        _, sets = classifier.predict_set(new)
        thresholds.append(1 - float(np.ravel(classifier._mapie_classifier.conformity_score_function_.quantiles_)[0]))
        held.append(np.asarray(sets)[:, label, 0].astype(bool).tolist())
    return {"thresholds": thresholds, "held": held}


def _estimator(classes: int) -> Any:
    from sklearn.base import BaseEstimator, ClassifierMixin

    return type("GivenProbabilities", (Given, ClassifierMixin, BaseEstimator), {})(classes)


def main() -> None:
    path, bins, alpha = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with np.load(path) as stored:
        shares, labels, new = (stored[name] for name in ("shares", "labels", "new"))
    print(
        json.dumps(
            {
                "netcal": netcal_answers(shares, labels, bins),
                "mapie": mapie_answers(shares, labels, new, alpha),
                "versions": {name: version(name) for name in ("netcal", "mapie")},
            }
        )
    )


if __name__ == "__main__":
    main()
