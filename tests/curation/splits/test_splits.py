"""Splits keep groups whole, classes everywhere and proportions near. Run: pytest tests/curation/splits/test_splits.py"""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_bones.curation.splits.dealing import assign_splits, split_groups
from hf_bones.curation.splits.names import (
    SPLITS,
    GroupLeakError,
    check_proportions,
    find_leaks,
    merge_groups,
    split_name,
)

# A row is (group, label); few groups and labels, so that they collide often.
rows_of_few_groups = st.lists(st.tuples(st.integers(0, 14), st.sampled_from("abc")), min_size=1, max_size=120)


@settings(max_examples=150)
@given(rows_of_few_groups, st.integers(0, 5))
def test_no_group_is_ever_in_two_splits_and_the_seed_decides_all(rows: list[tuple[int, str]], seed: int) -> None:
    groups, labels = [f"g{group}" for group, _ in rows], [label for _, label in rows]
    splits = split_groups(groups, labels, seed=seed)
    assert find_leaks(groups, splits) == {}
    assert set(splits) <= set(SPLITS)
    assert splits == split_groups(groups, labels, seed=seed)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from("abc")), min_size=3, max_size=40), st.integers(0, 5))
def test_a_class_with_three_groups_of_its_own_is_in_every_split(sizes: list[tuple[int, str]], seed: int) -> None:
    groups = [f"g{index}" for index, (size, _) in enumerate(sizes) for _ in range(size)]
    labels = [label for size, label in sizes for _ in range(size)]
    found = defaultdict(set)
    for label, split in zip(labels, split_groups(groups, labels, seed=seed), strict=True):
        found[label].add(split)
    for label, count in Counter(label for _, label in sizes).items():
        if count >= 3:
            assert found[label] == set(SPLITS)


def test_classes_that_share_groups_still_reach_every_split_where_a_way_exists() -> None:
    # Every two classes share a group; taking the first group that comes to hand would leave the third class without a third split.
    members = {"a": ["p", "q", "r"], "b": ["p", "s", "t"], "c": ["q", "s", "u"]}
    rows = [(group, label) for label, held in members.items() for group in held]
    for seed in range(20):
        splits = split_groups([group for group, _ in rows], [label for _, label in rows], seed=seed)
        found = {(label, split) for (_, label), split in zip(rows, splits, strict=True)}
        assert len(found) == 9


@pytest.mark.parametrize("size", [1, 3, 10])
def test_each_label_and_source_comes_close_to_the_proportions(size: int) -> None:
    groups, labels, sources = [], [], []
    for label, source, count in (("healthy", "x", 200), ("fractured", "x", 60), ("fractured", "y", 40)):
        for index in range(count):
            groups += [f"{label}-{source}-{index}"] * size
            labels += [label] * size
            sources += [source] * size
    splits = split_groups(groups, labels, sources, seed=3)
    counts = Counter(zip(labels, sources, splits, strict=True))
    for label, source, count in (("healthy", "x", 200), ("fractured", "x", 60), ("fractured", "y", 40)):
        for split, share in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
            assert counts[label, source, split] / (count * size) == pytest.approx(share, abs=0.05)


@settings(max_examples=100)
@given(st.lists(st.integers(1, 14), min_size=2, max_size=6), st.integers(0, 5))
def test_a_source_is_in_every_split_that_its_groups_suffice_for(sizes: list[int], seed: int) -> None:
    # The sources differ in their classes; groups of a source are of one, two or three films.
    rows = [
        (f"s{s}-{g}", "ab"[(s + g) % 2 if s % 3 else 0], f"s{s}")
        for s, size in enumerate(sizes)
        for g in range(size)
        for _ in range(1 + g % 3)
    ]
    groups, labels, sources = (list(column) for column in zip(*rows, strict=True))
    splits = split_groups(groups, labels, sources, seed=seed)
    assert find_leaks(groups, splits) == {}
    for place, size in enumerate(sizes):
        there = {split for split, source in zip(splits, sources, strict=True) if source == f"s{place}"}
        if size >= 4:  # 0.15 of four groups rounds to one
            assert there == set(SPLITS)


def test_a_small_source_beside_a_large_one_keeps_near_its_proportions() -> None:
    rows = [("large", "healthy", 400), ("large", "fractured", 100), ("small", "fractured", 27), ("small", "healthy", 3)]
    groups = [f"{source}-{label}-{index}" for source, label, count in rows for index in range(count)]
    labels, sources = ([word for row in rows for word in [row[place]] * row[2]] for place in (1, 0))
    counts = Counter(zip(sources, split_groups(groups, labels, sources), strict=True))
    assert counts["small", "validation"] in (4, 5) and counts["small", "test"] in (4, 5)


