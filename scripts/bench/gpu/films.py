"""Films for a rented GPU: a folder of JPEG files with films.csv, held in memory at the training size.

    python scripts/bench/gpu/films.py DATA OUT           # writes such a folder from what `hf-bones build` wrote, rows of free licences only

The machine needs torch, transformers, accelerate, kornia and scikit-learn, not `datasets`.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hf_bones.images.opening import open_image
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import fit_to
from hf_bones.training.data.batches import Boxes
from hf_bones.training.data.row_table import Rows, boxes_of

LICENCES = ("CC-BY-4.0", "CC0-1.0")


@dataclass(frozen=True)
class Film:
    """One film: grey uint8 (h, w) at the training size, its class, and what the split goes by."""

    pixels: np.ndarray
    label: str
    split: str
    group: str
    sha256: str
    boxes: Boxes | None


class FilmRows:
    """Films by row, as the training rows ask for them."""

    def __init__(self, films: Sequence[Film]) -> None:
        self.films = films

    def __len__(self) -> int:
        return len(self.films)

    def pixels(self, row: int) -> np.ndarray:
        return self.films[row].pixels

    def fitted(self, rows: Sequence[int], size: int) -> list[np.ndarray]:
        images = [self.films[row].pixels for row in rows]
        return [image if max(image.shape) == size else fit_to(image, size) for image in images]

    def boxes(self, row: int) -> Boxes | None:
        return self.films[row].boxes


def read_films(folder: Path, size: int) -> list[Film]:
    """All films of the folder, decoded and scaled on all cores."""
    with (folder / "films.csv").open(encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    with ThreadPoolExecutor() as pool:
        pixels = list(pool.map(lambda row: fit_to(open_image(folder / row["file"]).pixels, size), table))
    return [
        Film(image, row["label"], row["split"], row["group"], row["sha256"], boxes_of(json.loads(row["boxes"]), row["label"] == "healthy"))
        for image, row in zip(pixels, table, strict=True)
    ]


def rows_of(films: Sequence[Film]) -> Rows:
    """The films as training rows."""
    count = len(films)
    labels = [THREE_CLASS.label2id[film.label] for film in films]
    groups, hashes = [film.group for film in films], [film.sha256 for film in films]
    blank, real = [""] * count, [False] * count
    return Rows([FilmRows(films)], labels, groups, ["CC-BY-4.0"] * count, ["fracatlas"] * count, hashes, real, blank, blank)


def write_films(data: str, out: Path) -> int:
    """Writes the films of free licences of a dataset folder; returns how many."""
    from datasets import Image

    from hf_bones.dataset.build import load_bones
    from hf_bones.dataset.schema import image_bytes

    out.mkdir(parents=True, exist_ok=True)
    count = 0
    with (out / "films.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "label", "split", "group", "sha256", "boxes"])
        for split, rows in load_bones(data).items():
            names = rows.features["label"].names
            for row in rows.cast_column("image", Image(decode=False)):
                if row["licence"] in LICENCES:
                    name = f"{row['sha256'][:16]}.jpg"
                    (out / name).write_bytes(image_bytes(row["image"]))
                    table.writerow([name, names[row["label"]], split, row["group"], row["sha256"], json.dumps(row["boxes"])])
                    count += 1
    return count


if __name__ == "__main__":
    print(f"{write_films(sys.argv[1], Path(sys.argv[2]))} films written to {sys.argv[2]}")
