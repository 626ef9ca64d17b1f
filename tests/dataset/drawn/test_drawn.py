"""Drawn radiographs are repeatable, honestly labelled, and give their label away only by the break.

pytest tests/dataset/drawn/test_drawn.py -q
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from hf_bones.dataset.drawn.breaks import SEVERITY
from hf_bones.dataset.drawn.radiograph import REGIONS, SUBTYPE_CHANCE, DrawnRadiograph, draw_radiograph, draw_set
from hf_bones.labels import BEYOND_REPAIR, FRACTURED, HEALTHY, THREE_CLASS

SUBTYPES = [subtype for label in THREE_CLASS.classes for subtype in label.subtypes]


@pytest.fixture(scope="module")
def drawn() -> list[DrawnRadiograph]:
    """480 small films with balanced labels, shared by the tests that need many."""
    return list(draw_set(480, seed=11, size=96))


def digest(film: DrawnRadiograph) -> str:
    return hashlib.sha256(film.pixels.tobytes() + film.mask.tobytes() + repr((film.boxes, film.severity)).encode()).hexdigest()


def test_the_same_seed_draws_the_same_film_in_another_process() -> None:
    code = (
        "import hashlib; from hf_bones.dataset.drawn.radiograph import draw_radiograph; f = draw_radiograph(5, 'fractured', size=128);"
        "print(hashlib.sha256(f.pixels.tobytes() + f.mask.tobytes() + repr((f.boxes, f.severity)).encode()).hexdigest())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert elsewhere == digest(draw_radiograph(5, "fractured", size=128))
    assert elsewhere != digest(draw_radiograph(6, "fractured", size=128))


def test_drawing_needs_no_torch() -> None:
    code = "import sys; from hf_bones.dataset.drawn.radiograph import draw_radiograph; draw_radiograph(1, size=64)"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_every_subtype_of_the_default_scheme_can_be_drawn(subtype: str) -> None:
    film = draw_radiograph(3, subtype=subtype, size=192)
    assert film.subtype == subtype
    assert film.label == THREE_CLASS.resolve(subtype)
    low, high = SEVERITY[subtype]
    assert low <= film.severity <= high
    assert film.mask.any() and film.boxes


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_can_be_drawn_whole_and_broken(region: str) -> None:
    for label in THREE_CLASS.names:
        film = draw_radiograph(8, label, region=region, size=128)
        assert (film.region, film.label) == (region, label)
        assert film.pixels.dtype == np.uint8 and max(film.pixels.shape) == 128 and film.pixels.std() > 8


def test_the_mask_is_empty_exactly_when_healthy_and_the_boxes_cover_it(drawn: list[DrawnRadiograph]) -> None:
    for film in drawn:
        h, w = film.pixels.shape
        assert film.mask.shape == (h, w)
        assert film.mask.any() == (film.label != HEALTHY) == bool(film.boxes) == bool(film.subtype) == (film.severity > 0)
        covered = np.zeros((h, w), dtype=bool)
        for cx, cy, bw, bh in film.boxes:
            corners = np.array([cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2])
            assert corners.min() > -1e-9 and corners.max() < 1 + 1e-9
            rows = slice(round((cy - bh / 2) * h), round((cy + bh / 2) * h))
            covered[rows, round((cx - bw / 2) * w) : round((cx + bw / 2) * w)] = True
        assert not (film.mask & ~covered).any()


def test_severity_rises_from_healthy_over_hairline_to_shattered(drawn: list[DrawnRadiograph]) -> None:
    def mean(*subtypes: str) -> float:
        return float(np.mean([film.severity for film in drawn if film.subtype in subtypes]))

    order = [mean(""), mean("hairline"), mean("minor", "greenstick"), mean("transverse", "oblique"), mean("comminuted"), mean("shattered")]
    assert order[0] == 0 and order == sorted(order) and len(set(order)) == len(order)
    assert max(f.severity for f in drawn if f.label == FRACTURED) < min(f.severity for f in drawn if f.label == BEYOND_REPAIR)


def test_a_worse_break_changes_more_of_the_film() -> None:
    def damage(subtype: str) -> float:
        return float(np.mean([draw_radiograph(seed, subtype=subtype, region="forearm", size=160).mask.sum() for seed in range(10)]))

    assert damage("hairline") < damage("transverse") < damage("shattered")


@pytest.mark.parametrize("subtype", ["hairline", "minor"])
def test_a_broken_film_differs_from_its_healthy_twin_at_the_break_and_nowhere_else(subtype: str) -> None:
    changed = []
    for seed in range(20, 29):
        twin, broken = draw_radiograph(seed, "healthy", size=256), draw_radiograph(seed, subtype=subtype, size=256)
        assert (twin.region, twin.view, twin.cast, twin.pixels.shape) == (broken.region, broken.view, broken.cast, broken.pixels.shape)
        difference = np.abs(twin.pixels.astype(int) - broken.pixels.astype(int))
        far = np.ones(difference.shape, dtype=bool)
        for cx, cy, w, h in broken.boxes:
            reach = 0.04 if subtype == "hairline" else 0.5  # a minor break may bend its bone a little, end to end
            rows, columns = np.mgrid[: far.shape[0], : far.shape[1]] / np.array(far.shape).reshape(2, 1, 1)
            far &= (np.abs(rows - cy) > h / 2 + reach) | (np.abs(columns - cx) > w / 2 + reach)
        assert not far.any() or (difference[far].max() <= 3 and difference[far].mean() < 0.1)
        changed.append(difference[broken.mask].mean())
    assert np.median(changed) > 4


def test_a_set_is_balanced_shuffled_and_repeatable() -> None:
    first = list(draw_set(24, seed=4, size=64))
    assert Counter(f.label for f in first) == dict.fromkeys(THREE_CLASS.names, 8)
    assert [f.label for f in first] != sorted(f.label for f in first)
    assert [digest(f) for f in first] == [digest(f) for f in draw_set(24, seed=4, size=64)]
    assert len({f.seed for f in first} | {f.seed for f in draw_set(24, seed=5, size=64)}) == 48
    assert Counter(f.label for f in draw_set(4, seed=4, size=64)) == {HEALTHY: 2, FRACTURED: 1, BEYOND_REPAIR: 1}


def test_casts_regions_and_views_do_not_go_with_the_label(drawn: list[DrawnRadiograph]) -> None:
    for ask in (lambda f: f.cast, lambda f: f.view == "lateral", lambda f: f.region in ("hand", "forearm")):
        shares = [np.mean([ask(f) for f in drawn if f.label == label]) for label in THREE_CLASS.names]
        assert max(shares) - min(shares) < 0.14 and min(shares) > 0.05, shares
    assert all(draw_radiograph(2, label, cast=True, size=64).cast for label in THREE_CLASS.names)


def statistics(pixels: npt.NDArray[np.uint8]) -> list[float]:
    """What can be read off a film without looking at the bones: its size, its grey levels and its borders."""
    image = pixels.astype(np.float32) / 255
    h, w = image.shape
    band = max(h, w) // 20
    sides = (image[:band], image[-band:], image[:, :band], image[:, -band:])
    levels = [float(level) for level in np.percentile(image, [1, 5, 10, 25, 50, 75, 90, 95, 99])]
    edges = [float(value) for side in sides for value in (side.mean(), side.std())]
    return [
        w,
        h,
        w / h,
        float(image.mean()),
        float(image.std()),
        *levels,
        *edges,
        float((image < 0.02).mean()),
        float((image > 0.95).mean()),
    ]


@pytest.mark.slow
def test_size_brightness_and_borders_do_not_give_the_label_away(drawn: list[DrawnRadiograph]) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import balanced_accuracy_score

    features = np.array([statistics(film.pixels) for film in drawn])
    labels = np.array([film.label for film in drawn])
    forest = RandomForestClassifier(n_estimators=100, min_samples_leaf=2, random_state=0).fit(features[:280], labels[:280])
    score = balanced_accuracy_score(labels[280:], forest.predict(features[280:]))
    assert score <= 0.45, f"a forest reads the label off size, brightness and borders with balanced accuracy {score:.2f}; chance is 0.33"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"label": "positive"}, "refused"),
        ({"subtype": "bent"}, "bent"),
        ({"region": "skull"}, "skull"),
        ({"size": 20}, "size=20"),
        ({"label": "healthy", "subtype": "spiral"}, "spiral"),
    ],
)
def test_a_wish_that_cannot_be_drawn_is_named(arguments: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        draw_radiograph(1, **arguments)  # type: ignore[arg-type]


def test_every_drawn_subtype_has_a_chance_and_a_severity() -> None:
    chances = {subtype for options in SUBTYPE_CHANCE.values() for subtype in options}
    assert chances == set(SEVERITY) == set(SUBTYPES)
    assert all(sum(options.values()) == pytest.approx(1) for options in SUBTYPE_CHANCE.values())
