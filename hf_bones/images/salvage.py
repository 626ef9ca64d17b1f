"""Salvaging JPEGs that were cut off: an end marker is put where their data ends, and the rows that are really theirs are counted.

`open_image` refuses a cut-off file, and goes on doing so; what is made here opens like any other JPEG. The rows that are missing
come out mid-grey, as the decoder leaves them, so that size, aspect ratio and boxes stay what they were. Pillow's global
`LOAD_TRUNCATED_IMAGES` is never touched. Progressive JPEGs are not salvaged: what they lack is spread over the whole picture.

The original bytes are what is stored and hashed; `complete` makes the same completion of them each time they are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hf_bones.images.jpeg import check_jpeg
from hf_bones.images.jpeg_rows import NotCutOffError, count_rows
from hf_bones.images.refusals import DEFAULT_LIMITS, Limits, check_size

_END_MARKER = b"\xff\xd9"
_MARK = re.compile(r"salvaged: ([0-9.]+) % of the rows")  # as `mark` writes it


class NotSalvageableError(ValueError):
    """Bytes that cannot be salvaged; says why."""


@dataclass(frozen=True, eq=False)
class Salvaged:
    """A cut-off JPEG made whole: `data` opens; `rows` of `height` rows (as stored, before any turn by EXIF) are the original's own."""

    data: bytes
    rows: int
    height: int

    @property
    def share(self) -> float:
        """The share of the rows that are the original's own, in [0, 1]."""
        return self.rows / self.height


def salvage(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Salvaged:
    """Completes a JPEG that was cut off. Raises `NotSalvageableError` for anything else, and for what `limits` would refuse."""
    if len(data) > limits.max_bytes:
        raise NotSalvageableError(f"over the limit of {limits.max_bytes} bytes")
    try:
        check_jpeg(data, limits)
        found = count_rows(data)
        check_size(found.width, found.height, limits)
    except NotCutOffError as error:
        raise NotSalvageableError(str(error)) from error
    except ValueError as error:  # a refusal
        raise NotSalvageableError(str(getattr(error, "detail", error))) from error
    return Salvaged(data[: found.end] + _END_MARKER, found.rows, found.height)


def complete(data: bytes) -> bytes:
    """The completion of bytes that were salvaged before, without counting again."""
    return data.rstrip(b"\xff") + _END_MARKER


def mark(share: float) -> str:
    """What the manifest's `marks` say of a salvaged image."""
    return f"salvaged: {percent(share)} of the rows"


def percent(share: float) -> str:
    """A share of rows in words, rounded down: "100 %" only where no row is missing."""
    return f"{int(share * 1000) / 10:g} %"


def salvaged_share(marks: str) -> float | None:
    """The share of rows that a manifest's `marks` state, in [0, 1]: such an image was salvaged, and has to be completed to be opened."""
    found = _MARK.search(marks)
    return float(found[1]) / 100 if found else None
