"""Near-duplicates: how many copies are found, how many different films are taken for copies, and how grouping grows.

    python scripts/bench/dedup.py DATA            # DATA: a folder with manifest.csv (file, region, view, copy_group) and its films
    python scripts/bench/dedup.py DATA --quick

Three parts. (1) Copies: films of DATA put through fourteen changes (`dedup_changes.py`) lie among all the films; beside each pair stands a
hard non-pair, another film of the same region and view. imagededup (perceptual hash) and cleanvision are asked about the same files,
in a venv that the first run makes. A link between two films of DATA that its `copy_group` does not state counts as false, also where a
look at them says otherwise. (2) DATA as it is: are the stated copies found, and which others. (3) Grouping 10,000, 30,000 and 100,000
fingerprints (`dedup_scale.py`), a process each.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import dedup_scale
import numpy as np
from dedup_changes import CHANGES, FIRST_EIGHT, TARGETS, Picture
from harness import RESULTS, VENVS, Bar, arguments, bar, peer_venv, print_bars, run_worker, work_folder, write_result
from PIL import Image
from tqdm import tqdm

from hf_bones.curation.duplicates.canonical import fingerprint
from hf_bones.curation.duplicates.find import PairLink, find_links, groups
from hf_bones.curation.duplicates.fingerprints import FingerprintStore
from hf_bones.curation.recipe import load_curate_recipe
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.record import sha256_rows, write_json

PEERS = ("imagededup", "cleanvision")
PARTS = ("copies", "scale")
Pair = tuple[str, str]


@dataclass
class Films:
    """The films of DATA by name, without byte-identical ones, and what is known of them."""

    pixels: dict[str, Picture] = field(default_factory=dict)
    stratum: dict[str, tuple[str, str]] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    hashes: list[tuple[str, str]] = field(default_factory=list)
    identical: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def stated(self, pair: Pair) -> bool:
        """Whether DATA itself says that two films, or those that two copies were made of, are copies of each other."""
        first, second = (self.copies.get(_origin(name), "") for name in pair)
        return bool(first) and first == second


def main() -> None:
    parser = arguments(__doc__, data="a folder with manifest.csv and its films")
    parser.add_argument("--changed", type=int, default=500, help="films that are put through each of the changes")
    parser.add_argument("--work", type=Path, help="folder for pictures and fingerprints, kept, so that a further run resumes")
    parser.add_argument("--peer-venv", type=Path, default=VENVS / "dedup-peers", help="where the peers are, or are to be installed")
    parser.add_argument("--kept-peers", action="store_true", help="the peers' figures of the last result, which must be of the same films")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; the result is written when --work has both")
    options = parser.parse_args()
    films = read_films(options.data, 240 if options.quick else None)
    parts = options.part or list(PARTS)
    with work_folder(options.work) as work:
        if "copies" in parts:
            kept = kept_peers(films) if options.kept_peers else None
            found = copies(films, work, 20 if options.quick else options.changed, options.peer_venv.expanduser(), options.quick, kept)
            write_json(work / "bars-copies.json", {"bars": found})
        if "scale" in parts:
            found = scale(films, work, (500, 1000) if options.quick else (10_000, 30_000, 100_000))
            write_json(work / "bars-scale.json", {"bars": found})
        done = [work / f"bars-{part}.json" for part in PARTS]
        if all(path.is_file() for path in done):
            bars = [line for path in done for line in json.loads(path.read_text())["bars"]]
            write_result("dedup", "dedup.py DATA", sha256_rows(films.hashes), bars, quick=options.quick)
        else:
            print_bars([line for path in done if path.is_file() for line in json.loads(path.read_text())["bars"]])


def read_films(data: Path, most: int | None) -> Films:
    """The films that `manifest.csv` names; of `most`, an even sample."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    films = Films()
    for row in tqdm(rows[:: max(1, len(rows) // most)] if most else rows, desc="films", unit="img", disable=None):
        content = (data / row["file"]).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        films.identical[digest].append(row["copy_group"])
        if len(films.identical[digest]) > 1:
            continue
        try:
            pixels = open_image(content).pixels
        except ImageRefusedError:
            continue
        name = row["file"].replace("/", "_").rsplit(".", 1)[0]
        films.pixels[name] = pixels
        films.stratum[name] = (row["region"], row["view"])
        films.copies[name] = row["copy_group"]
        films.hashes.append((name, digest))
    return films


def kept_peers(films: Films) -> list[Bar]:
    """The peers' bars of the last result. What is asked of them is drawn from a fixed seed, so that it is the same for the same films.

    Raises SystemExit where that result is of other films.
    """
    last = json.loads((RESULTS / "dedup.json").read_text(encoding="utf-8"))
    if last["data_sha256"] != sha256_rows(films.hashes):
        raise SystemExit("--kept-peers: the last result is of other films; ask the peers again")
    return [line for line in last["bars"] if line["peer"] is not None]


def copies(films: Films, work: Path, count: int, venv: Path, quick: bool, kept: list[Bar] | None = None) -> list[Bar]:
    """Recall on changed copies, false links among all pairs of films, the same for the peers (unless their bars are `kept`); and the
    stated copies of DATA."""
    rng = random.Random(0)
    chosen = rng.sample(sorted(films.pixels), count)
    pictures, wanted = dict(films.pixels), {}
    for name in chosen:
        for change, apply in CHANGES.items():
            copy = f"{name}~{change.replace(' ', '_').replace('%', 'percent')}"
            pictures[copy] = apply(films.pixels[name], rng)
            wanted[_pair(name, copy)] = change
    hard = _hard_pairs(films, rng, len(wanted))
    found = {"hf-bones": our_pairs(pictures, work)}
    if kept is None and (not quick or (venv / "bin" / "installed").is_file()):
        for peer in PEERS:
            found[peer] = peer_pairs(peer, pictures, work, venv)
    bars: list[Bar] = []
    films_pairs = len(films.pixels) * (len(films.pixels) - 1) // 2
    for who, pairs in found.items():
        ours = who == "hf-bones"
        other, limit = (None, 1.0) if ours else (who, None)
        eight = [pair for pair, what in wanted.items() if what in FIRST_EIGHT]
        bars.append(
            bar(f"{who}: recall, the first eight changes", _share(pairs, eight), n=len(eight), target=0.95 if ours else None, peer=other)
        )
        for change in CHANGES:
            some = [pair for pair, what in wanted.items() if what == change]
            target = TARGETS.get(change) if ours else None
            bars.append(bar(f"{who}: recall, {change}", _share(pairs, some), n=len(some), target=target, peer=other))
        rate = len(further_pairs(films, pairs)) / films_pairs * 1e5
        bars.append(bar(f"{who}: false links in 100,000 pairs of films", rate, n=films_pairs, target=limit, at_most=True, peer=other))
        wrong = len(hard & pairs)
        bars.append(bar(f"{who}: hard non-pairs called copies (same region and view)", wrong, n=len(hard), peer=other))
        changed = [pair for pair in pairs if "~" in "".join(pair) and _origin(pair[0]) != _origin(pair[1])]
        stray = sum(not films.stated(pair) for pair in changed)
        bars.append(bar(f"{who}: changed copies linked to other films", stray, n=len(wanted), peer=other))
    return bars + (kept or []) + _stated_bars(films, found["hf-bones"])


def further_pairs(films: Films, pairs: set[Pair]) -> list[Pair]:
    """Of pairs those of two films as they are that nobody says are copies."""
    return [pair for pair in pairs if "~" not in "".join(pair) and not films.stated(pair)]


def our_pairs(pictures: dict[str, Picture], work: Path) -> set[Pair]:
    """The pairs that hf_bones links, with the shipped recipe."""
    with FingerprintStore(work / "copies.db") as store:
        known = store.known()
        for name in tqdm(sorted(set(pictures) - known), desc="fingerprints", unit="img", disable=None):
            store.add([(name, (pictures[name].shape[1], pictures[name].shape[0]), fingerprint(pictures[name]))])
        table = store.table(list(pictures))
        search = find_links(table, store, load_curate_recipe().dedup)
    return {_pair(link.first, link.second) for link in search.links}


def peer_pairs(peer: str, pictures: dict[str, Picture], work: Path, venv: Path) -> set[Pair]:
    """The pairs that a peer calls duplicates, on the pictures as PNG files."""
    folder = work / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        if not (folder / f"{name}.png").is_file():
            Image.fromarray(picture).save(folder / f"{name}.png", compress_level=1)
    programs = peer_venv(venv, *PEERS)
    answer = run_worker("dedup_peers.py", peer, folder, python=programs / "python")
    print(f"{peer}: {answer['seconds']:.0f} s", flush=True)
    return {_pair(Path(first).stem, Path(second).stem) for first, second in answer["pairs"]}


def scale(films: Films, work: Path, counts: tuple[int, ...]) -> list[Bar]:
    """Seconds and memory of grouping growing numbers of fingerprints, and how they grow."""
    small: dict[str, list[Picture]] = defaultdict(list)
    for name, pixels in films.pixels.items():
        image = Image.fromarray(pixels)
        image.thumbnail((256, 256))
        small[films.stratum[name][0]].append(np.asarray(image))
    store = work / "scale.db"
    dedup_scale.fill(store, max(counts), dict(small), workers=2)
    bars: list[Bar] = []
    measured = []
    for count in counts:
        figures = run_worker("dedup_scale.py", store, count)
        measured.append(figures)
        target = 150.0 if count == 100_000 else None
        bars.append(bar(f"grouping {count:,} fingerprints, s", figures["seconds"], n=count, target=target, at_most=True))
        bars.append(bar(f"grouping {count:,} fingerprints, peak memory, MB", figures["peak_mb"], n=count))
        bars.append(bar(f"grouping {count:,} fingerprints, recall of copies", figures["recall"], n=count // 10))
        pairs = count * (count - 1) // 2
        bars.append(bar(f"grouping {count:,} fingerprints, links between pictures that share no film", figures["false_links"], n=pairs))
        shared = figures["links_by_a_film"]
        bars.append(bar(f"grouping {count:,} fingerprints, links between different pictures that share a film", shared, n=pairs))
        bars.append(bar(f"grouping {count:,} fingerprints, pairs registered", figures["registered"], n=figures["candidates"]))
    first, final = measured[0], measured[-1]
    exponent = math.log(final["seconds"] / first["seconds"]) / math.log(final["count"] / first["count"])
    bars.append(bar("growth of the time, exponent of n", exponent, n=final["count"], target=1.3, at_most=True))
    return bars


def _pair(one: str, other: str) -> Pair:
    return (min(one, other), max(one, other))


def _origin(name: str) -> str:
    return name.partition("~")[0]


def _share(pairs: set[Pair], wanted: Collection[Pair]) -> float:
    return sum(pair in pairs for pair in wanted) / max(len(wanted), 1)


def _hard_pairs(films: Films, rng: random.Random, count: int) -> set[Pair]:
    """Pairs of different films of one region and view that nobody says are copies."""
    by_stratum: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, stratum in films.stratum.items():
        by_stratum[stratum].append(name)
    strata = [names for names in by_stratum.values() if len(names) > 1]
    weights = [len(names) for names in strata]
    found: set[Pair] = set()
    most = sum(weight * (weight - 1) // 2 for weight in weights) // 2
    while len(found) < min(count, most):
        one, other = rng.sample(rng.choices(strata, weights)[0], 2)
        if not films.stated((one, other)):
            found.add(_pair(one, other))
    return found


def _stated_bars(films: Films, pairs: set[Pair]) -> list[Bar]:
    """DATA as it is: of the groups of copies that it states, those found (identical files, or joined by links), and further pairs."""
    stated: dict[str, set[str]] = defaultdict(set)
    of_name = dict(films.hashes)
    for digest, names in films.identical.items():
        for group in filter(None, names):
            stated[group] |= {digest} & set(of_name.values())
    links = [PairLink(of_name[a], of_name[b], "", 1.0) for a, b in pairs if "~" not in a + b]
    joined = {digest: place for place, members in enumerate(groups(links)) for digest in members}
    # An image that is joined to none is by itself: its own hash tells it from all others.
    whole = [group for group, digests in stated.items() if len({joined.get(digest, digest) for digest in digests}) == 1]
    further = further_pairs(films, pairs)
    for first, second in sorted(further):
        print(f"a further pair, to be looked at: {first} {second}")
    return [
        bar("stated groups of copies found, DATA as it is", len(whole), n=len(stated), target=len(stated)),
        bar("further pairs found in DATA as it is", len(further), n=len(films.pixels)),
    ]


if __name__ == "__main__":
    main()
