"""A small dataset as shards, and recipes that stream it."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import small_run

from hf_bones.config.recipe import DataConfig

GROUP = 5  # rows of a row group


def config(ground: Path, folder: Path, **changes) -> DataConfig:
    settings = {"dataset": str(ground / "shards"), "streaming": True, "stream_dir": str(folder / "groups"), "stream_row_groups": 4}
    return DataConfig(**{**settings, **changes})


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    streamed = ("--dataset", str(ground / "shards"), "--streaming", "true", "--stream_dir", str(output.parent / "groups"))
    return small_run.arguments(ground, output, *streamed, "--stream_row_groups", "4", "--epochs", "2", "--head_start", "random", *more)


def rewritten(ground: Path, folder: Path, change) -> DataConfig:
    """The shards, each train table changed."""
    for path in (ground / "shards" / "data").glob("*.parquet"):
        table = pq.read_table(path)
        place = folder / "shards" / "data" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(change(table) if path.name.startswith("train") else table, place, row_group_size=GROUP)
    return config(folder, folder)
