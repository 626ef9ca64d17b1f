"""One picture of a set: `python -m pytest tests/curation/test_contact_sheet.py`."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from small_films import build, encoded, picture, rows_of
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.curation.contact_sheet import contact_sheet, matching
from hf_bones.dataset.subject import open_subject
from hf_bones.manifest.store import ImageRecord

WHITE = encoded(np.full((60, 90), 255, np.uint8))


def record(number, label="healthy", **known):
    return ImageRecord(f"{number:064x}", f"{number}.png", 1, label=label, **({"provider": "atlas", "region": "wrist"} | known))


def sheet(records, read=lambda record: WHITE, **choices):
    return np.asarray(contact_sheet(records, read, **({"cell": 80} | choices)))


def white_area(pixels):
    """Of pictures that are all white; letters are not."""
    return int((pixels == 255).all(axis=2).sum())


def test_each_label_has_a_band_with_as_many_pictures_as_asked_for():
    records = [record(i, ("healthy", "fractured")[i % 2]) for i in range(20)]
    one = white_area(sheet(records[:1]))
    assert one == 80 * round(60 * 80 / 90)  # letterboxed: the whole width, the height to its proportion
    assert white_area(sheet(records, per_label=3)) == 6 * one
    assert white_area(sheet(records, per_label=12)) == 20 * one


def test_the_same_seed_gives_the_same_sheet_in_any_order_and_another_seed_another():
    records = [record(i) for i in range(30)]
    read = {each.sha256: encoded(picture(number)) for number, each in enumerate(records)}
    first = sheet(records, lambda each: read[each.sha256], per_label=4)
    assert np.array_equal(first, sheet(records[::-1], lambda each: read[each.sha256], per_label=4))
    assert not np.array_equal(first, sheet(records, lambda each: read[each.sha256], per_label=4, seed=1))


def test_a_picture_that_cannot_be_opened_has_its_reason_in_its_place():
    def read(each):
        if each.file == "1.png":
            raise FileNotFoundError(each.file)
        return b"<html>" * 9 if each.file == "2.png" else WHITE

    whole, torn = sheet([record(i) for i in range(3)]), sheet([record(i) for i in range(3)], read)
    assert whole.shape == torn.shape and white_area(torn) == white_area(whole) // 3


def test_a_relabelled_image_stands_under_the_label_that_counts_and_a_dropped_one_says_so():
    plain = record(1)
    relabelled = dataclasses.replace(plain, reviewed_label="fractured")
    dropped = dataclasses.replace(plain, decision="drop")
    pictures = [sheet([each]) for each in (plain, relabelled, dropped)]
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[0], pictures[2])
    assert np.array_equal(pictures[1], sheet([record(1, "fractured")]))


def test_long_names_are_cut_to_their_cell():
    long = record(1, region="left distal radius and ulna with the whole of the carpus " * 5, provider="a\nsource")
    assert sheet([long]).shape == sheet([record(1)]).shape


def test_filters_keep_what_has_one_of_the_values_and_name_what_is_there():
    records = [record(i, region=("wrist", "Hand", "")[i % 3]) for i in range(9)]
    assert len(matching(records, {"region": ["hand", "wrist"], "provider": []})) == 6
    with pytest.raises(ValueError, match=r"region 'foot'; there are: wrist \(3\), Hand \(3\), \(none\) \(3\)"):
        matching(records, {"region": ["foot"]})
    with pytest.raises(ValueError, match="nothing is left"):
        contact_sheet([], lambda each: WHITE)


def test_the_command_writes_a_sheet_of_a_dataset_without_what_was_dropped(tmp_path):
    build(rows_of(9, region="wrist"), tmp_path / "films")
    command = ["contact-sheet", str(tmp_path / "films"), "--per-label", "2", "--cell", "80", "--out"]
    first = CliRunner().invoke(app, [*command, str(tmp_path / "new" / "a.png")])
    assert first.exit_code == 0 and "a.png" in first.output
    with open_subject(tmp_path / "films") as subject:
        for each in list(subject.manifest.images("images.label = 'healthy'")):
            subject.manifest.decide(each.sha256, "drop", "blurred", "ada")
    assert CliRunner().invoke(app, [*command, str(tmp_path / "b.png")]).exit_code == 0
    assert CliRunner().invoke(app, [*command, str(tmp_path / "c.png"), "--dropped", "--split", "train"]).exit_code == 0
    heights = [Image.open(tmp_path / name).height for name in ("new/a.png", "b.png", "c.png")]
    assert heights[1] < heights[0] == heights[2]
    wrong = CliRunner().invoke(app, [*command, str(tmp_path / "d.png"), "--region", "skull"])
    assert wrong.exit_code == 2 and "no image has region 'skull'" in wrong.output and not (tmp_path / "d.png").exists()
