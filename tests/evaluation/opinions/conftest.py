"""The tiny checkpoint whose features opinions rest on."""

import pytest
from tiny import tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "dinov2", blocks=2))
