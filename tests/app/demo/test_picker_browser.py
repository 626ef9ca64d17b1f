"""Which model answers, in headless Chromium: `python -m pytest tests/app/demo/test_picker_browser.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import WAIT, opened
from playwright.sync_api import Browser, Page, expect
from small_demo import save_checkpoint

from hf_bones.app.demo.models.shelf import ModelEntry
from hf_bones.app.demo.page import build_demo, serve
from hf_bones.inference.predictor import BonePredictor

pytestmark = pytest.mark.browser


class Held:
    """Loading that waits until it may go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self._real = BonePredictor.from_pretrained

    def __call__(self, *given: Any, **options: Any) -> BonePredictor:
        assert self.go_on.wait(WAIT / 1000)
        return self._real(*given, **options)


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    found = Held()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_bones.app.demo.models.shelf.BonePredictor.from_pretrained", found)
        yield found


@pytest.fixture(scope="module")
def page(browser: Browser, held: Held, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    other = save_checkpoint(tmp_path_factory.mktemp("models") / "other-model", calibrated=False)
    demo = build_demo(ModelEntry(checkpoint), ModelEntry(other), allow_any_model=True)
    with opened(browser, serve(demo, wait=False)) as page:
        yield page
    demo.close(verbose=False)


def state(page: Page) -> Any:
    return page.locator("#model-state [data-model]")


def test_the_page_is_up_before_the_weights_and_says_when_they_are_there(page: Page, held: Held) -> None:
    expect(state(page)).to_have_attribute("data-model", "loading", timeout=WAIT)
    expect(state(page)).to_contain_text("my-model is being loaded")
    expect(page.locator("[data-example='0']")).to_be_visible(timeout=WAIT)
    held.go_on.set()
    expect(state(page)).to_have_attribute("data-model", "ready", timeout=WAIT)
    expect(state(page)).to_contain_text("my-model is ready")


def test_another_model_is_chosen_and_answers_and_a_wrong_id_is_explained(page: Page, held: Held) -> None:
    held.go_on.set()
    box = page.locator("#model input")
    box.click()
    page.get_by_role("option", name="other-model").click()
    expect(state(page)).to_contain_text("other-model is ready", timeout=WAIT)
    page.locator("[data-example='0']").click()
    expect(page.locator("#finding")).to_contain_text("other-model", timeout=WAIT)
    box.fill("../etc")
    box.press("Enter")
    expect(state(page)).to_have_attribute("data-model", "failed", timeout=WAIT)
    expect(state(page)).to_contain_text("choose one of my-model, other-model, or a Hub id")
    box.fill("my-model")
    box.press("Enter")
    expect(state(page)).to_contain_text("my-model is ready", timeout=WAIT)
