"""The tabs beside Classify in headless Chromium, on one server with two tiny models. Run: pytest tests/app/demo/test_tabs_browser.py"""

from __future__ import annotations

import base64
import csv
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe import grave_findings
from chromium import WAIT, opened
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from small_demo import save_checkpoint
from tiny import grey, png, telling_checkpoint

from hf_bones.app.demo.models.batching import Judged, Served
from hf_bones.app.demo.page import build_demo, serve
from hf_bones.app.demo.wording import load_words
from hf_bones.app.serving import serving
from hf_bones.curation.duplicates.film_code import film_codes
from hf_bones.curation.duplicates.seen_films import SEEN_FILE, seen_films, write_seen_films
from hf_bones.inference.checkpoint import find_folder
from hf_bones.record import sha256_rows

pytestmark = pytest.mark.browser
OF_GRADIO = ["footer", ".tab-container", ".tab-wrapper", "#models", "#compare-first", "#compare-second"]
KNOWN = np.asarray(grey(seed=77))


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def address(browser: Browser, tmp_path_factory: pytest.TempPathFactory, uploads: Path) -> Iterator[str]:
    """Two models: `one` with all that the bundled one ships and a list of one film, `two` bare."""
    folder = tmp_path_factory.mktemp("models")
    save_checkpoint(folder / "one")
    telling_checkpoint(folder / "two", seed=7)
    for name in ("README.md", "metrics.json", "record.json", "reliability.png"):
        shutil.copy(find_folder("bundled") / name, folder / "one" / name)
    write_seen_films(seen_films([sha256_rows([["known"]])], [False], [film_codes(KNOWN)]), folder / "one" / SEEN_FILE)
    patch = pytest.MonkeyPatch()
    patch.setenv("GRADIO_TEMP_DIR", str(uploads))
    with serving():
        demo = build_demo(folder / "one", folder / "two")
        yield serve(demo, wait=False)
        demo.close(verbose=False)
    patch.undo()


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    """One page for all: each test gives it films of its own."""
    with opened(browser, address) as page:
        expect(page.locator("#model-state")).to_contain_text("ready", timeout=WAIT)
        yield page


def open_tab(page: Page, name: str) -> None:
    """Opens a tab by its key; on a phone gradio keeps most of them in a menu."""
    label = load_words("en")(f"page.tab_{name}")
    tab = page.get_by_role("tab", name=label, exact=True)
    if tab.count() == 0 or not tab.first.is_visible():
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=label).last.click()
    else:
        tab.first.click()
    expect(page.locator(f".bones-{name}")).to_be_visible(timeout=WAIT)


def choose_model(page: Page, name: str) -> None:
    page.locator("#model input").click()
    page.get_by_role("option", name=name).click()


def give(page: Page, name: str, *paths: Path) -> None:
    page.locator(f"#drop-{name} input[type=file]").first.set_input_files([str(path) for path in paths])


def shown_files(page: Page) -> list[str]:
    """The files of the rows that can be seen, in their order."""
    return page.locator("#batch-table tbody tr:not([hidden]) th").all_inner_texts()


