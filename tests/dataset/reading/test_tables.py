"""Tables as spreadsheets and other people's programs write them. Run: pytest tests/dataset/reading/test_tables.py"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path

import datasets
import pytest
from small_films import encoded, picture

from hf_bones.dataset.build import BuildError, resolve_labels
from hf_bones.dataset.choices import BuildChoices, ReadingChoices
from hf_bones.dataset.command import build_command
from hf_bones.dataset.reading.dataset_rows import dataset_rows
from hf_bones.dataset.reading.detect import detect_kind, read_source
from hf_bones.dataset.reading.listed.table_rows import manifest_rows
from hf_bones.dataset.reading.sources import Reading
from hf_bones.dataset.reading.tables import SourceError, parse_boxes
from hf_bones.labels import THREE_CLASS, TWO_CLASS
from hf_bones.record import stating_command

WORDS = ("healthy", "fractured", "beyond_repair")
PAIRS = [(f"images/f{i}.png", WORDS[i % 3]) for i in range(9)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder `films` with nine films in `images`."""
    (tmp_path / "films" / "images").mkdir(parents=True)
    for i in range(9):
        (tmp_path / "films" / "images" / f"f{i}.png").write_bytes(encoded(picture(i)))
    return tmp_path / "films"


def lines(delimiter: str = ",", head: str = "file,label", end: str = "\n") -> str:
    rows = [head.replace(",", delimiter), *(delimiter.join(pair) for pair in PAIRS)]
    return end.join(rows) + end


def read(place: Path, data: str | bytes, name: str = "t.csv", **choices: object) -> Reading:
    (place / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return manifest_rows(place / name, ReadingChoices(**choices))  # type: ignore[arg-type]


def labelled(reading: Reading) -> list[tuple[str, str]]:
    """Each row's file below `films` and its label; the files are there."""
    assert all(row.file is not None and row.file.is_file() for row in reading.rows)
    return [(f"images/{row.file.name}", row.label) for row in reading.rows if row.file is not None]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (lines(";", end="\r\n"), "t.csv"),
        (lines("\t"), "t.csv"),
        (lines(","), "t.tsv"),
        (lines("|"), "t.txt"),
        ("sep=;\r\n" + lines(";", end="\r\n"), "t.csv"),
        (b"\xef\xbb\xbf" + lines().encode(), "t.csv"),
        (lines(end="\r\n").encode("utf-16"), "t.csv"),
        (b"\xfe\xff" + lines("\t").encode("utf-16-be"), "t.txt"),
        (lines().encode("utf-16-le"), "t.csv"),
        (lines().replace("/", "\\"), "t.csv"),
        (lines().replace("images/f", "Images\\F").replace(".png", ".PNG"), "t.csv"),
        ("\n\n" + lines() + ",\n;;\n,,\n".replace(";", ","), "t.csv"),
        (lines(head='"File Name" , Label'), "t.csv"),
        ("".join(json.dumps({"file_name": file, "label": label}) + "\n" for file, label in PAIRS), "t.jsonl"),
    ],
    ids=["semicolon", "tab", "commas-in-tsv", "bar", "sep-line", "bom", "utf-16", "utf-16-be", "utf-16-unmarked", "backslash", "capitals",
         "blank-rows", "head", "json-lines"],
)  # fmt: skip
def test_a_table_is_read_however_it_was_saved(place: Path, data: str | bytes, name: str) -> None:
    assert labelled(read(place, data, name)) == PAIRS
    assert detect_kind(str(place / name)) == "manifest"


def test_text_of_western_windows_is_read_and_told_of(place: Path) -> None:
    reading = read(place, ("file;label;note\n" + "".join(f"{file};{label};Prüfung\n" for file, label in PAIRS)).encode("cp1252"))
    assert labelled(reading) == PAIRS
    assert "t.csv: it is not UTF-8, and was read as Windows-1252" in reading.notes


