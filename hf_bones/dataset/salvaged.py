"""Which images of a dataset folder were salvaged from files that had been cut off: `salvaged.csv`, there where any were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_bones.dataset.reading.tables import read_table
from hf_bones.images.salvage import percent
from hf_bones.pages.tables import write_csv

SALVAGED_NAME = "salvaged.csv"


@dataclass(frozen=True)
class SalvagedImage:
    """An image whose file had been cut off: the row's name, the hash of the file as it came, the share of its rows in [0, 1]."""

    name: str
    sha256: str
    share: float


def write_salvaged(folder: Path, images: Sequence[SalvagedImage]) -> None:
    """Writes `folder`/salvaged.csv: file, sha256, share of the rows. Nothing where there are none."""
    if images:
        rows = [[image.name, image.sha256, f"{image.share:.6f}"] for image in images]
        write_csv(folder / SALVAGED_NAME, ["file", "sha256", "rows"], rows)


def read_salvaged(folder: Path) -> dict[str, float]:
    """The share of the rows of each salvaged image of a dataset folder, by the hash of the file as it came; empty where there are none."""
    path = folder / SALVAGED_NAME
    return {row["sha256"]: float(row["rows"]) for row in read_table(path)[1]} if path.is_file() else {}


def salvage_notes(images: Sequence[SalvagedImage]) -> list[str]:
    """What the person who builds, and the card, must know of them."""
    if not images:
        return []
    least = percent(min(image.share for image in images))
    many = f"{len(images):,} image{'s' * (len(images) != 1)}"
    return [f"salvaged from cut-off files: {many} with {least} of its rows or more, the rest is grey; {SALVAGED_NAME} has the names"]
