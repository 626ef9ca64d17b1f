"""Rows from a saved dataset, a folder of Parquet files or a Hub id: which columns hold image and label, and reading images when needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_bones.curation.splits.names import TRAIN
from hf_bones.dataset.choices import ReadingChoices
from hf_bones.dataset.reading.listed.table_rows import chosen_columns, row_from_cells
from hf_bones.dataset.reading.sources import Reading
from hf_bones.dataset.reading.tables import SourceError, find_columns
from hf_bones.dataset.salvaged import read_salvaged
from hf_bones.dataset.schema import image_bytes, load_any


def dataset_rows(path_or_id: str, choices: ReadingChoices = ReadingChoices()) -> Reading:  # noqa: B008 - frozen
    """Rows from a saved dataset (`save_to_disk`) or one that `load_dataset` reads: a Hub id, a folder of Parquet files, or one such file.

    Takes the first image column; the other columns as in `tables.COLUMN_NAMES`, or as `choices` name them. Where none is called a label,
    the only column of classes is. A lone "train" split counts as no split. Images are read one at a time, when they are needed. Raises
    `SourceError` naming the columns found where image or label is missing.
    """
    import datasets

    table = Path(path_or_id).expanduser()
    loaded = datasets.DatasetDict(train=datasets.Dataset.from_parquet(str(table))) if table.is_file() else load_any(path_or_id)
    salvaged = read_salvaged(Path(path_or_id))
    rows, notes = [], []
    for split, part in loaded.items():
        where = f"{path_or_id} ({split})"
        images, found = _columns(part.features, chosen_columns(choices), where)
        label = part.features[found["label"]]
        names = getattr(label, "names", None)
        if names is None and not _is_plain(label):
            raise SourceError(
                f"{where}: column {found['label']!r} holds {label}, and one label an image is wanted. Name another: --label-column"
            )
        part = part.cast_column(images, datasets.Image(decode=False))
        ours = {name: column for name, column in found.items() if column != images}
        lone = len(loaded) == 1 and split == TRAIN
        for index, record in enumerate(part.select_columns(list(dict.fromkeys(ours.values())))):
            cells = {name: record[column] for name, column in ours.items() if name != "split" or choices.split_column}
            if names is not None:
                cells["label"] = names[cells["label"]] if cells["label"] is not None and cells["label"] >= 0 else ""
            if not choices.split_column:
                cells["split"] = "" if lone else split
            try:
                row = row_from_cells(
                    cells,
                    content=partial(_stored_image, part, index, images),
                    image_id=f"{split}/{index}",
                    source=choices.source_name or Path(path_or_id).name,
                    licence=choices.licence,
                    place=f"row {index} of {split}",
                )
            except (ValueError, TypeError) as error:
                raise SourceError(f"{where}, row {index}: {error}") from error
            rows.append(replace(row, salvaged=salvaged[row.sha256]) if row.sha256 in salvaged else row)
        if found["label"].casefold() != "label":
            notes.append(f"{where}: labels were read from the column {found['label']!r}")
    return Reading(rows, notes=list(dict.fromkeys(notes)))


def holds_images(path: Path) -> bool:
    """Whether a Parquet file has the images themselves in a column, so that it is a dataset and no table of names."""
    if path.suffix.lower() != ".parquet":
        return False
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        types = [field.type for field in pq.read_schema(path)]
    except pa.ArrowInvalid:
        return False  # what is said of it, is said where it is read
    return any(pa.types.is_struct(each) and each.get_field_index("bytes") >= 0 for each in types)


def _columns(features: Mapping[str, Any], chosen: dict[str, str], where: str) -> tuple[str, dict[str, str]]:
    """The image column, and our name → column for the others. Raises `SourceError` where image or label is missing."""
    import datasets

    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image) or _holds_files(feature)]
    chosen = dict(chosen)
    if "file" in chosen:
        named = find_columns(features, {"file": chosen.pop("file")}, where)["file"]
        if named not in images:
            raise SourceError(f"{where}: column {named!r} holds no images; columns of images: {', '.join(images) or 'none'}")
        images = [named]
    found = find_columns([name for name in features if name not in images], chosen, where)
    found.pop("file", None)
    classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    if "label" not in found and len(classes) == 1:
        found["label"] = classes[0]
    if not images or "label" not in found:
        wanted = "needs an image column and a label column" + ("" if images else "; none holds images")
        option = "" if "label" in found else ". Name the label's with --label-column NAME"
        raise SourceError(f"{where}: {wanted}; columns found: {', '.join(features)}{option}")
    return images[0], found


def _holds_files(feature: Any) -> bool:
    """Whether a column has encoded images without saying so, as Parquet files have that did not come from `datasets`."""
    return isinstance(feature, dict) and set(feature) == {"bytes", "path"}


def _is_plain(feature: Any) -> bool:
    return getattr(feature, "dtype", "").startswith(("string", "large_string", "int", "uint", "float", "bool"))


def _stored_image(part: Any, index: int, column: str) -> bytes:
    return image_bytes(part[index][column])
