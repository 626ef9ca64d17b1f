"""Training on a dataset that is larger than the disk: its rows in an order that reads each row group once an epoch, whole.

`datasets` can stream as well, but its shuffle buffer is lost when a run is resumed, each process sees a number of rows of its own, and
where shards do not divide evenly every process reads everything. Here the labels of all rows are known before the first step, so that
an epoch's order can be drawn as for any dataset: the same one however many processes and loader workers there are, each row in it once,
resumed in the middle to the row.

The order: row groups in random order, their rows shuffled, cut into as many lanes as row groups are to be open at a time; a batch takes
from all lanes. `read_ahead.py` fetches what comes next.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hf_bones.config.recipe import DataConfig, RecipeError, TrainConfig
from hf_bones.dataset.streamed.row_groups import RowGroupFiles
from hf_bones.dataset.streamed.shards import commit_of, find_shards, kept_index
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.labels import LabelScheme
from hf_bones.record import read_json, write_json
from hf_bones.training.data.batches import Boxes, RunSampler
from hf_bones.training.data.missing_classes import unknown_classes
from hf_bones.training.data.read_ahead import ReadAhead
from hf_bones.training.data.row_table import Rows, Stream, boxes_of
from hf_bones.training.data.source_shares import left_out
from hf_bones.training.errors import DamagedImageError, ShardsOutOfReachError
from hf_bones.training.processes import first_process_says

log = logging.getLogger(__name__)

SHARDS_FILE = "shards.json"  # in the run's folder: what it streams, pinned
FOLDER = "hf_bones_row_groups"


class StreamedImages:
    """Images of the rows `chosen` (N,) of a split, by row number; `whole` (N,) says of which no bone is broken."""

    def __init__(self, stream: Stream, chosen: np.ndarray, whole: np.ndarray) -> None:
        self.stream, self.places, self.whole = stream, stream.index.places[chosen], whole
        column = stream.index.table["boxes"].take(chosen) if "boxes" in stream.index.table.column_names else None
        self.known_boxes = column

    def __len__(self) -> int:
        return len(self.places)

    def pixels(self, row: int) -> np.ndarray:
        index, unit = self.stream.index, int(self.stream.units[row])
        shard, group = index.files[index.shards[unit]], int(index.row_groups[unit])
        place = int(self.places[row])
        try:
            image = self.stream.files.images(shard, group)[place].as_py()
        except OSError as error:
            raise ShardsOutOfReachError(
                f"dataset: row group {group} of {Path(shard).name} could not be fetched: {error}. Once it can, the same command resumes "
                "from the last checkpoint"
            ) from error
        try:
            return open_image(image).pixels
        except ImageRefusedError as error:
            where = f"row {place} of row group {group} in {Path(shard).name}"
            raise DamagedImageError(f"dataset: the image in {where} cannot be read: {error}. Take that row out of the shard") from error

    def boxes(self, row: int) -> Boxes | None:
        drawn = self.known_boxes[row].as_py() or [] if self.known_boxes is not None else []
        return boxes_of(drawn, bool(self.whole[row]))


class StreamSampler(RunSampler):
    """A `RunSampler` whose order has rows of about `at_a_time` row groups in play at any time.

    `units` (N,) is the row group of each row. Within a batch rows stand by lane, so that processes on different machines, which take
    one part of each batch, read different row groups.
    """

    def __init__(
        self, labels: np.ndarray, units: np.ndarray, seed: int, batch_size: int, at_a_time: int, ahead: ReadAhead | None = None
    ) -> None:
        super().__init__(labels, "uniform", seed, batch_size)
        if len(units) != len(labels):
            raise ValueError(f"{len(units)} row groups for {len(labels)} rows")
        self.units = units
        self.batch_size = batch_size
        self.lanes = min(at_a_time, len(np.unique(units)))
        self.ahead = ahead

    def order(self, epoch: int) -> np.ndarray:
        """Row numbers of an epoch, (len(self),)."""
        random = np.random.default_rng([self.seed, 2, epoch])
        turn = random.permutation(int(self.units.max()) + 1)
        rows = np.lexsort((random.random(len(self.units)), turn[self.units]))[: self.length]
        count = np.arange(self.length)
        lane = count * self.lanes // self.length
        starts = np.searchsorted(lane, np.arange(self.lanes + 1))
        along = (count - starts[lane] + random.random(self.length)) / np.diff(starts)[lane]
        mixed = np.argsort(along, kind="stable")
        by_lane = np.lexsort((lane[mixed], count // self.batch_size))
        return rows[mixed[by_lane]]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        order = self.order(epoch)
        if self.ahead is not None:
            self.ahead.plan(self.units[order], self.batch_size)
        try:
            for offset, row in enumerate(order):
                if self.ahead is not None and offset % self.batch_size == 0:
                    self.ahead.at(offset)
                yield int(row), epoch * self.length + offset
        finally:  # also where the run ends before the epoch
            if self.ahead is not None:
                self.ahead.stop()


def stream_sampler(rows: Rows, at_a_time: int, batch_size: int, seed: int) -> StreamSampler:
    """The sampler of streamed rows, which starts to fetch their images when it is iterated. Drawn rows count as further row groups."""
    stream = rows.stream
    assert stream is not None
    first = len(stream.index.sizes)
    typical = max(1, len(stream.units) // max(1, len(np.unique(stream.units))))
    units = np.concatenate([stream.units, first + np.arange(len(rows) - len(stream.units)) // typical])
    ahead = ReadAhead(lambda unit: stream.fetch(unit) if unit < first else None, window=typical * at_a_time // 4)
    return StreamSampler(np.asarray(rows.labels), units, seed, batch_size, at_a_time, ahead)


def run_shards(data: DataConfig, training: TrainConfig, resumed: bool) -> dict[str, list[str]]:
    """Split → addresses of the shards of a run, the same in all processes; a resumed run keeps those that it began with."""
    note = Path(training.output_dir) / SHARDS_FILE

    def shards() -> dict[str, list[str]]:
        if resumed and note.is_file():
            return read_json(note)["shards"]
        found = find_shards(data.dataset)
        write_json(note, {"dataset": data.dataset, "shards": found})
        return found

    return first_process_says(shards)


def add_streamed(rows: Rows, shards: Mapping[str, list[str]], split: str, config: DataConfig, scheme: LabelScheme) -> None:
    """Adds the rows of a split that have one of `train_licences`.

    Raises `RecipeError` for a split that is not there, rows without a label or with one that the scheme lacks, licences that are not
    known, and a disk that is too small for the row groups that are in play at a time.
    """
    if split not in shards:
        raise RecipeError(f"dataset: {config.dataset!r} has no {split!r} split (found {sorted(shards)})")
    files = RowGroupFiles(stream_folder(config), int(config.stream_gb * 1e9), open_at_a_time=2 * config.stream_row_groups)
    index = kept_index(shards[split], f"{split} of {config.dataset}", files.folder)
    table, place = index.table, f"{config.dataset!r} ({split})"
    chosen = np.arange(len(table))
    if config.train_licences:
        if "licence" not in table.column_names:
            raise RecipeError(f"train_licences: {place} has no column 'licence', so nobody knows what may be used; set it to []")
        chosen = np.flatnonzero([licence in config.train_licences for licence in table["licence"].to_pylist()])
    if config.without_sources:
        if "source" not in table.column_names:
            raise RecipeError(f"without_sources: {place} has no column 'source'; set it to []")
        chosen = chosen[~left_out([source or "" for source in table["source"].take(chosen).to_pylist()], config.without_sources)]
    names = table["label"].take(chosen).to_pylist()
    counts = Counter(names)
    if counts[None]:
        raise RecipeError(f"dataset: {counts[None]} rows of {place} have no label; take them out of its shards")
    unknown = sorted(set(counts) - set(scheme.names))
    if unknown:
        raise RecipeError(unknown_classes(unknown, place, scheme))
    stream = Stream(index, files, index.units[chosen])
    _check_room(stream, config)

    def column(name: str, otherwise: list[Any]) -> list[Any]:
        """The values of a column, those of `otherwise` where it has none."""
        if name not in table.column_names:
            return otherwise
        found = table[name].take(chosen).to_pylist()
        return [other if value is None else value for value, other in zip(found, otherwise, strict=True)]

    if "group" not in table.column_names and int(os.environ.get("RANK", "0")) == 0:
        log.warning("%s has no column 'group': nobody can say whether near-duplicates are in training and in validation", place)
    own = [f"{split}-{row}" for row in chosen]
    rows.stream = stream
    rows.sources.append(StreamedImages(stream, chosen, np.array([name == scheme.normal for name in names])))
    rows.labels += [scheme.label2id[name] for name in names]
    rows.groups += column("group", own)
    rows.hashes += column("sha256", own)
    rows.licences += column("licence", ["unknown"] * len(names))
    rows.origins += column("source", [config.dataset_id or Path(config.dataset).name] * len(names))
    rows.synthetic += column("synthetic", [False] * len(names))
    rows.subtypes += column("subtype", [""] * len(names))
    rows.regions += column("region", [""] * len(names))


def stream_folder(config: DataConfig) -> Path:
    """Where row groups are kept: `stream_dir`, or a folder beside the caches of `datasets`."""
    if config.stream_dir:
        return Path(config.stream_dir).expanduser()
    from datasets.config import HF_DATASETS_CACHE

    return Path(HF_DATASETS_CACHE) / FOLDER


def _check_room(stream: Stream, config: DataConfig) -> None:
    """A row group that is thrown out before it is read to its end is fetched again and again."""
    sizes = np.sort(stream.index.sizes[np.unique(stream.units)])[::-1]
    # A lane opens its next row group a quarter of its length ahead, and two lanes may share one.
    need = int(1.5 * sizes[: config.stream_row_groups].sum())
    text = f"{config.stream_row_groups} row groups at a time take up to {need / 1e9:.1f} GB of disk"
    if need > stream.files.limit:
        raise RecipeError(f"stream_gb: {text}, more than stream_gb: {config.stream_gb:g}; raise it or lower stream_row_groups")
    stream.files.folder.mkdir(parents=True, exist_ok=True)
    mine = sum(path.stat().st_size for path in stream.files.folder.glob("*.arrow"))
    free = shutil.disk_usage(stream.files.folder).free + mine
    if need > free:
        raise RecipeError(
            f"stream_dir: {text}, and {stream.files.folder} has {free / 1e9:.1f} GB; name a larger disk or lower stream_row_groups"
        )


def stream_line(stream: Stream, config: DataConfig) -> str:
    """What is streamed, for the announcement of a run."""
    index, used = stream.index, np.unique(stream.units)
    commit = commit_of(index.files[0])
    pinned = f" at commit {commit[:8]}" if commit else ""
    return (
        f"{len(used):,} row groups ({index.sizes[used].sum() / 1e6:,.0f} MB) of {len(index.files):,} shards{pinned}, "
        f"{min(config.stream_row_groups, len(used))} at a time; up to {config.stream_gb:g} GB stay in {stream.files.folder}"
    )
