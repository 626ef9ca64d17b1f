"""What becomes of near-duplicates in a manifest: `python -m pytest tests/curation/duplicates/test_dedup.py`."""

import csv
import dataclasses

import pytest
from copied_films import compressed, film, mirrored, scaled
from small_collection import keep
from small_films import encoded
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.collect.upkeep.forget import forget
from hf_bones.curation.duplicates.decide import BY, deduplicate, licence_rank
from hf_bones.curation.duplicates.report import write_report
from hf_bones.curation.recipe import load_curate_recipe
from hf_bones.curation.subject import collection_subject
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.manifest.store import DERIVED, THUMBNAILS_FOLDER, open_manifest

SETTINGS = load_curate_recipe().dedup


def add(folder, picture, **known) -> str:
    """An image of the collection in `folder`; returns its hash."""
    height, width = picture.shape
    given = {"label": "healthy", "licence": "CC-BY-4.0", "provider": "web", "width": width, "height": height, "format": "PNG"} | known
    with open_manifest(folder, create=True) as manifest:
        return keep(manifest, encoded(picture), "png", **given)


def dedup(folder, **options):
    settings = options.pop("settings", SETTINGS)
    with collection_subject(folder) as subject:
        return deduplicate(subject, settings, progress=False, workers=1, **options)


def standing(folder):
    """Hash → (decision, reason) of the images about which something is decided."""
    with open_manifest(folder) as manifest:
        return {record.sha256: (record.decision, record.decision_reason) for record in manifest.images() if record.decision}


@pytest.fixture
def folder(tmp_path):
    for seed in range(3, 8):
        add(tmp_path, film(seed, 224))
    return tmp_path


def test_the_largest_copy_is_kept_and_the_others_are_dropped_by_a_decision(folder):
    large = add(folder, film(1, 256))
    small, mirror = add(folder, scaled(film(1, 256))), add(folder, scaled(mirrored(film(1, 256))))
    done = dedup(folder)
    assert [group.kept for group in done.groups] == [large] and done.dropped == 2
    assert standing(folder) == dict.fromkeys((small, mirror), ("drop", f"near-duplicate of {large[:12]}"))
    with open_manifest(folder) as manifest:
        names = {record.copy_group for record in manifest.images() if record.sha256 in (large, small, mirror)}
        assert len(names) == 1 and names != {""}
        assert all(record.hashes and len(record.hashes["phash"]) == 16 for record in manifest.images())
        changes = [row["change"] for row in manifest.rows("SELECT change FROM links")]
        assert len(changes) >= 2 and any("mirrored" in change for change in changes)
    assert {row.image_id for row in collection_rows(folder).rows}.isdisjoint({small[:16], mirror[:16]})


