"""Builds a dataset folder from images: the same as `hf-bones build`.

python scripts/build_dataset.py films/ --out data/films                       # films/healthy/*.png, films/fractured/*.png
python scripts/build_dataset.py manifest.csv --out data/mine                  # a table with file, label, split, group, …
python scripts/build_dataset.py FracAtlas --fracatlas-rows packaged --out data/fracatlas
python scripts/build_dataset.py MURA-v1.1 --label-map positive=fractured --label-map negative=healthy --out data/mura
python scripts/build_dataset.py drawn --count 300 --out data/drawn
"""

import sys

from hf_bones.cli.main import app

if __name__ == "__main__":
    app(["build", *sys.argv[1:]])
