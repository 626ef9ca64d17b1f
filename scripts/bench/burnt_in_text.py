"""Writing burnt into films: what of it `hf-bones curate checks` finds, and what it takes for writing that is none.

    python scripts/bench/burnt_in_text.py DATA [--quick]

DATA is a folder of image files. Made-up names, dates and numbers of six letters and more are written on films, real and drawn ones, in
eight fonts and in Pillow's own, white or black, wherever they can be read: the ink stands out by 80 grey levels. Capitals are 8 px high and
more. Half of the films are then stored as JPEG; some are enlarged fourfold first. The names of the real films that are flagged as they came
are printed, to be looked at: some of them do carry writing.
"""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
from harness import Bar, arguments, bar, write_result
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from hf_bones.curation.checks.measures import Grey
from hf_bones.curation.checks.text import text_letters
from hf_bones.curation.recipe import CheckSettings
from hf_bones.dataset.drawn.radiograph import draw_set
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.record import sha256_file, sha256_rows

NAMES = ("MUELLER, ANNA", "Schmidt Peter", "JOHN DOE", "Garcia Lopez", "KIM SOO-JIN", "SMITH^JOHN", "O'BRIEN", "Anders Holm")
FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif", "STIXGeneral", "cmss10"
)  # fmt: skip
SIZES = ((0.018, 0.03), (0.03, 0.045), (0.045, 0.07))  # height of a capital ÷ long side of the film
CAPITAL = 0.73  # of a font's size
LEAST_CAPITAL = 8  # px
STANDS_OUT = 80  # grey levels
DRAWN, SEED = 150, 0
FLAGGED_DRAWN, FOUND = 2, 0.9  # at most, at least


class Written(NamedTuple):
    """A film with words on it, and what was chosen for them."""

    pixels: Grey
    words: str
    chosen: dict[str, str]