def test_names_are_found_in_other_letters_without_suffix_and_without_zeros_in_front(place: Path) -> None:
    accented = unicodedata.normalize("NFD", "épaule.PNG")
    for name in (accented, "0007.png", "scan.dcm", "scan.txt"):
        (place / name).write_bytes(encoded(picture(1)))
    names = [unicodedata.normalize("NFC", "épaule.png"), "7", "SCAN", "images/f3"]
    found = read(place, "image_id,label\n" + "".join(f"{name},healthy\n" for name in names)).rows
    assert [row.file.name for row in found if row.file] == [accented, "0007.png", "scan.dcm", "f3.png"]
    assert [row.image_id for row in found] == names


def test_two_files_that_a_name_could_mean_are_none(place: Path) -> None:
    for name in ("a.png", "a.jpg"):
        (place / name).write_bytes(encoded(picture(1)))
    reading = read(place, "file,label\na,healthy\nimages/f1,healthy\n")
    assert reading.rows[0].file == place / "a"
    assert "t.csv: 1 of 2 files are not in films; the first: line 2, a" in reading.notes


@pytest.mark.parametrize("folders", ["films/", "C:\\Users\\me\\", "/home/me/data/films/"])
def test_folders_of_another_machine_are_dropped_for_the_whole_table(place: Path, folders: str) -> None:
    reading = read(place, lines().replace("images/", f"{folders}images/"))
    assert labelled(reading) == PAIRS
    assert any("files were found without the first" in note for note in reading.notes)


def test_a_name_is_not_looked_for_in_another_folder_than_the_rest(place: Path) -> None:
    (place / "f9.png").write_bytes(encoded(picture(1)))
    reading = read(place, lines() + "images/f9.png,healthy\n")
    assert reading.rows[-1].file == place / "images" / "f9.png", "films/f9.png is another film"
    assert any("1 of 10 files are not in films; the first: line 11" in note for note in reading.notes)


def test_where_no_file_is_found_the_message_names_folder_line_and_a_command_that_works(place: Path, tmp_path: Path) -> None:
    table = lines().replace("images/", "")
    command = ["build", str(place / "t.csv"), "--out", "x"]
    with stating_command(command), pytest.raises(SourceError, match=r"line 2: no file 'f0\.png' in .*films, where none of the 9") as caught:
        read(place, table)
    assert str(caught.value).endswith(f"hf-bones {' '.join(command)} --root {place / 'images'}")
    assert labelled(read(place, table, root=place / "images")) == PAIRS
    (tmp_path / "tables").mkdir()
    with pytest.raises(SourceError, match=rf"It lies in {tmp_path}: --root {tmp_path}$"):
        read(tmp_path / "tables", lines().replace("images/", "films/images/"))
    with pytest.raises(SourceError, match="--root FOLDER"):
        read(place, "file,label\nnowhere.png,healthy\n")
    with pytest.raises(SourceError, match="is an address, and a build fetches nothing"):
        read(place, "file,label\nhttps://example.org/a.png,healthy\n")


def test_numbers_in_a_column_of_folds_are_no_splits(place: Path) -> None:
    for column in ("fold", "split"):
        reading = read(place, f"file,label,{column}\n" + "".join(f"{file},{label},{i % 5}\n" for i, (file, label) in enumerate(PAIRS)))
        assert {row.split for row in reading.rows} == {""}
        assert any(f"column '{column}' holds numbers (0, 1, 2, 3, 4), not splits" in note for note in reading.notes)


def test_a_column_for_each_class_is_read_as_labels(place: Path) -> None:
    rows = "".join(f"{file},{','.join(str(float(label == word)) for word in WORDS)},1\n" for file, label in PAIRS)
    reading = read(place, f"image,{','.join(WORDS)},oblique\n{rows}")
    assert labelled(reading) == PAIRS  # `oblique` is a break to us and a view to whoever wrote this
    torn = read(place, f"image,{','.join(WORDS)}\n{PAIRS[0][0]},1,1,0\n{PAIRS[1][0]},0,1,0\n{PAIRS[2][0]},,,\n")
    assert [row.label for row in torn.rows] == ["fractured", ""]
    assert [(each.case, each.stated, each.done) for each in torn.contradictions] == [("t.csv, line 2", "healthy and fractured", "left out")]
    assert [row.name for row in torn.left_out] == ["images/f0.png"]