def write_films(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"film {number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(png(grey(40, 48, seed=number)))
    return paths


def test_three_hundred_films_of_a_zip_become_a_table_that_is_sorted_filtered_and_taken_along(page: Page, tmp_path: Path) -> None:
    bad = {5, 50, 200}
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        for number in range(300):
            archive.writestr(f"study/{number:03}.png", b"no image" if number in bad else png(grey(40, 48, seed=number)))
        archive.writestr("bomb.png", bytes(4 * 2**20), zipfile.ZIP_DEFLATED)
    open_tab(page, "batch")
    give(page, "batch", tmp_path / "films.zip")
    progress = page.locator("#batch-progress .films-progress")
    expect(progress).to_have_attribute("data-state", "done", timeout=WAIT)
    expect(progress).to_contain_text("300 films read with one.")
    expect(page.locator("#batch-left-out")).to_contain_text("films.zip/bomb.png: It would unpack to hundreds of times its size")
    names = [f"films.zip/study/{number:03}.png" for number in range(300)]
    assert shown_files(page) == names
    assert page.locator("#batch-table tbody img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 48
    # Sorted by a probability: the highest first, then the lowest; rows without one at the end.
    share = page.get_by_role("button", name="Fractured", exact=True)
    for order in ("descending", "ascending"):
        share.click()
        expect(page.locator("th[data-key=p1]")).to_have_attribute("aria-sort", order)
        values = page.locator("#batch-table tbody tr").evaluate_all("rows => rows.map((row) => row.dataset.p1)")
        assert values[-3:] == ["", "", ""] and values[:-3] == sorted(values[:-3], key=float, reverse=order == "descending")
    page.get_by_role("group", name="Show only").get_by_role("button", name="Unreadable 3").click()
    assert sorted(shown_files(page)) == [names[number] for number in sorted(bad)]
    expect(page.locator(".films-shown")).to_have_text("3 of 300 shown")
    expect(page.locator("#batch-table tbody tr:not([hidden]) .why").first).to_contain_text("This is not an image.")
    page.get_by_label("Name holds").fill("200")
    assert shown_files(page) == [names[200]]
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Table as CSV").click()
    with Path(downloading.value.path()).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == names and {row["checkpoint"] for row in rows} == {"one"}
    assert [row["verdict"] == "unreadable" for row in rows] == [number in bad for number in range(300)]


def test_files_and_a_zip_of_their_heat_maps(page: Page, tmp_path: Path, uploads: Path) -> None:
    films = write_films(tmp_path, 3)
    (tmp_path / "notes.txt").write_text("no film", encoding="utf-8")
    open_tab(page, "batch")
    give(page, "batch", *films, tmp_path / "notes.txt")
    expect(page.locator("#batch-progress")).to_contain_text("4 films read with one.", timeout=WAIT)
    assert shown_files(page) == [*(film.name for film in films), "notes.txt"]
    page.get_by_role("button", name="Make a zip of heat maps").click()
    with page.expect_download(timeout=WAIT) as downloading:
        page.get_by_text("Download the zip").click()
    with zipfile.ZipFile(downloading.value.path()) as archive:
        assert archive.namelist() == ["findings.csv", *(f"{film.name}.jpg" for film in films)]
    assert not list(uploads.rglob("findings*")), "the table is in the page, not on the server"


def test_a_folder_is_dropped_with_all_that_is_in_it(page: Page, tmp_path: Path) -> None:
    for place in ("left", "right"):
        (tmp_path / "case" / place).mkdir(parents=True)
        (tmp_path / "case" / place / "1.png").write_bytes(png(grey(40, 48)))
    (tmp_path / "case" / ".hidden.png").write_bytes(png(grey(40, 48)))
    open_tab(page, "batch")
    page.locator("#drop-batch input[webkitdirectory]").set_input_files(tmp_path / "case")
    expect(page.locator("#batch-progress")).to_contain_text("2 films read with one.", timeout=WAIT)
    assert sorted(shown_files(page)) == ["case/left/1.png", "case/right/1.png"]


def test_a_batch_is_stopped_and_the_next_one_begins_anew(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, begun = threading.Semaphore(0), threading.Semaphore(0)
    predict = Served.predict

    def slowly(served: Served, source: Any, name: str, **options: Any) -> Judged:
        begun.release()
        assert go_on.acquire(timeout=WAIT / 1000)
        return predict(served, source, name, **options)

    monkeypatch.setattr(Served, "predict", slowly)
    open_tab(page, "batch")
    give(page, "batch", *write_films(tmp_path, 40))
    assert begun.acquire(timeout=WAIT / 1000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Stop")).to_be_disabled(timeout=WAIT)
    go_on.release(40)
    progress = page.locator("#batch-progress .films-progress")
    expect(progress).to_have_attribute("data-state", "stopped", timeout=WAIT)
    expect(progress).to_contain_text("of 40 films read")
    assert 0 < len(shown_files(page)) < 40
    go_on.release(40)
    give(page, "batch", tmp_path / "film 7.png")
    expect(progress).to_contain_text("1 films read", timeout=WAIT)
    assert shown_files(page) == ["film 7.png"]


def test_a_page_that_closes_takes_its_batch_with_it(
    browser: Browser, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Semaphore(0), []
    predict = Served.predict

    def slowly(served: Served, source: Any, name: str, **options: Any) -> Judged:
        begun.append(name)
        assert go_on.acquire(timeout=WAIT / 1000)
        return predict(served, source, name, **options)

    monkeypatch.setattr(Served, "predict", slowly)
    with opened(browser, address) as page:
        expect(page.locator("#model-state")).to_contain_text("ready", timeout=WAIT)
        open_tab(page, "batch")
        give(page, "batch", *write_films(tmp_path, 60))
        expect(page.locator("#batch-progress .films-progress")).to_be_visible(timeout=WAIT)
    while any(thread.name.startswith("batch") for thread in threading.enumerate()):  # a film now and then, until the server has noticed
        go_on.release()
        threading.Event().wait(0.05)
    assert len(begun) < 60


def test_a_film_is_dropped_on_two_models(page: Page) -> None:
    open_tab(page, "compare")
    page.evaluate(
        """(content) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0)), data = new DataTransfer();
            data.items.add(new File([bytes], "wrist.dcm"));
            const options = { bubbles: true, cancelable: true, dataTransfer: data };
            document.querySelector("#drop-compare").dispatchEvent(new DragEvent("drop", options));
        }""",
        base64.b64encode(png(grey(seed=5))).decode(),
    )
    sides = page.locator(".compared article")
    expect(sides).to_have_count(2, timeout=WAIT)
    assert sides.locator("h3").all_inner_texts() == ["one", "two"]
    expect(page.locator(".compared figcaption")).to_have_text("wrist.dcm, as the models see it")
    assert sides.nth(1).locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 70
    # The same model on both sides cannot differ.
    page.get_by_label("Second model").click()
    page.get_by_role("option", name="one").click()
    expect(sides.nth(1).locator("h3")).to_have_text("one", timeout=WAIT)
    expect(page.locator(".compare-agree")).to_have_text("Both say the same.")


def test_the_data_of_the_chosen_model_and_whether_a_film_was_among_them(page: Page, tmp_path: Path) -> None:
    known = tmp_path / "turned.png"
    known.write_bytes(png(Image.fromarray(np.rot90(KNOWN).copy())))
    open_tab(page, "data")
    expect(page.locator("#data-facts")).to_contain_text("fracatlas", timeout=WAIT)
    expect(page.locator("#data-sheet img")).to_have_count(6)
    give(page, "data", known)
    expect(page.locator(".seen")).to_have_attribute("data-match", "picture", timeout=WAIT)
    expect(page.locator(".seen")).to_contain_text("learnt from it")
    choose_model(page, "two")
    expect(page.locator("#data-facts")).to_contain_text("two came without a record", timeout=WAIT)
    expect(page.locator(".seen")).to_have_count(0)
    give(page, "data", known)
    expect(page.locator(".seen")).to_have_attribute("data-match", "no_list", timeout=WAIT)
    choose_model(page, "one")
    expect(page.locator("#data-facts")).to_contain_text("fracatlas", timeout=WAIT)


def test_the_figures_and_the_card_of_the_chosen_model(page: Page) -> None:
    open_tab(page, "model")
    facts = page.locator("#model-facts")
    expect(facts).to_contain_text("Measured on 667 films", timeout=WAIT)
    assert facts.get_by_alt_text("Reliability").evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    expect(facts.get_by_text("It is not a radiological term").first).to_be_hidden()
    facts.get_by_text("Card", exact=True).click()
    expect(facts.get_by_text("It is not a radiological term").first).to_be_visible()


def test_each_tab_is_fit_for_everybody(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no film", encoding="utf-8")
    films = [*write_films(tmp_path, 2), tmp_path / "notes.txt"]
    there = {"batch": "tr[data-verdict=unreadable]", "compare": ".compared article", "data": ".seen", "model": ".confusion"}
    page.add_style_tag(content="* { transition: none !important; }")  # colours on their way from light to dark are nobody's
    found = []
    for name, result in there.items():
        open_tab(page, name)
        if name == "batch":
            give(page, name, *films)
        elif name == "compare":
            page.get_by_role("button", name="Try a drawn film").click()
        elif name == "data":
            give(page, name, films[0])
        expect(page.locator(f".bones-{name}").locator(result).first).to_be_visible(timeout=WAIT)
        for look in ("light", "dark") if name == "model" else ("light",):
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", look == "dark")
            found += [f"{name}, {look}: {one}" for one in grave_findings(page, without=OF_GRADIO)]
        page.evaluate("document.body.classList.remove('dark')")
    assert not found, "\n".join(found)
    tabs = page.get_by_role("tab").all_inner_texts()
    assert tabs == [load_words("en")(f"page.tab_{name}") for name in ("classify", *there)]
    page.set_viewport_size({"width": 390, "height": 844})
    for name in there:
        open_tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
