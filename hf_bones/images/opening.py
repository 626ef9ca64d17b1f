"""The ONE way to open an image: a file, bytes, a Pillow image or an array becomes an upright 8-bit grey radiograph, or a named refusal.

Curation, the dataset, training, the demo and ONNX all open images here, so that all see the same pixels. What is done, in order:

- The format is told by content and must be on a short list. Size and known traps are checked on the header, before decoding.
- Anything deeper than 8 bits is windowed: the 0.1 and 99.9 percentiles of its values become black and white. Pillow's own conversion
  clips 16 bits to 8, which leaves a radiograph white. DICOM uses its own VOI LUT or window where it has one.
- Alpha is composited on black: black is what air and the collimated border show, where white would pose as dense bone or metal.
- MONOCHROME1 and white-is-zero are inverted, colour becomes luma (ITU-R 601-2, as Pillow has it), EXIF orientation is applied.

8-bit grey comes out as it was stored, bit for bit. Only the first frame of several is taken. ICC profiles are not applied. 16-bit
*colour* is read at 8 bits, as Pillow does. Nothing here changes Pillow's global settings, and `open_image` may be called from threads.
Not here: whether the image shows a bone (nothing tells yet), resizing and normalising (`preprocess.py`).
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFile, UnidentifiedImageError, features

from hf_bones.images.budget import Budget
from hf_bones.images.checks import check
from hf_bones.images.dicom import read_dicom
from hf_bones.images.headers import sniff
from hf_bones.images.png import XMP_ORIENTATION
from hf_bones.images.refusals import DEFAULT_LIMITS, ImageRefusedError, Limits, Refusal, check_size, explain
from hf_bones.images.tiff import exif_facts

__all__ = ["DEFAULT_LIMITS", "ImageRefusedError", "Limits", "Radiograph", "Refusal", "explain", "open_image"]

BLACK_PERCENTILE, WHITE_PERCENTILE = 0.1, 99.9
_SAMPLE_SIDE = 2048  # percentiles are read from a regular grid of at most this many rows and columns
_ROWS_AT_ONCE = 256  # grey scaling works in float64: a few rows at a time keep that small

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_CODEC_FEATURE = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}


@dataclass(frozen=True, eq=False)
class Radiograph:
    """An opened image. `pixels` is (H, W) uint8, upright, 0 black, a contiguous array of its own.

    `original_size` is (width, height) as stored, before any turn; `source_format` is Pillow's name, "DICOM", "array" or "PIL";
    `source_mode` the Pillow mode, or the photometric interpretation or dtype; `steps` says in words what was done.
    """

    pixels: npt.NDArray[np.uint8]
    original_size: tuple[int, int]
    source_format: str
    source_mode: str
    steps: tuple[str, ...]


def open_image(source: str | Path | bytes | Image.Image | npt.NDArray[Any], limits: Limits = DEFAULT_LIMITS) -> Radiograph:
    """Opens `source`: a path, the bytes of a file, a Pillow image (its current frame), or an array.

    An array is (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA of bool, integers or floats. uint8 is taken as it is; any other dtype is
    windowed by percentiles, since it has no agreed white. NaN is shown black; infinities take the ends. Alpha is full at the dtype's
    greatest value, or 1 for floats.

    Raises `ImageRefusedError` for anything that cannot be opened, whatever went wrong, and TypeError for another type of `source`.
    """
    if isinstance(source, (bytes, np.ndarray, Image.Image)):
        name = {bytes: "bytes", np.ndarray: "array"}.get(type(source), type(source).__name__)
    elif isinstance(source, (str, Path)):
        name = str(source).encode("utf-8", "backslashreplace").decode()  # a name that cannot be printed must not break the report
    else:
        raise TypeError(f"open_image takes a path, bytes, a Pillow image or a numpy array, not {type(source).__name__}")
    try:
        if isinstance(source, np.ndarray):
            return _from_array(source, limits)
        if isinstance(source, Image.Image):
            return _from_pillow(source, limits, source.format or "PIL")
        return _from_bytes(source if isinstance(source, bytes) else _read(Path(source), limits), limits)
    except ImageRefusedError as refusal:
        raise ImageRefusedError(refusal.reason, refusal.detail, name) from refusal.__cause__
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise ImageRefusedError(Refusal.BOMB, str(error) or "not enough memory", name) from error
    except UnidentifiedImageError as error:
        raise ImageRefusedError(Refusal.UNDECODABLE, "the header is damaged, or of a kind that Pillow does not read", name) from error
    except Exception as error:
        # Decoders answer damaged files with nearly every exception there is; to the caller they all mean the same.
        reason = Refusal.BOMB if "too large" in str(error) and isinstance(error, ValueError) else Refusal.UNDECODABLE
        raise ImageRefusedError(reason, f"{type(error).__name__}: {error}"[:300], name) from error


def _read(path: Path, limits: Limits) -> bytes:
    """The content of a regular file: a device or a pipe might never end, and nothing over `max_bytes` is held."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageRefusedError(Refusal.UNREADABLE_FILE, "not a regular file")
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ImageRefusedError):
            raise
        raise ImageRefusedError(Refusal.UNREADABLE_FILE, f"{type(error).__name__}: {getattr(error, 'strerror', error)}") from error
    return data


