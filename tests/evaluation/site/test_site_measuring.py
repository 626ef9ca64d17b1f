"""Labels in a site's words, shares, refits, missing films, drift, CLAIM. Run: pytest tests/evaluation/site/test_site_measuring.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, ks_2samp

from hf_bones.evaluation.decision_curve import THRESHOLDS, calls_at, decision_curve, net_benefit, place_of
from hf_bones.evaluation.report.figures import Figure, Resampling
from hf_bones.evaluation.shipped_rule import keep_shipped, kept_shipped
from hf_bones.evaluation.site.claim.answers import FILLED, OPEN, PART, Known, answers, counted, read_answers, write_questions
from hf_bones.evaluation.site.claim.items import ITEMS
from hf_bones.evaluation.site.drift.comparison import compare_sites, read_site
from hf_bones.evaluation.site.drift.distance import changes, ks_distance, stability_index
from hf_bones.evaluation.site.drift.measures import KEPT, Measures, baseline, feature_numbers
from hf_bones.evaluation.site.enough import enough_films, films_for
from hf_bones.evaluation.site.operating import REFERRED, called, exact_interval, operating_shares
from hf_bones.evaluation.site.refit import Refit, refit, refit_site
from hf_bones.evaluation.site.subgroups import grouping_columns
from hf_bones.evaluation.site.truth import read_truth
from hf_bones.labels import THREE_CLASS, TWO_CLASS, UnknownLabelError
from hf_bones.logits import softmax

QUICK = Resampling(repeats=200)


@pytest.mark.parametrize(
    "words, scheme, names, labels",
    [
        (["normal", "abnormal", ""], THREE_CLASS, ("healthy", "abnormal"), [0, 1, -1]),
        (["negative", "positive", "fractured"], THREE_CLASS, ("healthy", "abnormal"), [0, 1, 1]),
        (["healthy", "fracture"], THREE_CLASS, ("healthy", "abnormal"), [0, 1]),
        (["healthy", "hairline", "comminuted"], THREE_CLASS, THREE_CLASS.names, [0, 1, 2]),
        (["no fracture", "fracture", "comminuted"], TWO_CLASS, ("healthy", "abnormal"), [0, 1, 1]),
        (["no fracture", "fracture"], TWO_CLASS, TWO_CLASS.names, [0, 1]),
        (["normal", "normal"], THREE_CLASS, ("healthy", "abnormal"), [0, 0]),
        (["not abnormal", "cyst"], THREE_CLASS, ("healthy", "abnormal"), [0, -1]),
    ],
)
def test_labels_are_read_as_classes_where_they_name_all_and_as_sides_otherwise(words, scheme, names, labels) -> None:  # type: ignore[no-untyped-def]
    truth = read_truth(words, scheme, {"cyst": "unused"})
    assert (truth.names, truth.labels.tolist()) == (names, labels)
    given = np.array([[0.5, 0.3, 0.2]])[:, : len(scheme.names)]
    assert truth.of_classes(given, scheme.normal_id).shape == (1, len(names))


def test_a_word_that_is_neither_class_nor_side_is_refused_with_what_to_do() -> None:
    with pytest.raises(UnknownLabelError, match="--label-map 'other=abnormal'"):
        read_truth(["other"], THREE_CLASS)
    with pytest.raises(UnknownLabelError, match="expected healthy, fractured, beyond_repair, abnormal or unused"):
        read_truth(["x"], THREE_CLASS, {"x": "broken bone"})


def test_shares_count_referred_films_as_decided_neither_way() -> None:
    calls = called(["healthy", "fractured", "refer", "beyond_repair", "not_a_bone_xray", "healthy"], "healthy", THREE_CLASS.names)
    assert calls.tolist() == [0, 1, REFERRED, 1, REFERRED, 0]
    truth = np.array([True, True, True, False, False, False])
    found = operating_shares(truth, calls, list("abcdef"), QUICK)
    counts = {key: (share.hits, share.count) for key, share in found.items()}
    assert counts == {
        "sensitivity": (1, 2), "specificity": (1, 2), "found_or_referred": (2, 3), "missed": (1, 3), "false_alarms": (1, 3),
        "ppv": (1, 2), "npv": (1, 2), "referred": (2, 6), "wrong": (2, 4),
    }  # fmt: skip
    assert found["sensitivity"].figure.interval is None and "only 2" in str(found["sensitivity"].figure.reason)


def test_a_share_without_an_error_has_the_exact_interval_of_its_groups() -> None:
    low, high = exact_interval(1, 34)
    exact = binomtest(34, 34).proportion_ci(method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high))
    calls = np.ones(34, dtype=np.int64)
    share = operating_shares(calls == 1, calls, [f"p{index}" for index in range(34)], QUICK)["sensitivity"]
    assert share.figure.interval == pytest.approx((low, 1.0))


def test_a_refit_reaches_the_sensitivity_asked_for_and_is_measured_out_of_fold() -> None:
    generator = np.random.default_rng(3)
    labels = np.arange(200) % 2
    logits = np.c_[np.zeros(200), generator.normal(labels * 2.0, 1.0) * 3, np.full(200, -4.0)]  # three times too sure
    temperature, limit = refit(logits, labels, 0, by_class=False, sensitivity=0.9)
    assert 1.5 < temperature < 6
    given = 1 - softmax(logits / temperature)[:, 0]
    assert 0.9 <= (given[labels == 1] >= limit).mean() < 0.92
    found = refit_site(logits, labels, [f"p{index // 2}" for index in range(200)], 0, by_class=False, sensitivity=0.9)
    assert isinstance(found, Refit) and np.allclose(found.probabilities.sum(axis=1), 1)
    assert 0.8 < (found.calls[labels == 1] == 1).mean() < 0.97
    few = refit_site(logits[:30], labels[:30], ["one"] * 30, 0, by_class=False, sensitivity=0.9)
    assert isinstance(few, str) and "of 1" in few


def test_films_that_are_missing_follow_from_the_width_of_the_interval() -> None:
    assert films_for(0.85) == 196  # Wilson: ± 0.05 at 0.85
    truth = np.arange(400) % 2 == 0
    calls = np.where(np.random.default_rng(0).random(400) < 0.85, truth, ~truth).astype(np.int64)
    shares = operating_shares(truth, calls, [f"p{index}" for index in range(400)], QUICK)
    found = {
        each.name: each for each in enough_films(shares, Figure(0.8, (0.7, 0.9), 200, "healthy", 200), {"abnormal": 200, "normal": 200})
    }
    assert found["sensitivity"].half_width == pytest.approx(0.05, abs=0.012) and found["sensitivity"].needed == pytest.approx(200, abs=95)
    assert (found["AUROC(abnormal)"].needed, found["AUROC(abnormal)"].more) == (800, 600)


def test_net_benefit_by_hand() -> None:
    truth, given = [True, True, False, False], [0.9, 0.3, 0.6, 0.1]
    assert net_benefit(truth, given, [0.2, 0.5])[0] == pytest.approx([2 / 4 - 1 / 4 * 0.25, 1 / 4 - 1 / 4])
    curve = decision_curve(truth, {"model": given}, list("abcd"), thresholds=[0.2, 0.5], repeats=30)
    assert curve.everyone == pytest.approx([0.5 - 0.5 * 0.25, 0.0]) and curve.best("model").tolist() == [True, False]
    model = curve.models["model"]
    assert model.value == pytest.approx([0.4375, 0]) and model.over == pytest.approx([0.0625, 0])
    assert (model.low <= model.value).all() and (model.value <= model.high).all()
    assert (model.over_low <= model.over).all() and (model.over <= model.over_high).all()
    alone = decision_curve(truth, {"model": given}, ["g"] * 4).models["model"]
    assert np.isnan([alone.low, alone.high, alone.over_low, alone.over_high]).all() and THRESHOLDS[place_of(0.2)] == 0.2
    assert calls_at(truth, given, 0.2) == (2, 1) and calls_at(truth, given, 0.5) == (1, 1)
    with pytest.raises(ValueError, match="normal and abnormal"):
        decision_curve([True, True], {"model": [0.1, 0.2]}, ["a", "b"])


def test_columns_of_few_values_make_subgroups_and_names_never_do() -> None:
    columns = {
        "region": ["hand", "leg", ""] * 10,
        "dose": [f"{index / 3:.2f}" for index in range(30)],
        "age": [f"{index:03}Y" for index in range(0, 90, 3)],
        "note": [f"free text {index}" for index in range(30)],
        "Patient Name": ["Doe", "Roe", "Poe"] * 10,
        "manufacturer": ["one"] * 30,
        "model_name": ["X1", "X2"] * 15,
    }
    found, passed = grouping_columns(columns, range(30))
    assert set(found) == {"region", "dose", "age", "model_name"} and len(set(found["dose"])) == 4
    assert set(found["region"]) == {"hand", "leg", "not stated"}
    assert passed == ["note (30 values)", "Patient Name (it may name a person)", "manufacturer (one value)"]


def measures(count: int, seed: int, shift: float = 0.0, share: float = 0.3) -> Measures:
    generator = np.random.default_rng(seed)
    numbers = {"mean": generator.normal(shift, 1, count), "share_black": np.maximum(0, generator.normal(shift, 1, count))}
    words = {"verdict": ["refer" if low else "healthy" for low in generator.random(count) < share]}
    return Measures(numbers, words, [f"p{index}" for index in range(count)])


def test_distances_are_those_of_the_textbook() -> None:
    one, other = np.random.default_rng(0).normal(0, 1, 90), np.random.default_rng(1).normal(0.4, 1, 60)
    assert ks_distance(one, other) == pytest.approx(ks_2samp(one, other).statistic)
    large = np.array([700_000, 300_000]), np.array([500_000, 500_000])
    assert stability_index(*large) == pytest.approx(0.2 * np.log(0.7 / 0.5) - 0.2 * np.log(0.3 / 0.5), abs=1e-4)


def test_what_did_not_move_seldom_counts_as_moved_and_what_moved_does() -> None:
    alarms = [
        any(change.moved for change in changes(baseline(measures(120, seed)), baseline(measures(80, 1000 + seed)), seed)[0])
        for seed in range(6)
    ]
    assert sum(alarms) <= 1  # 5 % of comparisons, whatever the number of measures
    moved, alone = changes(baseline(measures(120, 1)), baseline(measures(80, 2, shift=1.0, share=0.9)))
    assert all(change.moved for change in moved) and not alone
    assert any("'refer' was" in change.sentence() or "'healthy' was" in change.sentence() for change in moved)
    few, _ = changes(baseline(measures(120, 1)), baseline(measures(8, 2, shift=3.0)))
    assert not any(change.moved for change in few) and "too few patients" in few[0].sentence()


def test_a_baseline_keeps_few_values_and_features_have_fixed_directions() -> None:
    kept = baseline(measures(3 * KEPT, 0))
    assert len(kept["numbers"]["mean"]["values"]) == KEPT and kept["numbers"]["mean"]["n"] == 3 * KEPT
    rows = np.random.default_rng(0).normal(size=(5, 16))
    assert all(np.array_equal(first, feature_numbers(rows)[name]) for name, first in feature_numbers(rows).items())


def test_figures_of_two_validations_are_compared_with_an_interval(tmp_path: Path) -> None:
    def site(value: float, interval: tuple[float, float], digest: str = "a") -> dict[str, object]:
        figure = {"value": value, "interval": interval}
        about = {"checkpoint": {"name": "m", "digest": digest}, "table": "t.csv", "date": "2026-01-01T00:00:00", "table_sha256": digest}
        return {**about, "headline": {"sensitivity": figure}, "baseline": {"numbers": {}, "words": {}}}

    found = compare_sites(site(0.9, (0.85, 0.95)), site(0.7, (0.6, 0.8), "b"))
    (figure,) = found.figures
    assert figure.moved and figure.interval == pytest.approx((-0.2 - (0.1**2 + 0.05**2) ** 0.5, -0.2 + (0.1**2 + 0.05**2) ** 0.5))
    assert "different checkpoints" in found.cautions[0] and "too few patients" in found.summary()
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ValueError, match=r"metrics\.json: not a site\.json"):
        read_site(tmp_path / "metrics.json")


def test_claim_has_its_items_and_the_site_can_answer_the_open_ones(tmp_path: Path) -> None:
    assert len(ITEMS) == 44 and [item.number for item in ITEMS] == list(range(1, 45))
    assert ITEMS[7].asks.startswith("Which patients") and ITEMS[43].part == "Other"
    known = {1: Known("said"), 8: Known("40 films", "Which patients?"), 34: Known("no trial", applies=False)}
    found = answers(known, {})
    assert [found[place].state for place in (0, 7, 33, 43)] == [FILLED, PART, "does not apply", OPEN]
    assert counted(found)["apply"] == 43
    write_questions(found, {44: "nobody's money"}, tmp_path / "claim.yaml")
    text = (tmp_path / "claim.yaml").read_text().replace("\n8: ''", "\n8: 'all adults of 2025, it''s a ward'")
    (tmp_path / "claim.yaml").write_text(text)
    said = read_answers(tmp_path / "claim.yaml")
    assert said == {8: "all adults of 2025, it's a ward", 44: "nobody's money"}
    again = answers(known, said)
    assert again[7].state == FILLED and again[7].text == "40 films The site: all adults of 2025, it's a ward" and not again[7].question
    (tmp_path / "claim.yaml").write_text("99: x")
    with pytest.raises(ValueError, match="99 is no item"):
        read_answers(tmp_path / "claim.yaml")


def test_the_first_rule_that_a_site_keeps_stays_even_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    assert kept_shipped(path) is None
    path.write_text("{}")
    keep_shipped(path, {}, "ours, split validation")  # the checkpoint came without a rule
    assert kept_shipped(path) == {}
