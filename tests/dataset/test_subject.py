"""What is curated, collection or dataset: `python -m pytest tests/dataset/test_subject.py`."""

import pytest
from small_collection import small_collection
from small_films import build, rows_of

from hf_bones.dataset.subject import open_subject
from hf_bones.images.opening import open_image
from hf_bones.manifest.connecting import ManifestError


def test_a_collections_images_are_read_from_its_files(tmp_path):
    small_collection(tmp_path)
    with open_subject(tmp_path) as subject:
        records = list(subject.manifest.images())
        assert subject.kind == "collection" and len(records) == 3
        assert all(len(subject.read(record)) == record.bytes for record in records)


def test_a_dataset_is_curated_where_it_stands_and_keeps_its_decisions(tmp_path):
    build(rows_of(9, region="wrist"), tmp_path / "films")
    with open_subject(tmp_path / "films") as subject:
        records = {record.title: record for record in subject.manifest.images()}
        assert subject.kind == "dataset" and sorted(records) == [f"i{i}" for i in range(9)]
        assert {record.label for record in records.values()} == {"healthy", "fractured", "beyond_repair"}
        one = records["i4"]
        assert (one.label, one.region, one.group, one.provider, one.licence) == ("fractured", "wrist", "g4", "s", "CC0-1.0")
        assert open_image(subject.read(one)).pixels.shape == (40, 48) and len(subject.read(one)) == one.bytes
        subject.manifest.decide(one.sha256, "drop", "blurred", "ada")
    with open_subject(tmp_path / "films") as subject:
        assert [record.title for record in subject.manifest.images() if record.decision == "drop"] == ["i4"]


def test_what_is_neither_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ManifestError, match="hf-bones collection add"):
        open_subject(tmp_path)
    (tmp_path / "wrists").mkdir()
    with pytest.raises(ManifestError, match=r"wrist: no such folder; did you mean .*wrists"):
        open_subject(tmp_path / "wrist")
