"""The demo's page in headless Chromium. Run: pytest tests/app/demo/test_app_browser.py

Needs `chromium` on the path and says so where it is missing; with HF_BONES_REQUIRE_BROWSER=1 that is a failure.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import WAIT, opened
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from small_films import encoded
from tiny import grey, telling_checkpoint

import hf_bones.app.demo.tabs.classify as classify_tab
from hf_bones.app.demo.classify import Answer, answer
from hf_bones.app.demo.examples import draw_examples
from hf_bones.app.demo.page import build_demo, serve
from hf_bones.images.opening import Refusal, explain
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.record import write_json

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tiny random model behind the real page; it claims to have learnt from drawings."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    telling_checkpoint(folder, seed=3, strong_head=False)
    write_json(folder / "record.json", {"data": {"synthetic_only": True}})
    demo = build_demo(folder)
    yield serve(demo, wait=False)
    demo.close(verbose=False)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address) as page:
        expect(page.locator(".verdict")).to_have_attribute("data-state", "empty", timeout=WAIT)
        page.wait_for_selector("html[data-takes-files]", state="attached")  # gradio runs the page's script after it has drawn the page
        page.wait_for_selector("#other-file", state="attached")
        yield page


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "wrist.png"
    grey().save(path)
    return path


def expect_answer(page: Page) -> None:
    """Verdict, a probability for each class, heat map and its caption are all in view."""
    expect(page.locator(".verdict")).to_have_attribute("data-state", "ok", timeout=WAIT)
    expect(page.locator(".verdict h2")).to_contain_text("%")
    for name in ("Healthy", "Fractured", "Beyond repair"):
        expect(page.locator("#probabilities")).to_contain_text(name)
    expect(page.locator("#heat img")).to_be_visible(timeout=WAIT)
    assert page.locator("#heat img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.locator("#caption")).to_contain_text("The scale is the same for every film")


def send_file(page: Page, event: str, name: str, content: bytes) -> None:
    """Drops or pastes a file on the page, as a browser does: with its bytes in the event."""
    page.evaluate(
        """([event, name, content]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name, { type: name.endsWith(".png") ? "image/png" : "" }));
            const target = document.querySelector("#radiograph");
            const options = { bubbles: true, cancelable: true };
            target.dispatchEvent(event === "paste"
                ? new ClipboardEvent("paste", { ...options, clipboardData: data })
                : new DragEvent("drop", { ...options, dataTransfer: data }));
        }""",
        [event, name, base64.b64encode(content).decode()],
    )


def test_an_uploaded_image_is_answered_and_can_be_taken_away(page: Page, film: Path) -> None:
    expect(page.locator("#heat")).to_be_hidden()
    page.locator("#radiograph input[type=file]").set_input_files(film)
    expect_answer(page)
    expect(page.locator("#radiograph img")).to_have_attribute("alt", "Your radiograph, as the model sees it")
    page.get_by_label("Remove Image").click()
    expect(page.locator(".verdict")).to_have_attribute("data-state", "empty", timeout=WAIT)
    expect(page.locator("#heat")).to_be_hidden()


def test_a_bad_file_gets_a_message_and_the_next_one_an_answer(page: Page, film: Path, tmp_path: Path) -> None:
    bad = tmp_path / "scan.jpg"
    bad.write_bytes(b"<html>not found</html>")
    page.locator("#radiograph input[type=file]").set_input_files(bad)
    expect(page.locator(".verdict")).to_have_attribute("data-state", "refused", timeout=WAIT)
    expect(page.locator(".verdict")).to_contain_text(explain(Refusal.NOT_AN_IMAGE))
    expect(page.locator(".verdict")).to_contain_text("scan.jpg")
    expect(page.locator("#heat")).to_be_hidden()
    page.locator("#radiograph input[type=file]").set_input_files(film)
    expect_answer(page)


def test_an_example_is_answered_and_reached_by_keyboard(page: Page) -> None:
    group = page.get_by_role("group", name="Drawn examples")
    expect(group).to_contain_text("drawn, not real")
    group.get_by_role("button", name=draw_examples()[-1].caption).focus()
    page.keyboard.press("Enter")
    expect_answer(page)


def test_an_image_is_pasted_anywhere(page: Page, film: Path) -> None:
    send_file(page, "paste", "pasted.png", film.read_bytes())
    expect_answer(page)
    expect(page.locator("#caption")).to_contain_text("PNG, 70 × 90 px")


def test_a_file_that_browsers_call_no_image_can_be_dropped(page: Page, film: Path) -> None:
    send_file(page, "drop", "film", encoded(np.asarray(Image.open(film)).astype(np.uint16) * 16, "TIFF"))
    expect_answer(page)
    expect(page.locator("#caption")).to_contain_text("TIFF, 70 × 90 px; windowed")
    shown = page.locator("#radiograph img").evaluate("image => image.decode().then(() => image.naturalWidth)")
    assert shown == 70, "the page shows what the model sees, not a file that the browser cannot draw"


def test_an_answer_stands_beside_its_own_film_alone(page: Page, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on, answered = threading.Semaphore(0), threading.Semaphore(0), []

    def slowly(predictor: BonePredictor, source: object, name: str, *opener: Any) -> Answer:
        started.release()
        assert go_on.acquire(timeout=WAIT / 1000)
        answered.append(name)
        return answer(predictor, source, name, *opener)

    monkeypatch.setattr(classify_tab, "answer", slowly)
    first, second, third = draw_examples()[:3]
    page.get_by_role("button", name=first.caption).click()
    assert started.acquire(timeout=WAIT / 1000)
    page.get_by_role("button", name=second.caption).click()
    expect(page.locator(".verdict")).to_contain_text(f"Reading {second.name}", timeout=WAIT)
    go_on.release(2)
    expect_answer(page)
    page.get_by_role("button", name="The finding as JSON").click()
    expect(page.locator("#finding")).to_contain_text(second.name)
    assert answered == [first.name, second.name]
    size = page.locator("#radiograph img").evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])")
    assert tuple(size) == second.picture().size
    assert started.acquire(timeout=WAIT / 1000)
    send_file(page, "drop", "wrist.png", film.read_bytes())  # the last answer goes before this one comes
    expect(page.locator("#heat")).to_be_hidden()
    assert started.acquire(timeout=WAIT / 1000)
    page.get_by_role("button", name=third.caption).click()
    expect(page.locator("#radiograph img")).to_be_visible(timeout=WAIT)
    page.get_by_label("Remove Image").click()
    go_on.release(2)
    expect(page.locator(".verdict")).to_have_attribute("data-state", "empty", timeout=WAIT)
    page.wait_for_timeout(500)
    expect(page.locator(".verdict")).to_have_attribute("data-state", "empty")
    expect(page.locator("#radiograph img")).to_have_count(0)
    while go_on.acquire(blocking=False) or started.acquire(blocking=False):  # of a film that was overtaken before it was begun
        pass
    page.get_by_role("button", name=first.caption).click()
    assert started.acquire(timeout=WAIT / 1000)
    page.evaluate("document.documentElement.dataset.turn = 99")  # as if the next turn crossed with the answer
    go_on.release()
    expect(page.locator("#radiograph img")).to_have_count(0, timeout=WAIT)
    expect(page.locator(".verdict")).to_have_attribute("data-state", "reading")
    expect(page.locator("#heat")).to_be_hidden()


def test_of_several_dropped_files_one_is_read_and_the_others_are_named(page: Page, film: Path) -> None:
    page.evaluate(
        """(content) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0)), data = new DataTransfer();
            for (const name of ["a.png", "b.png", "c.png"]) data.items.add(new File([bytes], name, { type: "image/png" }));
            const options = { bubbles: true, cancelable: true, dataTransfer: data };
            document.querySelector("#radiograph").dispatchEvent(new DragEvent("drop", options));
        }""",
        base64.b64encode(film.read_bytes()).decode(),
    )
    expect_answer(page)
    expect(page.locator("#not-read")).to_have_text("Taken: a.png. Not read: b.png, c.png (one film at a time).")
    send_file(page, "drop", "d.png", film.read_bytes())
    expect(page.locator("#not-read p")).to_be_empty()


def test_the_page_says_what_it_is(page: Page) -> None:
    expect(page.locator("#notice")).to_contain_text("not a medical device")
    expect(page.locator("#notice")).to_be_in_viewport()
    expect(page.get_by_text("learnt from drawn radiographs only")).to_be_visible()
    expect(page.locator(".bones-header")).to_contain_text("tiny")
    definition = page.get_by_text(THREE_CLASS.definition("fractured"))
    expect(definition).to_be_hidden()
    page.get_by_role("button", name="What the classes mean").click()
    expect(definition).to_be_visible()


def test_a_phone_shows_the_answer_below_the_image_and_never_scrolls_sideways(page: Page, film: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#radiograph input[type=file]").set_input_files(film)
    expect_answer(page)
    tops = [page.locator(part).bounding_box() for part in ("#radiograph", "#verdict", "#heat", "#examples")]
    ys = [box["y"] for box in tops if box is not None]
    assert len(ys) == 4 and ys == sorted(ys)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name=draw_examples()[-1].caption).click()
    expect(page.locator(".verdict h2")).to_be_in_viewport(timeout=WAIT)
    expect(page.locator("#notice")).to_be_in_viewport()
