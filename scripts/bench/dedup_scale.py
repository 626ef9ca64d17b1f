"""Fingerprints by the hundred thousand, and how long grouping them takes: a part of dedup.py, run as a process of its own.

    python scripts/bench/dedup_scale.py STORE 100000

The pictures are mixed from pairs of real films of one region, each cropped, turned and mirrored at random before, so that they look
alike as radiographs do; one in ten is then a copy of the one before it, by one of the changes. Two pictures that are no copies may have
one of their two films in common: links between such are counted apart from those between pictures that share nothing.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from dedup_changes import CHANGES, Picture
from memory import peak_memory
from PIL import Image
from tqdm import tqdm

from hf_bones.curation.duplicates.canonical import Fingerprint, fingerprint
from hf_bones.curation.duplicates.find import find_links, groups
from hf_bones.curation.duplicates.fingerprints import FingerprintStore
from hf_bones.curation.recipe import load_curate_recipe

SIDE = 224  # px of the mixed pictures
_PER_TASK = 100
_films: dict[str, list[Picture]] = {}


class Mixture(NamedTuple):
    """What a picture is mixed from: two films of a region, by their places in its list. Of a copy: those of the picture it was made of."""

    region: str
    first: int
    second: int


def fill(store: Path, count: int, films: dict[str, list[Picture]], workers: int) -> None:
    """Makes `count` fingerprints in `store`, resuming where an earlier run stopped, and notes beside it how many films there are."""
    _counts_file(store).write_text(json.dumps({region: len(pictures) for region, pictures in films.items()}))
    with FingerprintStore(store) as target:
        there = target.known()
        tasks = [start for start in range(0, count, _PER_TASK) if name_of(start + _PER_TASK - 1) not in there]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_remember, initargs=(films,)) as pool:
            for rows in tqdm(pool.map(_make, tasks), total=len(tasks), desc="fingerprints", unit=f"{_PER_TASK} img", disable=None):
                target.add(rows)


def name_of(number: int) -> str:
    """The name of a picture: prefixes of the sorted names are prefixes of the numbers."""
    return f"{number:064d}"


def _remember(films: dict[str, list[Picture]]) -> None:
    _films.update(films)


def _make(start: int) -> list[tuple[str, tuple[int, int], Fingerprint]]:
    return [(name_of(number), one.shape[::-1], fingerprint(one)) for number, one in enumerate(_pictures(start), start)]


def _mixtures(start: int, counts: dict[str, int]) -> list[Mixture]:
    """Of each picture of one task."""
    rng = random.Random(f"films {start}")
    regions = sorted(counts)
    weights = [counts[region] for region in regions]
    mixtures: list[Mixture] = []
    for place in range(_PER_TASK):
        if _is_copy(place):
            mixtures.append(mixtures[-1])
            continue
        region = rng.choices(regions, weights)[0]
        mixtures.append(Mixture(region, rng.randrange(counts[region]), rng.randrange(counts[region])))
    return mixtures


def _is_copy(number: int) -> bool:
    return number % 10 == 9


def _pictures(start: int) -> Iterator[Picture]:
    """The pictures of one task."""
    rng = random.Random(start)
    last = None
    for place, mixture in enumerate(_mixtures(start, {region: len(films) for region, films in _films.items()})):
        if _is_copy(place) and last is not None:
            yield CHANGES[rng.choice(sorted(CHANGES))](last, rng)
            continue
        one, other = (_varied(_films[mixture.region][film], rng) for film in (mixture.first, mixture.second))
        share = rng.uniform(0.35, 0.65)
        last = np.asarray(Image.blend(Image.fromarray(one), Image.fromarray(other), share))
        yield last


def _share_a_film(pair: tuple[int, int], counts: dict[str, int]) -> bool:
    one, other = (_mixtures(number // _PER_TASK * _PER_TASK, counts)[number % _PER_TASK] for number in pair)
    return one.region == other.region and bool({one.first, one.second} & {other.first, other.second})


def _counts_file(store: Path) -> Path:
    return store.with_suffix(".json")


def _varied(film: Picture, rng: random.Random) -> Picture:
    """A film cropped, turned and mirrored, (224, 224)."""
    image = Image.fromarray(film)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.rotate(rng.uniform(-8, 8), Image.Resampling.BILINEAR)
    width, height = image.size
    left, top = rng.uniform(0, 0.15) * width, rng.uniform(0, 0.15) * height
    right, bottom = width * (1 - rng.uniform(0, 0.15)), height * (1 - rng.uniform(0, 0.15))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, right, bottom)))


def main() -> None:
    store_path, count = Path(sys.argv[1]), int(sys.argv[2])
    settings = load_curate_recipe().dedup
    with FingerprintStore(store_path) as store:
        begun = time.monotonic()
        table = store.table([name_of(number) for number in range(count)])
        search = find_links(table, store, settings, workers=2)
        groups(search.links)
        seconds = time.monotonic() - begun
    numbers = {name: number for number, name in enumerate(table.hashes)}
    found = {(min(pair), max(pair)) for pair in ((numbers[link.first], numbers[link.second]) for link in search.links)}
    wanted = {(number - 1, number) for number in range(count) if _is_copy(number)}
    counts = json.loads(_counts_file(store_path).read_text())
    shared = sum(_share_a_film(pair, counts) for pair in found - wanted)
    figures = {"count": count, "seconds": seconds, "peak_mb": peak_memory() / 2**20}
    figures |= {"candidates": search.candidates, "registered": search.registered}
    figures |= {"recall": len(found & wanted) / max(len(wanted), 1), "links_by_a_film": shared}
    print(json.dumps(figures | {"false_links": len(found - wanted) - shared}))


if __name__ == "__main__":
    main()
