"""What a report says at its top of figures that say little or too much. Run: pytest tests/evaluation/report/test_cautions.py"""

import numpy as np

from hf_bones.evaluation.report.cautions import cautions
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.labels import THREE_CLASS

HASHES = [f"{number:064x}" for number in range(40)]


def test_few_films_and_unknown_patients_are_said():
    labels = [0] * 12 + [1] * 3
    count = len(labels)
    rows = ScoredRows(
        probabilities=np.full((count, 3), 1 / 3),
        labels=np.asarray(labels),
        groups=HASHES[:count],
        sources=["s"] * count,
        regions=[""] * count,
        names=THREE_CLASS.names,
        normal_id=0,
        image_ids=HASHES[:count],
    )
    few, unknown = cautions(rows, HASHES[:count])
    assert few == "Too few films to judge a model by: 15, of them 3 of fractured. Figures may be far off either way."
    assert unknown.startswith("No patient")
    assert not cautions(rows, ())[1:], "a dataset without hashes says nothing of groups"
