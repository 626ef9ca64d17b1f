"""A small collection to be looked through: drawn-noise films with labels, checks, links and opinions as curation leaves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from small_collection import keep
from small_films import LABELS, encoded, picture

from hf_bones.manifest.store import Manifest, open_manifest

REGIONS = ("wrist", "ankle")
TWO_PAGES = 70  # images that fill two pages of the gallery


def add_film(manifest: Manifest, seed: int, content: bytes | None = None, **given: Any) -> str:
    """A film of that seed with its file; returns its hash. Labels, regions and splits go in turns unless given."""
    values = {
        "width": 40, "height": 48, "format": "PNG", "label": LABELS[seed % 3], "region": REGIONS[seed % 2], "provider": "fracatlas",
        "licence": "CC-BY-4.0", "split": ("train", "validation", "test")[seed % 3], "title": f"film {seed}", "query": "broken bone",
        "label_basis": "query", "boxes": ((0.5, 0.5, 0.2, 0.2),) if seed % 3 else (),
    }  # fmt: skip
    content = encoded(picture(seed, (48, 40))) if content is None else content
    return keep(manifest, content, "png", **{**values, **given})


def small_review(folder: Path, count: int = 12) -> list[str]:
    """`count` films; the first two are near-duplicates with other labels, checks flag each fourth, opinions doubt the later ones more.

    Returns the hashes in the order in which they were added.
    """
    with open_manifest(folder, create=True) as manifest, manifest.transaction() as connection:
        hashes = [add_film(manifest, seed) for seed in range(count)]
        connection.execute("INSERT INTO links VALUES (?, ?, 'mirror', 0.97, '')", tuple(sorted(hashes[:2])))
        for place, sha256 in enumerate(hashes):
            rows = [("blurry", 100.0 + place if place % 4 else 20.0, 50.0, int(not place % 4)), ("odd_aspect", 1.2, 2.5, 0)]
            connection.executemany("INSERT INTO checks VALUES (?, ?, ?, ?, ?, '', '')", [(sha256, *row) for row in rows])
            doubt = place / count
            shares = {LABELS[place % 3]: 1 - doubt, LABELS[(place + 1) % 3]: doubt}
            row = (sha256, "head on frozen features", LABELS[place % 3], json.dumps(shares), doubt, "")
            connection.execute("INSERT INTO opinions VALUES (?, ?, ?, ?, ?, ?)", row)
    return hashes
