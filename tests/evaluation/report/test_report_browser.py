"""An evaluation's pages on a telephone, in headless Chromium: `python -m pytest tests/evaluation/report/test_report_browser.py`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from chromium import WAIT, browser  # noqa: F401 - a fixture
from playwright.sync_api import Browser
from scored_rows import ABOUT, QUICK, scored

from hf_bones.evaluation.report.report import evaluate_probabilities

pytestmark = pytest.mark.browser

WIDTH = 390  # px, of a common telephone
SMALL = """() => [...document.querySelectorAll("body *")].filter((one) => one.innerText && parseFloat(getComputedStyle(one).fontSize) < 14)
  .map((one) => one.outerHTML.slice(0, 80))"""
BROKEN = "() => [...document.images].filter((one) => !one.naturalWidth).length"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report and the page of errors alone in a folder: moved away from all that was written beside them."""
    made, moved = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("moved")
    rows = scored(
        image_ids=[f"{index}_{'a_long_name_without_a_break' * 4}.png" for index in range(120)],
        regions=["hand", "leg", "a region with a long name"] * 40,
        boxes=[((0.5, 0.5, 0.2, 0.2),)] * 120,
        heat_maps=lambda rows, classes: [np.ones((30, 40 + row)) for row in rows],
        verdicts=["refer"] * 120,
    )
    done = evaluate_probabilities(rows, made, ABOUT, baselines={"even": np.full((120, 3), 1 / 3)}, resampling=QUICK, worst=6)
    assert done.errors is not None
    for page in (done.page, done.errors):
        shutil.copy(page, moved)
    return moved


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report.html", "worst_errors.html"])
def test_a_page_fits_a_telephone_and_needs_nothing_else(browser: Browser, pages: Path, name: str, scheme: str) -> None:  # noqa: F811
    context = browser.new_context(viewport={"width": WIDTH, "height": 844}, color_scheme=scheme)
    context.set_default_timeout(WAIT)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((pages / name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    assert page.evaluate("[...document.images].every((one) => one.getBoundingClientRect().right <= innerWidth)")
    assert page.evaluate(SMALL) == [] and page.evaluate(BROKEN) == 0
    ink, ground = (page.evaluate(f"getComputedStyle(document.body).{of}") for of in ("color", "backgroundColor"))
    assert (sum(map(int, ink[4:-1].split(","))) > sum(map(int, ground[4:-1].split(",")))) == (scheme == "dark")
    context.close()
    assert not said and {url.split(":")[0] for url in asked} - {"data"} == {"file"}
