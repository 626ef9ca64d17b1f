"""The viewer of the Classify tab, what is made when it is asked for, and who can use the page, in headless Chromium.

Run: pytest tests/app/demo/test_viewer_browser.py. The tests share one open page with one answered film, which each leaves as it found it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe import grave_findings
from chromium import WAIT, opened
from demo_page import expect_answer, on_demo, send_files
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tiny import grey, png

import hf_bones.app.demo.tabs.classify as classify_tab
from hf_bones.app.demo.classify import VIEW_SIDE
from hf_bones.app.demo.page import build_demo, serve
from hf_bones.app.demo.result.later import Later
from hf_bones.app.demo.wording import load_words

pytestmark = pytest.mark.browser

LARGE = (300, VIEW_SIDE + 176)  # height and width of a film that is sent smaller at first
# Controls that gradio draws: its tabs, the footer, the wrapper of the upload button.
OF_GRADIO = ["footer", ".tab-container", ".tab-wrapper", "#classify-files"]
GREY = """canvas => { const at = Math.round(canvas.width / 2), data = canvas.getContext("2d").getImageData(at, 0, 1, canvas.height).data;
    return [...data].filter((_, place) => place % 4 === 0); }"""


@pytest.fixture(scope="module")
def address(browser: Browser, checkpoint: Path) -> Iterator[str]:
    demo = build_demo(checkpoint)
    yield serve(demo, wait=False)
    demo.close(verbose=False)


@pytest.fixture(scope="module")
def shown(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address) as page:
        on_demo(page)
        send_files(page, "drop", {"wrist.png": png(grey(*LARGE))})
        expect_answer(page, "wrist.png")
        yield page


@pytest.fixture
def page(shown: Page) -> Iterator[Page]:
    yield shown
    shown.locator(".viewer [data-act=reset]").click()


def test_zoom_and_pan_by_button_wheel_mouse_and_key(page: Page) -> None:
    canvas = page.locator(".viewer canvas")
    before = canvas.evaluate(GREY)
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator(".viewer")).to_have_attribute("data-look", "1.50 255 128")
    assert canvas.evaluate(GREY) != before
    canvas.focus()
    page.keyboard.press("-")
    expect(page.locator(".viewer")).to_have_attribute("data-look", "1.00 255 128")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 40, box["y"] + 60)
    page.mouse.wheel(0, -100)
    expect(page.locator(".viewer")).to_have_attribute("data-look", "1.20 255 128")
    zoomed = canvas.evaluate(GREY)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 90, steps=3)
    page.mouse.up()
    page.wait_for_timeout(100)
    assert canvas.evaluate(GREY) != zoomed, "dragging moves the film"


def test_window_level_and_inversion_change_the_grey_values_and_nothing_else(page: Page) -> None:
    canvas = page.locator(".viewer canvas")
    before = canvas.evaluate(GREY)
    canvas.focus()
    page.keyboard.press("i")
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")
    inverted = canvas.evaluate(GREY)
    inside = [at for at, value in enumerate(before) if value > 0 and inverted[at] > 0]
    assert inside and all(abs(before[at] + inverted[at] - 255) <= 2 for at in inside)
    page.keyboard.press("i")
    page.get_by_label("Window").fill("60")
    expect(page.locator(".viewer")).to_have_attribute("data-look", "1.00 60 128")
    assert max(canvas.evaluate(GREY)) >= max(before) and canvas.evaluate(GREY) != before
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down(button="right")
    page.mouse.move(box["x"] + 140, box["y"] + 80, steps=2)
    page.mouse.up(button="right")
    expect(page.locator(".viewer")).to_have_attribute("data-look", "1.00 80 138")
    page.get_by_role("button", name="As it was").click()
    expect(page.locator(".viewer")).to_have_attribute("data-look", "1.00 255 128")
    assert canvas.evaluate(GREY) == before


def test_full_screen_asks_for_the_full_size_once_and_escape_leaves_it(page: Page) -> None:
    expect(page.locator(".viewer")).to_have_attribute("data-pixels", f"{VIEW_SIDE} {round(LARGE[0] * VIEW_SIDE / LARGE[1])}")
    page.get_by_role("button", name="Full screen").click()
    expect(page.locator(".viewer")).to_have_attribute("data-pixels", f"{LARGE[1]} {LARGE[0]}", timeout=WAIT)
    expect(page.locator(".viewer.full")).to_be_visible()
    box = page.locator(".viewer").bounding_box()
    assert box is not None and box["width"] >= 1280
    page.get_by_role("button", name="Full screen").click()
    expect(page.locator(".viewer.full")).to_have_count(0)


def test_the_heat_map_is_made_when_somebody_looks_at_it_and_once(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, made = [], Later.heat

    def counted(self: Later, given: object) -> object:
        asked.append(given)
        return made(self, given)  # type: ignore[arg-type]

    monkeypatch.setattr(Later, "heat", counted)
    expect(page.locator(".legend")).to_be_hidden()
    assert not asked
    page.get_by_label("Heat map", exact=True).fill("60")
    expect(page.locator(".legend")).to_contain_text("The scale is the same for every film", timeout=WAIT)
    expect(page.locator(".legend .heat-scale")).to_be_visible()
    page.get_by_label("Heat map", exact=True).fill("0")
    expect(page.locator(".legend")).to_be_hidden()
    page.locator(".viewer canvas").press("h")
    expect(page.locator(".legend")).to_be_visible()
    expect(page.locator(".viewer")).to_have_attribute("data-heat", "100")
    assert len(asked) == 1


def test_stability_is_told_on_a_click(page: Page) -> None:
    expect(page.locator("#stability")).to_be_empty()
    page.get_by_role("button", name="Is the answer stable?").click()
    expect(page.locator("#stability .stability")).to_be_visible(timeout=WAIT)
    expect(page.locator("#stability tbody tr")).to_have_count(4)


@pytest.mark.parametrize(
    ("button", "name", "holds"),
    [
        ("JSON", "wrist.json", lambda path: json.loads(path.read_text())["source"] == "wrist.png"),
        ("Picture with frames and heat map (PNG)", "wrist-overlay.png", lambda path: Image.open(path).width > VIEW_SIDE),
        ("One-page report (HTML)", "wrist-report.html", lambda path: "wrist.png" in path.read_text() and "<script" not in path.read_text()),
    ],
)
def test_the_result_can_be_taken_along(page: Page, tmp_path: Path, button: str, name: str, holds: Callable[[Path], bool]) -> None:
    with page.expect_download(timeout=WAIT) as download:
        page.get_by_role("button", name=button, exact=True).click()
    assert download.value.suggested_filename == name
    download.value.save_as(tmp_path / name)
    assert holds(tmp_path / name)
    expect(page.locator(".take .made")).to_have_text(f"Saved: {name}")


def test_the_report_of_one_film_is_one_page_of_paper(page: Page, browser: Browser, tmp_path: Path) -> None:
    with page.expect_download(timeout=WAIT) as download:
        page.get_by_role("button", name="One-page report (HTML)").click()
    download.value.save_as(tmp_path / "report.html")
    printed = browser.new_page()
    printed.goto((tmp_path / "report.html").as_uri())
    pages = re.findall(rb"/Type\s*/Page\b", printed.pdf(format="A4"))
    printed.close()
    assert len(pages) == 1


def test_the_camera_takes_a_picture_and_is_off_afterwards(page: Page) -> None:
    page.evaluate(
        """() => {
            const canvas = document.createElement("canvas");
            canvas.width = 160;
            canvas.height = 120;
            const context = canvas.getContext("2d");
            setInterval(() => { context.fillStyle = "#777"; context.fillRect(0, 0, 160, 120); context.fillStyle = "#eee";
                context.fillRect(60 + Math.random() * 4, 10, 30, 100); }, 30);
            navigator.mediaDevices.getUserMedia = async () => (window.stream = canvas.captureStream(30));
        }"""
    )
    page.get_by_role("button", name="Remove all").click()
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_role("dialog", name="Camera")).to_be_visible()
    page.wait_for_function("document.querySelector('dialog.camera video').videoWidth === 160", timeout=WAIT)
    page.get_by_role("button", name="Take the picture").click()
    expect_answer(page, "camera.png")
    expect(page.locator(".viewer")).to_have_attribute("data-pixels", "160 120")
    assert page.evaluate("window.stream.getTracks().every((track) => track.readyState === 'ended')")
    send_files(page, "drop", {"wrist.png": png(grey(*LARGE))})
    expect_answer(page, "wrist.png")


def test_a_film_that_has_left_the_server_is_asked_for_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    send_files(page, "drop", {"gone.png": png(grey())})
    expect_answer(page, "gone.png")
    monkeypatch.setattr(Later, "_opened", lambda self, token: self._kept.get("no such token"))
    page.get_by_label("Heat map", exact=True).fill("50")
    expect(page.locator("#not-read")).to_have_text(load_words()("classify.gone"), timeout=WAIT)
    expect(page.locator(".verdict")).to_have_attribute("data-state", "ok")
    send_files(page, "drop", {"wrist.png": png(grey(*LARGE))})
    expect_answer(page, "wrist.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_serious_keeps_anybody_away(page: Page, scheme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 860})
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
    page.locator(".technical summary").first.click()
    page.get_by_label("Heat map", exact=True).fill("40")
    expect(page.locator(".legend")).to_be_visible(timeout=WAIT)
    found = grave_findings(page, without=OF_GRADIO)
    page.locator(".technical summary").first.click()
    page.evaluate("document.body.classList.remove('dark')")
    page.set_viewport_size({"width": 1280, "height": 860})
    assert not found, "\n".join(found)


def test_every_control_is_reached_by_tab_and_named(page: Page) -> None:
    page.locator(".viewer canvas").focus()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("[document.activeElement.dataset?.act, document.activeElement.dataset?.range]"))
    names = {one for pair in reached for one in pair if one}
    assert {"zoom-in", "invert", "full", "window", "level", "heat", "stability", "take-json", "take-report", "clear"} <= names


def test_frames_can_be_taken_off_the_film(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = classify_tab.answered

    def with_a_box(*given: Any) -> dict[str, Any]:
        shown = answered(*given)
        shown["films"][0]["boxes"] = [{"cx": 0.5, "cy": 0.5, "w": 0.4, "h": 0.4, "score": 0.42}]
        return shown

    expect(page.get_by_role("button", name="Frames", exact=True)).to_be_disabled()
    monkeypatch.setattr(classify_tab, "answered", with_a_box)
    send_files(page, "drop", {"framed.png": png(grey())})
    expect_answer(page, "framed.png")
    canvas = page.locator(".viewer canvas")
    framed = canvas.evaluate(GREY)
    page.get_by_role("button", name="Frames", exact=True).click()
    expect(page.get_by_role("button", name="Frames", exact=True)).to_have_attribute("aria-pressed", "false")
    bare = canvas.evaluate(GREY)
    changed = [at for at, (one, other) in enumerate(zip(framed, bare, strict=True)) if one != other]
    assert changed and {framed[at] for at in changed} & {255}, "white lines across the middle, and the film below them"
    monkeypatch.undo()
    send_files(page, "drop", {"wrist.png": png(grey(*LARGE))})
    expect_answer(page, "wrist.png")


def test_axe_would_find_a_button_without_a_name(page: Page) -> None:
    page.evaluate("document.querySelector('.tools').append(document.createElement('button'))")
    found = grave_findings(page, without=[*OF_GRADIO, ".bones-answer", ".bones-examples"])
    page.evaluate("document.querySelector('.tools').lastChild.remove()")
    assert len(found) == 1 and "button-name" in found[0]


def test_card_and_data_of_the_model_are_a_click_away_and_the_film_stays(page: Page) -> None:
    for link, tab in (("Card", "page.tab_model"), ("Data", "page.tab_data")):
        page.get_by_role("link", name=link, exact=True).click()
        expect(page.get_by_role("tab", name=load_words()(tab), exact=True)).to_have_attribute("aria-selected", "true")
        page.get_by_role("tab", name=load_words()("page.tab_classify"), exact=True).click()
    expect(page.locator(".viewer")).to_have_attribute("data-film", "wrist.png")
    expect(page.locator(".verdict")).to_have_attribute("data-state", "ok")


def test_the_page_in_german_has_no_english_left(browser: Browser, checkpoint: Path) -> None:
    demo = build_demo(checkpoint, language="de")
    try:
        with opened(browser, serve(demo, wait=False)) as page:
            on_demo(page)
            send_files(page, "drop", {"hand.png": png(grey()), "text.png": b"no film"})
            expect(page.locator(".bones-classify")).to_have_attribute("data-state", "ok", timeout=WAIT)
            expect(page.locator("#verdict")).to_contain_text("Alle 2 Aufnahmen zusammen")
            expect(page.locator("#verdict")).to_contain_text("Nicht in die Antwort eingegangen: text.png")
            expect(page.locator("#about")).to_contain_text("Wahrscheinlichkeiten kalibriert", timeout=WAIT)
            page.get_by_role("button", name="Ist die Antwort stabil?").click()
            expect(page.locator("#stability")).to_contain_text("gespiegelt", timeout=WAIT)
            page.get_by_label("Wärmebild", exact=True).fill("50")
            expect(page.locator(".legend")).to_contain_text("Die Skala ist bei jedem Bild dieselbe", timeout=WAIT)
            english = {text for key, text in load_words("en").texts.items() if text != load_words("de").texts[key] and len(text) > 6}
            visible = {line.strip() for line in page.locator(".gradio-container").inner_text().splitlines()}
            assert not english & visible
    finally:
        demo.close(verbose=False)