def _from_bytes(data: bytes, limits: Limits) -> Radiograph:
    if len(data) > limits.max_bytes:
        raise ImageRefusedError(Refusal.TOO_LARGE, f"over the limit of {limits.max_bytes} bytes")
    budget = Budget()
    try:
        return _decoded(data, sniff(data), limits, budget)
    except Exception as error:
        # A decoder may have swallowed the refusal, or turned it into an error of its own.
        if budget.is_used_up and not isinstance(error, ImageRefusedError):
            raise ImageRefusedError(Refusal.TOO_COSTLY, "too many parts to read: its headers") from error
        raise


def _decoded(data: bytes, kind: str, limits: Limits, budget: Budget) -> Radiograph:
    if kind == "DICOM":
        return _from_dicom(data, limits, budget)
    if kind in _CODEC_FEATURE and not features.check(_CODEC_FEATURE[kind]):
        raise ImageRefusedError(Refusal.UNSUPPORTED, f"this Pillow was built without {kind}")
    checked = check(data, kind, limits, budget)
    tiff = checked.tiff
    with Image.open(checked.stream, formats=[kind]) as image:
        check_size(*image.size, limits)
        budget.allow_pixels(image.width * image.height)
        frames: int = checked.frames or getattr(image, "n_frames", 0) or 1
        turned = tiff is not None and tiff.orientation in (5, 6, 7, 8)
        opened = _from_pillow(image, limits, image.format or kind, white_is_zero=tiff is not None and tiff.photometric == 0, budget=budget)
        steps = opened.steps
        # Pillow turns TIFF upright by itself as it decodes.
        if tiff is not None and tiff.orientation in _TRANSPOSE:
            steps = (f"EXIF orientation {tiff.orientation} applied", *steps)
        if frames > 1:
            steps = ("first of several frames", *steps)
    width, height = opened.original_size
    size = (height, width) if turned else (width, height)
    return Radiograph(opened.pixels, size, opened.source_format, opened.source_mode, steps)


def _from_pillow(
    image: Image.Image, limits: Limits, source_format: str, white_is_zero: bool = False, budget: Budget | None = None
) -> Radiograph:
    check_size(*image.size, limits)
    size, mode = image.size, image.mode
    steps: list[str] = []
    if ImageFile.LOAD_TRUNCATED_IMAGES and getattr(image, "tile", None):
        steps.append("truncation not checked: this process has set ImageFile.LOAD_TRUNCATED_IMAGES")
    if mode in ("RGB", "RGBA", "LA", "CMYK") and ";16" in str(getattr(image, "tile", "")):
        steps.append("16-bit colour read at 8 bits")
    image.load()
    check_size(*image.size, limits)  # some formats know their size only once they are decoded
    if image.format == "TIFF" and not white_is_zero:
        white_is_zero = getattr(image, "tag_v2", {}).get(262) == 0
    if mode.startswith("I") or mode == "F":
        # Pillow inverts white-is-zero TIFF up to 8 bits only.
        if white_is_zero:
            steps.append("white-is-zero inverted")
        pixels = _window(np.asarray(image), None, white_is_zero, steps)
    else:
        pixels = np.array(_grey(image, steps), dtype=np.uint8)
    orientation = None if source_format == "TIFF" else header_orientation(image, limits, budget)
    if orientation in _TRANSPOSE:
        pixels = np.array(Image.fromarray(pixels).transpose(_TRANSPOSE[orientation]))
        steps.append(f"EXIF orientation {orientation} applied")
    return Radiograph(pixels, size, source_format, mode, tuple(steps))


def _grey(image: Image.Image, steps: list[str]) -> Image.Image:
    """Any Pillow mode of 8 bits a channel as mode L, composited on black where it is transparent."""
    if image.mode == "L" and "transparency" not in image.info:
        return image
    if image.mode in ("PA", "RGBa") or ("transparency" in image.info and image.mode in ("P", "RGB")):
        image = image.convert("RGBA")
    elif image.mode == "La" or ("transparency" in image.info and image.mode in ("1", "L")):
        image = image.convert("LA")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if image.mode in ("LAB", "HSV", "CMYK", "RGBX"):
        image = image.convert("RGB")
    if image.mode not in ("L", "LA", "1"):
        steps.append("colour to grey")
    grey = image.convert("L")
    if alpha is not None and alpha.getextrema() != (255, 255):
        steps.append("alpha composited on black")
        grey = ImageChops.multiply(grey, alpha)
    return grey


