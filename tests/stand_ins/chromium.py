"""Headless Chromium for the tests of pages, and an open page that afterwards must have neither erred nor asked another machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 60_000  # ms, for a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it the tests are skipped aloud, and fail with HF_BONES_REQUIRE_BROWSER=1."""
    if CHROMIUM is None:
        message = "chromium is not installed (Debian: apt-get install chromium), so the page was not tried in a browser"
        pytest.fail(message) if os.environ.get("HF_BONES_REQUIRE_BROWSER") == "1" else pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, height: int = 860) -> Iterator[Page]:
    """The page at `address`. Afterwards: no error in the console, and no request that left this machine."""
    context = browser.new_context(viewport={"width": 1280, "height": height}, locale="en-GB")
    context.set_default_timeout(WAIT)
    page = context.new_page()
    errors: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert not errors
    assert {urlsplit(url).hostname for url in requests if urlsplit(url).scheme in ("http", "https", "ws")} == {"127.0.0.1"}
