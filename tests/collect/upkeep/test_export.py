"""Exports: what every reader of Parquet or JSON Lines gets, and img2dataset's words.

Run: pytest tests/collect/upkeep/test_export.py
"""

import dataclasses
import json

import pyarrow.parquet as pq
import pytest
from small_collection import digest, jpeg, small_collection
from typer.testing import CliRunner

import hf_bones.collect.upkeep.export as export_module
from hf_bones.cli.main import app
from hf_bones.collect.upkeep.export import export_collection
from hf_bones.manifest.store import RECORD_COLUMNS, ImageRecord, open_manifest


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with path.open(newline="\n") as stream:
        return [json.loads(line) for line in stream]


@pytest.mark.parametrize("columns", ["hf_bones", "img2dataset"])
def test_both_kinds_of_file_hold_the_same_rows(tmp_path, columns):
    small_collection(tmp_path / "c")
    tables = []
    for suffix in (".parquet", ".jsonl"):
        export_collection(tmp_path / "c", tmp_path / f"e{suffix}", columns)
        tables.append(read(tmp_path / f"e{suffix}"))
    assert tables[0] == tables[1] and tables[0]
    if columns == "hf_bones":
        rows = {row["url"].rsplit("/", 1)[1]: row for row in tables[0]}
        assert len(rows) == 3 and rows["a.jpg"]["other_urls"] == ["http://127.0.0.1:9/a-copy.jpg"]
        assert rows["both.jpg"]["label_conflict"] == "fractured, healthy" and rows["d.jpg"]["view"] == "lateral"
    assert not list(tmp_path.glob(".e*"))


def test_a_row_holds_every_field_of_the_record(tmp_path):
    record = ImageRecord(
        "ab" * 32, "images/ab/x.jpg", 5, 3, 2, "JPEG", "http://h/1", title="T", boxes=((0.5, 0.5, 0.25, 0.125),), severity=0.25,
        hardware=False, synthetic=True, hashes={"p": "f0"}, split="test", patient="7",
    )  # fmt: skip
    with open_manifest(tmp_path / "c", create=True) as manifest:
        manifest.add_image(record)
        manifest.decide(record.sha256, "keep", "a wrist", "ada")
        record = manifest.image(record.sha256)
    export_collection(tmp_path / "c", tmp_path / "e.parquet")
    (row,) = read(tmp_path / "e.parquet")
    assert list(row)[: len(RECORD_COLUMNS)] == list(RECORD_COLUMNS)
    for name in RECORD_COLUMNS:
        value = getattr(record, name)
        if name == "votes":
            value = [dataclasses.asdict(vote) for vote in value]
            assert len(value) == 1
        assert row[name] == (json.dumps(value) if name == "hashes" else [list(box) for box in value] if name == "boxes" else value), name


def test_img2dataset_gets_its_own_words(tmp_path):
    small_collection(tmp_path / "c")
    command = ["collection", "export", str(tmp_path / "c"), "--columns", "img2dataset", "--out"]
    done = CliRunner().invoke(app, [*command, str(tmp_path / "e.parquet")])
    assert done.exit_code == 0, done.output
    theirs = ["url", "caption", "key", "status", "error_message", "width", "height", "original_width", "original_height", "exif", "sha256"]
    assert pq.read_table(tmp_path / "e.parquet").column_names[: len(theirs)] == theirs
    assert "must end in one of .parquet, .jsonl" in CliRunner().invoke(app, [*command, str(tmp_path / "e.xlsx")]).output
    rows = {row["url"].rsplit("/", 1)[1]: row for row in read(tmp_path / "e.parquet")}
    said = {name: (row["status"], row["error_message"]) for name, row in rows.items()}
    assert said == {
        "a.jpg": ("success", None),
        "a-copy.jpg": ("success", None),
        "both.jpg": ("success", None),
        "d.jpg": ("success", None),
        "no.jpg": ("failed_to_resize", "Image decoding error"),
        "gone.jpg": ("failed_to_download", "HTTP Error 404: Not Found"),
        "down.jpg": ("failed_to_download", "too_slow: not there within 90 s"),
        "secret.jpg": ("failed_to_download", "licence: unknown"),
    }
    assert rows["a.jpg"]["sha256"] == rows["a-copy.jpg"]["sha256"] == digest(jpeg(1)) and rows["no.jpg"]["sha256"] is None
    assert rows["a.jpg"]["caption"] == "A wrist\u2028of Ada's" and rows["a.jpg"]["width"] == rows["a.jpg"]["original_width"] == 48
    assert rows["gone.jpg"]["width"] is None and len({row["key"] for row in rows.values()}) == len(rows)
    assert rows["both.jpg"]["label_conflict"] == "fractured, healthy" and rows["d.jpg"]["provider"] == "commons"


def test_more_rows_than_are_held_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_BATCH", 10)
    with open_manifest(tmp_path / "c", create=True) as manifest:
        for number in range(35):
            manifest.add_image(ImageRecord(f"{number:064x}", f"images/{number}", 1))
    assert export_collection(tmp_path / "c", tmp_path / "e.parquet") == 35
    assert [row["sha256"] for row in read(tmp_path / "e.parquet")] == [f"{number:064x}" for number in range(35)]
    assert pq.ParquetFile(tmp_path / "e.parquet").num_row_groups >= 4


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_an_export_that_fails_leaves_the_earlier_one_and_nothing_else(tmp_path, monkeypatch, suffix):
    small_collection(tmp_path / "c")
    out = tmp_path / "out" / f"e{suffix}"
    export_collection(tmp_path / "c", out)
    before = out.read_bytes()

    def breaks(manifest):
        yield from []
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, "_our_rows", breaks)
    with pytest.raises(OSError, match="No space"):
        export_collection(tmp_path / "c", out)
    assert out.read_bytes() == before and list(out.parent.iterdir()) == [out]


def test_an_empty_collection_gives_a_table_with_columns(tmp_path):
    open_manifest(tmp_path / "c", create=True).connection.close()
    assert export_collection(tmp_path / "c", tmp_path / "e.parquet") == 0
    assert "label_conflict" in pq.read_table(tmp_path / "e.parquet").column_names