def test_one_column_of_0_and_1_says_a_class_and_its_negation(place: Path) -> None:
    reading = read(place, "image,Fractured\n" + "".join(f"{file},{int(label != 'healthy')}\n" for file, label in PAIRS))
    assert Counter(resolve_labels(reading.rows, TWO_CLASS)) == {"healthy": 3, "fractured": 6}
    assert "t.csv: column 'Fractured': 1 was read as 'Fractured', 0 as 'not Fractured'" in reading.notes


def test_columns_can_be_named(place: Path, tmp_path: Path) -> None:
    head = "Bild,Befund,who,part,label\n"
    rows = "".join(f"{file},{label},p{i},{'train' if i < 6 else 'val'},7\n" for i, (file, label) in enumerate(PAIRS))
    named = {"file_column": "bild", "label_column": "Befund", "group_column": "who", "split_column": "part"}
    reading = read(place, head + rows, **named)
    assert labelled(reading) == PAIRS
    assert [(row.group, row.split) for row in reading.rows][5:7] == [("p5", "train"), ("p6", "validation")]
    with pytest.raises(SourceError, match=r"no column 'Befunde' \(--label-column\). Columns found: .*did you mean 'Befund'"):
        read(place, head + rows, file_column="Bild", label_column="Befunde")
    with pytest.raises(SourceError, match="Name yours with --file-column NAME"):
        read(place, head + rows)
    built = build_command([str(place / "t.csv")], tmp_path / "out", BuildChoices(**named), progress=False)
    assert sum(len(part) for part in built.dataset.values()) == 9
    with pytest.raises(SourceError, match="--label-column: said of tables, and the sources are of kind drawn"):
        build_command(["drawn"], tmp_path / "other", BuildChoices(label_column="Befund"), progress=False)


def test_rows_without_a_label_are_named_by_line_and_left_out_on_request(place: Path, tmp_path: Path) -> None:
    table = lines().replace("images/f4.png,fractured", "images/f4.png,").replace("images/f7.png,fractured", "images/f7.png,NaN")
    (place / "t.csv").write_text(table)
    command = ["build", str(place / "t.csv"), "--out", str(tmp_path / "out")]
    with stating_command(command), pytest.raises(BuildError, match=r"2 × no label \(first: t\.csv, line 6\)") as caught:
        build_command(command[1:2], tmp_path / "out", progress=False)
    assert str(caught.value).endswith(f"hf-bones {' '.join(command)} --skip-unlabelled")
    built = build_command(command[1:2], tmp_path / "out", BuildChoices(skip_unlabelled=True), progress=False)
    assert built.summary["left_out"] == {"no label": 2}
    assert "images/f4.png,left_out,no label" in (tmp_path / "out" / "refused.csv").read_text()


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("file,label\na.png,healthy,extra\n", "line 2 has 3 cells, and line 1 names 2 columns"),
        ("file,label,label\na.png,healthy,healthy\n", "two columns are called 'label'"),
        ("images/f0.png,healthy\nimages/f1.png,healthy\n", r"the first line holds no names of columns but 'images/f0\.png'"),
        ("file,label\n", "the table has no rows"),
        ('file,label,boxes\nimages/f0.png,healthy,"1,5 0 0 0"\n', "line 2: box"),
    ],
)
def test_a_table_that_cannot_be_meant_so_is_refused(place: Path, table: str, complaint: str) -> None:
    with pytest.raises(SourceError, match=complaint):
        read(place, table)


def test_a_line_is_counted_as_an_editor_counts_it(place: Path) -> None:
    with pytest.raises(SourceError, match=r"t\.csv, line 4: 'third' names no split"):
        read(place, 'file,label,note,split\nimages/f0.png,healthy,"two\nlines",train\nimages/f1.png,healthy,,third\n')


