"""How well a checkpoint's list of films knows a film again that was scaled and encoded anew, and how often it takes another for it.

    python scripts/bench/seen.py DATA --elsewhere FOLDER

The list is made of the rows of train of DATA, as training makes it. Copies of some of them are scaled to several long sides and saved as
JPEG, mirrored, turned, inverted; unrelated films are those of validation and test, less known near-duplicates (rows of one `group`), and
the images below FOLDER.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import Bar, arguments, bar, median_bar, write_result
from PIL import Image
from tqdm import tqdm

from hf_bones.collect.providers.folder import image_files
from hf_bones.curation.duplicates.film_code import BITS, NEAR, differing_bits, film_codes, film_codes_every_way
from hf_bones.curation.duplicates.seen_films import SeenFilms, seen_films, short_hash
from hf_bones.dataset.build import load_bones
from hf_bones.images.opening import open_image
from hf_bones.record import sha256_rows
from hf_bones.training.data.rows import StoredImages

SIZES = (128, 224, 336, 672, 1344, 2240)
QUALITY = 85


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--elsewhere", type=Path, help="a folder of films of other origins")
    parser.add_argument("--copies", type=int, default=300, help="films of train that are copied")
    options = parser.parse_args()
    splits = load_bones(options.data)
    few = 60 if options.quick else None
    train = splits["train"].select(range(few)) if few else splits["train"]
    images = StoredImages(train)
    pixels: Callable[[int], np.ndarray] = images.pixels
    codes = [film_codes(pixels(row)) for row in tqdm(range(len(train)), desc="list")]
    seen = seen_films(train["sha256"][:], [False] * len(train), codes)
    bars = copy_bars(seen, train, pixels, 20 if options.quick else options.copies)
    bars += unrelated_bars("films of validation and test", seen, [p for name in ("validation", "test") for p in others(splits, name, few)])
    if options.elsewhere:
        found = list(image_files(options.elsewhere))[:few]
        bars += unrelated_bars("films of other origins", seen, [open_image(path).pixels for path in found])
    command = f"seen.py DATA{' --elsewhere FOLDER' if options.elsewhere else ''}"
    write_result("seen", command, sha256_rows((digest,) for digest in train["sha256"][:]), bars, quick=options.quick)


def others(splits: Any, name: str, few: int | None) -> list[np.ndarray]:
    part = splits[name]
    return [StoredImages(part).pixels(row) for row in range(min(len(part), few or len(part)))]


def copy_bars(seen: SeenFilms, train: Any, pixels: Callable[[int], np.ndarray], count: int) -> list[Bar]:
    """Recall on each kind of copy, by codes alone: hashes of copies differ."""
    chosen = np.random.default_rng(0).permutation(len(train))[:count].tolist()
    kinds: dict[str, Callable[[Image.Image], Image.Image]] = {f"long side {size} px": scaled(size) for size in SIZES}
    kinds["long side 224 px, nearest pixel, JPEG quality 50"] = scaled(224, Image.Resampling.NEAREST)
    kinds |= {
        "mirrored, 224 px": lambda film: scaled(224)(film.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "a quarter turn, 224 px": lambda film: scaled(224)(film.transpose(Image.Transpose.ROTATE_90)),
        "inverted, 224 px": lambda film: scaled(224)(film.point(lambda grey: 255 - grey)),
        "gamma 1.5": lambda film: film.point(lambda grey: round(255 * (grey / 255) ** 1.5)),
        "5 % black frame": framed,
    }
    bars, hashes = [], train["sha256"][:]
    for name, change in tqdm(kinds.items(), desc="copies"):
        found, bits = [], []
        for row in chosen:
            copy = encoded(change(Image.fromarray(pixels(row))), 50 if "50" in name else QUALITY)
            ways = film_codes_every_way(copy)
            own = int(np.searchsorted(seen.hashes, short_hash(hashes[row])))
            bits.append(int(differing_bits(seen.codes[seen.owner == own], ways).min(initial=BITS)))
            found.append(bits[-1] <= NEAR)
        target = 0.99 if name.startswith("long side") and "nearest" not in name else None
        bars.append(bar(f"found, {name}", float(np.mean(found)), n=len(found), target=target))
        print(f"{name:<55} bits: median {np.median(bits):.0f}, 99 % {np.percentile(bits, 99):.0f}, most {max(bits)}")
    return bars


def unrelated_bars(name: str, seen: SeenFilms, films: list[np.ndarray]) -> list[Bar]:
    nearest = []
    for film in tqdm(films, desc=name):
        ways = film_codes_every_way(film)
        nearest.append(int(differing_bits(seen.codes, ways).min(initial=BITS)))
    print(f"{name:<55} bits: least {sorted(nearest)[:12]}, median {np.median(nearest):.0f}")
    return [
        bar(f"taken for one of {len(seen)}, {name}", float(np.mean(np.array(nearest) <= NEAR)), n=len(nearest), target=0.002, at_most=True),
        median_bar(f"bits to the nearest of {len(seen)}, {name}", nearest, n=len(nearest)),
    ]


def scaled(size: int, how: Image.Resampling = Image.Resampling.BICUBIC) -> Callable[[Image.Image], Image.Image]:
    def change(film: Image.Image) -> Image.Image:
        share = size / max(film.size)
        return film.resize((max(1, round(film.width * share)), max(1, round(film.height * share))), how)

    return change


def framed(film: Image.Image) -> Image.Image:
    edge = round(0.05 * max(film.size))
    canvas = Image.new("L", (film.width + 2 * edge, film.height + 2 * edge))
    canvas.paste(film, (edge, edge))
    return canvas


def encoded(film: Image.Image, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    film.save(stream, "JPEG", quality=quality)
    return open_image(stream.getvalue()).pixels


if __name__ == "__main__":
    main()
