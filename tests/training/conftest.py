"""What the tests of training share."""

import pytest
from tiny import bar_dataset, tiny_checkpoint


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A dataset of bars, and a small network to start from."""
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset")
    tiny_checkpoint(folder / "start")
    return folder
