"""The collection that the review page's bench opens: the real images of a table, topped up with changed ones, and filled as curation fills
it.

Checks, opinions and near-duplicates are drawn at random: the bench times looking through them, not finding them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from hf_bones.dataset.add_to_collection import add_images
from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import ImageRecord, open_manifest
from hf_bones.record import now, sha256_rows

CHECKS = {"blurry": 90.0, "low_information": 3.0, "burnt_in_marks": 0.5, "odd_aspect": 2.5}


def make_collection(table: Path, folder: Path, count: int) -> str:
    """A collection of `count` images in `folder`; returns the digest of their hashes."""
    with table.open(encoding="utf-8", newline="") as stream:
        rows = [{**row, "file": str((table.parent / row["file"]).resolve())} for row in islice(csv.DictReader(stream), count)]
    first = folder.with_suffix(".csv")
    with first.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    add_images([str(first)], folder, show_progress=False)
    generator = np.random.default_rng(0)
    with open_manifest(folder) as manifest:
        originals = list(manifest.images())
        with manifest.transaction() as connection:
            links = []
            for number in range(count - len(originals)):
                original = originals[number % len(originals)]
                changed = _changed(folder, original, generator)
                manifest.add_image(changed)
                links.append((*sorted((original.sha256, changed.sha256)), "brightness", 0.97, now()))
            connection.executemany("INSERT OR IGNORE INTO links VALUES (?, ?, ?, ?, ?)", links)
            checks, opinions = [], []
            for record in manifest.images():
                for reason, threshold in CHECKS.items():
                    value = float(generator.gamma(2.0, threshold / 6))
                    checks.append((record.sha256, reason, value, threshold, int(value > threshold), "", now()))
                shares = dict(zip(THREE_CLASS.names, generator.dirichlet([0.5] * len(THREE_CLASS.names)).tolist(), strict=True))
                likeliest = max(shares, key=shares.__getitem__)
                opinions.append((record.sha256, "drawn", likeliest, json.dumps(shares), 1 - shares.get(record.label, 0.0), now()))
            connection.executemany("INSERT INTO checks VALUES (?, ?, ?, ?, ?, ?, ?)", checks)
            connection.executemany("INSERT INTO opinions VALUES (?, ?, ?, ?, ?, ?)", opinions)
        return sha256_rows([(record.label, record.sha256) for record in manifest.images()])


def _changed(folder: Path, original: ImageRecord, generator: np.random.Generator) -> ImageRecord:
    """The image once more, at another brightness, as a file and a record of its own."""
    with Image.open(folder / original.file) as image:
        pixels = np.asarray(image.convert("L"), dtype=np.float32)
    stream = io.BytesIO()
    Image.fromarray(np.clip(pixels * generator.uniform(0.8, 1.2), 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=88)
    content = stream.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    file = f"images/{sha256[:2]}/{sha256}.jpg"
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    return replace(original, sha256=sha256, file=file, bytes=len(content), format="JPEG")
