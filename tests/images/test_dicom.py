"""DICOM files come out as a viewer would show them, or are refused by name. Run: pytest tests/images/test_dicom.py"""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from grey_images import GREY, TWELVE, dicom, encoded, refusal
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from hf_bones.images.opening import ImageRefusedError, Refusal, explain, open_image


def test_dicom_without_a_window_is_windowed_by_percentiles() -> None:
    radiograph = open_image(dicom(TWELVE, bits=12))
    assert np.array_equal(radiograph.pixels, open_image(TWELVE).pixels)
    assert radiograph.source_format == "DICOM" and "DICOM tags dropped" in radiograph.steps
    assert "Doe" not in repr(radiograph)


def test_eight_bit_dicom_keeps_its_pixels() -> None:
    assert np.array_equal(open_image(dicom(GREY)).pixels, GREY)


def test_dicom_window_sets_black_and_white() -> None:
    window = {"WindowCenter": [2048, 100], "WindowWidth": [1024, 50]}
    radiograph = open_image(dicom(TWELVE, bits=12, **window))
    expected = np.clip((TWELVE - 2047.5) / 1023 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    assert abs(radiograph.pixels - expected).max() <= 1
    assert "VOI window applied" in radiograph.steps


@pytest.mark.parametrize("slope", [2.0, -1.0])
def test_dicom_window_counts_in_rescaled_values(slope: float) -> None:
    values = TWELVE * slope - 1000
    center, width = float(values.mean()), float(np.ptp(values))
    data = dicom(TWELVE, bits=12, RescaleSlope=slope, RescaleIntercept=-1000, WindowCenter=round(center), WindowWidth=round(width))
    radiograph = open_image(data)
    expected = np.clip((values - (round(center) - 0.5)) / (round(width) - 1) + 0.5, 0, 1) * 255
    assert abs(radiograph.pixels - expected).max() <= 1
    assert "modality LUT applied" in radiograph.steps


def test_signed_dicom_with_sigmoid_window_opens() -> None:
    radiograph = open_image(dicom(TWELVE.astype(np.int16) - 2000, bits=16, VOILUTFunction="SIGMOID", WindowCenter=0, WindowWidth=1500))
    assert np.corrcoef(radiograph.pixels.ravel(), GREY.ravel())[0, 1] > 0.9


def test_dicom_voi_lut_is_applied() -> None:
    lut = pydicom.Dataset()
    lut.LUTDescriptor = [4096, 0, 16]
    lut.LUTData = (4095 - np.arange(4096, dtype=np.uint16)).tobytes()
    lut["LUTData"].VR = "OW"
    radiograph = open_image(dicom(TWELVE, bits=12, VOILUTSequence=[lut]))
    assert abs(radiograph.pixels - (4095 - TWELVE.astype(float)) / 4095 * 255).max() <= 1
    assert "VOI LUT applied" in radiograph.steps


@pytest.mark.parametrize(("center", "width"), [(2000, 0), (2000, -5), (9e8, 10)])
def test_a_window_that_shows_nothing_is_left_aside(center: float, width: float) -> None:
    radiograph = open_image(dicom(TWELVE, bits=12, WindowCenter=center, WindowWidth=width))
    assert np.array_equal(radiograph.pixels, open_image(TWELVE).pixels)
    assert any(step.startswith("VOI") and "ignored" in step for step in radiograph.steps)


def test_monochrome1_is_inverted() -> None:
    radiograph = open_image(dicom(4095 - TWELVE, bits=12, PhotometricInterpretation="MONOCHROME1"))
    assert abs(radiograph.pixels.astype(int) - open_image(TWELVE).pixels).max() <= 1
    assert "MONOCHROME1 inverted" in radiograph.steps
    assert np.array_equal(open_image(dicom(255 - GREY, PhotometricInterpretation="MONOCHROME1")).pixels, GREY)


def test_dicom_padding_does_not_set_the_scale() -> None:
    padded = TWELVE.astype(np.int16)
    padded[:12] = -2000
    radiograph = open_image(dicom(padded, PixelPaddingValue=-2000))
    assert radiograph.pixels[:12].max() == 0
    assert abs(radiograph.pixels[12:].astype(int) - open_image(TWELVE[12:]).pixels).max() <= 4


def test_colour_palette_and_many_frame_dicom_open() -> None:
    assert np.array_equal(open_image(dicom(np.dstack([GREY] * 3))).pixels, GREY)
    radiograph = open_image(dicom(np.stack([GREY, 255 - GREY, GREY]), NumberOfFrames=3))
    assert np.array_equal(radiograph.pixels, GREY) and "first of 3 frames" in radiograph.steps
    ramp = (np.arange(256, dtype=np.uint16) * 257).tobytes()
    tables = {f"{c}PaletteColorLookupTableData": ramp for c in ("Red", "Green", "Blue")}
    descriptors = {f"{c}PaletteColorLookupTableDescriptor": [256, 0, 16] for c in ("Red", "Green", "Blue")}
    palette = open_image(dicom(GREY, PhotometricInterpretation="PALETTE COLOR", **descriptors, **tables))
    assert np.corrcoef(palette.pixels.ravel(), GREY.ravel())[0, 1] > 0.99


def test_compressed_dicom_opens_where_a_decoder_is_there_and_else_says_what_to_install() -> None:
    jpeg = encoded(GREY, "JPEG")
    assert np.array_equal(open_image(dicom(GREY, JPEGBaseline8Bit, frame=jpeg)).pixels, open_image(jpeg).pixels)
    dataset = pydicom.dcmread(io.BytesIO(dicom(TWELVE, bits=12)))
    dataset.compress(RLELossless)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert np.array_equal(open_image(buffer.getvalue()).pixels, open_image(TWELVE).pixels)
    from pydicom.pixels import get_decoder

    if not get_decoder(JPEGLosslessSV1).available_plugins:
        with pytest.raises(ImageRefusedError, match="dicom-codecs") as caught:
            open_image(dicom(TWELVE, JPEGLosslessSV1, frame=jpeg))
        assert caught.value.reason == Refusal.MISSING_CODEC and "dicom-codecs" in explain(caught.value.reason)


def test_dicom_that_cannot_be_opened_is_refused_by_name() -> None:
    whole = dicom(TWELVE, bits=12)
    assert refusal(whole[:-100]) == Refusal.UNDECODABLE
    assert refusal(whole[:140]) in (Refusal.UNDECODABLE, Refusal.NOT_AN_IMAGE)
    assert refusal(dicom(GREY, Rows=60000, Columns=60000)) == Refusal.BOMB
    assert refusal(dicom(GREY, DeflatedExplicitVRLittleEndian)) == Refusal.UNSUPPORTED
    assert refusal(dicom(GREY[:20, :20])) == Refusal.TOO_SMALL
