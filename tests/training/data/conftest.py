"""What the tests of data share."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_shards import GROUP
from tiny import bar_dataset, tiny_checkpoint


@pytest.fixture(scope="session")
def ground(tmp_path_factory) -> Path:
    """A built dataset, the same one as shards, and a checkpoint to start from."""
    from datasets import load_from_disk

    folder = tmp_path_factory.mktemp("ground")
    built = load_from_disk(str(bar_dataset(folder / "dataset")))
    for split, part in built.items():
        for number in range(3):
            place = folder / "shards" / "data" / f"{split}-{number:05d}-of-00003.parquet"
            place.parent.mkdir(parents=True, exist_ok=True)
            part.shard(3, number, contiguous=True).to_parquet(place, batch_size=GROUP)
    tiny_checkpoint(folder / "start")
    return folder
