"""A DICOM file to display values: decoded by pydicom, modality and VOI LUTs applied, every tag dropped.

Only the tags that say how to show pixels are read; names, dates and identifiers are never parsed, let alone kept. Text burnt into
the pixels stays. Not here: scaling to 8 bits (`opening.py`); overlays, presentation states and patient orientation are not applied.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt

from hf_bones.images.budget import DICOM_READ_STEPS, Budget, MeteredBytes, MeteredFile
from hf_bones.images.dicom_frames import check_frame, first_frame
from hf_bones.images.refusals import ImageRefusedError, Limits, Refusal, check_size

_DISPLAY_TAGS = [
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "PlanarConfiguration", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
    "VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "PresentationLUTShape", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
]  # fmt: skip
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_BYTES = 65536  # the transfer syntax stands well within them
_VALUE_BYTES = 2**20  # of a tag that says how to show pixels: the largest are lookup tables
_MAGIC = bytes(128) + b"DICM"
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


def read_dicom(data: bytes, limits: Limits, budget: Budget) -> DisplayValues:
    """Decodes the first frame of a DICOM file in memory, with or without its preamble.

    The size is checked on Rows and Columns before pixels are decoded, and a compressed frame as a file of its kind. Raises
    `ImageRefusedError`; whatever pydicom raises on damaged files passes through (`open_image` turns it into a refusal).
    """
    import pydicom
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder, pixel_array
    from pydicom.pixels.processing import apply_color_lut

    if _DEFLATED in data:
        _refuse_deflated()
    data = _with_preamble(data)
    _check_meta(data)
    stream = MeteredBytes(data, budget, DICOM_READ_STEPS)
    header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(_DISPLAY_TAGS))
    _check_values(header)
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

    frames = int(header.get("NumberOfFrames") or 1)
    if syntax.is_encapsulated:
        frame = first_frame(stream, header, frames)
        check_frame(frame, syntax, header, limits, budget)
        alone = pydicom.Dataset(header)  # with the one frame that was looked at
        alone.file_meta = header.file_meta
        for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            alone.pop(name, None)
        alone.NumberOfFrames = 1
        alone.PixelData = encapsulate([frame])
        stored = pixel_array(alone, index=0)
    else:
        stored = pixel_array(MeteredBytes(data, budget, DICOM_READ_STEPS), index=0)
    if stored.shape[:2] != (height, width):
        raise ImageRefusedError(Refusal.UNDECODABLE, f"DICOM pixels are {stored.shape}, its header says {height} rows of {width}")
    photometric = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    steps = ["DICOM tags dropped"]
    if frames > 1:
        steps.append(f"first of {frames} frames")
    shape = str(header.get("PresentationLUTShape") or "")
    if (shape, photometric) in (("INVERSE", "MONOCHROME2"), ("IDENTITY", "MONOCHROME1")):
        steps.append(f"PresentationLUTShape {shape} contradicts {photometric}: shown as {photometric}")
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
    mode = f"{photometric} {stored.dtype}"
    levels = None
    if stored.ndim == 2 and photometric != "PALETTE COLOR":
        stored = _without_padding(stored, header, photometric, steps)
        stored, levels = _display_values(stored, header, steps)
    return DisplayValues(stored, levels, photometric == "MONOCHROME1", (width, height), mode, tuple(steps))


def dicom_size(stream: IO[bytes], limits: Limits, budget: Budget | None = None) -> tuple[int, int]:
    """(width, height) in pixels from the header of a DICOM file; `stream` is read no further than to its pixels.

    Raises `ImageRefusedError`; whatever pydicom raises on damaged headers passes through.
    """
    import pydicom

    beginning = stream.read(_META_BYTES + len(_MAGIC))
    if _DEFLATED in beginning:
        _refuse_deflated()
    _check_meta(_with_preamble(beginning))
    stream.seek(0)
    metered: Any = MeteredFile(stream, budget or Budget(), DICOM_READ_STEPS)
    if beginning[128:132] != b"DICM":
        metered = MeteredBytes(_with_preamble(stream.read(limits.max_bytes)), budget or Budget(), DICOM_READ_STEPS)
    header = pydicom.dcmread(metered, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
    _check_values(header)
    return _size_of(header, limits)


def _with_preamble(data: bytes) -> bytes:
    """The same file with the preamble that it came without. Raises `ImageRefusedError` where its transfer syntax is missing with it."""
    if data[128:132] == b"DICM":
        return data
    if data[:2] == b"\x02\0":
        return _MAGIC + data
    # A bare data set: without meta information it is little endian, its VRs stated or not (PS3.5, 7.1.1, 10.1).
    syntax = b"1.2.840.10008.1.2.1\0" if data[4:6].isalpha() else b"1.2.840.10008.1.2\0"
    element = struct.pack("<HH2sH", 2, 16, b"UI", len(syntax)) + syntax
    return _MAGIC + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(element)) + element + data


def _check_meta(data: bytes) -> None:
    """The meta information is read whole whatever is asked for: its values are held to a size."""
    position = len(_MAGIC)
    while data[position : position + 2] == b"\x02\0":
        long = data[position + 4 : position + 6] in (b"OB", b"OW", b"UN", b"UT", b"SQ", b"OF", b"OD", b"OL", b"UC", b"UR")
        length = struct.unpack_from("<L" if long else "<H", data.ljust(position + 12, b"\0"), position + (8 if long else 6))[0]
        position += (12 if long else 8) + length
        if position > len(_MAGIC) + _META_BYTES:
            raise ImageRefusedError(Refusal.TOO_COSTLY, f"DICOM meta information of over {_META_BYTES} bytes")


def _check_values(header: Any) -> None:
    """Values of many numbers are taken apart in Python when they are asked for."""
    for tag in list(header.keys()):
        value = getattr(header.get_item(tag), "value", None)
        if isinstance(value, bytes) and len(value) > _VALUE_BYTES:
            raise ImageRefusedError(Refusal.TOO_COSTLY, f"DICOM tag {tag} of {len(value)} bytes")


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
