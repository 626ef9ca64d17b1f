"""From a source row to the bytes that a dataset stores: opened by `open_image`, kept or re-encoded without loss, hashed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hf_bones.curation.checks.text import text_letters
from hf_bones.curation.in_order import in_order
from hf_bones.dataset.reading.sources import SourceRow
from hf_bones.images.opening import DEFAULT_LIMITS, ImageRefusedError, Radiograph, Refusal, open_image
from hf_bones.images.salvage import NotSalvageableError, salvage
from hf_bones.pages.pictures import png
from hf_bones.preprocess import fit_to

_AHEAD = 32  # rows that are opened before their turn, which bounds memory: at 20 megapixels an image they are about 600 MB at worst
# JPEG segments that hold no text: JFIF and Adobe's colour transform. All others (EXIF, XMP, comments) may name a patient.
_HARMLESS_SEGMENTS = {"APP0", "APP14"}


@dataclass(frozen=True)
class Encoded:
    """An opened image: `data` decodes to the grey pixels as `open_image` gave them; `sha256` is that of the source.

    `salvaged` is the share of its rows that a file has which was cut off, in [0, 1]; None for all others. `letters` are those of the
    longest line of writing on it (`curation/checks/text.py`); a drawn film is not searched.
    """

    data: bytes
    sha256: str
    salvaged: float | None = None
    letters: float = 0.0


@dataclass(frozen=True)
class RefusedImage:
    """An image that could not be used: the row's name, the reason (a `Refusal`) and what was wrong."""

    name: str
    reason: str
    detail: str


def encode_row(row: SourceRow, max_side: int | None, salvage_rows: float | None = None) -> Encoded | RefusedImage:
    """Opens and encodes one row; `max_side` shrinks the long side to that many pixels.

    A JPEG that was cut off is refused, unless it has `salvage_rows` of its rows (a share; None: never) or was salvaged before.
    """
    if row.file is None and row.content is None:
        raise ValueError(f"row {row.name!r} has neither a file nor content")
    try:
        if row.file is not None and row.file.is_file() and row.file.stat().st_size > DEFAULT_LIMITS.max_bytes:
            open_image(row.file)  # says so; a huge file need not be read to be refused
        source = row.read()
        opened, data, salvaged = _open(source, row, salvage_rows)
    except ImageRefusedError as error:
        return RefusedImage(row.name, str(error.reason), error.detail)
    except OSError as error:
        return RefusedImage(row.name, str(Refusal.UNREADABLE_FILE), error.strerror or type(error).__name__)
    pixels = opened.pixels
    if max_side is not None and max(pixels.shape) > max_side:
        pixels = fit_to(pixels, max_side)
    digest = row.sha256 if row.file is None else ""
    if not digest:
        digest = hashlib.sha256(pixels.tobytes() if row.synthetic and row.file is None else source).hexdigest()
    letters = 0.0 if row.synthetic else text_letters(pixels)
    return Encoded(data if _is_plain_jpeg(data, opened, pixels) else png(Image.fromarray(pixels)), digest, salvaged, letters)


def _open(source: bytes, row: SourceRow, salvage_rows: float | None) -> tuple[Radiograph, bytes, float | None]:
    """The opened image, the bytes that it was opened from, and the share of its rows where it was salvaged, now or before."""
    try:
        return open_image(source), source, row.salvaged
    except ImageRefusedError as refusal:
        least = 0.0 if row.salvaged is not None else salvage_rows
        if refusal.reason is not Refusal.UNDECODABLE or least is None:
            raise
        try:
            found = salvage(source)
        except NotSalvageableError as error:
            raise ImageRefusedError(refusal.reason, f"{refusal.detail}; {error}"[:300]) from error
        if found.share < least:
            there = f"{found.rows} of {found.height} rows are there, fewer than {least:.4g} of them"
            raise ImageRefusedError(refusal.reason, f"{refusal.detail}; {there}") from refusal
        return open_image(found.data), found.data, found.share


def encode_rows(
    rows: Sequence[SourceRow], max_side: int | None, workers: int, salvage_rows: float | None = None
) -> Iterator[tuple[SourceRow, Encoded | RefusedImage]]:
    """`encode_row` over all rows, in order, on `workers` threads (Pillow decodes outside the interpreter lock)."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        yield from zip(rows, in_order(pool, lambda row: encode_row(row, max_side, salvage_rows), rows, _AHEAD), strict=True)


def _is_plain_jpeg(source: bytes, opened: Radiograph, pixels: np.ndarray) -> bool:
    """Whether the source can be stored as it is: a grey upright JPEG of exactly these pixels that carries nothing but the picture."""
    if opened.source_format != "JPEG" or opened.source_mode != "L" or not source.endswith(b"\xff\xd9"):
        return False
    with Image.open(io.BytesIO(source)) as image:
        segments = {name for name, _ in getattr(image, "applist", [("unknown", b"")])}
        return segments <= _HARMLESS_SEGMENTS and np.array_equal(np.asarray(image), pixels)
