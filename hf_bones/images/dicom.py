"""A DICOM file to display values: decoded by pydicom, modality and VOI LUTs applied, every tag dropped.

Only the tags that say how to show pixels are read; names, dates and identifiers are never parsed, let alone kept. Text burnt into
the pixels stays. Not here: scaling to 8 bits (`opening.py`); overlays, presentation states and patient orientation are not applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt

from hf_bones.images.headers import check_jpeg2000
from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal, check_size

_DISPLAY_TAGS = [
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "PlanarConfiguration", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
    "VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
]  # fmt: skip
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_BYTES = 65536  # the transfer syntax stands well within them
_ROWS_AT_ONCE = 256  # the LUTs work in float64: a few rows at a time keep that small


@dataclass(frozen=True, eq=False)
class DisplayValues:
    """The first frame of a DICOM file.

    `values` is (H, W) or, for colour, (H, W, 3); any integer dtype or float32. `levels` are the values shown black and white, or None
    where the file does not say. `inverted` is true for MONOCHROME1, where the least value is white.
    """

    values: npt.NDArray[Any]
    levels: tuple[float, float] | None
    inverted: bool
    size: tuple[int, int]
    mode: str
    steps: tuple[str, ...]


def read_dicom(data: bytes, limits: Limits) -> DisplayValues:
    """Decodes the first frame of a DICOM file in memory.

    The size is checked on Rows and Columns before pixels are decoded. Raises `ImageRefusedError`; whatever pydicom raises on damaged
    files passes through (`open_image` turns it into a refusal).
    """
    import pydicom
    from pydicom.pixels import get_decoder, pixel_array
    from pydicom.pixels.processing import apply_color_lut

    if _DEFLATED in data:
        _refuse_deflated()
    header = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=list(_DISPLAY_TAGS))
    width, height = _size_of(header, limits)
    if int(header.get("SamplesPerPixel", 1)) not in (1, 3) or int(header.get("BitsAllocated", 8)) > 64:
        raise ImageRefusedError(
            Refusal.UNSUPPORTED, f"DICOM of {header.get('SamplesPerPixel')} samples, {header.get('BitsAllocated')} bits"
        )

    syntax = header.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise ImageRefusedError(Refusal.UNSUPPORTED, f"DICOM transfer syntax {syntax.name}") from error
    # Pillow, the decoder that is always there, knows only the 8-bit half of JPEG Extended.
    needs_more_bits = syntax == pydicom.uid.JPEGExtended12Bit and header.get("BitsStored", 8) > 8
    if not set(decoder.available_plugins) - ({"pillow"} if needs_more_bits else set()) and syntax.is_encapsulated:
        raise ImageRefusedError(
            Refusal.MISSING_CODEC, f"DICOM compressed as {syntax.name} needs a decoder: pip install 'hf-bones[dicom-codecs]'"
        )
    if syntax in pydicom.uid.JPEG2000TransferSyntaxes:
        check_jpeg2000(data, limits)

    stored = pixel_array(BytesIO(data), index=0)
    if stored.shape[:2] != (height, width):
        raise ImageRefusedError(Refusal.UNDECODABLE, f"DICOM pixels are {stored.shape}, its header says {height} rows of {width}")
    photometric = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    steps = ["DICOM tags dropped"]
    if int(header.get("NumberOfFrames") or 1) > 1:
        steps.append(f"first of {header.NumberOfFrames} frames")
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
    mode = f"{photometric} {stored.dtype}"
    levels = None
    if stored.ndim == 2 and photometric != "PALETTE COLOR":
        stored = _without_padding(stored, header, photometric, steps)
        stored, levels = _display_values(stored, header, steps)
    return DisplayValues(stored, levels, photometric == "MONOCHROME1", (width, height), mode, tuple(steps))


def dicom_size(stream: IO[bytes], limits: Limits) -> tuple[int, int]:
    """(width, height) in pixels from the header of a DICOM file; `stream` is read no further than to its pixels.

    Raises `ImageRefusedError`; whatever pydicom raises on damaged headers passes through.
    """
    import pydicom

    start = stream.tell()
    if _DEFLATED in stream.read(_META_BYTES):
        _refuse_deflated()
    stream.seek(start)
    return _size_of(pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=["Rows", "Columns"]), limits)


def _refuse_deflated() -> NoReturn:
    # pydicom inflates the whole data set, without a bound, before any tag can be looked at.
    raise ImageRefusedError(Refusal.UNSUPPORTED, "deflated DICOM; save it uncompressed, with dcmconv for one")


def _size_of(header: Any, limits: Limits) -> tuple[int, int]:
    """(width, height), held to the limits before any pixel is decoded."""
    if header.get("Rows") is None or header.get("Columns") is None:
        raise ImageRefusedError(Refusal.NOT_AN_IMAGE, "a DICOM file without an image, such as a report")
    width, height = int(header.Columns), int(header.Rows)
    check_size(width, height, limits)
    return width, height


def _without_padding(stored: npt.NDArray[Any], header: Any, photometric: str, steps: list[str]) -> npt.NDArray[Any]:
    """Gives padding (the area outside the detector) the value that shows black, so that it sets neither end of the grey scale."""
    padding = header.get("PixelPaddingValue")
    if not isinstance(padding, int):
        return stored
    padded = stored == padding
    if not padded.any() or padded.all():
        return stored
    image = stored[~padded]
    steps.append("padding shown black")
    return np.where(padded, image.max() if photometric == "MONOCHROME1" else image.min(), stored)


def _display_values(stored: npt.NDArray[Any], header: Any, steps: list[str]) -> tuple[npt.NDArray[Any], tuple[float, float] | None]:
    """Stored values through the modality LUT or rescale, then the first VOI LUT or window (DICOM PS3.3 C.11.1, C.11.2).

    With a VOI, the values come back in 0..1 from its black to its white.
    """
    from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

    rescaled = bool(header.get("ModalityLUTSequence")) or ("RescaleSlope" in header and "RescaleIntercept" in header)
    lut: Any = header.VOILUTSequence[0] if header.get("VOILUTSequence") else {}
    has_lut = "LUTDescriptor" in lut and "LUTData" in lut
    has_window = not has_lut and _has_usable_window(header, steps)
    if rescaled:
        steps.append("modality LUT applied")
    if not rescaled and not has_lut and not has_window:
        bits = int(header.get("BitsStored", 16))
        return stored, (0.0, 2.0**bits - 1) if bits <= 8 and stored.dtype.kind == "u" else None

    def by_rows(values: npt.NDArray[Any], change: Any) -> npt.NDArray[np.float32]:
        changed = np.empty(values.shape, np.float32)
        for start in range(0, len(values), _ROWS_AT_ONCE):
            changed[start : start + _ROWS_AT_ONCE] = change(values[start : start + _ROWS_AT_ONCE])
        return changed

    values: npt.NDArray[Any] = by_rows(stored, lambda rows: apply_modality_lut(rows, header)) if rescaled else stored
    if not has_lut and not has_window:
        return values, None
    # The answer to the least and greatest inputs is the VOI's own black and white (a negative slope turns pydicom's range over).
    if has_lut:
        entries, first = int(lut.LUTDescriptor[0]) or 65536, int(lut.LUTDescriptor[1])
        answers = apply_voi(np.arange(first, first + entries), header).astype(np.float64)
        black, white = float(answers.min()), float(answers.max())
    else:
        black, white = (float(level) for level in apply_windowing(np.array([-1e12, 1e12]), header))
    if white != black:

        def show(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
            shown = apply_voi(np.rint(rows).astype(np.int64), header) if has_lut else apply_windowing(rows, header)
            return (shown.astype(np.float64) - black) / (white - black)

        shown = by_rows(values, show)
        if shown.min() < shown.max():
            steps.append("VOI LUT applied" if has_lut else "VOI window applied")
            return shown, (0.0, 1.0)
    steps.append("VOI ignored: it would show one grey")
    return values, None


def _has_usable_window(header: Any, steps: list[str]) -> bool:
    """Whether there is a window that the standard allows; a broken one is noted and left, since the pixels are good without it."""
    center, width = (_first_number(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None:
        return False
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or not (1 < width < 1e9 if function == "LINEAR" else 0 < width < 1e9):
        steps.append("VOI window ignored: it is malformed")
        return False
    return bool(abs(center) < 1e9)


def _first_number(value: Any) -> float | None:
    """The first of the values of a tag, which may hold one, several or none."""
    if value is None or value == "":
        return None
    if hasattr(value, "__len__"):
        return float(value[0]) if len(value) else None
    return float(value)
