"""Draws a contact sheet of drawn radiographs, a row or two per label, to look at.

python scripts/draw_sheet.py sheet.png --count 60 --boxes
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

from hf_bones.dataset.drawn.radiograph import DrawnRadiograph, draw_radiograph
from hf_bones.labels import THREE_CLASS

COLUMNS = 10


def tile(drawn: DrawnRadiograph, side: int, boxes: bool) -> Image.Image:
    """One film with its caption below: subtype or label, region, severity."""
    card = Image.new("L", (side, side + 14))
    film = Image.fromarray(drawn.pixels)
    film.thumbnail((side - 4, side - 4))
    card.paste(film, (0, 0))
    pen = ImageDraw.Draw(card)
    for cx, cy, w, h in drawn.boxes if boxes else ():
        corners = [(cx - w / 2) * film.width, (cy - h / 2) * film.height, (cx + w / 2) * film.width, (cy + h / 2) * film.height]
        pen.rectangle(corners, outline=255)
    pen.text((2, side), f"{drawn.subtype or drawn.label} {drawn.severity:.2f} {drawn.region} {drawn.view[:3]}", fill=255)
    return card


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="PNG to write")
    parser.add_argument("--count", type=int, default=60, help="films on the sheet, the same number of each label")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first film")
    parser.add_argument("--size", type=int, default=320, help="long side drawn, pixels")
    parser.add_argument("--side", type=int, default=200, help="side of a tile, pixels")
    parser.add_argument("--boxes", action="store_true", help="outline the broken areas")
    parser.add_argument("--twins", action="store_true", help="the same seeds in every label: one limb whole, fractured and beyond repair")
    args = parser.parse_args()
    per_label = -(-args.count // len(THREE_CLASS.names))
    rows = -(-per_label // COLUMNS)
    sheet = Image.new("L", (COLUMNS * args.side, rows * len(THREE_CLASS.names) * (args.side + 14)))
    for block, label in enumerate(THREE_CLASS.names):
        for index in range(per_label):
            seed = args.seed + index + (0 if args.twins else 1000 * block)
            card = tile(draw_radiograph(seed, label, size=args.size), args.side, args.boxes)
            sheet.paste(card, (index % COLUMNS * args.side, (block * rows + index // COLUMNS) * (args.side + 14)))
    sheet.save(args.output)


if __name__ == "__main__":
    main()
