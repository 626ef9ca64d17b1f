"""Cut-off files become images of a collection and of a dataset where that is asked for.

Run: pytest tests/collect/test_salvaging.py
"""

import csv
import json

import numpy as np
import pytest
from collecting import FAST, HERE
from filelock import FileLock
from small_collection import bring, digest, fail, see
from small_films import build, encoded, picture, rows_of
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.candidate import Candidate
from hf_bones.collect.reasons import Outcome
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.upkeep.forget import forget
from hf_bones.collect.upkeep.rebuild import rebuild
from hf_bones.collect.upkeep.salvaging import salvage_refused
from hf_bones.curation.checks.run import run_checks
from hf_bones.curation.recipe import CheckSettings
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.dataset.reading.dataset_rows import dataset_rows
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.dataset.subject import open_subject
from hf_bones.images.opening import open_image
from hf_bones.images.salvage import salvage
from hf_bones.manifest.store import open_manifest

URL = "http://127.0.0.1:9"


def film(seed: int, **options: object) -> bytes:
    """A grainy JPEG of 160 x 320 px: 40 rows of blocks."""
    grain = np.random.default_rng(seed).integers(-20, 20, (320, 160))
    return encoded(np.clip(picture(seed, (320, 160)).astype(int) + grain, 0, 255).astype(np.uint8), "JPEG", **options)


def lacking(data: bytes, share: float) -> bytes:
    return data[: round(len(data) * (1 - share))]


NEARLY, HALF = film(1)[:-4], lacking(film(2), 0.5)


@pytest.fixture
def collection(tmp_path):
    """A whole film, one that lacks four bytes (at two URLs), one cut in half, a progressive one cut off, and a damaged PNG."""
    files = {
        "whole": film(0),
        "nearly": NEARLY,
        "nearly-copy": NEARLY,
        "half": HALF,
        "progressive": film(3, progressive=True)[:-200],
        "damaged": encoded(picture(4))[:-30],
    }
    with open_manifest(tmp_path / "c", create=True) as manifest:
        see(
            manifest, "commons", "broken wrist", "fractured",
            *(Candidate(f"{URL}/{name}", page=f"http://{name}", licence="CC-BY-4.0", creator="Ada", subtype="hairline") for name in files),
        )  # fmt: skip
        for name, body in files.items():
            bring(manifest, f"{URL}/{name}", body)
    return tmp_path / "c"


def test_what_has_enough_of_its_rows_becomes_an_image_with_the_provenance_of_its_sighting(collection):
    with open_manifest(collection) as manifest:
        assert salvage_refused(manifest, 0.95) == [digest(NEARLY)]
        image = manifest.image(digest(NEARLY))
        assert (image.label, image.subtype, image.creator, image.licence) == ("fractured", "hairline", "Ada", "CC-BY-4.0")
        assert (image.width, image.height, image.format, image.bytes) == (160, 320, "JPEG", len(NEARLY))
        assert image.marks == "salvaged: 97.5 % of the rows"
        assert (collection / image.file).read_bytes() == NEARLY  # as they came
        states = {row["url"].rpartition("/")[2]: row["state"] for row in manifest.rows("SELECT url, state FROM fetches")}
        assert {name for name, state in states.items() if state == "stored"} == {"whole", "nearly", "nearly-copy"}
        assert not list((collection / "refused").rglob(f"{digest(NEARLY)}*"))
        assert salvage_refused(manifest, 0.95) == []


def test_less_is_salvaged_only_where_less_is_asked_for_and_never_what_cannot_be_counted(collection):
    with open_manifest(collection) as manifest:
        assert salvage_refused(manifest, 0.3) == [digest(NEARLY), digest(HALF)]
        assert salvage_refused(manifest, 0.0) == []


def test_a_salvaged_image_opens_wherever_images_of_the_collection_are_read(collection):
    with open_subject(collection) as subject:
        salvage_refused(subject.manifest, 0.95)
        record = subject.manifest.image(digest(NEARLY))
        assert np.array_equal(open_image(subject.read(record)).pixels, open_image(salvage(NEARLY).data).pixels)
        others = [one for one in subject.manifest.images() if not one.marks]
        assert all(subject.read(one) == (collection / one.file).read_bytes() for one in others)


