"""imagededup (its perceptual hash) and cleanvision on a folder of pictures: a part of dedup.py, run in a venv of their own.

    python scripts/bench/dedup_peers.py imagededup FOLDER
    python scripts/bench/dedup_peers.py cleanvision FOLDER

Prints one JSON line: the pairs of file names that the peer calls duplicates, and the seconds it took. Both run with their defaults.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any


def imagededup_pairs(folder: Path) -> list[tuple[str, str]]:
    from imagededup.methods import PHash  # type: ignore[import-not-found]

    found: dict[str, list[str]] = PHash(verbose=False).find_duplicates(image_dir=str(folder))
    return sorted({(min(name, other), max(name, other)) for name, others in found.items() for other in others})


def cleanvision_pairs(folder: Path) -> list[tuple[str, str]]:
    from cleanvision import Imagelab  # type: ignore[import-not-found]

    lab: Any = Imagelab(data_path=str(folder))
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, verbose=False)
    sets = [*lab.info["exact_duplicates"].get("sets", []), *lab.info["near_duplicates"].get("sets", [])]
    return sorted({pair for members in sets for pair in combinations(sorted(Path(name).name for name in members), 2)})


if __name__ == "__main__":
    begun = time.monotonic()
    pairs = {"imagededup": imagededup_pairs, "cleanvision": cleanvision_pairs}[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"pairs": pairs, "seconds": time.monotonic() - begun}))
