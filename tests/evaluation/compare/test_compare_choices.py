"""How a comparison is asked for. Run: pytest tests/evaluation/compare/test_compare_choices.py"""

import pytest

from hf_bones.evaluation.compare.choices import parse_checkpoints


def test_a_checkpoint_is_named_once_and_with_its_place():
    assert parse_checkpoints(["mine=runs/mine"]) == {"mine": "runs/mine"}
    for given in (["mine"], ["=x"], ["a=1", "a=2"]):
        with pytest.raises(ValueError, match="--checkpoint"):
            parse_checkpoints(given)
