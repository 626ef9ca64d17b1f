"""An array cache as one compressed .npz, the form in which whole data sets of images are often handed round.

`images` (N, S, S, C), `labels` (N,) with `label_names`, `splits`, `names` (image ids) and `sha256`, rows in the order of the dataset. float
values are in [0, 1], uint8 ones in [0, 255]; the channels are equal. The file is written a batch at a time, so that memory stays small
however large it becomes; whoever reads it with `numpy.load` needs all of it in memory.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from hf_bones.dataset.arrays.index import ArrayCacheError, Pixels
from hf_bones.dataset.arrays.reading import DatasetArrays, stored_images
from hf_bones.images.opening import open_image

DTYPES = ("float32", "float16", "uint8")
FITS = ("letterbox", "squash")
_BATCH = 16


@dataclass(frozen=True)
class NpzChoices:
    """Where to export to, and in which form."""

    file: Path
    channels: int = 3
    dtype: str = "float32"
    fit: str = "letterbox"


def export_npz(
    parts: Mapping[str, Any],
    arrays: DatasetArrays,
    size: int,
    choices: NpzChoices,
    *,
    progress: bool = True,
) -> int:
    """Writes the cached rows of the splits `parts` to the file of `choices`, which appears in one step. Returns how many rows it holds.

    `letterbox` pads the cached image right and below with 0, as training does; `squash` scales the stored image to the square without
    keeping its aspect ratio. Raises ValueError for another dtype, fit or number of channels, and `ArrayCacheError` where an image of the
    cache is damaged.
    """
    file, channels, dtype, fit = choices.file, choices.channels, choices.dtype, choices.fit
    if dtype not in DTYPES or fit not in FITS or channels not in (1, 3):
        raise ValueError(
            f"npz: expected a dtype of {', '.join(DTYPES)}, a fit of {', '.join(FITS)} and 1 or 3 channels; got {dtype}, {fit}, {channels}"
        )
    rows = {split: np.flatnonzero(arrays.splits[split].entries >= 0) for split in parts}
    count = sum(map(len, rows.values()))
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, column in _columns(parts, rows).items():
                with archive.open(f"{name}.npy", "w") as stream:
                    np.lib.format.write_array(stream, column, allow_pickle=False)
            with (
                archive.open("images.npy", "w", force_zip64=True) as stream,
                tqdm(total=count, desc=file.name, unit="img", disable=not progress) as shown,
            ):
                head = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
                np.lib.format.write_array_header_1_0(stream, {**head, "shape": (count, size, size, channels)})
                for square in _squares(parts, rows, arrays, size, fit):
                    values = square if dtype == "uint8" else (square.astype(np.float32) / 255).astype(dtype)
                    stream.write(np.repeat(values[..., None], channels, axis=-1).data)
                    shown.update(len(square))
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _columns(parts: Mapping[str, Any], rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    from datasets import concatenate_datasets

    columns = ["label", "image_id", "sha256"]
    table = concatenate_datasets([part.select_columns(columns).select(rows[split]) for split, part in parts.items()])
    return {
        "labels": np.array(table["label"][:], dtype=np.int64),
        "label_names": np.array(table.features["label"].names, dtype=np.str_),
        "splits": np.repeat(np.array(list(parts), dtype=np.str_), [len(rows[split]) for split in parts]),
        "names": np.array(table["image_id"][:], dtype=np.str_),
        "sha256": np.array(table["sha256"][:], dtype=np.str_),
    }


def _squares(parts: Mapping[str, Any], rows: Mapping[str, np.ndarray], arrays: DatasetArrays, size: int, fit: str) -> Iterator[Pixels]:
    """The images as (B, S, S) uint8."""
    for split, chosen in rows.items():
        for start in range(0, len(chosen), _BATCH):
            some = chosen[start : start + _BATCH]
            if fit == "squash":
                stored = [data for batch in stored_images(parts[split], some.tolist()) for data in batch]
                films = (Image.fromarray(open_image(data).pixels) for data in stored)
                yield np.stack([np.asarray(film.resize((size, size), Image.Resampling.BICUBIC)) for film in films])
                continue
            square = np.zeros((len(some), size, size), dtype=np.uint8)
            for place, image in enumerate(arrays.splits[split].read(some.tolist())):
                if image is None:
                    raise ArrayCacheError(f"{arrays.folder}: an image of {split} is damaged; run the command again to repair it")
                square[place, : image.shape[0], : image.shape[1]] = image
            yield square
