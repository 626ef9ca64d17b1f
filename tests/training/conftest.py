"""What the tests of training share."""

import pytest
from tiny import bar_dataset, tiny_checkpoint


@pytest.fixture(scope="session")
def ground(tmp_path_factory):
    """A dataset of bars, and small networks to start from."""
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset")
    tiny_checkpoint(folder / "start")
    (folder / "dinov2").symlink_to(folder / "start")
    for kind in ("vit", "convnextv2"):
        tiny_checkpoint(folder / kind, kind)
    return folder


@pytest.fixture(scope="session")
def smaller(tmp_path_factory):
    """Fewer bars, and a network of two blocks: four steps of eight images an epoch."""
    folder = tmp_path_factory.mktemp("smaller")
    bar_dataset(folder / "dataset", train=32, held_out=9)
    tiny_checkpoint(folder / "start", blocks=2)
    return folder
