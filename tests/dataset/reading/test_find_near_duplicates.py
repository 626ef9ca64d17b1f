"""Near-duplicates among the rows of a build: `python -m pytest tests/dataset/reading/test_find_near_duplicates.py`."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image
from small_films import encoded
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.curation.recipe import load_curate_recipe
from hf_bones.curation.splits.names import GroupLeakError
from hf_bones.dataset.build import build_dataset
from hf_bones.dataset.reading.find_near_duplicates import with_near_duplicates
from hf_bones.dataset.reading.sources import SourceRow, drawn_rows


@pytest.fixture(scope="module")
def drawn() -> list[SourceRow]:
    """Nine drawn radiographs, alone each, in the splits train, validation and test by threes."""
    rows = drawn_rows(9, seed=3, size=224).rows
    splits = ("train", "validation", "test")
    return [dataclasses.replace(row, group="", image_id=f"film {n}", split=splits[n // 3]) for n, row in enumerate(rows)]


def smaller_copy(row: SourceRow, **known) -> SourceRow:
    """The same picture, two thirds as large, re-compressed."""
    picture = Image.open(io.BytesIO(row.read()))
    size = (picture.width * 2 // 3, picture.height * 2 // 3)
    body = encoded(np.asarray(picture.resize(size, Image.Resampling.BICUBIC)), "JPEG", quality=70)
    return dataclasses.replace(row, content=body, image_id=f"{row.image_id} again", **known)


def found(rows, folder):
    return with_near_duplicates(rows, load_curate_recipe().dedup, folder, progress=False)


def test_a_smaller_re_compressed_copy_joins_its_original_and_other_films_do_not(drawn, tmp_path):
    rows, notes = found([*drawn, smaller_copy(drawn[4])], tmp_path)
    assert [row.copy_group for row in rows] == ["near-duplicates of film 4" if place in (4, 9) else "" for place in range(10)]
    assert notes == ["2 images stand in 1 groups of near-duplicates; each group is in one split"]
    assert not list(tmp_path.iterdir())


def test_what_is_found_joins_what_the_source_states(drawn, tmp_path):
    stated = [dataclasses.replace(row, copy_group="c1" if place in (1, 4) else "") for place, row in enumerate(drawn)]
    rows, _ = found([*stated, smaller_copy(drawn[4])], tmp_path)
    assert len({rows[place].copy_group for place in (1, 4, 9)} - {""}) <= 2
    groups = {rows[4].copy_group, rows[9].copy_group}
    assert len(groups) == 1 and rows[1].copy_group in groups


def test_contradictory_labels_are_named(drawn, tmp_path):
    label = "healthy" if drawn[4].label != "healthy" else "fractured"
    _, notes = found([*drawn, smaller_copy(drawn[4], label=label)], tmp_path)
    assert f"film 4 ({drawn[4].label}), film 4 again ({label})" in notes[1]


def test_a_copy_in_another_given_split_is_refused_and_one_without_a_split_follows_its_original(drawn, tmp_path):
    def build(*copies, name):
        return build_dataset([*drawn, *copies], tmp_path / name, find_near_duplicates=lambda rows: found(rows, tmp_path), progress=False)

    with pytest.raises(GroupLeakError, match=r"film 4 \(validation\) = film 4 again \(test\)"):
        build(smaller_copy(drawn[4], split="test"), name="torn")
    assert not (tmp_path / "torn").exists()
    done = build(smaller_copy(drawn[4], split=""), name="whole")
    homes = {row["image_id"]: split for split, part in done.dataset.items() for row in part.remove_columns("image")}
    assert homes["film 4 again"] == homes["film 4"] == "validation"
    assert "2 images stand in 1 groups of near-duplicates; each group is in one split" in done.notes


def test_unused_and_unreadable_rows_are_left_to_the_build(drawn, tmp_path):
    rows = [*drawn, smaller_copy(drawn[4], split="unused"), dataclasses.replace(drawn[0], content=b"<html>", image_id="page")]
    rows.append(dataclasses.replace(drawn[0], content=None, file=tmp_path / "gone.png", image_id="gone"))
    after, notes = found(rows, tmp_path)
    assert after == rows and notes == ["no near-duplicates were found among the images"]


def test_the_option_of_the_command(drawn, tmp_path):
    lines = ["file,label"]
    for row in [*drawn, smaller_copy(drawn[4])]:
        (tmp_path / f"{row.image_id}.png").write_bytes(row.read())
        lines.append(f"{row.image_id}.png,{row.label}")
    (tmp_path / "films.csv").write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["build", str(tmp_path / "films.csv"), "--output", str(tmp_path / "d"), "--find-copies"])
    assert done.exit_code == 0 and "note: 2 images stand in 1 groups of near-duplicates" in done.output
