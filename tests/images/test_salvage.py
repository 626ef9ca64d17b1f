"""Cut-off JPEGs: which of their rows are real, and what is made of them. `python -m pytest tests/images/test_salvage.py`."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile
from small_films import encoded

from hf_bones.images.jpeg_rows import NotCutOffError, count_rows
from hf_bones.images.opening import ImageRefusedError, Limits, Refusal, open_image
from hf_bones.images.salvage import NotSalvageableError, complete, mark, salvage, salvaged_share


def film(height: int, width: int, seed: int = 0, colour: bool = False) -> Image.Image:
    """A picture with the black ground, soft shapes and grain of a film."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    bone = np.exp(-(((x - width * (0.5 + 0.1 * np.sin(y / 9))) / (width / 6)) ** 2)) * 190
    grey = np.clip(bone + rng.normal(0, 6, (height, width)) + 12, 0, 255)
    if not colour:
        return Image.fromarray(grey.astype(np.uint8))
    tint = np.stack([grey, grey * 0.9 + 12 * np.sin(y / 5), grey * 0.8 + 20], axis=-1)
    return Image.fromarray(np.clip(tint, 0, 255).astype(np.uint8))


def rows_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


KINDS = {
    "grey": (False, {}),
    "grey, own tables": (False, {"optimize": True}),
    "grey, finest": (False, {"quality": 100}),
    "colour at half height": (True, {"subsampling": "4:2:0"}),
    "colour at half width": (True, {"subsampling": "4:2:2"}),
    "colour": (True, {"subsampling": "4:4:4", "quality": 95}),
    "restart markers": (True, {"restart_marker_blocks": 3}),
    "restart markers, grey": (False, {"restart_marker_rows": 1}),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_rows_that_are_claimed_are_those_of_the_whole_picture_wherever_it_is_cut(kind, data):
    colour, options = KINDS[kind]
    height, width = data.draw(st.integers(33, 90)), data.draw(st.integers(33, 90))
    whole = encoded(film(height, width, data.draw(st.integers(0, 5)), colour), "JPEG", **options)
    cut = data.draw(st.integers(2, len(whole) - 1) | st.integers(len(whole) - 40, len(whole) - 1))
    try:
        salvaged = salvage(whole[:cut])
    except NotSalvageableError as error:
        assert "before its first row" in str(error)
        return
    assert salvaged.height == height
    there, real = rows_of(salvaged.data), rows_of(whole)
    assert there.shape == real.shape
    assert np.array_equal(there[: salvaged.rows], real[: salvaged.rows])


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_rows_are_claimed_as_different_ends_leave_alone(kind):
    colour, options = KINDS[kind]
    whole = encoded(film(70, 61, 3, colour), "JPEG", **options)
    rng = np.random.default_rng(0)
    for cut in range(len(whole) // 2, len(whole) - 2, 29):
        salvaged = salvage(whole[:cut])
        ends = [bytes(rng.integers(1, 255, 600, np.uint8)) for _ in range(3)]
        pictures = [rows_of(whole[:cut].rstrip(b"\xff") + end + b"\xff\xd9") for end in (b"", *ends)]
        same = np.all([(picture == pictures[0]).reshape(70, -1).all(axis=1) for picture in pictures[1:]], axis=0)
        first_guessed = 70 if same.all() else int(np.argmin(same))
        assert 0 <= first_guessed - salvaged.rows <= 1  # by chance different ends may agree on the row above the first guessed one


def test_only_the_end_marker_missing_leaves_every_row():
    whole = encoded(film(64, 48), "JPEG")
    salvaged = salvage(whole[:-2])
    assert (salvaged.rows, salvaged.share) == (64, 1.0) and salvaged.data == whole
    assert salvage(whole[:-1]).data == whole  # half of the end marker


def test_cut_in_half_half_of_the_rows_are_there_and_the_rest_is_grey():
    whole = encoded(film(96, 80), "JPEG", quality=90)
    salvaged = salvage(whole[: len(whole) // 2])
    assert 0.3 < salvaged.share < 0.7
    assert (open_image(salvaged.data).pixels[-8:] == 128).all()


def test_the_opener_goes_on_refusing_what_is_cut_off_and_pillow_is_left_alone():
    cut = encoded(film(64, 48), "JPEG")[:-30]
    salvage(cut)
    with pytest.raises(ImageRefusedError) as refused:
        open_image(cut)
    assert refused.value.reason is Refusal.UNDECODABLE
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_completing_again_gives_the_same_bytes():
    cut = encoded(film(64, 48), "JPEG", quality=95)[:-40]
    for end in (b"", b"\xff", b"\xff\xff"):
        assert complete(cut + end) == salvage(cut + end).data == salvage(cut).data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a JPEG"),
        (b"GIF89a", "not a JPEG"),
        (encoded(film(64, 48), "JPEG"), "end marker"),
        (encoded(film(64, 48), "JPEG") + b"junk", "end marker"),
        (encoded(film(64, 48), "JPEG", progressive=True)[:-40], "progressive"),
        (encoded(film(64, 48), "JPEG")[:200], "before its first row"),
        (b"\xff\xd8\xff\xe0", "before its first row"),
    ],
)
def test_what_is_not_a_cut_off_baseline_jpeg_is_not_salvaged(data, why):
    with pytest.raises(NotSalvageableError, match=why):
        salvage(data)


def test_data_missing_in_the_middle_is_damage_not_a_cut():
    whole = encoded(film(96, 80), "JPEG", restart_marker_rows=1)
    starts = [place for place in range(len(whole) - 1) if whole[place] == 0xFF and 0xD0 <= whole[place + 1] <= 0xD7]
    with pytest.raises(NotSalvageableError, match="damaged"):
        salvage(whole[: starts[2]] + whole[starts[3] : -10])  # a row of blocks is gone
    with pytest.raises(NotSalvageableError, match="damaged"):
        salvage(whole[: starts[2] - 8] + whole[starts[2] : -10])  # the end of one is gone


@given(st.binary(max_size=400), st.integers(0, 600), st.integers(0, 255))
def test_whatever_the_bytes_nothing_but_a_refusal_comes_of_them(tail, place, value):
    damaged = bytearray(encoded(film(48, 40), "JPEG", optimize=True)[:-20] + tail)
    damaged[place % len(damaged)] = value
    try:
        found = count_rows(bytes(damaged))
    except NotCutOffError:
        return
    assert 0 <= found.rows <= found.height


def test_limits_hold_before_anything_is_counted():
    cut = encoded(film(64, 48), "JPEG")[:-30]
    with pytest.raises(NotSalvageableError, match="over the limit"):
        salvage(cut, Limits(max_bytes=100))
    with pytest.raises(NotSalvageableError, match="over the limit"):
        salvage(cut, Limits(max_pixels=1000))


@pytest.mark.parametrize(("share", "words"), [(0.98458, "salvaged: 98.4 % of the rows"), (1.0, "salvaged: 100 % of the rows")])
def test_marks_say_the_share_and_can_be_read_back(share, words):
    assert mark(share) == words
    assert salvaged_share(f"turned upright; {words}") == pytest.approx(share, abs=1e-3)
    assert salvaged_share("turned upright") is None and salvaged_share("") is None
