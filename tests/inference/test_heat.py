"""The fixed scale of heat maps, its colours and its bar. Run: pytest tests/inference/test_heat.py"""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from hf_bones.inference.heat import (
    BAR_ROOM,
    LOG_ODDS,
    PROBABILITY,
    UNFITTED,
    HeatScale,
    heat_from,
    legend,
    overlay,
    small,
    ticks,
    with_legend,
)

SCALE = HeatScale(PROBABILITY, shown_from=0.1, full=0.5, smooth=0.0, slope=2.0, offset=-1.0)


def test_one_heat_has_one_colour_whatever_else_the_film_holds() -> None:
    pixels = np.full((20, 30), 100, dtype=np.uint8)
    faint, both = np.zeros((20, 30), dtype=np.float32), np.zeros((20, 30), dtype=np.float32)
    faint[5, 5] = both[5, 5] = 0.2
    both[9, 9], both[9, 20], both[2, 2] = 0.5, 0.9, 0.09
    one, other = overlay(pixels, faint, SCALE), overlay(pixels, both, SCALE)
    assert one.shape == (20, 30, 3) and one.dtype == np.uint8
    assert (one[5, 5] == other[5, 5]).all() and one[5, 5, 0] > one[5, 5, 2]
    assert (other[0, 0] == 100).all() and (other[2, 2] == 100).all(), "below the scale a film keeps its grey"
    assert (other[9, 9] == other[9, 20]).all() and other[9, 9, 0] > 180 and other[9, 9, 2] < 60
    assert SCALE.is_silent(np.full((4, 4), 0.09)) and not SCALE.is_silent(faint)


def test_an_overlay_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        overlay(np.zeros((20, 30), dtype=np.uint8), np.zeros((30, 20), dtype=np.float32), SCALE)


def test_patch_logits_become_probabilities_and_padding_stays_cold() -> None:
    cells = SCALE.cells(np.array([[0.5, 3.0], [-np.inf, -900.0]]))
    np.testing.assert_allclose(cells, [[0.5, 1 / (1 + np.exp(-5))], [0, 0]], atol=1e-6)


@pytest.mark.parametrize("scale", [SCALE, UNFITTED])
def test_the_bar_has_numbers_at_the_colours_they_stand_for(scale: HeatScale) -> None:
    picture = with_legend(np.full((300, 200, 3), 9, dtype=np.uint8), scale)
    assert picture.size == (200 + BAR_ROOM, 300)
    strip = np.asarray(picture)[:, 200:].astype(int)
    assert (np.asarray(picture)[:, :200] == 9).all(), "nothing of the film is hidden"
    reds = np.flatnonzero((strip[:, 12, 0] - strip[:, 12, 2]) > 5)
    assert strip[reds[0], 12, 1] > strip[reds[-1], 12, 1], "yellow above, red below"
    assert (strip[:, 34:] > 200).all(axis=2).any(), "numbers"
    assert [place for place, _ in ticks(scale)] == pytest.approx(
        [scale.shown_from / scale.full, (scale.shown_from / scale.full + 1) / 2, 1]
    )
    shown = legend(scale)
    assert shown["marks"] == (["10 %", "30 %", "50 % +"] if scale is SCALE else ["0.1", "0.55", "1 +"])
    assert shown["gradient"].count("rgb(") == 8


def test_json_of_a_map_is_small_and_keeps_its_numbers() -> None:
    heat = np.zeros((3000, 1500), dtype=np.float32)
    heat[:, :750] = 0.25
    rows = small(heat)
    assert (len(rows), len(rows[0])) == (64, 32) and {value for row in rows for value in row} == {0.25, 0.0}
    assert len(json.dumps(rows)) < 20_000
    assert small(np.ones((2, 900), dtype=np.float32)) == [[1.0] * 64], "a sliver keeps a row"


def test_a_scale_comes_back_from_json_and_a_broken_one_is_named() -> None:
    stored = json.loads(json.dumps(SCALE.as_dict()))
    assert heat_from(stored, "d.json") == SCALE and heat_from(None, "d.json") is None
    for change, told in (
        ({"full": 0.1}, "shown_from < full"),
        ({"unit": "percent"}, "unit must be"),
        ({"full": 2}, "at most 1"),
        ({"slope": "x"}, "could not"),
    ):
        with pytest.raises(ValueError, match=rf"d\.json: heat: .*{told}"):
            heat_from(stored | change, "d.json")
    with pytest.raises(ValueError, match=r"d\.json: heat: key 'unit' is missing"):
        heat_from({key: value for key, value in stored.items() if key != "unit"}, "d.json")
    with pytest.raises(ValueError, match="must be null or a mapping"):
        heat_from([1], "d.json")
    assert HeatScale(LOG_ODDS, 0.1, 3.0).full == 3.0


def test_bars_of_small_films_fit() -> None:
    assert isinstance(with_legend(np.zeros((10, 10, 3), dtype=np.uint8), SCALE), Image.Image)