def test_a_spreadsheet_itself_is_answered_with_what_to_save(place: Path) -> None:
    (place / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(SourceError, match="save the sheet as CSV"):
        detect_kind(str(place / "t.xlsx"))


def test_decimal_commas_are_read() -> None:
    assert parse_boxes("0,5 0,5 0,25 0,1") == ((0.5, 0.5, 0.25, 0.1),)


def test_a_dataset_is_read_by_labels_or_by_any_column_that_is_named(tmp_path: Path, no_shared_cache: Path) -> None:
    images = [{"bytes": encoded(picture(i)), "path": None} for i in range(4)]
    table = {"image": images, "labels": [0, 1, 0, 1], "verdict": ["normal", "broken", "normal", "broken"], "who": ["a", "b", "a", "b"]}
    features = datasets.Features(
        image=datasets.Image(),
        labels=datasets.ClassLabel(names=["fractured", "not fractured"]),
        verdict=datasets.Value("string"),
        who=datasets.Value("string"),
    )
    datasets.Dataset.from_dict(table, features).save_to_disk(str(tmp_path / "d"))
    assert [row.label for row in dataset_rows(str(tmp_path / "d")).rows] == ["fractured", "not fractured"] * 2
    named = dataset_rows(str(tmp_path / "d"), ReadingChoices(label_column="verdict", group_column="who")).rows
    assert [(row.label, row.group) for row in named[:2]] == [("normal", "a"), ("broken", "b")]
    assert resolve_labels(named, THREE_CLASS)[:2] == ["healthy", "fractured"]
    datasets.Dataset.from_dict(table, features).rename_column("labels", "finding").save_to_disk(str(tmp_path / "one"))
    assert [row.label for row in dataset_rows(str(tmp_path / "one")).rows] == ["fractured", "not fractured"] * 2  # the only classes there
    plain = datasets.Dataset.from_dict({"image": images, "label": ["normal", "broken"] * 2})  # bytes without the word that they are images
    plain.to_parquet(str(tmp_path / "films.parquet"))
    found = read_source(str(tmp_path / "films.parquet")).rows
    assert [(row.label, row.read() == image["bytes"]) for row, image in zip(found, images, strict=True)] == [
        ("normal", True),
        ("broken", True),
    ] * 2
    bare = datasets.Dataset.from_dict({"image": images}, datasets.Features(image=datasets.Image()))
    bare.save_to_disk(str(tmp_path / "bare"))
    with pytest.raises(SourceError, match=r"columns found: image\. Name the label's with --label-column NAME"):
        dataset_rows(str(tmp_path / "bare"))


@pytest.mark.parametrize("fold", ["{}", "{}.0", "{},0", "fold_{}", "Fold {}", "cv-fold{}", "-{}"])
def test_folds_are_numbers_however_they_are_written_and_an_empty_cell_is_no_split(place, fold):
    rows = "".join(f"{file};{label};{'NA' if i == 4 else fold.format(i % 5)}\n" for i, (file, label) in enumerate(PAIRS))
    reading = read(place, f"file;label;fold\n{rows}")
    assert {row.split for row in reading.rows} == {""}
    assert any("splits are made anew" in note for note in reading.notes)


def test_marks_may_have_a_decimal_comma_and_what_is_no_mark_is_named_by_its_line(place):
    marks = "".join(f"{file};{i % 2},0\n" for i, (file, _) in enumerate(PAIRS))
    assert [row.label for row in read(place, f"file;fractured\n{marks}").rows[:2]] == ["not fractured", "fractured"]
    unsure = "".join(f"{file},{(i % 3) - 1},{i % 2}\n" for i, (file, _) in enumerate(PAIRS))
    with pytest.raises(SourceError, match=r"t.csv, line 2: column 'fractured'.*'-1' there is neither 0 nor 1"):
        read(place, f"file,fractured,healthy\n{unsure}")


def test_a_title_above_the_names_of_columns_is_told_of(place):
    with pytest.raises(SourceError, match=r"line 1 \('My films'\) names one column.*delete what stands above"):
        read(place, "My films\n" + lines())
