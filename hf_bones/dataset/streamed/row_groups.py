"""Images of Parquet shards, fetched a row group at a time into a folder on a local disk that is kept to a size.

Every process of the machine maps the same files into memory, so that each row group is fetched once and lies in memory once, however
many processes and loader workers read it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from hf_bones.dataset.schema import DatasetSchemaError
from hf_bones.dataset.streamed.shards import IMAGE, open_shard, shard_state

if TYPE_CHECKING:
    import pyarrow

TOUCHED_EVERY = 30.0  # seconds between two notes that a row group is still in use


class RowGroupFiles:
    """The images of row groups as files in a folder of at most about `limit` bytes, shared by all processes of a machine.

    A row group is fetched by whoever asks first; others wait for it. What was asked for longest ago is deleted first, and stays readable
    for those that have it open.
    """

    def __init__(self, folder: Path, limit: int, open_at_a_time: int = 64) -> None:
        self.folder = folder
        self.limit = limit
        self.open_at_a_time = open_at_a_time
        self._open: OrderedDict[Path, tuple[Any, float]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "limit": self.limit, "open_at_a_time": self.open_at_a_time, "_open": OrderedDict()}

    def images(self, shard: str, row_group: int) -> pyarrow.ChunkedArray:
        """The encoded images of a row group, memory-mapped; fetched where they are not there."""
        path = self.path(shard, row_group)
        array, touched = self._open.pop(path, (None, 0.0))
        if array is None:
            array = self._mapped(path)
            while array is None:  # deleted between two looks
                self.fetch(shard, row_group)
                array = self._mapped(path)
        elif time.monotonic() - touched > TOUCHED_EVERY:
            _touch(path)
            touched = time.monotonic()
        self._open[path] = array, touched or time.monotonic()
        if len(self._open) > self.open_at_a_time:
            self._open.popitem(last=False)
        return array

    def path(self, shard: str, row_group: int) -> Path:
        """Where a row group is or will be; a local shard that was written anew has new ones."""
        return self.folder / f"{_digest(shard)}-{row_group}.arrow"

    def fetch(self, shard: str, row_group: int) -> None:
        """Makes sure that the row group is there."""
        path = self.path(shard, row_group)
        self.folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                self._write(path, _read_images(shard, row_group))
                self._make_room(path)

    def _write(self, path: Path, images: pyarrow.Table) -> None:
        import pyarrow as pa

        descriptor, partial = tempfile.mkstemp(dir=self.folder, prefix=f"{path.stem}.", suffix=".partial")
        try:
            with os.fdopen(descriptor, "wb") as stream, pa.ipc.new_file(stream, images.schema) as writer:
                writer.write_table(images)
            Path(partial).replace(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    def _make_room(self, newest: Path) -> None:
        """Deletes the files used longest ago, all but the newest, until the folder is within its limit."""
        with FileLock(self.folder / "room.lock"):
            files = []
            for path in self.folder.glob("*.arrow"):
                try:
                    files.append((path.stat(), path))
                except FileNotFoundError:
                    continue
            total = sum(state.st_size for state, _ in files)
            for state, path in sorted(files, key=lambda file: file[0].st_mtime):
                if total <= self.limit:
                    return
                if path != newest:
                    path.unlink(missing_ok=True)
                    path.with_suffix(".lock").unlink(missing_ok=True)
                    total -= state.st_size

    def _mapped(self, path: Path) -> pyarrow.ChunkedArray | None:
        import pyarrow as pa

        try:
            array = pa.ipc.open_file(pa.memory_map(str(path))).read_all()["bytes"]
        except FileNotFoundError:
            return None
        _touch(path)
        return array


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except FileNotFoundError:  # deleted since; who has it open keeps it
        return


@lru_cache(maxsize=4096)
def _digest(shard: str) -> str:
    return hashlib.sha256(f"{shard}\n{shard_state(shard)}".encode()).hexdigest()[:16]


@lru_cache(maxsize=4096)
def _metadata(shard: str) -> Any:
    return open_shard(shard).metadata


def _read_images(shard: str, row_group: int) -> pyarrow.Table:
    """One column `bytes` with the encoded images of a row group. Raises `DatasetSchemaError` where they are not in the shard."""
    import pyarrow as pa
    import pyarrow.compute as pc

    file = open_shard(shard, _metadata(shard))
    images = file.read_row_group(row_group, columns=[IMAGE])[IMAGE]
    if pa.types.is_struct(images.type):
        images = pc.struct_field(images, "bytes")
    if not (pa.types.is_binary(images.type) or pa.types.is_large_binary(images.type)) or images.null_count:
        raise DatasetSchemaError(
            f"{Path(shard).name}, row group {row_group}: {images.null_count or 'all'} of its images are not in the shard, only named by "
            "their paths; write it with their bytes, as push_to_hub of `datasets` does"
        )
    return pa.table({"bytes": images})
