"""Writes the demo's drawn examples as PNG files, for trying the command line or the API without a radiograph at hand.

python scripts/draw_examples.py FOLDER
hf-bones predict FOLDER --csv findings.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_bones.app.demo.examples import draw_examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; made if missing")
    parser.add_argument("--size", type=int, default=320, help="long side in pixels")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for example in draw_examples(args.size):
        path = args.folder / example.name
        path.write_bytes(example.png)
        print(f"{path}  {len(example.png) / 1000:.0f} kB  {example.caption}")


if __name__ == "__main__":
    main()
