"""Writing a dataset folder in bounded memory: images staged to one Arrow file, dealt out to the splits, put in place in one step."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from hf_bones.curate.splits import SPLITS
from hf_bones.dataset.cache import ARRAYS_FOLDER
from hf_bones.dataset.encode import RefusedImage, encode_rows
from hf_bones.dataset.schema import COLUMNS, bone_features
from hf_bones.dataset.sources import LeftOut, SourceRow
from hf_bones.imaging import Limits

_BATCH = 64


def stage_images(
    rows: Sequence[SourceRow],
    labels: Sequence[str],
    subtypes: Sequence[str],
    names: Sequence[str],
    staged: Path,
    *,
    limits: Limits,
    max_side: int | None,
    workers: int,
    progress: bool,
) -> tuple[dict[int, str], list[RefusedImage]]:
    """Writes all readable rows to the Arrow file `staged`, a batch at a time, still without groups and splits.

    `labels` and `subtypes` have one value a row; `names` are the classes in order. Returns the sha256 of each row written, by its index,
    and the refused.
    """
    schema = bone_features(names).arrow_schema
    kept: dict[int, str] = {}
    refused: list[RefusedImage] = []
    batch: list[dict[str, object]] = []
    with pa.OSFile(str(staged), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        opened = encode_rows(rows, limits, max_side, workers)
        for index, (row, image) in enumerate(tqdm(opened, total=len(rows), desc="images", unit="img", disable=not progress)):
            if isinstance(image, RefusedImage):
                refused.append(image)
                continue
            kept[index] = image.sha256
            batch.append(
                {
                    "image": {"bytes": image.data, "path": None},
                    "label": names.index(labels[index]),
                    "subtype": subtypes[index],
                    "group": "",  # known only when all hashes are
                    "source": row.source,
                    "region": row.region,
                    "view": row.view,
                    "licence": row.licence,
                    "sha256": image.sha256,
                    "boxes": [list(box) for box in row.boxes],
                    "severity": row.severity,
                    "synthetic": row.synthetic,
                    "image_id": row.image_id,
                }
            )
            if len(batch) == _BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
    return kept, refused


def write_splits(staged: Path, groups: Sequence[str], splits: Sequence[str], folder: Path) -> None:
    """Deals the staged rows out to `folder/SPLIT`, with their groups, in the form of `save_to_disk`. One value a row in both columns."""
    from datasets import Dataset, DatasetDict
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    whole = Dataset.from_file(str(staged))
    text = whole.features["group"]
    # A column beside memory-mapped ones: no image is copied.
    whole = whole.remove_columns("group").add_column("group", list(groups), feature=text).select_columns(list(COLUMNS))
    parts = DatasetDict(
        {split: whole.select([index for index, name in enumerate(splits) if name == split]) for split in SPLITS if split in set(splits)}
    )
    were_off = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        parts.save_to_disk(str(folder))
    finally:
        if not were_off:
            enable_progress_bars()


def write_refused(path: Path, refused: Sequence[RefusedImage], left_out: Sequence[LeftOut]) -> None:
    """A CSV of what is not in the dataset though the source named it: file, reason, detail."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "reason", "detail"])
        table.writerows([image.name, image.reason, image.detail] for image in refused)
        table.writerows([row.name, "left_out", row.reason] for row in left_out)


def put_in_place(folder: Path, output: Path) -> None:
    """Renames `folder` to `output`; what stood there goes only when the new one is ready, but for its array caches.

    Their images are known by their content: those that the new dataset still has need not be decoded again.
    """
    if output.exists():
        old = folder.parent / "replaced"
        output.rename(old)
        if (old / ARRAYS_FOLDER).is_dir():
            (old / ARRAYS_FOLDER).rename(folder / ARRAYS_FOLDER)
        folder.rename(output)
        shutil.rmtree(old)
    else:
        folder.rename(output)
