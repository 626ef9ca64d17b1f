"""A batch of films: rows, table, CSV and the zip of heat maps. Run: pytest tests/app/demo/test_batch_rows.py"""

from __future__ import annotations

import csv
import io
import threading
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from tiny import grey, png

from hf_bones.app.demo.batch.films import Film, gather
from hf_bones.app.demo.batch.overlays import write_overlays
from hf_bones.app.demo.batch.rows import AT_ONCE, Row, classify
from hf_bones.app.demo.batch.table import csv_text, head_html, left_out_html, row_html
from hf_bones.app.demo.models.batching import Judged, Served
from hf_bones.app.demo.wording import load_words
from hf_bones.images.opening import open_image
from hf_bones.inference.finding import Finding, csv_columns
from hf_bones.inference.heat import BAR_ROOM
from hf_bones.inference.predictor import BonePredictor

WORDS = load_words("en")


@pytest.fixture(scope="module")
def served(predictor: BonePredictor) -> Served:
    return Served(predictor, open_image)


@pytest.fixture
def films(tmp_path: Path) -> tuple[Film, ...]:
    """Ten films, a file that is none among them as the fourth, and the last two in a zip."""
    uploads = []
    for number in range(8):
        path = tmp_path / f"{number}"
        path.write_bytes(b"no image" if number == 3 else png(grey(seed=number)))
        uploads.append((path, f"film {number}.png"))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for number in (8, 9):
            archive.writestr(f"in/{number}.png", png(grey(seed=number)))
    return gather([*uploads, (tmp_path / "two.zip", "two.zip")]).films


def rows_of(films: tuple[Film, ...], served: Served) -> list[Row]:
    return list(classify(films, served.predict, threading.Event()))


def test_each_film_gets_its_own_answer_in_the_order_of_the_films(films: tuple[Film, ...], served: Served) -> None:
    rows = rows_of(films, served)
    assert [row.number for row in rows] == list(range(1, 11))
    for row, film in zip(rows, films, strict=True):
        assert row.finding is not None and row.finding.source == film.name
        if row.number == 4:
            assert row.verdict == "unreadable" and row.finding.reasons[0] == "not_an_image" and not row.thumbnail
            continue
        (expected,) = served.predictor.predict(grey(seed=row.number - 1))
        assert row.finding.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
        assert row.thumbnail.startswith("data:image/jpeg;base64,")


def test_a_film_that_cannot_be_had_is_a_row_with_its_reason(films: tuple[Film, ...], served: Served) -> None:
    films[0].path.unlink()
    films[8].path.write_bytes(films[8].path.read_bytes().replace(b"IDAT", b"XXXX"))  # its checksum no longer holds
    rows = rows_of(films, served)
    assert [(row.number, row.problem) for row in rows if row.problem] == [(1, "gone"), (9, "damaged_entry"), (10, "damaged_entry")]
    assert "no longer on the server" in row_html(rows[0], served.predictor.names, WORDS)


def test_no_film_is_begun_after_a_stop(films: tuple[Film, ...]) -> None:
    stop, begun = threading.Event(), []

    def predict(source: Path | bytes, name: str) -> Judged:
        begun.append(name)
        return Judged(Finding(name, "healthy", "model"))

    many = films[:1] * 100
    rows = classify(many, predict, stop)
    first = next(rows)
    stop.set()
    rest = list(rows)
    assert first.number == 1 and len(rest) + 1 == len(begun) <= 1 + 2 * AT_ONCE


def test_nothing_goes_on_for_a_page_that_has_gone(films: tuple[Film, ...]) -> None:
    begun = []

    def predict(source: Path | bytes, name: str) -> Judged:
        begun.append(name)
        time.sleep(0.02)
        return Judged(Finding(name, "healthy", "model"))

    rows = classify(films[:1] * 100, predict, threading.Event())
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    count = len(begun)
    time.sleep(0.1)
    assert len(begun) == count <= 2 * AT_ONCE


def test_an_error_of_the_model_reaches_whoever_asked(films: tuple[Film, ...]) -> None:
    def predict(source: Path | bytes, name: str) -> Judged:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(classify(films, predict, threading.Event()))


def test_the_csv_is_that_of_hf_bones_predict(films: tuple[Film, ...], served: Served) -> None:
    rows, names = rows_of(films, served), served.predictor.names
    rows.append(Row(11, Film("=cmd()", films[0].path), None, problem="gone"))
    table = list(csv.DictReader(io.StringIO(csv_text(rows, names, "sha256:0"))))
    assert list(table[0]) == csv_columns(names) and len(table) == 11
    assert float(table[0]["p_healthy"]) == pytest.approx(rows[0].finding.probabilities["healthy"], abs=1e-6)  # type: ignore[union-attr]
    assert table[3]["verdict"] == "unreadable" and "not_an_image" in table[3]["reasons"] and table[3]["p_healthy"] == ""
    assert table[10]["file"] == "'=cmd()", "no cell is a formula"
    assert {row["checkpoint"] for row in table[:10]} == {"my-model"} and {row["revision"] for row in table} == {"sha256:0"}


def test_a_name_never_becomes_markup(films: tuple[Film, ...]) -> None:
    name = '"><img src=x onerror=alert(1)>'
    row = Row(1, Film(name, films[0].path), Finding(name, "refer", "m", prediction_set=("healthy", "fractured")))
    html = row_html(row, ("healthy",), WORDS) + left_out_html([(name, "locked")], WORDS)
    assert "<img" not in html and "Possible for the model: Healthy, Fractured." in html and "password" in html
    assert left_out_html([], WORDS) == ""
    assert "Beyond repair" in head_html(("beyond_repair",), WORDS) and "odd class" in head_html(("odd_class",), WORDS).lower()


def test_every_reason_has_its_words() -> None:
    reasons = "too_many_entries unpacks_to_too_much packed_too_well entry_too_large damaged damaged_entry packed_otherwise locked link"
    for reason in (*reasons.split(), "empty", "too_many_films", "gone"):
        assert left_out_html([("film", reason)], WORDS)


def test_the_zip_holds_a_heat_map_of_each_readable_film(films: tuple[Film, ...], served: Served, tmp_path: Path) -> None:
    rows = rows_of(films, served)
    rows.append(Row(11, rows[0].film, rows[0].finding))  # the same name again
    films[1].path.unlink()
    target = tmp_path / "heat.zip"
    assert list(write_overlays(rows, served, "file\n", target, threading.Event())) == list(range(1, 12))
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        assert archive.read("findings.csv") == b"file\n" and archive.read("not_here.txt") == b"film 1.png\n"
        assert "film 0.png.jpg" in names and "film 0.png-2.jpg" in names and "two.zip/in/9.png.jpg" in names
        assert len(names) == 2 + 9 and not any("film 3" in name or "film 1." in name for name in names)
        picture = Image.open(io.BytesIO(archive.read("film 0.png.jpg")))
    assert picture.mode == "RGB" and picture.width == grey().width + BAR_ROOM


def test_a_stopped_zip_holds_what_was_made(films: tuple[Film, ...], served: Served, tmp_path: Path) -> None:
    stop, target = threading.Event(), tmp_path / "heat.zip"
    making = write_overlays(rows_of(films, served), served, "", target, stop)
    assert next(making) == 1
    stop.set()
    assert not list(making)
    assert zipfile.ZipFile(target).namelist() == ["findings.csv", "film 0.png.jpg"]
