"""What the tests of inference share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import telling_checkpoint

from hf_bones.inference.predictor import BonePredictor


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return telling_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> BonePredictor:
    return BonePredictor.from_pretrained(checkpoint, device="cpu")
