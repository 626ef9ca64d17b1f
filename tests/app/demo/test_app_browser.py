"""The demo's page in headless Chromium: films and their answers. The viewer is in test_viewer_browser.py.

Run: pytest tests/app/demo/test_app_browser.py. Needs `chromium` on the path and says so where it is missing; with
HF_BONES_REQUIRE_BROWSER=1 that is a failure.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import WAIT, opened
from demo_page import expect_answer, on_demo, send_files
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from small_films import encoded
from tiny import grey, telling_checkpoint

import hf_bones.app.demo.tabs.classify as classify_tab
from hf_bones.app.demo.examples import draw_examples
from hf_bones.app.demo.page import build_demo, serve
from hf_bones.app.demo.turns import film_name
from hf_bones.images.opening import Refusal, explain
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
        yield on_demo(page)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "wrist.png"
    grey().save(path)
    return path


def test_an_uploaded_image_is_answered_and_can_be_taken_away(page: Page, film: Path) -> None:
    expect(page.locator("#probabilities, .probabilities")).to_have_count(0)
    page.locator("#radiograph .drop input[type=file]").set_input_files(film)
    expect_answer(page, "wrist.png")
    expect(page.locator(".viewer canvas")).to_have_attribute("aria-label", "wrist.png, as the model sees it")
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator(".verdict")).to_have_attribute("data-state", "empty", timeout=WAIT)
    expect(page.locator(".viewer")).to_be_hidden()
    expect(page.locator(".bones-results")).to_be_hidden()
    expect(page.locator(".drop")).to_be_visible()


def test_a_bad_file_gets_a_message_and_the_next_one_an_answer(page: Page, film: Path, tmp_path: Path) -> None:
    bad = tmp_path / "scan.jpg"
    bad.write_bytes(b"<html>not found</html>")
    page.locator("#radiograph .drop input[type=file]").set_input_files(bad)
    expect(page.locator(".verdict")).to_have_attribute("data-state", "refused", timeout=WAIT)
    expect(page.locator(".verdict")).to_contain_text(explain(Refusal.NOT_AN_IMAGE))
    expect(page.locator(".verdict")).to_contain_text("scan.jpg")
    expect(page.locator(".bones-results")).to_be_hidden()
    expect(page.locator(".viewer .placeholder")).to_contain_text("cannot be read")
    send_files(page, "drop", {"wrist.png": film.read_bytes()})
    expect_answer(page, "wrist.png")


def test_an_example_is_answered_and_reached_by_keyboard(page: Page) -> None:
    group = page.get_by_role("group", name="Drawn examples")
    expect(group).to_contain_text("drawn, not real")
    example = draw_examples()[-1]
    group.get_by_role("button", name=example.caption).focus()
    page.keyboard.press("Enter")
    expect_answer(page, example.name)


def test_an_image_is_pasted_anywhere(page: Page, film: Path) -> None:
    send_files(page, "paste", {"pasted.png": film.read_bytes()})
    expect_answer(page, "pasted.png")
    page.get_by_text("Technical figures").click()
    expect(page.locator("#view")).to_contain_text("PNG, 70 × 90 px")


def test_a_file_that_browsers_call_no_image_can_be_dropped(page: Page, film: Path) -> None:
    send_files(page, "drop", {"film": encoded(np.asarray(Image.open(film)).astype(np.uint16) * 16, "TIFF")})
    expect_answer(page, "film")
    page.get_by_text("Technical figures").click()
    expect(page.locator("#view")).to_contain_text("TIFF, 70 × 90 px")
    expect(page.locator("#view")).to_contain_text("windowed")
    expect(page.locator(".viewer")).to_have_attribute("data-pixels", "70 90")  # what the model sees, not a file that no browser draws


def test_an_answer_stands_beside_its_own_film_alone(page: Page, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on, answered = threading.Semaphore(0), threading.Semaphore(0), []
    judge = classify_tab.judge

    def slowly(served: Any, films: Any) -> Any:
        started.release()
        assert go_on.acquire(timeout=WAIT / 1000)
        answered.append(film_name(films[0]))
        return judge(served, films)

    monkeypatch.setattr(classify_tab, "judge", slowly)
    first, second, third = draw_examples()[:3]
    page.get_by_role("button", name=first.caption).click()
    assert started.acquire(timeout=WAIT / 1000)
    page.get_by_role("button", name=second.caption).click()
    expect(page.locator(".verdict")).to_contain_text(f"Reading {second.name}", timeout=WAIT)
    assert started.acquire(timeout=WAIT / 1000)
    go_on.release(2)
    expect_answer(page, second.name)
    expect(page.locator(".viewer")).to_have_attribute("data-pixels", " ".join(map(str, second.picture().size)))
    assert sorted(answered) == sorted([first.name, second.name])
    send_files(page, "drop", {"wrist.png": film.read_bytes()})  # the last answer goes before this one comes
    expect(page.locator(".bones-results")).to_be_hidden()
    expect(page.locator(".verdict")).to_contain_text("Reading wrist.png", timeout=WAIT)
    assert started.acquire(timeout=WAIT / 1000)
    page.get_by_role("button", name=third.caption).click()
    expect(page.locator(".viewer[data-ready]")).to_be_visible(timeout=WAIT)
    page.get_by_role("button", name="Remove all").click()
    go_on.release(2)
    expect(page.locator(".verdict")).to_have_attribute("data-state", "empty", timeout=WAIT)
    page.wait_for_timeout(500)
    expect(page.locator(".verdict")).to_have_attribute("data-state", "empty")
    expect(page.locator(".viewer")).to_be_hidden()
    while go_on.acquire(blocking=False) or started.acquire(blocking=False):  # of a film that was overtaken before it was begun
        pass
    page.get_by_role("button", name=first.caption).click()
    assert started.acquire(timeout=WAIT / 1000)
    page.evaluate("document.documentElement.dataset.turn = 99")  # as if the next turn crossed with the answer
    go_on.release()
    page.wait_for_timeout(500)
    expect(page.locator(".verdict")).to_have_attribute("data-state", "reading")
    expect(page.locator(".bones-results")).to_be_hidden()


def test_two_uploads_in_a_row_and_a_reload_leave_the_last_film_s_answer_or_none(page: Page, film: Path) -> None:
    send_files(page, "drop", {"one.png": film.read_bytes()})
    send_files(page, "drop", {"two.png": film.read_bytes()})
    expect_answer(page, "two.png")
    page.reload()
    on_demo(page)
    expect(page.locator(".viewer")).to_be_hidden()
    expect(page.locator("#finding")).to_be_empty()
    send_files(page, "drop", {"three.png": film.read_bytes()})
    expect_answer(page, "three.png")


def test_several_dropped_files_are_views_of_one_patient_answered_together_and_apart(page: Page, film: Path, tmp_path: Path) -> None:
    send_files(page, "drop", {name: film.read_bytes() for name in ("a.png", "b.png")})
    expect_answer(page, "a.png", study=True)
    expect(page.locator("#verdict")).to_contain_text("All 2 views together")
    views = page.get_by_role("group", name="Views of this patient").get_by_role("button")
    expect(views).to_have_count(2)
    views.nth(1).click()
    expect(page.locator(".viewer")).to_have_attribute("data-film", "b.png")
    expect(page.locator("#view")).to_contain_text("This view alone")
    page.locator("input[data-adding]").set_input_files(draw_file(tmp_path))
    expect(views).to_have_count(3, timeout=WAIT)
    expect(page.locator("#verdict")).to_contain_text("All 3 views together", timeout=WAIT)
    finding = json.loads(page.locator("#finding").text_content() or "")
    assert [view["source"] for view in finding["views"]] == ["a.png", "b.png", "added.png"]
    page.get_by_role("button", name="Remove this view").click()
    expect(views).to_have_count(2, timeout=WAIT)
    expect(page.locator("#verdict")).to_contain_text("All 2 views together", timeout=WAIT)


def draw_file(folder: Path) -> Path:
    grey(seed=2).save(folder / "added.png")
    return folder / "added.png"


def test_of_what_cannot_be_read_the_page_says_so(page: Page, film: Path) -> None:
    send_files(page, "drop", {f"{number}.png": film.read_bytes() for number in range(10)})
    said = "Taken: 0.png, 1.png, 2.png, 3.png, 4.png and 3 more. Not read: 8.png, 9.png (more than 8 views)."
    expect(page.locator("#not-read")).to_have_text(said)
    expect(page.locator("#verdict")).to_contain_text("All 8 views together", timeout=WAIT)
    send_files(page, "drop", {"d.png": film.read_bytes()})
    expect_answer(page, "d.png")
    expect(page.locator("#not-read")).to_be_empty()
    page.evaluate("document.querySelector('#not-read').dataset.maxBytes = 10")
    send_files(page, "drop", {"large.png": film.read_bytes()})
    expect(page.locator("#not-read")).to_have_text("Not read: large.png (too large).")
    expect(page.locator(".verdict")).to_have_attribute("data-state", "ok")


def test_the_page_says_what_it_is(page: Page) -> None:
    expect(page.locator("#notice")).to_contain_text("not a medical device")
    expect(page.locator("#notice")).to_be_in_viewport()
    expect(page.get_by_text("learnt from drawn radiographs only")).to_be_visible(timeout=WAIT)
    expect(page.locator(".bones-header")).to_contain_text("tiny")
    definition = page.get_by_text(THREE_CLASS.definition("fractured"))
    expect(definition).to_be_hidden()
    page.get_by_text("What the classes mean").click()
    expect(definition).to_be_visible()


def test_a_phone_shows_upload_and_examples_first_then_the_answer_and_never_scrolls_sideways(page: Page, film: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert in_order(page, ".drop", "#examples", "#verdict", "#notice")
    expect(page.locator(".drop")).to_be_in_viewport()
    page.locator("#radiograph .drop input[type=file]").set_input_files(film)
    expect_answer(page, "wrist.png")
    assert in_order(page, ".viewer", "#verdict", "#view", "#examples", "#notice")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name=draw_examples()[-1].caption).click()
    expect(page.locator(".verdict h2")).to_be_in_viewport(timeout=WAIT)
    expect(page.locator(".verdict")).to_contain_text("not a medical device")
    assert page.locator("#notice").evaluate("notice => getComputedStyle(notice).position") == "static", "it lies over no text"


def in_order(page: Page, *parts: str) -> bool:
    """Whether the parts stand below each other in this order."""
    boxes = [page.locator(part).bounding_box() for part in parts]
    tops = [box["y"] for box in boxes if box is not None]
    return len(tops) == len(parts) and tops == sorted(tops)
