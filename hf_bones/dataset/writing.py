"""Writing a dataset folder in bounded memory: images staged to one Arrow file, dealt out to the splits, put in place in one step."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from hf_bones.curation.splits.names import SPLITS
from hf_bones.dataset.burnt_in import BURNT_IN_NAME, MOST_LETTERS, BurntInText
from hf_bones.dataset.encode import RefusedImage, encode_rows
from hf_bones.dataset.faults.contradictions import CONTRADICTIONS_NAME
from hf_bones.dataset.reading.sources import LeftOut, SourceRow
from hf_bones.dataset.salvaged import SALVAGED_NAME, SalvagedImage
from hf_bones.dataset.schema import COLUMNS, SEEN_ON_FILM, bone_features
from hf_bones.manifest.store import MANIFEST_NAME, open_manifest
from hf_bones.pages.tables import write_csv

STAGED_NAME = "dataset"  # the new dataset's folder in a build's workspace
_REPLACED = "replaced"  # and that of the one whose place it takes
_BUILT = {
    *SPLITS,
    "dataset_dict.json",
    "README.md",
    "summary.json",
    "refused.csv",
    CONTRADICTIONS_NAME,
    SALVAGED_NAME,
    BURNT_IN_NAME,
}  # what a build writes
_STATED = ("source", "region", "view", "licence", "severity", "synthetic", "image_id", *SEEN_ON_FILM)  # as the source states them
_BATCH = 64
_WORKERS = 2  # threads that open and encode


def stage_images(
    rows: Sequence[SourceRow],
    labels: Sequence[str],
    subtypes: Sequence[str],
    names: Sequence[str],
    staged: Path,
    *,
    max_side: int | None,
    progress: bool,
    salvage_rows: float | None = None,
) -> tuple[dict[int, str], list[RefusedImage], list[SalvagedImage], list[BurntInText]]:
    """Writes all readable rows to the Arrow file `staged`, a batch at a time, still without groups and splits.

    `labels` and `subtypes` have one value a row; `names` are the classes in order; `salvage_rows` as for `encode.encode_row`. Returns the
    sha256 of each row written, by its index, the refused, and of those written the ones that were salvaged and those with writing on them.
    """
    schema = bone_features(names).arrow_schema
    kept: dict[int, str] = {}
    refused: list[RefusedImage] = []
    salvaged: list[SalvagedImage] = []
    burnt_in: list[BurntInText] = []
    batch: list[dict[str, object]] = []
    with pa.OSFile(str(staged), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        opened = encode_rows(rows, max_side, _WORKERS, salvage_rows)
        for index, (row, image) in enumerate(tqdm(opened, total=len(rows), desc="images", unit="img", disable=not progress)):
            if isinstance(image, RefusedImage):
                refused.append(image)
                continue
            kept[index] = image.sha256
            if image.salvaged is not None:
                salvaged.append(SalvagedImage(row.name, image.sha256, image.salvaged))
            if image.letters > MOST_LETTERS:
                burnt_in.append(BurntInText(row.name, image.sha256, image.letters))
            batch.append(
                {
                    "image": {"bytes": image.data, "path": None},
                    "label": names.index(labels[index]),
                    "subtype": subtypes[index],
                    "group": "",  # known only when all hashes are
                    "sha256": image.sha256,
                    "boxes": [list(box) for box in row.boxes],
                    **{name: getattr(row, name) for name in _STATED},
                }
            )
            if len(batch) == _BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
    return kept, refused, salvaged, burnt_in


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
    rows = [[image.name, image.reason, image.detail] for image in refused] + [[row.name, "left_out", row.reason] for row in left_out]
    write_csv(path, ["file", "reason", "detail"], rows)


def put_in_place(folder: Path, output: Path) -> None:
    """Renames `folder` to `output`. Of what stood there the files of the earlier build go, once the new ones are in place; all else stays.

    So the manifest with its decisions moves over, and so do array caches, whose images are known by their content. It is moved, not copied:
    a review app that has it open keeps writing to it. On any error the old dataset is put back.
    """
    if not output.exists():
        folder.rename(output)
        return
    if (output / MANIFEST_NAME).is_file():
        with open_manifest(output) as manifest:
            manifest.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old = folder.parent / _REPLACED
    output.rename(old)
    try:
        _move_further_files(old, folder)
        folder.rename(output)
    except BaseException:
        _put_back(old, folder, output)
        raise
    shutil.rmtree(old)


def restore_interrupted(output: Path) -> bool:
    """Puts back the dataset `output` where a build was killed in the moment of replacing it; True if there was one to put back."""
    if output.exists():
        return False
    for old in sorted(output.parent.glob(f".{glob.escape(output.name)}.*/{_REPLACED}")):
        _put_back(old, old.parent / STAGED_NAME, output)
        shutil.rmtree(old.parent)
        return True
    return False


def _put_back(old: Path, folder: Path, output: Path) -> None:
    if folder.is_dir():
        _move_further_files(folder, old)
    old.rename(output)


def _move_further_files(source: Path, target: Path) -> None:
    """Moves what no build has written: the manifest, its log, caches, whatever a person keeps there."""
    for entry in sorted(source.iterdir()):
        if entry.name not in _BUILT:
            entry.rename(target / entry.name)