def test_checks_know_the_share_of_its_rows_and_flag_it(collection):
    with open_subject(collection) as subject:
        run_checks(subject, CheckSettings())
        salvage_refused(subject.manifest, 0.95)
        assert run_checks(subject, CheckSettings()).measured == 1
        sql = "SELECT value, flagged FROM checks WHERE sha256 = ? AND reason = 'truncated'"
        assert tuple(subject.manifest.connection.execute(sql, (digest(NEARLY),)).fetchone()) == (0.975, 1)


def test_nothing_is_salvaged_while_a_collector_is_at_work(collection):
    with open_manifest(collection) as manifest, FileLock(collection / ".lock"), pytest.raises(ValueError, match="collecting into"):
        salvage_refused(manifest, 0.5)


def test_a_file_that_changed_on_the_disk_or_lies_elsewhere_is_left_alone(collection, tmp_path):
    with open_manifest(collection) as manifest:
        (kept,) = (collection / "refused").rglob(f"{digest(NEARLY)}*")
        kept.write_bytes(lacking(film(9), 0.01))
        outside = tmp_path / "outside.bin"
        outside.write_bytes(HALF)
        manifest.connection.execute("UPDATE fetches SET kept = '../outside.bin' WHERE sha256 = ?", (digest(HALF),))
        assert salvage_refused(manifest, 0.0) == [] and outside.is_file()


def test_a_run_that_was_killed_before_it_tidied_up_is_completed(collection):
    with open_manifest(collection) as manifest:
        (kept,) = (collection / "refused").rglob(f"{digest(NEARLY)}*")
        salvage_refused(manifest, 0.95)
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(NEARLY)  # as if killed before the copy went, and before the second URL was written
        name = kept.relative_to(collection).as_posix()
        manifest.connection.execute(
            "UPDATE fetches SET state = 'refused', reason = 'undecodable_or_truncated', kept = ? WHERE url = ?",
            (name, f"{URL}/nearly-copy"),
        )
        assert salvage_refused(manifest, 0.95) == [digest(NEARLY)]
        assert not kept.exists() and sum(1 for _ in manifest.images()) == 2


def test_forgetting_a_salvaged_image_leaves_nothing_of_it(collection):
    with open_manifest(collection) as manifest:
        salvage_refused(manifest, 0.95)
    forget(collection, digest(NEARLY))
    assert not [path for path in collection.rglob(f"{digest(NEARLY)}*") if path.is_file()]


def test_rebuilding_from_the_manifest_brings_it_back_with_its_mark(tmp_path, rogue):
    rogue.page("/nearly.jpg", NEARLY)
    with open_manifest(tmp_path / "c", create=True) as manifest:
        see(manifest, "commons", "wrist", "healthy", Candidate(f"{rogue.url}/nearly.jpg", licence="CC0-1.0"))
        bring(manifest, f"{rogue.url}/nearly.jpg", NEARLY)
        salvage_refused(manifest, 0.95)
        before = manifest.image(digest(NEARLY))
    settings = FetchSettings(**FAST)
    (done,) = rebuild(tmp_path / "c", tmp_path / "again", settings, guard=HERE, agent="hf_bones-tests")
    assert done.outcome == "rebuilt"
    with open_manifest(tmp_path / "again") as manifest:
        after = manifest.image(digest(NEARLY))
    assert (after.marks, after.label, after.licence) == (before.marks, "healthy", "CC0-1.0")
    (tmp_path / "c" / before.file).write_bytes(b"damaged")
    (mended,) = rebuild(tmp_path / "c", None, settings, guard=HERE, agent="hf_bones-tests")
    assert mended.outcome == "rebuilt" and (tmp_path / "c" / before.file).read_bytes() == NEARLY


def test_a_download_that_broke_off_is_asked_for_again_rather_than_salvaged(collection):
    with open_manifest(collection) as manifest:
        see(manifest, "commons", "wrist", "healthy", Candidate(f"{URL}/broke", licence="CC0-1.0"))
        fail(manifest, f"{URL}/broke", Outcome.FAILED, "incomplete")
        salvage_refused(manifest, 0.0)
        assert manifest.connection.execute("SELECT state FROM fetches WHERE url = ?", (f"{URL}/broke",)).fetchone()[0] == "failed"


