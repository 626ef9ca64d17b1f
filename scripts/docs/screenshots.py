"""Makes the pictures of the pages in docs/images/, on drawn films alone, and says when they are older than what they show.

    python scripts/docs/screenshots.py            # all of them
    python scripts/docs/screenshots.py demo       # one
    python scripts/docs/screenshots.py --check    # exit 1 where a picture is older than the texts, templates, styles or scripts of its page

Beside them stands screenshots.json with the hash of those files for each picture. Needs Chromium (`chromium` on the path), playwright and
cleanlab (`pip install 'hf-bones[test]'`), and a minute or two.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_bones.record import read_json, write_json

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
HASHES = IMAGES / "screenshots.json"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-component-update"]
FILMS = 180  # in the collection that is reviewed
EXAMPLE = 4  # of the demo's drawn examples, from 0: a forearm beyond repair
SETTLED = 1500  # ms: bars grow and images fade in


@dataclass(frozen=True)
class Picture:
    """A picture of a page. `shown`: globs of the files that the page's look is made of. `served` gives the page's address, working in an
    empty folder; `fill` does to the page what the picture shows."""

    shown: tuple[str, ...]
    served: Callable[[Path], AbstractContextManager[str]]
    fill: Callable[[Page], None]
    width: int = 1280
    height: int = 880

    def hash(self) -> str:
        """Hash of the names and contents of what is shown. Raises FileNotFoundError for a glob that finds nothing."""
        digest = hashlib.sha256()
        for pattern in self.shown:
            found = sorted(path for path in ROOT.glob(pattern) if path.is_file())
            if not found:
                raise FileNotFoundError(f"{pattern}: there is no such file, and a picture is said to show it")
            for path in found:
                digest.update(f"{path.relative_to(ROOT).as_posix()}\n".encode() + path.read_bytes())
        return digest.hexdigest()


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    """The demo with the bundled model."""
    from hf_bones.app.demo.page import build_demo
    from hf_bones.app.serving import serve

    page = build_demo()
    try:
        yield serve(page, wait=False)
    finally:
        page.close(verbose=False)


def classify_an_example(page: Page) -> None:
    page.wait_for_selector("#verdict .verdict")
    page.locator(f"[data-example='{EXAMPLE}']").click()
    page.wait_for_selector(".verdict[data-state=ok]", timeout=60_000)


@contextmanager
def review(folder: Path) -> Iterator[str]:
    """The review of a collection of drawn films that was checked, searched for near-duplicates and asked for suspect labels."""
    from PIL import Image

    from hf_bones import curate
    from hf_bones.app.review.page import build_review, serve_review
    from hf_bones.app.review.session import Review
    from hf_bones.curation.recipe import load_curate_recipe
    from hf_bones.dataset.add_to_collection import add_images
    from hf_bones.dataset.drawn.radiograph import draw_radiograph
    from hf_bones.dataset.subject import open_subject
    from hf_bones.evaluation.opinions.suspects import suspect_labels
    from hf_bones.labels import THREE_CLASS

    films, collection = folder / "films", folder / "drawn-films"
    for number in range(FILMS):
        drawn = draw_radiograph(number, THREE_CLASS.names[number % 3], size=320)
        path = films / THREE_CLASS.names[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        film = Image.fromarray(drawn.pixels)
        film.save(path)
        if number % 30 == 0:
            film.save(path.with_suffix(".jpg"), quality=60)  # a near-duplicate
    add_images([str(films)], collection)
    curate(collection, progress=False)
    with open_subject(collection) as subject:
        suspect_labels(subject, load_curate_recipe().opinions, progress=False)
        session = Review(subject, THREE_CLASS, reviewer="ada")
        page = build_review(session)
        try:
            yield serve_review(page, session)
        finally:
            page.close(verbose=False)


def decide_about_three(page: Page) -> None:
    """Of the most suspect films one is dropped, one relabelled, one confirmed."""
    page.wait_for_selector(".review[data-ready]")
    page.locator(".order").select_option("suspicion")
    for key in ("ArrowRight", "d", "ArrowRight", "2", "ArrowRight", "3"):
        page.wait_for_timeout(500)
        page.keyboard.press(key)


@contextmanager
def report(folder: Path) -> Iterator[str]:
    """The report of the bundled model on drawn films, of which it has seen none."""
    from hf_bones import build, evaluate

    build("drawn", folder / "drawn-films", count=480, progress=False)
    yield evaluate("bundled", folder / "drawn-films", folder / "report", split="validation", worst=12).page.as_uri()


def read_it(page: Page) -> None:
    page.wait_for_selector("main.report")


# The theme, the colours of the classes, and the style sheet that both pages have.
LOOK = ("hf_bones/app/assets.py", "hf_bones/pages/palette.py", "hf_bones/app/demo/browser/demo.css")
DEMO = ("page.py", "page.html.j2", "examples.py", "words/en.json", "models/picker*", "tabs/classify*", "result/cards*", "browser/*")
PICTURES = {
    "demo": Picture(
        (*(f"hf_bones/app/demo/{name}" for name in DEMO), *LOOK),
        demo,
        classify_an_example,
    ),
    "review": Picture(
        (*(f"hf_bones/app/review/{name}" for name in ("texts.py", "*.j2", "browser/*")), *LOOK),
        review,
        decide_about_three,
    ),
    "report": Picture(
        (
            *(f"hf_bones/evaluation/report/{name}" for name in ("markdown.py", "cells.py", "*.j2")),
            *(f"hf_bones/pages/{name}" for name in ("reports.py", "report.html.j2", "page.html.j2", "style.css", "palette.py")),
        ),
        report,
        read_it,
    ),
}


def take(chromium: str, picture: Picture, out: Path) -> None:
    """Opens the page, fills it, and saves what the browser shows."""
    from playwright.sync_api import sync_playwright

    # The page first: what makes it may run an event loop, which playwright does not allow beside its own.
    with tempfile.TemporaryDirectory() as folder, picture.served(Path(folder)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": picture.width, "height": picture.height}, color_scheme="light")
        page.goto(address)
        picture.fill(page)
        page.mouse.move(0, 0)
        page.wait_for_timeout(SETTLED)
        page.screenshot(path=out)
        browser.close()
    print(f"{out.relative_to(ROOT)}  {out.stat().st_size / 1000:.0f} kB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PICTURE", help=f"which: {', '.join(PICTURES)}; by default all")
    parser.add_argument("--check", action="store_true", help="compare hashes; take nothing")
    options = parser.parse_args()
    names = options.names or list(PICTURES)
    if unknown := [name for name in names if name not in PICTURES]:
        parser.error(f"no picture {unknown[0]!r}; there are {', '.join(PICTURES)}")
    hashes = read_json(HASHES) if HASHES.is_file() else {}
    if options.check:
        older = [name for name in names if hashes.get(name) != PICTURES[name].hash() or not (IMAGES / f"{name}.png").is_file()]
        for name in older:
            print(f"docs/images/{name}.png is older than its page: run python scripts/docs/screenshots.py {name}", file=sys.stderr)
        return 1 if older else 0
    chromium = shutil.which("chromium") or sys.exit("chromium is not installed: apt-get install chromium")
    for name in names:
        take(chromium, PICTURES[name], IMAGES / f"{name}.png")
        hashes[name] = PICTURES[name].hash()
        write_json(HASHES, hashes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
