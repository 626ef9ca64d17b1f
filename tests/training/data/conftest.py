"""What the tests of data share."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_shards import GROUP


@pytest.fixture(scope="session")
def ground(ground) -> Path:
    """A built dataset, the same one as shards, and a checkpoint to start from."""
    from datasets import load_from_disk

    for split, part in load_from_disk(str(ground / "dataset")).items():
        for number in range(3):
            place = ground / "shards" / "data" / f"{split}-{number:05d}-of-00003.parquet"
            place.parent.mkdir(parents=True, exist_ok=True)
            part.shard(3, number, contiguous=True).to_parquet(place, batch_size=GROUP)
    return ground