def test_regions_are_spread_within_their_label_and_source_and_weigh_as_much_as_they_are_told() -> None:
    # Patients of one to five films, each of one region.
    rows = [(f"g{index}", ("hand", "leg", "hip")[index % 3]) for index in range(120) for _ in range(1 + index % 5)]
    groups, regions, same = [group for group, _ in rows], [region for _, region in rows], ["a"] * len(rows)
    off = {}
    for weight in (0.0, 0.25):
        splits = split_groups(groups, same, same, regions, region_weight=weight)
        counts = Counter(zip(regions, splits, strict=True))
        off[weight] = max(abs(counts[region, "test"] / regions.count(region) - 0.15) for region in set(regions))
    assert off[0.25] < 0.03 < off[0.0]
    assert split_groups(groups, same, same, regions, region_weight=0.0) == split_groups(groups, same, same)


def test_another_seed_gives_another_split() -> None:
    groups = [f"g{index}" for index in range(100)]
    assert split_groups(groups, ["a"] * 100, seed=0) != split_groups(groups, ["a"] * 100, seed=1)


def test_large_groups_do_not_all_end_in_train() -> None:
    groups = [f"g{index}" for index in range(40) for _ in range(1 + index)]
    splits = dict(zip(groups, split_groups(groups, ["a"] * len(groups)), strict=True))
    assert {splits[f"g{index}"] for index in range(20, 40)} == set(SPLITS)


def test_a_split_without_a_share_gets_nothing() -> None:
    splits = split_groups([str(i) for i in range(20)], ["a"] * 20, proportions={"train": 0.8, "test": 0.2})
    assert Counter(splits) == {"train": 16, "test": 4}


@pytest.mark.parametrize(
    "proportions", [{"train": 0.5, "test": 0.2}, {"train": 0.0, "test": 1.0}, {"train": 1.2, "test": -0.2}, {"training": 1.0}]
)
def test_bad_proportions_are_refused(proportions: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="proportions"):
        check_proportions(proportions)


def test_chains_of_shared_keys_make_one_group_named_alike_in_any_order() -> None:
    patients = ["p3", "p1", "p2", "p9", ""]
    copies = ["c1", "c1", "c2", "", "c2"]
    hashes = ["h1", "h2", "h1", "h4", "h5"]
    assert merge_groups(patients, copies, hashes) == ["p1", "p1", "p1", "p9", "p1"]
    backwards = merge_groups(patients[::-1], copies[::-1], hashes[::-1])
    assert backwards[::-1] == ["p1", "p1", "p1", "p9", "p1"]


def test_the_same_word_in_two_columns_links_nothing() -> None:
    assert merge_groups(["x", "y"], ["y", ""]) == ["x", "y"]


def test_a_row_without_any_key_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1"):
        merge_groups(["a", ""], ["", ""])


def test_given_splits_are_kept() -> None:
    given = ["train", "validation", "test", "train"]
    assert assign_splits(list("abcd"), list("xyxy"), [""] * 4, given) == (given, [])


def test_a_group_in_two_given_splits_raises_and_is_named() -> None:
    with pytest.raises(GroupLeakError, match=r"'patient7' in test and train"):
        assign_splits(["patient7", "patient7", "b"], list("xyz"), [""] * 3, ["train", "test", "validation"])


def test_a_missing_split_is_taken_from_train_and_the_given_test_stays() -> None:
    groups = [f"g{index // 2}" for index in range(200)]
    given = ["test" if index < 60 else "train" for index in range(200)]
    splits, notes = assign_splits(groups, ["x"] * 200, [""] * 200, given)
    assert splits[:60] == ["test"] * 60
    assert Counter(splits[60:])["validation"] == pytest.approx(0.15 * 140, abs=2)
    assert find_leaks(groups, splits) == {}
    assert "validation" in notes[0]


def test_a_set_that_is_only_for_testing_stays_so() -> None:
    assert assign_splits(["a", "b"], ["x", "y"], ["", ""], ["test", "test"]) == (["test", "test"], [])


def test_rows_without_a_split_follow_their_group() -> None:
    splits, notes = assign_splits(["a", "a", "b", "c"], ["x"] * 4, [""] * 4, ["test", "", "train", "validation"])
    assert splits == ["test", "test", "train", "validation"]
    assert "1 of 4" in notes[0]


@pytest.mark.parametrize(
    ("word", "name"), [("Val", "validation"), ("dev", "validation"), ("TRAINING", "train"), ("unused", "unused"), ("", "")]
)
def test_other_peoples_split_names_are_known(word: str, name: str) -> None:
    assert split_name(word) == name


def test_a_word_that_is_no_split_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'fold3'"):
        split_name("fold3")
