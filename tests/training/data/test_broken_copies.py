"""Films that train a second time with a break drawn into them. Run: pytest tests/training/data/test_broken_copies.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hf_bones
from hf_bones.config.recipe import DataConfig, RecipeError
from hf_bones.evaluation.compare.scores import training_sample
from hf_bones.labels import THREE_CLASS, LabelClass, LabelScheme
from hf_bones.training.data.batches import TrainingRows
from hf_bones.training.data.broken_copies import BrokenCopies
from hf_bones.training.data.row_table import Rows
from hf_bones.training.data.rows import describe_rows, training_rows
from hf_bones.training.run.seen import write_seen

COPIES = 5


class Shafts:
    """Bright shafts, real as far as the rows say; the second of three has no bone in it."""

    def __len__(self) -> int:
        return 3

    def pixels(self, row: int) -> np.ndarray:
        away = np.abs(np.arange(120) - 50 - 8 * row)
        line = 20 + 50 * (away < 40) + 90 * (away < 8) if row != 1 else np.full(120, 60)
        return np.tile(line.astype(np.uint8), (160, 1))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn limbs as a dataset of films that nobody drew: built again from their pictures."""
    from PIL import Image

    from hf_bones.dataset.drawn.radiograph import draw_radiograph

    folder = tmp_path_factory.mktemp("films")
    for seed in range(36):
        label = THREE_CLASS.names[seed % 3]
        (folder / "pictures" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_radiograph(seed, label, size=160).pixels).save(folder / "pictures" / label / f"{seed}.png")
    hf_bones.build(str(folder / "pictures"), folder / "dataset", licence="CC-BY-4.0", progress=False)
    return folder / "dataset"


def config(films: Path, copies: int = COPIES) -> DataConfig:
    return DataConfig(dataset=str(films), broken_copies=copies)


def test_copies_train_as_fractured_beside_the_films_they_are_of(films: Path) -> None:
    plain, _ = training_rows(config(films, 0), THREE_CLASS, seed=0, size=160)
    train, validation = training_rows(config(films), THREE_CLASS, seed=0, size=160)
    assert len(train) == len(plain) + COPIES and train.hashes[: len(plain)] == plain.hashes
    copies = train.sources[-1]
    assert isinstance(copies, BrokenCopies) and len(copies) == COPIES == len(train.copies_of)
    for number, (row, film) in enumerate(train.copies_of.items()):
        assert row == len(plain) + number and train.labels[film] == 0 and train.labels[row] == 1
        assert (train.groups[row], train.licences[row], train.origins[row]) == (
            train.groups[film],
            train.licences[film],
            train.origins[film],
        )
        assert train.synthetic[row] and train.hashes[row] != train.hashes[film]
        before, after = train.sources[0].fitted([film], 160)[0], copies.pixels(number)
        assert before.shape == after.shape and 12 < (before != after).sum() < before.size / 2
    assert not validation.copies_of and not set(train.hashes) & set(validation.hashes)
    rows = TrainingRows(train.sources, np.array(train.labels), 160, 0, with_boxes=True)
    assert all(len(rows[row]["boxes"]) == 1 for row in train.copies_of)
    again, _ = training_rows(config(films), THREE_CLASS, seed=0, size=160)
    assert again.hashes == train.hashes and all((again.sources[-1].pixels(n) == copies.pixels(n)).all() for n in range(COPIES))


def test_the_record_counts_films_and_copies_apart_and_seen_leaves_copies_out(films: Path, tmp_path: Path) -> None:
    rows = training_rows(config(films), THREE_CLASS, seed=0, size=160)
    told = describe_rows(*rows, config(films), THREE_CLASS)
    assert told["broken_copies"] == COPIES and told["drawn"] == 0 and not told["synthetic_only"]
    assert sum(told["sources"].values()) == len(rows[0]) - COPIES
    assert sum(told["counts"]["train"].values()) == sum(told["licences"].values()) == len(rows[0])
    assert len(write_seen(tmp_path, rows).hashes) == len(rows[0]) - COPIES + len(rows[1])
    sample = training_sample(config(films), 0, THREE_CLASS, count=1000)
    assert len(sample.labels) == len(rows[0]) - COPIES


def test_films_without_a_bone_are_passed_over_and_too_few_are_an_error() -> None:
    from hf_bones.training.data.broken_copies import add_broken_copies

    def rows() -> Rows:
        words = {name: [f"{name}{row}" for row in range(3)] for name in ("groups", "hashes", "regions")}
        return Rows(
            sources=[Shafts()], labels=[0, 0, 0], licences=["x"] * 3, origins=["y"] * 3, synthetic=[False] * 3, subtypes=[""] * 3, **words
        )

    two = rows()
    add_broken_copies(two, 2, 0, THREE_CLASS, 160)
    assert sorted(two.copies_of.values()) == [0, 2] and two.groups[3:] == [two.groups[film] for film in two.copies_of.values()]
    with pytest.raises(RecipeError, match=r"broken_copies: 3 wanted, but only 2 of 3 healthy training films.*set it to 2 or less"):
        add_broken_copies(rows(), 3, 0, THREE_CLASS, 160)
    drawn = rows()
    drawn.synthetic = [True] * 3
    with pytest.raises(RecipeError, match="only 0 of 0"):
        add_broken_copies(drawn, 1, 0, THREE_CLASS, 160)
    other = LabelScheme("other", (LabelClass("healthy", "whole"), LabelClass("ill", "not whole")))
    with pytest.raises(RecipeError, match="'other' has no class 'fractured'"):
        add_broken_copies(rows(), 1, 0, other, 160)
