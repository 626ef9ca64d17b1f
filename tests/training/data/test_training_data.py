"""Rows, sampling and batches of training. Run: pytest tests/training/data/test_training_data.py"""

import json
from collections import Counter
from importlib import resources

import numpy as np
import pytest
from tiny import bar_picture

from hf_bones.config.recipe import DataConfig, RecipeError
from hf_bones.labels import THREE_CLASS, TWO_CLASS
from hf_bones.training.data.batches import RunSampler, TrainingRows
from hf_bones.training.data.rows import Rows, describe_rows, said_of_sources, training_rows

LABELS = np.array([0] * 80 + [1] * 15 + [2] * 5)


@pytest.fixture
def bars(ground):
    return ground / "dataset"


def test_a_uniform_epoch_sees_each_row_once_and_in_another_order_next_time():
    sampler = RunSampler(LABELS, "uniform", seed=0, batch_size=10)
    first = [row for row, _ in sampler]
    sampler.set_epoch(1)
    second = [row for row, _ in sampler]
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second


def test_positions_number_the_whole_run():
    sampler = RunSampler(LABELS, "uniform", seed=0, batch_size=16)
    assert len(sampler) == 96
    sampler.set_epoch(3)
    assert [position for _, position in sampler] == list(range(3 * 96, 4 * 96))


@pytest.mark.parametrize(("mode", "shares"), [("balanced", (1 / 3, 1 / 3, 1 / 3)), ("sqrt", (0.596, 0.258, 0.149))])
def test_sampling_evens_out_the_classes(mode, shares):
    drawn = Counter(LABELS[row] for row, _ in RunSampler(LABELS, mode, seed=0, batch_size=10, length=6000))
    for label, share in enumerate(shares):
        assert drawn[label] / 6000 == pytest.approx(share, abs=0.03)


def test_rows_of_two_sources_come_back_with_their_own_labels():
    class Bars:
        def __init__(self, start: int) -> None:
            self.start = start

        def __len__(self) -> int:
            return 3

        def pixels(self, row: int) -> np.ndarray:
            return bar_picture(row % 3, self.start + row)

    rows = TrainingRows([Bars(0), Bars(100)], np.array([0, 1, 2, 0, 1, 2]), size=32, seed=0)
    assert len(rows) == 6
    item = rows[(4, 7)]
    assert item["label"] == 1 and item["pixels"].shape == (32, 24)
    assert (rows[(4, 7)]["draw"] == item["draw"]).all() and (rows[(4, 8)]["draw"] != item["draw"]).any()
    assert (rows[4]["pixels"] != rows[1]["pixels"]).any()


def test_licences_choose_the_rows_of_training_and_validation(bars):
    everything, _ = training_rows(DataConfig(dataset=str(bars)), THREE_CLASS, seed=0)
    some, validation = training_rows(DataConfig(dataset=str(bars), train_licences=["CC-BY-4.0"]), THREE_CLASS, seed=0)
    assert len(everything) == 48 and len(some) == 24 and len(validation) == 9
    assert set(some.licences) == set(validation.licences) == {"CC-BY-4.0"}
    assert describe_rows(some, validation, DataConfig(dataset="bars"), THREE_CLASS)["licences"] == {"CC-BY-4.0": 24}


def test_drawn_rows_join_the_stored_ones_and_the_record_says_so(bars):
    config = DataConfig(dataset=str(bars), drawn_images=6, drawn_size=64)
    train, validation = training_rows(config, THREE_CLASS, seed=0)
    assert len(train) == 54 and len(validation) == 18
    assert train.counts(THREE_CLASS) == {"healthy": 18, "fractured": 18, "beyond_repair": 18}
    assert train.sources[1].pixels(0).dtype == np.uint8
    described = describe_rows(train, validation, config, THREE_CLASS)
    assert described["sources"] == {"bars": 48, "drawn": 6} and described["drawn"] == 54


@pytest.mark.parametrize(
    ("origins", "credited", "graded"),
    [
        (["fracatlas", "fracatlas", "fracatlas"], ["FracAtlas"], True),
        (["mine", "fracatlas", "mine"], ["FracAtlas"], False),  # its published labels: nobody's grades
        (["fracatlas", "grazpedwri", "fracatlas"], ["FracAtlas", "GRAZPEDWRI-DX"], True),
        (["mine", "drawn", "mine"], [], False),
    ],
)
def test_what_a_known_source_asks_for_goes_into_the_record(origins, credited, graded):
    rows = Rows(labels=[0, 1, 2], hashes=["a", "b", "c"], origins=origins, synthetic=[False] * 3)
    described = describe_rows(rows, Rows(labels=[0], hashes=["d"], origins=["fracatlas"]), DataConfig(), THREE_CLASS)
    assert [sentence.split(":")[0] for sentence in described["attribution"]] == credited
    assert ("kappa" in described["label_noise"]) == graded == ("severity labels added" in " ".join(described["attribution"]))
    own = DataConfig(attribution=["Films of Ada.", *described["attribution"]], label_noise="One reader.")
    added = describe_rows(rows, rows, own, THREE_CLASS)
    assert added["attribution"] == [*described["attribution"], "Films of Ada."]
    assert added["label_noise"] == " ".join([described["label_noise"], "One reader."]).strip()


def test_the_bundled_models_record_says_of_fracatlas_what_a_new_run_would():
    record = json.loads((resources.files("hf_bones") / "checkpoint" / "record.json").read_text(encoding="utf-8"))["data"]
    rows = Rows(labels=[2], origins=["fracatlas"])
    attribution, noise = said_of_sources(rows, THREE_CLASS)
    assert attribution and set(attribution) <= set(record["attribution"]) and noise == [record["label_noise"]]


def test_drawings_of_train_and_validation_are_never_the_same(bars):
    train, validation = training_rows(DataConfig(drawn_images=6, drawn_validation_images=6, drawn_size=64), THREE_CLASS, seed=0)
    assert not set(train.groups) & set(validation.groups)
    assert (train.sources[0].pixels(1).shape != validation.sources[0].pixels(1).shape) or (
        train.sources[0].pixels(1) != validation.sources[0].pixels(1)
    ).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_licences": ["GPL-3.0"]}, "no training row of healthy"),
        ({"dataset": ""}, "no training row"),
        ({"label_scheme": "two-class"}, "has no class"),
    ],
)
def test_nothing_to_train_on_is_an_error_that_names_the_keys(bars, changes, message):
    config = DataConfig(**{"dataset": str(bars), **changes})
    with pytest.raises(RecipeError, match=message):
        training_rows(config, TWO_CLASS if "label_scheme" in changes else THREE_CLASS, seed=0)


def test_a_limit_keeps_the_classes_in_proportion(bars):
    rows, _ = training_rows(DataConfig(dataset=str(bars), max_train_rows=24), THREE_CLASS, seed=0)
    assert rows.counts(THREE_CLASS) == {"healthy": 8, "fractured": 8, "beyond_repair": 8}
