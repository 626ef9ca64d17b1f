"""A run leaves the list of films that it learnt from and was chosen by. Run: pytest tests/training/run/test_seen.py"""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import pytest
from PIL import Image
from tiny import bone_row, bone_rows, grey

from hf_bones.config.recipe import DataConfig
from hf_bones.curation.duplicates.film_code import film_codes_every_way
from hf_bones.curation.duplicates.seen_films import CHOSEN, LEARNT, read_seen_films, seen_films
from hf_bones.dataset.arrays.command import cache_command
from hf_bones.labels import THREE_CLASS
from hf_bones.training.data.rows import StoredImages, training_rows
from hf_bones.training.errors import DamagedImageError
from hf_bones.training.run.seen import write_seen


def film(number: int) -> Image.Image:
    return grey(200, 150, seed=number)


def digest(number: int) -> str:
    return hashlib.sha256(bytes([number])).hexdigest()


def halved(number: int):
    """The codes of a film at half its size, every way."""
    return lambda: film_codes_every_way(np.asarray(film(number).resize((75, 100))))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    from datasets import DatasetDict

    folder = tmp_path_factory.mktemp("dataset") / "films"
    made = {number: bone_row(np.asarray(film(number)), number, sha256=digest(number)) for number in range(12)}
    parts = {"train": range(6), "validation": range(6, 9), "test": range(9, 12)}
    DatasetDict({split: bone_rows([made[number] for number in own]) for split, own in parts.items()}).save_to_disk(str(folder))
    return folder


def rows_of(dataset, **more):
    return training_rows(DataConfig(dataset=str(dataset), **more), THREE_CLASS, 0, 56)


def test_films_of_training_and_validation_are_known_again_at_half_size_and_those_of_test_are_not(dataset, tmp_path):
    write_seen(tmp_path / "run", rows_of(dataset))
    seen = read_seen_films(tmp_path / "run" / "seen.npz")
    assert [seen.find("", halved(number)) for number in (0, 5, 6, 8, 9, 11)] == [LEARNT, LEARNT, CHOSEN, CHOSEN, "", ""]
    assert len(seen) == 9 and (tmp_path / "run" / "seen.npz").stat().st_size < 3000


def test_films_that_the_recipe_draws_itself_are_left_out(dataset, tmp_path):
    assert len(write_seen(tmp_path, rows_of(dataset, drawn_images=6, drawn_size=64))) == 9


def test_what_the_checkpoint_had_seen_that_a_run_began_with_counts_too(dataset, tmp_path):
    seen = write_seen(tmp_path, rows_of(dataset), seen_films([digest(10), digest(6)], [False, False], [None, None]))
    assert [seen.find(digest(number), halved(number)) for number in (10, 6, 7, 11)] == [LEARNT, LEARNT, CHOSEN, ""]


def test_codes_from_the_array_cache_find_the_same_films(dataset, tmp_path):
    list(cache_command(str(dataset), [56], out=tmp_path / "arrays", progress=False))
    rows = rows_of(dataset, arrays_dir=str(tmp_path / "arrays"))
    assert rows[0].from_arrays == 6
    seen = write_seen(tmp_path, rows)
    assert [seen.find("", halved(number)) for number in (0, 7, 11)] == [LEARNT, CHOSEN, ""]


def test_a_film_damaged_since_is_known_by_its_hash_alone_and_said(dataset, tmp_path, monkeypatch, caplog):
    def damaged(self, row):
        raise DamagedImageError("dataset: image 'x' cannot be read")

    monkeypatch.setattr(StoredImages, "pixels", damaged)
    with caplog.at_level(logging.WARNING):
        seen = write_seen(tmp_path, rows_of(dataset))
    assert seen.find(digest(3), halved(3)) == LEARNT and seen.find("", halved(3)) == ""
    assert "only the hash of its file is kept" in caplog.text
