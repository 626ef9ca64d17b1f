"""Films drawn for tests, in a folder for each label."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.labels import THREE_CLASS


def write_drawn_films(folder: Path, *, each: int, size: int = 160) -> list[Path]:
    """`each` films of each label as `folder`/LABEL/NUMBER.png, `size` px on their long side."""
    written = []
    for place, label in enumerate(THREE_CLASS.names):
        (folder / label).mkdir(parents=True)
        for number in range(each):
            film = draw_radiograph(each * place + number, label=label, size=size)
            written.append(folder / label / f"{number}.png")
            Image.fromarray(film.pixels).save(written[-1])
    return written
