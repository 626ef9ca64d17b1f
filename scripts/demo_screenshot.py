"""Takes a picture of the demo, or of the review page, for the docs: starts it, shows it an image, and saves what a browser shows.

    python scripts/demo_screenshot.py demo/screenshot.png [--model FOLDER] [--image wrist.png] [--width 390 --height 1500] [--dark]
    python scripts/demo_screenshot.py demo/review.png --review data/drawn --keys "ArrowRight d ArrowRight 2"   # decisions are written there

Needs Chromium (`chromium` on the path) and playwright (`pip install 'hf-bones[test]'`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from hf_bones.app.demo.page import build_demo
from hf_bones.app.review.page import build_review, serve_review
from hf_bones.app.review.session import Review
from hf_bones.app.serving import serve
from hf_bones.dataset.subject import open_subject
from hf_bones.labels import THREE_CLASS

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-component-update"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("--model", default="bundled", help="bundled, a folder or a Hub id")
    parser.add_argument("--image", type=Path, help="image to classify; without it a drawn example")
    parser.add_argument("--example", type=int, default=4, help="number of the drawn example, from 0")
    parser.add_argument("--review", type=Path, help="collection or dataset: the review page instead of the demo")
    parser.add_argument("--keys", default="", help="keys to press on the review page, with spaces between")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=880)
    parser.add_argument("--dark", action="store_true")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit("chromium is not installed: apt-get install chromium")
    with ExitStack() as stack:
        if args.review:
            review = Review(stack.enter_context(open_subject(args.review)), THREE_CLASS, reviewer="ada")
            demo = build_review(review)
            address = serve_review(demo, review)
        else:
            demo = build_demo(args.model)
            address = serve(demo, wait=False)
        stack.callback(demo.close, verbose=False)
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": args.width, "height": args.height}, color_scheme="dark" if args.dark else "light")
        page.goto(address)
        fill(page, args)
        page.mouse.move(0, 0)
        page.wait_for_timeout(1500)  # the bars grow and the images fade in
        args.out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=args.out)
        browser.close()
    print(f"{args.out}  {args.out.stat().st_size / 1000:.0f} kB")


def fill(page: Page, args: argparse.Namespace) -> None:
    """The most suspect labels and what the keys do to them; or an image, classified."""
    if args.review:
        page.wait_for_selector(".review[data-ready]")
        page.locator(".order").select_option("suspicion")
        for key in args.keys.split():
            page.wait_for_timeout(500)
            page.keyboard.press(key)
    elif page.wait_for_selector("#verdict .verdict"):
        if args.image:
            page.locator("#radiograph input[type=file]").set_input_files(args.image)
        else:
            page.locator(f"[data-example='{args.example}']").click()
        page.wait_for_selector(".verdict:not([data-state=empty])", timeout=60_000)


if __name__ == "__main__":
    main()
