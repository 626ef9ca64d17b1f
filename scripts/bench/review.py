"""The review page's bars: from a change of filters to the painted gallery in headless Chromium, and decisions over `kill -9`.

    python scripts/bench/review.py DATA

DATA is a folder with a `manifest.csv` of images (or such a table). A collection of 4,000 of them is made in a temporary folder
(`review_collection.py`) and opened by the real command, `hf-bones review`. "Painted" is when the new cards stand in the page and every
thumbnail in view has been fetched, decoded and drawn in a frame. Filters are timed with the browser's cache off, which is worse than any
reviewer has it; the largest request to draw is a page of 60. In the kill test, decisions are made by key in the page; the server is killed
right after the page says "Saved", or while a decision is on its way; lost is what the page had called saved and the log does not hold.
"""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from harness import Bar, arguments, bar, sampled_bar, work_folder, write_result
from playwright.sync_api import Page, ViewportSize, sync_playwright
from review_collection import make_collection

from hf_bones.manifest.store import open_manifest

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
WINDOW: ViewportSize = {"width": 1280, "height": 800}
MOST_SECONDS = 1.0
_LONGEST_START = 120.0  # s

# Does something in the page, and gives the milliseconds until its gallery is new and painted.
TIMED = """
async (action) => {
  const gallery = document.querySelector(".gallery"), before = gallery.dataset.turn, start = performance.now();
  if (action.key) document.dispatchEvent(new KeyboardEvent("keydown", { key: action.key, bubbles: true }));
  else document.querySelectorAll(`[data-facet="${action.facet}"] input`)[action.index].click();
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  while (gallery.dataset.turn === before) await frame();
  const in_view = (image) => { const box = image.getBoundingClientRect(); return box.bottom > 0 && box.top < innerHeight; };
  const images = [...gallery.querySelectorAll("img")].filter(in_view);
  await Promise.all(images.map((image) => image.decode().catch(() => null)));
  await frame(); await frame();
  if (images.some((image) => !image.naturalWidth)) throw new Error("a thumbnail is missing");
  return { ms: performance.now() - start, images: images.length };
}
"""

# Facet → number of its values.
FACETS = (
    "Object.fromEntries([...document.querySelectorAll('[data-facet]')].map((f) => [f.dataset.facet, f.querySelectorAll('input').length]))"
)


