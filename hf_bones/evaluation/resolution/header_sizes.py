"""The size of an image from its header: no pixel is decoded.

Held to the same limits and checks as `open_image`, so that a size is only stated for what could be opened as far as the header
tells; whether the pixels behind it are whole is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

from hf_bones.images.budget import Budget
from hf_bones.images.checks import check
from hf_bones.images.dicom import dicom_size
from hf_bones.images.headers import sniff
from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Limits, Refusal, header_orientation
from hf_bones.images.refusals import check_size

_START = 512  # bytes by which a format is told
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def header_size(read: Callable[[], bytes], file: Path | None = None, limits: Limits = DEFAULT_LIMITS) -> tuple[int, int]:
    """(width, height) in pixels of the image once it stands upright. Of a DICOM `file` only the header is read.

    Raises `ImageRefusedError` where it is not there, or its header says that it cannot be opened.
    """
    try:
        if file is not None and file.is_file():
            with file.open("rb") as stream:
                if sniff(stream.read(_START)) == "DICOM":
                    stream.seek(0)
                    return dicom_size(stream, limits)
        return _size(read(), limits)
    except ImageRefusedError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise ImageRefusedError(Refusal.UNREADABLE_FILE, error.strerror or type(error).__name__) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefusedError(Refusal.BOMB, str(error)) from error
    except Exception as error:
        # Parsers answer damaged headers with nearly every exception there is; to the caller they all mean the same.
        raise ImageRefusedError(Refusal.UNDECODABLE, f"{type(error).__name__}: {error}"[:300]) from error


def _size(data: bytes, limits: Limits) -> tuple[int, int]:
    if len(data) > limits.max_bytes:
        raise ImageRefusedError(Refusal.TOO_LARGE, f"over the limit of {limits.max_bytes} bytes")
    kind, budget = sniff(data), Budget()
    if kind == "DICOM":
        return dicom_size(BytesIO(data), limits, budget)
    with Image.open(check(data, kind, limits, budget).stream, formats=[kind]) as image:
        width, height = image.size
        # Of a TIFF Pillow tells the upright size as it is.
        orientation = None if kind == "TIFF" else header_orientation(image, limits, budget)
    check_size(width, height, limits)
    return (height, width) if orientation in _SIDEWAYS else (width, height)