def test_of_copies_of_one_size_the_freer_licence_then_the_preferred_source_is_kept(folder):
    picture = film(1, 224)
    unknown = add(folder, picture, licence="unknown")
    free = add(folder, compressed(picture), licence="CC0-1.0")
    assert dedup(folder).groups[0].kept == free and standing(folder)[unknown][0] == "drop"
    ranks = [licence_rank(word) for word in ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-NC-4.0", "unknown")]
    assert ranks == sorted(ranks) and len(set(ranks)) == 5
    other = film(2, 224)
    add(folder, other, provider="web")
    atlas = add(folder, compressed(other), provider="atlas")
    chosen = dedup(folder, settings=dataclasses.replace(SETTINGS, sources=["atlas"])).groups
    assert atlas in {group.kept for group in chosen}


def test_copies_under_different_labels_wait_for_a_person(folder):
    one = add(folder, film(1, 224), label="healthy", title="first")
    other = add(folder, compressed(film(1, 224)), label="fractured", title="second")
    done = dedup(folder)
    assert done.groups[0].is_contradictory and not done.groups[0].kept and done.dropped == 0 and standing(folder) == {}
    reading = collection_rows(folder)
    assert {left.reason for left in reading.left_out} == {"its near-duplicates carry different labels: fractured, healthy"}
    assert len(reading.left_out) == 2
    said = CliRunner().invoke(app, ["curate", "dedup", str(folder)]).output
    assert "to be reviewed" in said and "first (healthy)" in said and "second (fractured)" in said
    with open_manifest(folder) as manifest:
        manifest.decide(one, "relabel", "a hairline", "ada", label="fractured")
    assert not collection_rows(folder).left_out, "a reviewer has settled it"
    assert dedup(folder).dropped == 1 and standing(folder).keys() <= {one, other}


def test_what_a_person_decided_stays(folder):
    large, small = add(folder, film(1, 256)), add(folder, scaled(film(1, 256)))
    with open_manifest(folder) as manifest:
        manifest.decide(large, "drop", "someone's name on it", "ada")
    done = dedup(folder)
    assert done.groups[0].kept == small and standing(folder) == {large: ("drop", "someone's name on it")}
    third = add(folder, compressed(scaled(film(1, 256))))
    with open_manifest(folder) as manifest:
        manifest.decide(third, "keep", "both are wanted", "bea")
    dedup(folder)
    assert standing(folder)[third] == ("keep", "both are wanted")


def test_a_second_run_writes_nothing_and_a_better_copy_takes_over(folder):
    small = add(folder, scaled(film(1, 256)))
    smaller = add(folder, scaled(scaled(film(1, 256))))
    assert dedup(folder).dropped == 1
    again = dedup(folder)
    assert (again.dropped, again.undone) == (0, 0) and standing(folder).keys() == {smaller}
    large = add(folder, film(1, 256))
    later = dedup(folder)
    assert later.groups[0].kept == large and (later.dropped, later.undone) == (2, 1)
    assert standing(folder) == dict.fromkeys((small, smaller), ("drop", f"near-duplicate of {large[:12]}"))


def test_drops_are_taken_back_where_images_are_no_longer_copies(folder):
    add(folder, film(1, 256)), add(folder, scaled(film(1, 256)))
    dedup(folder)
    done = dedup(folder, settings=dataclasses.replace(SETTINGS, sure=2.0, least_likeness=2.0, spoilt=2.0))
    assert done.groups == () and done.undone == 1 and standing(folder) == {}
    with open_manifest(folder) as manifest:
        assert {record.copy_group for record in manifest.images()} == {""} and not list(manifest.rows("SELECT * FROM links"))
        assert [decision.decided_by for decision in manifest.decisions()] == [BY, BY], "the log keeps both"


def test_copies_that_a_source_states_keep_their_name(folder):
    large = add(folder, film(1, 256), copy_group="copy007")
    small = add(folder, scaled(film(1, 256)))
    dedup(folder)
    with open_manifest(folder) as manifest:
        assert manifest.image(small).copy_group == manifest.image(large).copy_group == "copy007"


def test_the_report_shows_each_group_and_the_table_names_every_copy(folder):
    large, small = add(folder, film(1, 256), title="<b>wrist</b>"), add(folder, scaled(film(1, 256)))
    with collection_subject(folder) as subject:
        done = deduplicate(subject, SETTINGS, progress=False, workers=1)
        page, table = write_report(subject, done, folder / "report")
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg") == 2 and "&lt;b&gt;wrist" in text and "<b>wrist" not in text
    with table.open(encoding="utf-8") as stream:
        assert {row["sha256"]: row["kept"] for row in csv.DictReader(stream)} == {large: "True", small: "False"}


def test_a_file_that_cannot_be_opened_is_named_and_the_rest_goes_on(folder):
    large = add(folder, film(1, 256))
    add(folder, scaled(film(1, 256)))
    gone = add(folder, film(9, 224))
    next((folder / "images" / gone[:2]).glob("*.png")).unlink()
    done = dedup(folder)
    assert list(done.unreadable) == [gone] and done.groups[0].kept == large


def test_what_was_made_of_an_image_goes_when_it_is_forgotten(folder):
    sha256 = add(folder, film(1, 224))
    dedup(folder)
    assert (folder / DERIVED[0]).is_file()
    small = folder / THUMBNAILS_FOLDER / sha256[:2] / f"{sha256}.jpg"
    small.parent.mkdir(parents=True)
    small.write_bytes(b"a picture")
    forget(folder, sha256, "asked by its owner")
    assert not small.exists() and not any((folder / name).exists() for name in DERIVED)
