"""What reading one file may cost: one budget for everything that is parsed in it, so that the cost is bounded by limits and not by tricks.

Header parsers, Pillow's and pydicom's among them, are Python: an entry, a segment, a directory or an item costs them microseconds, and
a file of some megabytes can hold millions. Each is a step, and all steps of a file, whatever kind of thing they are for, come out of
one budget. `MeteredBytes` puts what Pillow and pydicom read on the same account. Not here: what pixels cost (`refusals.py` bounds their
number), and a deadline for decoders in C (`opening_process.py`).
"""

from __future__ import annotations

from io import BytesIO
from typing import IO

from hf_bones.images.refusals import ImageRefusedError, Refusal

STEPS = 2_500_000  # a step is about a microsecond of Python
STEPS_A_PIXEL = 0.1  # where pixels are decoded in Python: run lengths of BMP
COPIED_BYTES = 2 * 2**30  # a fraction of a second

READ_STEPS = 2  # of Pillow
ENTRY_STEPS = 6  # a TIFF or EXIF entry, as Pillow reads it
SEGMENT_STEPS = 8  # a JPEG segment, a PNG chunk
BLOCK_STEPS = 2  # a GIF sub-block
DICOM_READ_STEPS = 8  # a DICOM element is two or three reads
DICOM_ITEM_STEPS = 60  # of which pydicom makes a data set
_DICOM_ITEM = b"\xfe\xff\0\xe0"


class Budget:
    """Steps and copied bytes that are left to one file. Raises `ImageRefusedError`, reason `TOO_COSTLY`, when either is used up."""

    def __init__(self, steps: int = STEPS, copied: int = COPIED_BYTES) -> None:
        self._steps = steps
        self._copied = copied

    @property
    def is_used_up(self) -> bool:
        return self._steps < 0 or self._copied < 0

    def allow_pixels(self, pixels: int) -> None:
        """More steps, for an image of so many pixels."""
        self._steps += int(pixels * STEPS_A_PIXEL)

    def step(self, count: int, what: str) -> None:
        self._steps -= count
        if self._steps < 0:
            raise ImageRefusedError(Refusal.TOO_COSTLY, f"too many parts to read: {what}")

    def copy(self, size: int, what: str) -> None:
        self._copied -= size
        if self._copied < 0:
            raise ImageRefusedError(Refusal.TOO_COSTLY, f"the same bytes over and over: {what}")

    def pay_for(self, data: bytes, steps: int) -> None:
        """A read of a header, which gave `data`."""
        is_item = steps == DICOM_READ_STEPS and data.startswith(_DICOM_ITEM)
        self.step(DICOM_ITEM_STEPS if is_item else steps, "its headers")
        self.copy(len(data), "its headers")


class MeteredBytes(BytesIO):
    """A file in memory whose every read is paid for from a budget: `steps` for the read, and its bytes."""

    def __init__(self, data: bytes, budget: Budget, steps: int = READ_STEPS) -> None:
        super().__init__(data)
        self._budget = budget
        self._each = steps

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._budget.pay_for(data, self._each)
        return data


class MeteredFile:
    """The same for an open file, of which no more is read than whoever has it asks for."""

    def __init__(self, stream: IO[bytes], budget: Budget, steps: int = READ_STEPS) -> None:
        self._stream = stream
        self._budget = budget
        self._each = steps

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._budget.pay_for(data, self._each)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()