def test_the_command_salvages_by_the_recipe_or_by_the_share_that_is_given(collection):
    def run(*options):
        result = CliRunner().invoke(app, ["curate", "checks", str(collection), "--salvage-truncated", *options])
        assert result.exit_code == 0, result.output
        return result.output

    strict = run()
    assert "salvaged:" not in strict and "refused though only cut off: 2" in strict
    assert "salvaged: 1 cut-off files" in run("--salvage-rows", "0.9")


def test_a_build_from_the_collection_takes_it_and_says_so(collection, tmp_path):
    with open_manifest(collection) as manifest:
        salvage_refused(manifest, 0.95)
    done = build(collection_rows(collection).rows, tmp_path / "built")
    assert done.summary["salvaged"] == 1 and not done.refused
    assert any("salvaged from cut-off files: 1 image " in note and "97.5 %" in note for note in done.notes)


def salvaging_rows():
    return [
        *rows_of(9),
        *(SourceRow("healthy", content=body, group=name, image_id=name) for name, body in (("nearly", NEARLY), ("half", HALF))),
    ]


def test_a_build_refuses_what_is_cut_off_unless_asked_and_then_lists_what_it_took(tmp_path):
    plain = build(salvaging_rows(), tmp_path / "plain")
    assert {image.name for image in plain.refused} == {"nearly", "half"} and plain.summary["salvaged"] == 0
    assert not (tmp_path / "plain" / "salvaged.csv").exists()

    done = build(salvaging_rows(), tmp_path / "built", salvage_rows=0.95)
    assert [(image.name, image.reason) for image in done.refused] == [("half", "undecodable_or_truncated")]
    assert "rows are there, fewer than 0.95" in done.refused[0].detail
    with (tmp_path / "built" / "salvaged.csv").open(newline="") as stream:
        assert list(csv.DictReader(stream)) == [{"file": "nearly", "sha256": digest(NEARLY), "rows": "0.975000"}]
    assert json.loads((tmp_path / "built" / "summary.json").read_text())["salvaged"] == 1
    assert "salvaged from cut-off files" in (tmp_path / "built" / "README.md").read_text().lower()
    row = next(row for part in done.dataset.values() for row in part if row["image_id"] == "nearly")
    assert row["sha256"] == digest(NEARLY)
    assert np.array_equal(np.asarray(row["image"]), open_image(salvage(NEARLY).data).pixels)


def test_the_mark_outlives_building_a_dataset_anew(tmp_path):
    build(salvaging_rows(), tmp_path / "built", salvage_rows=0.95)
    with open_subject(tmp_path / "built") as subject:
        marks = {record.sha256: record.marks for record in subject.manifest.images()}
        assert marks[digest(NEARLY)] == "salvaged: 97.5 % of the rows" and list(marks.values()).count("") == 9
        run_checks(subject, CheckSettings())
    again = build(dataset_rows(str(tmp_path / "built")).rows, tmp_path / "again")
    assert again.summary["salvaged"] == 1 and (tmp_path / "again" / "salvaged.csv").is_file()
    plain = build([row for row in salvaging_rows() if row.image_id != "nearly"], tmp_path / "built", overwrite=True)
    assert plain.summary["salvaged"] == 0 and not (tmp_path / "built" / "salvaged.csv").exists()


def test_the_build_command_offers_it(tmp_path):
    for label in ("healthy", "fractured", "beyond_repair"):
        (tmp_path / "films" / label).mkdir(parents=True)
        for seed in range(4):
            (tmp_path / "films" / label / f"{seed}.png").write_bytes(encoded(picture(seed + 10 * len(label))))
    (tmp_path / "films" / "healthy" / "nearly.jpg").write_bytes(NEARLY)

    def run(name, *options, code=0):
        result = CliRunner().invoke(app, ["build", str(tmp_path / "films"), "--output", str(tmp_path / name), *options])
        assert result.exit_code == code, result.output
        return result.output

    assert "1 images refused" in run("a")
    assert "1 images refused" in run("b", "--salvage-truncated")  # 97.5 % is less than the recipe's 99 %
    assert "salvaged from cut-off files: 1 image" in run("c", "--salvage-truncated", "--salvage-rows", "0.9")
    assert "give --salvage-truncated" in run("d", "--salvage-rows", "0.9", code=2)
