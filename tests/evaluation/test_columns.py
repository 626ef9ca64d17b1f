"""Columns of datasets as an evaluation reads them. Run: pytest tests/evaluation/test_columns.py"""

import numpy as np
from tiny import bone_row, bone_rows

from hf_bones.evaluation.columns import rows_of


def test_rows_are_those_of_the_licences_and_sources_asked_for():
    told = [("CC-BY-4.0", "a"), ("CC0-1.0", "a"), ("CC-BY-4.0", "b"), ("", "")]
    pixels = np.zeros((8, 8), np.uint8)
    part = bone_rows([bone_row(pixels, row, licence=licence, source=source) for row, (licence, source) in enumerate(told)])
    assert rows_of(part) == [0, 1, 2, 3]
    assert rows_of(part, ["CC-BY-4.0"]) == [0, 2]
    assert rows_of(part, ["CC-BY-4.0", "CC0-1.0"], ["a"]) == [0, 1]
    assert rows_of(part, sources=["nowhere"]) == []
    assert rows_of(part.remove_columns("licence"), ["CC-BY-4.0"]) == []
