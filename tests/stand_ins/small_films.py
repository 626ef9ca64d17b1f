"""Small films and tables for the tests of building: made on the spot, the same every time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hf_bones.dataset.build import BuildResult, build_dataset
from hf_bones.dataset.reading.sources import SourceRow

LABELS = ("healthy", "fractured", "beyond_repair")


def picture(seed: int, size: tuple[int, int] = (40, 48)) -> np.ndarray:
    """Smooth grey noise, (H, W) uint8, different for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def rows_of(count: int, **given: Any) -> list[SourceRow]:
    """`count` readable rows, labels in turn, a group each unless `given` says otherwise."""
    return [
        SourceRow(**{"label": LABELS[i % 3], "content": encoded(picture(i)), "group": f"g{i}", "source": "s", "licence": "CC0-1.0",
                     "image_id": f"i{i}", **given})
        for i in range(count)
    ]  # fmt: skip


def build(rows: list[SourceRow], folder: Path, **options: Any) -> BuildResult:
    return build_dataset(rows, folder, progress=False, **options)


def write_films(folder: Path) -> Path:
    """A folder per label in `folder`/films, six films each."""
    for label_id, label in enumerate(LABELS):
        (folder / "films" / label).mkdir(parents=True)
        for i in range(6):
            (folder / "films" / label / f"{i}.png").write_bytes(encoded(picture(10 * label_id + i)))
    return folder / "films"


def write_manifest(folder: Path) -> Path:
    """A table in `folder`/xray with given splits, copies, boxes and a row marked unused, and its films."""
    (folder / "xray" / "in").mkdir(parents=True)
    lines = [
        "file,label,source,licence,original_label,region,view,boxes_xywh_norm,block,split,severity,break_type,copy_group",
        "in/0.jpg,healthy,atlas,CC-BY-4.0,Non_fractured,leg,frontal,,b0,train,0,,c1",
        "in/1.jpg,fractured,atlas,CC-BY-4.0,Fractured,hand,lateral,0.5 0.5 0.25 0.125;0.25 0.75 0.5 0.5,b1,train,0.33,transverse,",
        "in/2.jpg,healthy,atlas,CC-BY-4.0,Non_fractured,leg,frontal,,b2,unused,0,,c1",
        "in/3.jpg,beyond_repair,web,unclear,comminuted,unknown,unknown,,b3,val,,unclear,",
        "in/4.jpg,beyond_repair,web,unclear,,unknown,unknown,,b4,train,1.00,nonunion,",
        "in/5.jpg,healthy,atlas,CC-BY-4.0,Non_fractured,hip,frontal,,b5,test,0,,c2",
        "in/6.jpg,healthy,atlas,CC-BY-4.0,Non_fractured,hip,frontal,,b6,test,0,,c2",
    ]
    for i in range(7):
        (folder / "xray" / "in" / f"{i}.jpg").write_bytes(encoded(picture(i), "JPEG"))
    (folder / "xray" / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "xray" / "manifest.csv"
