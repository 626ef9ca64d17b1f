"""What the tests of cached_views share."""

import pytest
from tiny import bar_dataset, tiny_checkpoint


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset")
    for kind in ("dinov2", "vit", "convnextv2"):
        tiny_checkpoint(folder / kind, kind)
    (folder / "start").symlink_to(folder / "dinov2")
    return folder
