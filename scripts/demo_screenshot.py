"""Takes a picture of the demo for the docs: starts it, gives it an image (or a drawn example), and saves what a browser shows.

    python scripts/demo_screenshot.py docs/demo.png [--model FOLDER] [--image wrist.png] [--width 390 --height 1500] [--dark]

Needs Chromium (`chromium` on the path) and playwright (`pip install 'hf-bones[test]'`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from hf_bones.app.page import build_demo
from hf_bones.app.serving import serve

# No request but to the demo itself: Chromium's own calls home are switched off.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("--model", default="bundled", help="bundled, a folder or a Hub id")
    parser.add_argument("--image", type=Path, help="image to classify; without it a drawn example")
    parser.add_argument("--example", type=int, default=4, help="number of the drawn example, from 0")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=880)
    parser.add_argument("--dark", action="store_true")
    args = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed: apt-get install chromium")

    demo = build_demo(args.model)
    address = serve(demo, wait=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": args.width, "height": args.height}, color_scheme="dark" if args.dark else "light")
        page.goto(address)
        page.wait_for_selector("#verdict .verdict")
        if args.image:
            page.locator("#radiograph input[type=file]").set_input_files(args.image)
        else:
            page.locator(f"[data-example='{args.example}']").click()
        page.wait_for_selector(".verdict:not([data-state=empty])", timeout=60_000)
        page.mouse.move(0, 0)
        page.wait_for_timeout(1500)  # the bars grow and the images fade in
        args.out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=args.out)
        browser.close()
    demo.close(verbose=False)
    print(f"{args.out}  {args.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
