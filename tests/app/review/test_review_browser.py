"""The review page in headless Chromium: `python -m pytest tests/app/review/test_review_browser.py`.

Needs `chromium` on the path and says so where it is missing; with HF_BONES_REQUIRE_BROWSER=1 that is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import opened
from playwright.sync_api import Browser, Page, expect
from review_page import current, decisions, expect_saved
from small_review import TWO_PAGES

from hf_bones.app.review.page import build_review, serve_review
from hf_bones.app.review.session import Review
from hf_bones.dataset.subject import open_subject
from hf_bones.labels import THREE_CLASS

pytestmark = pytest.mark.browser


@pytest.fixture
def address(browser: Browser, folder: Path) -> Iterator[str]:
    with open_subject(folder) as subject:
        review = Review(subject, THREE_CLASS)
        page = build_review(review)
        yield serve_review(page, review)
        page.close(verbose=False)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address) as page:
        page.wait_for_selector(".review[data-ready]")
        page.locator(".reviewer").fill("ada")
        page.locator(".reviewer").press("Enter")
        expect(page.locator(".said").first).to_have_text("Decisions are signed ada.")
        page.locator(".reviewer").blur()
        yield page


def expect_total(page: Page, count: int) -> None:
    expect(page.locator(".total")).to_have_text(f"{count} of {TWO_PAGES} images")


def open_large(page: Page) -> str:
    page.locator(".gallery .card.current").click()
    page.wait_for_selector(".stage[data-ready]")
    return page.locator(".stage").get_attribute("data-ready") or ""


def test_filters_narrow_the_gallery_with_counts_beside_them(page: Page) -> None:
    expect_total(page, TWO_PAGES)
    expect(page.locator(".gallery .card")).to_have_count(60)
    label = page.locator("[data-facet=label]")
    expect(label.locator("label", has_text="Fractured").locator(".count")).to_have_text("23")
    label.get_by_label("Fractured").check()
    expect_total(page, 23)
    expect(page.locator("[data-facet=checks] label", has_text="Blurry").locator(".count")).to_have_text("6")
    page.locator("[data-facet=checks] summary").click()
    page.locator("[data-facet=checks]").get_by_label("Blurry").check()
    expect_total(page, 6)
    assert all(page.locator(".gallery img").evaluate_all("all => Promise.all(all.map(i => i.decode().then(() => i.naturalWidth > 0)))"))
    page.get_by_role("button", name="Clear").click()
    expect_total(page, TWO_PAGES)
    page.get_by_label("Search", exact=True).fill("film 33")
    expect_total(page, 1)


def test_pages_turn_and_arrows_walk_over_their_ends(page: Page) -> None:
    page.keyboard.press("End")
    last = current(page)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".page")).to_have_text("2 of 2")
    expect(page.locator(".gallery .card")).to_have_count(10)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".page")).to_have_text("1 of 2")
    assert current(page) == last
    page.keyboard.press("n")
    expect(page.locator(".page")).to_have_text("2 of 2")


def test_decisions_by_key_are_signed_and_shown_and_taken_back(page: Page, folder: Path) -> None:
    first = current(page)
    page.locator(".reason").first.fill("poor quality")
    page.keyboard.press("d")  # typed into the box: no decision
    assert decisions(folder) == []
    page.locator(".reason").first.fill("poor quality")
    page.locator(".reason").first.press("Escape")
    page.keyboard.press("d")
    expect_saved(page, f"Saved: {first[:8]} dropped (poor quality), by ada.")
    expect(page.locator(f".card[data-sha='{first}'] .gone")).to_have_text("poor quality")
    page.keyboard.press("ArrowRight")
    second = current(page)
    page.keyboard.press("3")
    expect_saved(page, f"{second[:8]} is beyond repair")
    page.keyboard.press("u")
    expect_saved(page, f"Taken back: {second[:8]} is beyond repair")
    page.keyboard.press("u")
    expect_saved(page, f"Taken back: {first[:8]} dropped")
    expect(page.locator(f".card[data-sha='{first}'] .gone")).to_have_count(0)
    log = [(d.sha256, d.decision, d.decided_by) for d in decisions(folder)]
    assert log == [(first, "drop", "ada"), (second, "relabel", "ada"), (second, "undo", "ada"), (first, "undo", "ada")]


def test_buttons_do_what_keys_do(page: Page, folder: Path) -> None:
    bar = page.locator(".actions").first
    bar.get_by_role("button", name="Drop").click()
    expect_saved(page, "dropped (not of use)")
    bar.get_by_role("button", name="Restore").click()
    expect_saved(page, "restored")
    bar.get_by_label("Give a subtype").select_option("fractured|oblique")
    expect_saved(page, "is fractured, oblique")
    assert [(d.decision, d.label, d.subtype) for d in decisions(folder)] == [
        ("drop", "", ""),
        ("keep", "", ""),
        ("relabel", "fractured", "oblique"),
    ]


def test_no_decision_without_a_name(browser: Browser, address: str, folder: Path) -> None:
    with opened(browser, address) as page:
        page.wait_for_selector(".review[data-ready]")
        page.keyboard.press("d")
        expect(page.locator(".said").first).to_contain_text("First give your name")
        expect(page.locator(".reviewer")).to_be_focused()
    assert decisions(folder) == []


def test_the_large_view_goes_on_after_a_decision_and_over_the_end_of_the_page(page: Page, folder: Path) -> None:
    page.keyboard.press("End")
    first = open_large(page)
    expect(page.locator(".at")).to_have_text(f"60 of {TWO_PAGES}")
    expect(page.locator(".panel")).to_contain_text("broken bone")
    page.keyboard.press("2")
    expect(page.locator(".at")).to_have_text(f"61 of {TWO_PAGES}")
    page.wait_for_function("(first) => (document.querySelector('.stage').dataset.ready || first) !== first", arg=first)
    page.keyboard.press("Escape")
    expect(page.locator("dialog.large")).to_be_hidden()
    expect(page.locator(".page")).to_have_text("2 of 2")
    assert [(d.sha256, d.label) for d in decisions(folder)] == [(first, "fractured")]


def test_near_duplicates_stand_side_by_side_and_boxes_and_zoom_are_there(page: Page) -> None:
    page.locator("[data-facet=copies]").get_by_label("Labels contradict").check()
    expect_total(page, 2)
    page.keyboard.press("Enter")
    page.wait_for_selector(".stage[data-ready]")
    expect(page.locator(".panel")).to_contain_text("Labels contradict")
    page.keyboard.press("c")
    expect(page.locator("figure.second")).to_be_visible()
    page.wait_for_function("document.querySelector('figure.second img').naturalWidth > 0")
    sources = page.locator(".films img").evaluate_all("all => all.map((image) => image.src)")
    assert len(set(sources)) == 2
    if page.locator("[data-act=boxes]").is_hidden():
        page.keyboard.press("ArrowRight")  # the other copy is the one with a box
        expect(page.locator("[data-act=boxes]")).to_be_visible()
    page.keyboard.press("b")
    expect(page.locator(".boxes i")).to_be_visible()
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.wait_for_function("document.querySelector('figure.first img').src.endsWith('full=1')")
    assert "scale(2.25)" in (page.locator("figure.first .film").get_attribute("style") or "")


def test_buttons_step_through_films_and_keys_change_window_level_and_inversion(page: Page) -> None:
    first = open_large(page)
    page.get_by_role("button", name="Next image").click()
    expect(page.locator(".at")).to_have_text(f"2 of {TWO_PAGES}")
    page.get_by_role("button", name="Previous image").click()
    expect(page.locator(".stage")).to_have_attribute("data-ready", first)
    film = page.locator("figure.first .film img")
    assert film.evaluate("image => getComputedStyle(image).filter") == "none"
    for key in ("w", "w", "W", "l", "i"):
        page.keyboard.press(key)
    expect(page.locator(".review")).to_have_attribute("data-windowed", "95 45 inverted")
    assert "grey-values" in film.evaluate("image => getComputedStyle(image).filter")
    slope, intercept = (float(page.locator("#grey-values feFuncR").get_attribute(name) or 0) for name in ("slope", "intercept"))
    assert slope == pytest.approx(-1 / 0.95) and slope * 0.45 + intercept == pytest.approx(0.5), "the level is shown as middle grey"
    page.get_by_label("Level").fill("70")
    expect(page.locator(".review")).to_have_attribute("data-windowed", "95 70 inverted")
    page.get_by_role("button", name="As it is").click()
    assert film.evaluate("image => getComputedStyle(image).filter") == "none"


def test_a_phone_shows_the_gallery_and_unfolds_the_filters(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shown = page.locator(".gallery .card").evaluate_all(
        "all => all.filter((one) => one.getBoundingClientRect().bottom < innerHeight).length"
    )
    assert shown >= 9
    expect(page.locator(".filters")).to_be_hidden()
    page.get_by_role("button", name="Filters").click()
    expect(page.locator("[data-facet=label]").get_by_label("Healthy")).to_be_visible()


def test_reviewers_who_differ_are_adjudicated_in_the_panel(page: Page, folder: Path) -> None:
    page.keyboard.press("1")
    expect_saved(page, "is healthy")
    sha = current(page)
    page.locator(".reviewer").fill("bo")
    page.locator(".reviewer").press("Enter")
    page.locator(".reviewer").blur()
    page.keyboard.press("3")
    expect_saved(page, "Reviewers differ (ada: healthy, bo: beyond repair): it needs adjudication.")
    page.locator("[data-facet=decision]").get_by_label("Needs adjudication").check()
    expect_total(page, 1)
    assert open_large(page) == sha
    page.locator(".panel [data-act=adjudicate][data-label=fractured]").click()
    expect_saved(page, "adjudicated as fractured, by bo")
    assert [(d.label, d.decided_by, d.reason) for d in decisions(folder)][-1] == ("fractured", "bo", "adjudicated")


def test_a_second_reader_sees_no_labels_and_agreement_is_clicked_through(page: Page) -> None:
    for key in ("1", "2", "3"):
        sha = current(page)
        page.keyboard.press(key)
        expect_saved(page, sha[:8])
        page.keyboard.press("ArrowRight")
    page.locator(".reviewer").fill("bea")
    page.get_by_label("Hide labels and others' decisions").check()
    expect(page.locator("[data-facet=label]")).to_have_count(0)
    expect(page.locator(".gallery .card").first).to_contain_text("not read yet")
    assert "Healthy" not in page.locator(".gallery").inner_text()
    page.keyboard.press("Home")
    for _ in range(3):
        sha = current(page)
        page.keyboard.press("1")
        expect_saved(page, sha[:8])
        page.keyboard.press("ArrowRight")
    page.get_by_label("Hide labels and others' decisions").uncheck()
    expect(page.locator("[data-facet=label]")).to_have_count(1)
    page.get_by_role("button", name="Agreement").click()
    expect(page.locator(".agreement-body")).to_contain_text("1 of 3 images read alike")
    page.locator(".agreement-body .card").first.click()
    expect(page.locator(".at")).to_have_text("1 of 2")


def test_filters_and_name_are_kept_when_the_page_is_loaded_again(page: Page) -> None:
    page.locator("[data-facet=label]").get_by_label("Healthy").check()
    expect_total(page, 24)
    page.reload()
    page.wait_for_selector(".review[data-ready]")
    expect_total(page, 24)
    expect(page.locator(".reviewer")).to_have_value("ada")


def test_the_page_fits_a_small_laptop_and_the_contact_sheet_is_downloaded(page: Page) -> None:
    page.set_viewport_size({"width": 1024, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 1024
    with page.expect_download() as download:
        page.get_by_role("button", name="Contact sheet").click()
    assert download.value.suggested_filename == "contact-sheet.png"
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
