"""What the review page called saved, and its server was killed: `python -m pytest tests/app/review/test_review_killed.py`.

Needs `chromium` on the path and says so where it is missing; with HF_BONES_REQUIRE_BROWSER=1 that is a failure.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chromium import WAIT
from playwright.sync_api import Browser, expect
from review_page import current, decisions, expect_saved

pytestmark = pytest.mark.browser


@contextmanager
def command(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`hf-bones review`, as a process of its own, from when it answers."""
    arguments = ["review", str(folder), "--reviewer", "ada", "--port", str(port), "--no-browser"]
    with subprocess.Popen([sys.executable, "-m", "hf_bones.cli.main", *arguments], stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None
                    time.sleep(0.1)
            yield process
        finally:
            process.kill()


def test_what_the_page_called_saved_survives_kill_9_and_the_open_page_goes_on(browser: Browser, folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(WAIT)
    page = context.new_page()
    with command(folder, port) as process:
        page.goto(f"http://127.0.0.1:{port}")
        page.wait_for_selector(".review[data-ready]")
        dropped = current(page)
        page.keyboard.press("d")
        expect_saved(page, dropped[:8])
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("d")
        expect(page.locator(".said[data-kind=error]").first).to_contain_text("The server does not answer: nothing was saved")
    assert [(d.sha256, d.decision, d.decided_by) for d in decisions(folder)] == [(dropped, "drop", "ada")]
    with command(folder, port):
        after = current(page)
        page.keyboard.press("d")
        expect_saved(page, after[:8])
        page.goto(f"http://127.0.0.1:{port}")
        page.wait_for_selector(".review[data-ready]")
        expect(page.locator("[data-facet=decision] label", has_text="Dropped").locator(".count")).to_have_text("2")
    context.close()
