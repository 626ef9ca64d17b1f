"""Draws a contact sheet of drawn radiographs, a row or two per label, to look at.

python scripts/draw_sheet.py sheet.png --count 60 --boxes
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw

from hf_bones.dataset.drawn.radiograph import HARD, MODES, DrawnRadiograph, draw_radiograph
from hf_bones.labels import THREE_CLASS
from hf_bones.pages.palette import class_colour
from hf_bones.pages.sheet import Band, Cell, Words, draw_sheet


def film(drawn: DrawnRadiograph, boxes: bool) -> Image.Image:
    picture = Image.fromarray(drawn.pixels)
    pen = ImageDraw.Draw(picture)
    for cx, cy, w, h in drawn.boxes if boxes else ():
        corners = ((cx - w / 2) * picture.width, (cy - h / 2) * picture.height, (cx + w / 2) * picture.width, (cy + h / 2) * picture.height)
        pen.rectangle(corners, outline=255)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="PNG to write")
    parser.add_argument("--count", type=int, default=60, help="films on the sheet, the same number of each label")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first film")
    parser.add_argument("--size", type=int, default=320, help="long side drawn, pixels")
    parser.add_argument("--side", type=int, default=200, help="side of a tile, pixels")
    parser.add_argument("--boxes", action="store_true", help="outline the broken areas")
    parser.add_argument("--mode", choices=MODES, default=HARD, help="any limb and any break, or a shaft close up and plainly broken")
    parser.add_argument("--twins", action="store_true", help="the same seeds in every label: one limb whole, fractured and beyond repair")
    args = parser.parse_args()
    per_label = -(-args.count // len(THREE_CLASS.names))
    bands = []
    for block, label in enumerate(THREE_CLASS.names):
        first = args.seed + (0 if args.twins else 1000 * block)
        cells = []
        for seed in range(first, first + per_label):
            drawn = draw_radiograph(seed, label, size=args.size, mode=args.mode)
            said = [f"{drawn.subtype or drawn.label} {drawn.severity:.2f}", f"{drawn.region} {drawn.view[:3]}"]
            cells.append(Cell(partial(film, drawn, args.boxes), [[Words(line)] for line in said]))
        bands.append(Band(label, class_colour(label), f"{per_label} drawn, seeds from {first}", cells))
    draw_sheet(bands, columns=10, cell=args.side).save(args.output)


if __name__ == "__main__":
    main()
