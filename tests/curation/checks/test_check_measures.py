"""What the checks measure tells bad pictures from radiographs. `python -m pytest tests/curation/checks/test_check_measures.py`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from small_films import encoded

from hf_bones.curation.checks.colour import colour_picture
from hf_bones.curation.checks.measuring import measure
from hf_bones.curation.checks.reasons import RULES, Reason
from hf_bones.curation.recipe import CheckSettings, load_curate_recipe
from hf_bones.dataset.drawn.radiograph import draw_set
from hf_bones.images.opening import open_image

SETTINGS = load_curate_recipe().checks


def flags(data: bytes, rows: float = 1.0) -> set[str]:
    """What an image is flagged for by the shipped recipe."""
    found = measure(data, rows)
    return {reason for reason, rule in RULES.items() if rule.is_flagged(found[reason].value, rule.threshold(SETTINGS))}


@pytest.fixture(scope="module")
def films() -> list[Image.Image]:
    """Drawn radiographs without anything drawn on them."""
    drawn = [Image.fromarray(one.pixels) for one in draw_set(24, 3, size=320)]
    return [film for film in drawn if not flags(encoded(film))]


def diagram(width: int = 400, height: int = 300) -> Image.Image:
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for place in range(4):
        draw.rectangle((30 + place * 90, 250 - place * 50, 80 + place * 90, 270), fill=("#1f77b4", "#ff7f0e")[place % 2], outline="black")
        draw.text((30 + place * 90, 20), f"class {place}", fill="black", font=ImageFont.load_default(size=16))
    draw.line((20, 270, 390, 270), fill="black", width=2)
    return picture


def photograph(seed: int = 0) -> Image.Image:
    """Patches of many colours that brightness does not explain."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((360, 280), Image.Resampling.BICUBIC)


def test_most_drawn_radiographs_are_flagged_for_nothing(films):
    assert len(films) >= 12


def test_every_reason_has_a_value_for_every_image(films):
    assert set(measure(encoded(films[0]))) == set(Reason) == set(RULES)
    assert all(found.value is not None for found in measure(encoded(films[0])).values())


def test_a_blank_picture_is_blank_and_says_little():
    assert {Reason.BLANK, Reason.LOW_INFORMATION} <= flags(encoded(Image.new("L", (300, 300), 90)))


def test_a_thumbnail_is_too_small_and_a_strip_has_an_odd_aspect(films):
    assert Reason.TOO_SMALL in flags(encoded(films[0].resize((80, 70))))
    assert Reason.ODD_ASPECT in flags(encoded(films[0].resize((900, 150))))