def main() -> None:
    options = arguments(__doc__, data="a folder of image files").parse_args()
    count, written = (40, 40) if options.quick else (1000, 450)
    files = sorted(path for path in options.data.rglob("*") if path.is_file())
    files = [files[place] for place in np.random.default_rng(SEED).permutation(len(files))[:count]]
    bars: list[Bar] = []

    drawn = [film.pixels for film in draw_set(30 if options.quick else DRAWN, SEED)]
    flagged = sum(is_flagged(pixels) for pixels in tqdm(drawn, desc="drawn films"))
    bars.append(bar("drawn films flagged as they are", flagged, n=len(drawn), target=FLAGGED_DRAWN, at_most=True))

    real, seconds, suspects = [], [], []
    for path in tqdm(files, desc="real films"):
        try:
            pixels = open_image(path).pixels
        except ImageRefusedError:
            continue
        began = time.process_time()
        found = is_flagged(pixels)
        seconds.append(time.process_time() - began)
        suspects += [path.name] if found else []
        real += [] if found else [pixels]
    bars.append(bar("real films flagged as they are, share", len(suspects) / len(seconds), n=len(seconds)))
    bars.append(bar("CPU milliseconds a real film, median", 1000 * median(seconds), n=len(seconds)))
    print("flagged as they are:", ", ".join(suspects) or "none")

    bars += recall_bars([*real[: written * 2 // 3], *drawn[: written // 3]])
    digest = sha256_rows((path.name, sha256_file(path)) for path in files)
    write_result("burnt_in_text", "burnt_in_text.py DATA", digest, bars, quick=options.quick)


def is_flagged(pixels: Grey) -> bool:
    return text_letters(pixels) > CheckSettings().max_text


def recall_bars(films: Sequence[Grey]) -> list[Bar]:
    """The share of films whose words are found: of all, and by each thing that was chosen."""
    rng = np.random.default_rng(SEED)
    found: dict[str, list[bool]] = defaultdict(list)
    for number, film in enumerate(tqdm(films, desc="films with words on them")):
        large = number % 5 == 4
        written = write_on(enlarged(film, rng) if large else film, rng, SIZES[number % len(SIZES)])
        if written is None:
            continue
        hit = is_flagged(written.pixels)
        found["all"].append(hit)
        for name, value in (*written.chosen.items(), ("film", "enlarged fourfold" if large else "as it was")):
            found[f"{name}: {value}"].append(hit)
        if not hit:
            tqdm.write(f"not found: {written.words!r}, {written.chosen}")
    return [
        bar(f"words found, {name}", float(np.mean(hits)), n=len(hits), target=FOUND if name == "all" else None)
        for name, hits in sorted(found.items())
    ]


def enlarged(film: Grey, rng: np.random.Generator) -> Grey:
    """Fourfold, with the noise of a detector, which an enlarged film has lost."""
    large = np.asarray(Image.fromarray(film).resize((4 * film.shape[1], 4 * film.shape[0]), Image.Resampling.BICUBIC), np.float32)
    return np.clip(large + rng.normal(0, 4, large.shape), 0, 255).astype(np.uint8)


def write_on(film: Grey, rng: np.random.Generator, size: tuple[float, float]) -> Written | None:
    """Words on a film where they can be read; None where no such place was found."""
    height, width = film.shape
    kind, words = some_words(rng)
    font_name = str(rng.choice([*FONTS, "Pillow's own"]))
    capital = max(LEAST_CAPITAL, rng.uniform(*size) * max(film.shape))
    font = load_font(font_name, capital / CAPITAL)
    left, top, right, bottom = font.getbbox(words)
    if right - left > 0.94 * width:
        return None
    inks = [0, int(rng.choice([255, 235]))]
    for ink in rng.permutation(inks).repeat(40):  # where there is no ground for black, white is taken, and the other way
        at_edge = rng.random() < 0.7
        room = width - (right - left), height - (bottom - top)
        x = rng.choice([0.03 * width, room[0] - 0.03 * width, room[0] / 2]) if at_edge else rng.uniform(2, room[0] - 2)
        y = rng.choice([0.03 * height, room[1] - 0.03 * height]) if at_edge else rng.uniform(2, room[1] - 2)
        ground = film[int(y) : int(y + bottom - top) + 1, int(x) : int(x + right - left) + 1]
        if abs(float(np.percentile(ground, 95 if ink else 5)) - ink) >= STANDS_OUT:
            break
    else:
        return None
    picture = Image.fromarray(film)
    ImageDraw.Draw(picture).text((x - left, y - top), words, fill=int(ink), font=font)
    chosen = {
        "kind": kind,
        "font": font_name,
        "ink": "white" if ink else "black",
        "capitals": f"{size[0]:.1%} to {size[1]:.1%} of the long side",
    }
    return Written(as_jpeg(picture, rng) if rng.random() < 0.5 else np.asarray(picture), words, chosen)


def some_words(rng: np.random.Generator) -> tuple[str, str]:
    """A name, a date or a number, with what it is."""
    day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(1940, 2024)
    dates = (f"{day:02}.{month:02}.{year}", f"{year}-{month:02}-{day:02}", f"{month:02}/{day:02}/{year}", f"{year}{month:02}{day:02}")
    numbers = ("".join(map(str, rng.integers(0, 10, rng.integers(6, 11)))), f"ID {rng.integers(10_000, 999_999)}")
    kind = str(rng.choice(["name", "date", "number"]))
    return kind, str(rng.choice({"name": NAMES, "date": dates, "number": numbers}[kind]))


def load_font(name: str, size: float) -> ImageFont.FreeTypeFont:
    if name not in FONTS:
        return ImageFont.load_default(size)  # type: ignore[return-value]  # the bitmap font is for builds without FreeType
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", round(size))


def as_jpeg(picture: Image.Image, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=int(rng.integers(75, 96)))
    return np.asarray(Image.open(stream))


if __name__ == "__main__":
    main()