@contextmanager
def serving(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`hf-bones review` on the folder, from the time it answers; killed at the end if nobody has."""
    program = Path(sys.executable).with_name("hf-bones")
    command = [str(program), "review", str(folder), "--reviewer", "bench", "--port", str(port), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            start = time.monotonic()
            while not _answers(port):
                if process.poll() is not None or time.monotonic() - start > _LONGEST_START:
                    raise RuntimeError(f"{' '.join(command)} does not answer")
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/", timeout=5):
        return True
    return False


def main() -> None:
    parser = arguments(__doc__, data="a folder with a manifest.csv of images, or such a table")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--kills", type=int, default=30)
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    count, kills = (400, 2) if options.quick else (options.images, options.kills)
    table = options.data / "manifest.csv" if options.data.is_dir() else options.data
    with work_folder() as work:
        folder = work / "collection"
        digest = make_collection(table, folder, count)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport=WINDOW)
            port = _free_port()
            bars = [*time_page(folder, page, port, count), *kill_server(folder, page, port, kills)]
            browser.close()
    write_result("review", f"review.py DATA --images {count} --kills {kills}", digest, bars, quick=options.quick)


def time_page(folder: Path, page: Page, port: int, count: int) -> list[Bar]:
    """First opening, then filters and pages once the thumbnails are there."""
    start = time.monotonic()
    with serving(folder, port):
        _open(page, port)
        page.wait_for_function("[...document.querySelectorAll('.gallery img')].slice(0, 24).every((i) => i.complete && i.naturalWidth)")
        opened = time.monotonic() - start
        while len(list((folder / "thumbnails").rglob("*.jpg"))) < count:
            time.sleep(0.2)
        made = time.monotonic() - start
        cache = page.context.new_cdp_session(page)
        cache.send("Network.setCacheDisabled", {"cacheDisabled": True})
        changes, in_view = _filter_changes(page)
        cache.send("Network.setCacheDisabled", {"cacheDisabled": False})
        again, _ = _filter_changes(page)
        turns = [page.evaluate(TIMED, {"key": "n"})["ms"] / 1000 for _ in range(min(30, count // 60 - 1))]
    window = f"{count} images, browser cache off"
    return [
        sampled_bar(f"filter change to painted gallery, s, median ({window})", changes, target=MOST_SECONDS, at_most=True),
        bar(f"filter change to painted gallery, s, 95th percentile ({window})", float(np.percentile(changes, 95)), n=len(changes)),
        bar("thumbnails in view after a change of filters, median", float(np.median(in_view)), n=len(in_view)),
        sampled_bar(f"filter change to painted gallery, s, median ({count} images, browser cache on)", again),
        sampled_bar("next page to painted gallery, s, median", turns),
        bar("command to first painted gallery, no thumbnail made yet, s", opened, n=1),
        bar(f"command to all {count} thumbnails made, s", made, n=count),
    ]


def kill_server(folder: Path, page: Page, port: int, kills: int) -> list[Bar]:
    """Decisions by key, kills at random moments; then what the page had called saved is looked for in the log."""
    chance = random.Random(0)
    saved: dict[int, str] = {}  # decision's number → the page's sentence
    pressed = wrong = 0
    for _ in range(kills):
        with serving(folder, port) as process:
            _open(page, port)
            for number in range(chance.randint(1, 6)):
                pressed += 1
                page.keyboard.press("ArrowRight")
                before = page.locator(".review").get_attribute("data-saved")
                page.keyboard.press(chance.choice("123ddru") if number else chance.choice("123d"))
                page.wait_for_function("(before) => (document.querySelector('.review').dataset.saved ?? null) !== before", arg=before)
                _note(page, saved)
            if chance.random() < 0.5:  # one more, killed while it is on its way
                pressed += 1
                page.keyboard.press("ArrowRight")
                page.keyboard.press(chance.choice("123d"))
                time.sleep(chance.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
            process.wait()
            page.wait_for_timeout(200)
            _note(page, saved)
        with open_manifest(folder) as manifest:
            log = {decision.id: decision for decision in manifest.decisions()}
            wrong += sum(1 for number, told in saved.items() if number in log and log[number].sha256[:8] not in told)
    lost = sum(number not in log for number in saved)
    with serving(folder, port):
        _open(page, port)
        shown = page.evaluate("document.querySelectorAll('[data-facet=mine] .count')[1].textContent.replace(',', '')")
    standing = {d.sha256 for d in log.values() if d.decision != "undo" and not d.undone}
    return [
        bar(f"decisions lost over {kills} × kill -9", lost, n=len(saved), target=0, at_most=True),
        bar("decisions saved under another image than the page said", wrong, n=len(saved), target=0, at_most=True),
        bar("decisions in the log beyond the keys pressed", max(0, len(log) - pressed), n=pressed, target=0, at_most=True),
        bar("images read, less those that the page says are, after a restart", len(standing) - int(shown), n=len(standing)),
    ]


def _note(page: Page, saved: dict[int, str]) -> None:
    """What the page calls saved at this moment, if anything."""
    number = page.locator(".review").get_attribute("data-saved")
    said = page.locator(".said").first
    if number and said.get_attribute("data-kind") == "saved":
        saved.setdefault(int(number), said.text_content() or "")


def _filter_changes(page: Page) -> tuple[list[float], list[int]]:
    """Seconds of each change, and how many thumbnails it painted: up to three values of every facet, ticked and unticked."""
    seconds, painted = [], []
    facets: dict[str, int] = page.evaluate(FACETS)
    for facet, values in facets.items():
        for index in range(min(3, values)):
            for _ in ("ticked", "unticked"):
                done = page.evaluate(TIMED, {"facet": facet, "index": index})
                seconds.append(done["ms"] / 1000)
                painted.append(done["images"])
    return seconds, painted


def _open(page: Page, port: int) -> None:
    page.goto(f"http://127.0.0.1:{port}/")
    page.wait_for_selector(".review[data-ready]", timeout=60_000)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
