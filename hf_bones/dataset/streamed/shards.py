"""Parquet shards of a dataset, on the Hub or in a folder: which there are, and the small columns of all their rows.

Labels, licences and groups are a thousandth of the data; they are read once, over a few connections, and no image with them.

Not here: the images (`row_groups.py`), in which order training wants the rows (`training/data/streaming.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from hf_bones.dataset.schema import DatasetSchemaError
from hf_bones.reach import from_hub

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

SMALL_COLUMNS = ("label", "group", "licence", "source", "sha256", "synthetic", "boxes", "subtype", "region", "image_id")
IMAGE = "image"
READERS = 8  # of small columns, at a time


def find_shards(dataset: str) -> dict[str, list[str]]:
    """Split → addresses of its Parquet files: paths, or `hf://…@COMMIT/…`, which stay the same when the Hub's branch moves on.

    `datasets` tells which files make up a split. Raises `DatasetSchemaError` for files that are not Parquet.
    """
    from datasets import load_dataset_builder

    with from_hub(dataset, "dataset", "--dataset FOLDER"):
        files: Mapping[Any, Sequence[str]] = load_dataset_builder(dataset).config.data_files or {}
    shards = {str(split): [str(file) for file in found] for split, found in files.items()}
    other = sorted({Path(file).suffix or file for found in shards.values() for file in found if not file.endswith(".parquet")})
    if other or not shards:
        raise DatasetSchemaError(
            f"{dataset}: streaming reads Parquet shards, not {', '.join(other) or 'what is there'}. A dataset that `hf-bones build` wrote "
            "on this machine needs no streaming; for the Hub, push it with datasets.load_from_disk(FOLDER).push_to_hub(ID, private=True)"
        )
    return shards


def commit_of(shard: str) -> str | None:
    """The Hub commit that an address is pinned to; None for a local file."""
    return shard.partition("@")[2].partition("/")[0] or None if shard.startswith("hf://") else None


def open_shard(shard: str, metadata: Any = None) -> ParquetFile:
    """A Parquet file by its address; `metadata` of an earlier opening saves reading it again."""
    import pyarrow.parquet as pq

    if "://" not in shard:
        return pq.ParquetFile(shard, metadata=metadata)
    from huggingface_hub import HfFileSystem

    # Uncached: pyarrow joins what lies side by side, and a cache that reads ahead would fetch images along with the small columns.
    file = HfFileSystem().open(shard.removeprefix("hf://"), "rb", cache_type="none")
    return pq.ParquetFile(file, metadata=metadata, pre_buffer=True)


def shard_state(shard: str) -> str:
    """What changes when a local shard is written anew; nothing for an address with a commit."""
    if "://" in shard:
        return ""
    found = Path(shard).stat()
    return f"{found.st_size} {found.st_mtime_ns}"


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """The small columns of a split, one row each in the order of the shards, and where the images are.

    `table` holds those of `SMALL_COLUMNS` that the shards have, `label` by name. `units` (N,) is the number of each row's row group
    counted over all shards, `places` (N,) the row's place in it; `shards` (U,), `row_groups` (U,) and `sizes` (U,) in bytes of images
    are those of each row group.
    """

    files: list[str]
    table: pyarrow.Table
    units: np.ndarray
    places: np.ndarray
    shards: np.ndarray
    row_groups: np.ndarray
    sizes: np.ndarray


def read_index(shards: Sequence[str], name: str, progress: bool = True) -> ShardIndex:
    """Reads the small columns of all `shards` over a few connections. `name` is what messages call the dataset.

    Raises `DatasetSchemaError` where image or label are missing, or labels have no names.
    """
    import pyarrow as pa

    with ThreadPoolExecutor(READERS) as readers:
        reading = readers.map(lambda shard: _read_small(shard, name), shards)
        found = list(tqdm(reading, total=len(shards), desc=f"labels of {name}", unit="shard", disable=not progress))
    tables, groups = zip(*found, strict=True)
    shard_of = [number for number, sizes in enumerate(groups) for _ in sizes]
    rows = np.array([rows for sizes in groups for rows, _ in sizes], dtype=np.int64)
    return ShardIndex(
        files=list(shards),
        table=pa.concat_tables(tables, promote_options="default"),
        units=np.repeat(np.arange(len(rows)), rows),
        places=np.concatenate([np.arange(count) for count in rows]) if len(rows) else np.zeros(0, dtype=np.int64),
        shards=np.array(shard_of, dtype=np.int64),
        row_groups=np.concatenate([np.arange(len(sizes)) for sizes in groups]),
        sizes=np.array([size for sizes in groups for _, size in sizes], dtype=np.int64),
    )


def kept_index(shards: Sequence[str], name: str, folder: Path, progress: bool = True) -> ShardIndex:
    """`read_index`, made once for all processes of a machine and kept in `folder` for later runs on the same shards."""
    import pyarrow as pa

    digest = hashlib.sha256("".join(f"{shard}\n{shard_state(shard)}\n" for shard in shards).encode()).hexdigest()[:16]
    path = folder / f"{digest}.index"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".index-lock")):
        if path.is_file():
            return _load_index(path, shards)
        index = read_index(shards, name, progress)
        groups = {key: getattr(index, key).tolist() for key in ("shards", "row_groups", "sizes")}
        table = index.table.append_column("units", pa.array(index.units)).append_column("places", pa.array(index.places))
        table = table.replace_schema_metadata({"groups": json.dumps(groups)})
        partial = path.with_suffix(".index-partial")
        with pa.OSFile(str(partial), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
        partial.replace(path)
    return index


def _load_index(path: Path, shards: Sequence[str]) -> ShardIndex:
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    groups = {key: np.array(values, dtype=np.int64) for key, values in json.loads(table.schema.metadata[b"groups"]).items()}
    units, places = (table[column].to_numpy() for column in ("units", "places"))
    return ShardIndex(list(shards), table.drop_columns(["units", "places"]).replace_schema_metadata(None), units, places, **groups)


def _read_small(shard: str, name: str) -> tuple[pyarrow.Table, list[tuple[int, int]]]:
    """The small columns of a shard, labels by name, and (rows, bytes of images) of each of its row groups."""
    file = open_shard(shard)
    columns = file.schema_arrow.names
    missing = [column for column in (IMAGE, "label") if column not in columns]
    if missing:
        raise DatasetSchemaError(f"{name}: {Path(shard).name} has no column {' and no column '.join(missing)}; it has {', '.join(columns)}")
    table = file.read(columns=[column for column in SMALL_COLUMNS if column in columns])
    labels = _label_names(file, table, f"{name}: {Path(shard).name}")
    table = table.set_column(table.column_names.index("label"), "label", labels)
    groups = []
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        chunks = [group.column(column) for column in range(group.num_columns)]
        images = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.partition(".")[0] == IMAGE)
        groups.append((group.num_rows, images))
    return table.replace_schema_metadata(None), groups


def class_names(shard: str) -> list[str]:
    """The names of a shard's classes; none where its labels are a text column."""
    from datasets import Features

    return list(getattr(Features.from_arrow_schema(open_shard(shard).schema_arrow).get("label"), "names", None) or [])


def _label_names(file: ParquetFile, table: pyarrow.Table, place: str) -> pyarrow.Array:
    """The label column as names, null where a row has none (-1, as `datasets` has it, too)."""
    import pyarrow as pa
    from datasets import ClassLabel, Features

    column = table["label"].combine_chunks()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    feature = Features.from_arrow_schema(file.schema_arrow).get("label")
    if not isinstance(feature, ClassLabel) or not feature.names:
        raise DatasetSchemaError(f"{place}: column 'label' holds {feature}, not classes by name; make it a ClassLabel or a text column")
    ids = column.to_numpy(zero_copy_only=False)
    return pa.array(
        [feature.names[int(label)] if label == label and 0 <= label < len(feature.names) else None for label in ids], pa.string()
    )
