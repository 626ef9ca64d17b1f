"""What the tests of demo share."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_demo import save_checkpoint

from hf_bones.inference.predictor import BonePredictor


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("models") / "my-model")


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> BonePredictor:
    return BonePredictor.from_pretrained(checkpoint)
