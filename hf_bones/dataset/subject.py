"""Opening what is to be curated: a collection, or a dataset that `hf-bones build` wrote.

A dataset gets a manifest of its own (`manifest.db` in its folder) when it is first curated: a row an image, read from its columns. The
images stay in the dataset; what is decided about them is kept in that manifest, and `hf-bones build DATASET` applies it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from hf_bones.curation.subject import DATASET_KIND, Subject, collection_subject
from hf_bones.dataset.salvaged import read_salvaged
from hf_bones.dataset.schema import image_bytes, load_bones
from hf_bones.images.salvage import mark
from hf_bones.manifest.connecting import ManifestError
from hf_bones.manifest.foreign import ForeignFileError, file_inside, require_sound
from hf_bones.manifest.store import MANIFEST_NAME, ImageRecord, Manifest, open_manifest
from hf_bones.reach import nearest_there

DATASET_FILE = "dataset_dict.json"
_STATE = "dataset_state"  # the fact that says which state of the dataset the rows were read from
_READ_COLUMNS = (
    "file", "bytes", "title", "label", "subtype", "label_basis", "region", "view", "provider", "licence", "group", "split", "boxes",
    "severity", "synthetic", "hardware", "marks",
)  # fmt: skip


def open_subject(place: Path) -> Subject:
    """The collection or built dataset at `place`. Raises ValueError (of several kinds) naming the place and what to do."""
    if (place / DATASET_FILE).is_file():
        return dataset_subject(place)
    if (place / MANIFEST_NAME).is_file() or place.suffix == ".db":
        return collection_subject(place)
    if not place.exists():
        raise ManifestError(f"{place}: no such folder{nearest_there(place)}")
    raise ManifestError(
        f"{place}: neither a collection (no {MANIFEST_NAME}) nor a built dataset (no {DATASET_FILE}). Folders and tables of images become "
        f"a collection with: hf-bones collection add {place} --out FOLDER"
    )


def dataset_subject(folder: Path) -> Subject:
    """The dataset in `folder`, whose manifest is brought up to date where the dataset was built anew. Identical files are one image."""
    from datasets import Image

    parts = {split: part.cast_column("image", Image(decode=False)) for split, part in load_bones(folder).items()}
    manifest = open_manifest(folder, create=True)
    state = ",".join(f"{split}:{part._fingerprint}" for split, part in parts.items())
    if manifest.fact(_STATE) != state:
        with manifest.in_memory():
            _bring_up_to_date(manifest, parts, state)
    require_sound(manifest)

    def read(record: ImageRecord) -> bytes:
        split, _, index = record.file.partition("/")
        if split not in parts:
            raise FileNotFoundError(f"{folder}: image {record.sha256[:12]} is no longer in the dataset")
        row = parts[split][int(index)] if index.isdecimal() and int(index) < len(parts[split]) else {}
        if row.get("sha256") != record.sha256:
            raise ForeignFileError("the row that the manifest names is another image's")
        cell = row["image"]
        return image_bytes(cell if cell["bytes"] is not None else {**cell, "path": file_inside(folder, cell["path"])})

    return Subject(manifest, read, DATASET_KIND)


def _bring_up_to_date(manifest: Manifest, parts: dict[str, Any], state: str) -> None:
    """Rows of the dataset into the manifest: new ones are added, known ones take what the dataset says, what is gone has no file."""
    import pyarrow.compute as pc

    salvaged = read_salvaged(manifest.folder)
    with manifest.transaction() as connection:
        connection.execute("UPDATE images SET file = ''")
        for split, part in parts.items():
            names = part.features["label"].names
            # Sizes are read in Arrow: a batch of thousands of images must not pass through Python.
            batches = (pc.struct_field(batch["image"], "bytes") for batch in part.with_format("arrow").iter(1000))
            sizes = [size or 0 for images in batches for size in pc.binary_length(images).to_pylist()]
            for index, row in enumerate(part.remove_columns("image")):
                record = _record(row, f"{split}/{index}", split, names, sizes[index])
                if record.sha256 in salvaged:
                    record = replace(record, marks=mark(salvaged[record.sha256]))
                if not manifest.add_image(record):
                    known = manifest.image(record.sha256)
                    if known is not None and not known.file:  # of identical files the first one is read
                        manifest.set_columns(record.sha256, {name: getattr(record, name) for name in _READ_COLUMNS})
        manifest.set_fact(_STATE, state)


def _record(row: dict[str, Any], file: str, split: str, names: list[str], size: int) -> ImageRecord:
    severity = row["severity"]
    return ImageRecord(
        sha256=row["sha256"],
        file=file,
        bytes=size,
        title=row["image_id"],
        label=names[row["label"]] if row["label"] is not None and row["label"] >= 0 else "",
        subtype=row["subtype"] or "",
        label_basis="dataset",
        region=row["region"] or "",
        view=row["view"] or "",
        provider=row["source"] or "",
        licence=row["licence"] or "unknown",
        group=row["group"] or "",
        split=split,
        boxes=tuple((box[0], box[1], box[2], box[3]) for box in row["boxes"] or ()),
        severity=None if severity is None or math.isnan(severity) else severity,
        synthetic=bool(row["synthetic"]),
        hardware=row.get("hardware"),
    )