def header_orientation(image: Image.Image, limits: Limits, budget: Budget | None = None) -> int | None:
    """EXIF orientation, 1 to 8, from EXIF or else XMP: what `ImageOps.exif_transpose` finds, without parsing the rest of the EXIF.

    Pillow's own parser copies each tag's bytes, and keeps what it parsed on an image that may be the caller's.
    """
    blob = image.info.get("exif")
    raw_profile = image.info.get("Raw profile type exif")
    if blob is None and isinstance(raw_profile, str):
        digits = "".join(raw_profile.split("\n")[3:])
        blob = bytes.fromhex(digits) if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", digits) else None
    facts = exif_facts(blob, limits, budget) if isinstance(blob, bytes) else None
    if facts is not None and facts.orientation is not None:
        return facts.orientation
    xmp = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or b""
    found = XMP_ORIENTATION.search(xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp)
    return int(found[1]) if found else None


def _from_dicom(data: bytes, limits: Limits, budget: Budget) -> Radiograph:
    with np.errstate(all="ignore"):  # windows at the far ends of a sigmoid overflow, to the right answer
        shown = read_dicom(data, limits, budget)
    steps = list(shown.steps)
    values = shown.values
    if values.ndim == 3:
        pixels = _from_array(values, limits).pixels
        steps.append("colour to grey")
    else:
        if shown.inverted:
            steps.append("MONOCHROME1 inverted")
        pixels = _window(values, shown.levels, shown.inverted, steps)
    return Radiograph(pixels, shown.size, "DICOM", shown.mode, tuple(steps))


def _from_array(array: npt.NDArray[Any], limits: Limits) -> Radiograph:
    mode = f"{array.dtype} {'x'.join(map(str, array.shape))}"
    if array.dtype.kind not in "biuf":
        raise ImageRefusedError(Refusal.UNSUPPORTED, f"array of {array.dtype}; use bool, integers or floats")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageRefusedError(Refusal.NOT_AN_IMAGE, f"array of shape {array.shape}; use (H, W) or (H, W, 1, 3 or 4), channels last")
    height, width = array.shape[:2]
    check_size(width, height, limits)
    values = np.asarray(array)[..., 0] if array.ndim == 3 and array.shape[2] == 1 else np.asarray(array)
    steps: list[str] = []
    if values.dtype.kind == "b":
        values = values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint8:
        pixels = np.array(_grey(Image.fromarray(np.ascontiguousarray(values)), steps))
    elif values.ndim == 2:
        pixels = _window(values, None, False, steps)
    else:
        steps.append("colour to grey")
        with np.errstate(all="ignore"):
            grey = values[..., 0] * 0.299 + values[..., 1] * 0.587 + values[..., 2] * 0.114
        pixels = _window(grey, None, False, steps)
        if values.shape[2] == 4:
            steps.append("alpha composited on black")
            full = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
            alpha = np.nan_to_num(np.clip(values[..., 3].astype(np.float64) / full, 0.0, 1.0))
            pixels = np.rint(pixels * alpha).astype(np.uint8)
    return Radiograph(np.ascontiguousarray(pixels), (width, height), "array", mode, tuple(steps))


def _window(values: npt.NDArray[Any], levels: tuple[float, float] | None, inverted: bool, steps: list[str]) -> npt.NDArray[np.uint8]:
    """(H, W) numbers of any depth as uint8, `levels` (black, white; by default the robust percentiles) stretched over 0 to 255."""
    black, white = levels or _percentile_levels(values)
    if levels is None:
        steps.append(f"windowed from {black:g} .. {white:g} to 8 bits")

    def shade(numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        with np.errstate(all="ignore"):
            scaled = np.clip(numbers.astype(np.float64), black, white)
            scaled[np.isnan(scaled)] = white if inverted else black
            # Halves first, since the whole range of a float64 overflows itself; equal levels give 0 / 0, shown black.
            scaled = np.nan_to_num((scaled / 2 - black / 2) / (white / 2 - black / 2)) * 255
            grey = np.rint(scaled).astype(np.uint8)
        return 255 - grey if inverted else grey

    if values.dtype == np.uint16:
        return shade(np.arange(65536))[values]
    pixels = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        pixels[start : start + _ROWS_AT_ONCE] = shade(values[start : start + _ROWS_AT_ONCE])
    return pixels


def _percentile_levels(values: npt.NDArray[Any]) -> tuple[float, float]:
    """The 0.1 and 99.9 percentiles of the finite values; their least and greatest where nearly all of them are equal."""
    height, width = values.shape
    sample = values[:: -(-height // _SAMPLE_SIDE), :: -(-width // _SAMPLE_SIDE)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size:
        black, white = np.percentile(sample, [BLACK_PERCENTILE, WHITE_PERCENTILE], method="nearest")
        if black < white:
            return float(black), float(white)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ImageRefusedError(Refusal.UNDECODABLE, "no finite value in the image")
    return float(finite.min()), float(finite.max())