@pytest.mark.parametrize("how", ["out of focus", "enlarged"])
def test_films_out_of_focus_or_enlarged_are_blurry(films, how):
    def worse(film: Image.Image) -> Image.Image:
        if how == "out of focus":
            return film.filter(ImageFilter.GaussianBlur(3))
        return film.resize((film.width // 5, film.height // 5)).resize(film.size, Image.Resampling.BICUBIC)

    blurry = [Reason.BLURRY in flags(encoded(worse(film))) for film in films]
    assert np.mean(blurry) > 0.9


def test_a_diagram_is_one_in_colour_and_in_grey_but_an_inverted_film_is_none(films):
    assert Reason.DIAGRAM in flags(encoded(diagram())) and Reason.DIAGRAM in flags(encoded(diagram().convert("L")))
    inverted = [Reason.DIAGRAM in flags(encoded(Image.fromarray(255 - np.asarray(film)))) for film in films]
    assert not any(inverted)


def test_a_photograph_is_in_colour_and_a_tinted_film_is_not(films):
    assert Reason.COLOUR_PHOTOGRAPH in flags(encoded(photograph()))
    for tint in ((0.7, 0.85, 1.0), (1.0, 0.85, 0.6), (0.55, 0.6, 1.0)):
        tinted = np.stack([np.asarray(films[0]) * part for part in tint], axis=-1).astype(np.uint8)
        assert Reason.COLOUR_PHOTOGRAPH not in flags(encoded(Image.fromarray(tinted)))


@pytest.mark.parametrize("ground", [0, 235])
@pytest.mark.parametrize("upright", [True, False])
def test_two_films_with_a_gutter_between_them_are_several_panels(films, ground, upright):
    found = []
    for one, other in zip(films[:8:2], films[1:8:2], strict=True):
        side = min(*one.size, *other.size)
        sheet = Image.new("L", (2 * side + 24, side), ground)
        for place, film in enumerate((one, other)):
            box = ((film.width - side) // 2, (film.height - side) // 2)
            sheet.paste(film.crop((*box, box[0] + side, box[1] + side)), (place * (side + 24), 0))
        found.append(measure(encoded(sheet if upright else sheet.rotate(90, expand=True)))[Reason.MULTI_PANEL].value)
    alone = [measure(encoded(film))[Reason.MULTI_PANEL].value for film in films]
    assert np.mean(found) > np.mean(alone) + 0.5


def test_letters_and_arrows_are_marks(films):
    for film in films[:6]:
        marked = film.copy()
        draw = ImageDraw.Draw(marked)
        draw.text((20, marked.height // 2), "R", fill=255, font=ImageFont.load_default(size=26))
        draw.text((20, 12), "SUPINE 12:40", fill=255, font=ImageFont.load_default(size=14))
        assert Reason.BURNT_IN_MARKS in flags(encoded(marked))


def test_a_coloured_arrow_is_a_mark_and_does_not_make_a_photograph_of_a_film(films):
    marked = films[0].convert("RGB")
    ImageDraw.Draw(marked).line((60, 60, 120, 90), fill=(255, 30, 30), width=6)
    assert flags(encoded(marked)) == {Reason.BURNT_IN_MARKS}


def test_bytes_that_do_not_open_are_unreadable_and_measured_no_further():
    for data in (b"", b"<html>", encoded(diagram())[:-200]):
        found = measure(data)
        assert flags(data) == {Reason.UNREADABLE}
        assert found[Reason.UNREADABLE].detail and found[Reason.BLURRY].value is None


def test_an_image_with_rows_missing_is_truncated(films):
    assert flags(encoded(films[0]), rows=0.995) == {Reason.TRUNCATED}


@given(arrays(np.uint8, st.tuples(st.integers(32, 70), st.integers(32, 70)), elements=st.sampled_from([0, 1, 90, 200, 254, 255])))
def test_every_picture_has_finite_values_in_range(pixels):
    found = measure(encoded(Image.fromarray(pixels)))
    assert all(np.isfinite(one.value) and one.value >= 0 for one in found.values())
    assert found[Reason.LOW_INFORMATION].value <= 8 and found[Reason.DIAGRAM].value <= 1 and found[Reason.BLANK].value <= 255


def test_the_small_colour_picture_is_upright_in_the_files_own_colours_and_black_where_it_is_transparent():
    picture = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    picture.paste((200, 40, 40, 255), (0, 0, 150, 200))
    data = encoded(picture)
    small = colour_picture(data, open_image(data), 60)
    assert small.mode == "RGB" and small.size == (60, 40)
    assert small.getpixel((10, 20)) == (200, 40, 40) and small.getpixel((50, 20)) == (0, 0, 0)
    exif = Image.Exif()
    exif[0x112] = 6
    upright = encoded(Image.new("RGB", (300, 200), (10, 90, 200)), "JPEG", exif=exif.tobytes())
    turned = colour_picture(upright, open_image(upright), 60)
    assert turned.size == (40, 60) and abs(turned.getpixel((20, 30))[2] - 200) < 6
    palette = encoded(picture.convert("RGB").convert("P"))
    assert colour_picture(palette, open_image(palette), 60).mode == "RGB"


@pytest.mark.parametrize(("key", "value"), [("min_rows", 1.5), ("max_flat_share", -0.1), ("min_side", float("nan"))])
def test_a_threshold_that_makes_no_sense_is_named(key, value):
    with pytest.raises(ValueError, match=key):
        CheckSettings(**{key: value})


def test_thresholds_of_the_shipped_recipe_are_those_of_the_settings():
    assert CheckSettings() == SETTINGS
