"""A small dataset as shards, and recipes that stream it."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from hf_bones.config.recipe import DataConfig

GROUP = 5  # rows of a row group


def config(ground: Path, folder: Path, **changes) -> DataConfig:
    settings = {"dataset": str(ground / "shards"), "streaming": True, "stream_dir": str(folder / "groups"), "stream_row_groups": 4}
    return DataConfig(**{**settings, **changes})


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    return [
        *("--recipe", "quickstart", "--cpu", "true", "--model", str(ground / "start"), "--trainable", "all", "--image_size", "56"),
        *("--dataset", str(ground / "shards"), "--streaming", "true", "--stream_dir", str(output.parent / "groups")),
        *("--stream_row_groups", "4", "--drawn_images", "0", "--drawn_validation_images", "0", "--output_dir", str(output)),
        *("--batch_size", "8", "--epochs", "2", "--learning_rate", "3e-3", "--head_learning_rate", "3e-3", "--head_start", "random", *more),
    ]


def rewritten(ground: Path, folder: Path, change) -> DataConfig:
    """The shards, each train table changed."""
    for path in (ground / "shards" / "data").glob("*.parquet"):
        table = pq.read_table(path)
        place = folder / "shards" / "data" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(change(table) if path.name.startswith("train") else table, place, row_group_size=GROUP)
    return config(folder, folder)
