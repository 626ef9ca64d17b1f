"""Builds a dataset folder from images: the same as `hf-bones build`.

    python scripts/build_dataset.py films/ --output data/films                       # films/healthy/*.png, films/fractured/*.png
    python scripts/build_dataset.py manifest.csv --output data/mine                  # a table with file, label, split, group, …
    python scripts/build_dataset.py FracAtlas --fracatlas-rows packaged --output data/fracatlas
    python scripts/build_dataset.py MURA-v1.1 --label-map positive=fractured --label-map negative=healthy --output data/mura
    python scripts/build_dataset.py drawn --count 300 --output data/drawn
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hf_bones.dataset.detect import KINDS, build_command


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="+", help="folder, manifest, dataset folder or Hub id, or 'drawn'; several are put together")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--kind", choices=KINDS, help="what the sources are, where that is not detected rightly")
    parser.add_argument("--labels", default="three-class", help="label scheme: three-class, two-class or a YAML file")
    parser.add_argument("--label-map", action="append", default=[], metavar="WORD=CLASS", help="their word for our class; may be repeated")
    parser.add_argument("--proportions", nargs=3, type=float, default=(0.7, 0.15, 0.15), metavar=("TRAIN", "VALIDATION", "TEST"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-side", type=int, help="shrink images to this long side in pixels")
    parser.add_argument("--count", type=int, default=300, help="how many to draw (source: drawn)")
    parser.add_argument("--drawn-size", type=int, default=320, help="long side of drawn images in pixels")
    parser.add_argument("--drawn-split", default="", choices=("", "train", "validation", "test"), help="put all drawn images there")
    parser.add_argument("--fracatlas-rows", help="labels and splits from a list of rows: 'packaged', or a CSV")
    parser.add_argument("--keep-uncertain", action="store_true", help="GRAZPEDWRI-DX: keep films of uncertain diagnosis")
    parser.add_argument("--source-name", default="", help="name of the source, where a folder or table does not state it")
    parser.add_argument("--licence", default="", help="licence of the images, where a folder or table does not state it")
    parser.add_argument("--overwrite", action="store_true", help="replace the dataset folder that is there")
    return parser


def main() -> int:
    options = vars(make_parser().parse_args())
    try:
        result = build_command(options.pop("source"), options.pop("output"), **options)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for row in result.summary["counts"]:
        print(f"{row['split']:<11}{row['source']:<14}{row['label']:<16}{row['count']:>7,}")
    for note in result.notes:
        print(f"note: {note}")
    if result.refused:
        print(f"{len(result.refused)} images refused: see {result.folder / 'refused.csv'}")
    print(f"dataset: {result.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
