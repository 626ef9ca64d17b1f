"""Where the rows of a dataset come from: what a reader gives, and the reader of drawn radiographs.

Every reader gives `Reading`: rows as the source states them. Labels are still the source's words, splits are names of ours, and no
image has been opened. Folders and exports are read by `layouts/`, tables by `listed/table_rows.py`, datasets by `dataset_rows.py`, the
layouts of public sets by `importers.py`; `detect.py` chooses the reader.
"""

from __future__ import annotations

import hashlib
import math
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EINVAL, ENOENT, ENOTDIR
from pathlib import Path

from hf_bones.dataset.reading.contradiction import Contradiction
from hf_bones.dataset.reading.tables import Box
from hf_bones.images.opening import DEFAULT_LIMITS
from hf_bones.pages.pictures import png

_SAID = {ENOENT: "no such file", ENOTDIR: "no such file"}


@dataclass(frozen=True, eq=False)
class SourceRow:
    """One image as its source states it. `file`, or `content`: encoded bytes, or a function that reads them when they are needed.

    `label` is the source's word. Rows that share `group` (a patient, say) or `copy_group` (copies of one picture) stay in one split.
    `boxes` are (cx, cy, w, h) in [0, 1] of the width and height. `severity` is in [0, 1], NaN where unknown. `split` is train,
    validation, test, unused (left out) or "" (to be made). `sha256` is that of the original file where `content` is no longer it.
    `hardware` and `cast` say whether metal or a cast is seen, None where unknown. `label_basis` says whose word the label is; it goes into
    a collection only, and `cast` into a dataset only.
    `salvaged` is the share of its rows that an image has which was salvaged before (its file may still be cut off), None for all others.
    `place` says where the source states this ("films.csv, line 5"), for messages.
    """

    label: str
    file: Path | None = None
    content: bytes | Callable[[], bytes] | None = None
    subtype: str = ""
    group: str = ""
    copy_group: str = ""
    source: str = ""
    region: str = ""
    view: str = ""
    licence: str = ""
    boxes: tuple[Box, ...] = ()
    severity: float = math.nan
    split: str = ""
    image_id: str = ""
    synthetic: bool = False
    sha256: str = ""
    label_basis: str = ""
    hardware: bool | None = None
    cast: bool | None = None
    salvaged: float | None = None
    place: str = ""

    @property
    def name(self) -> str:
        """What refusals call this row: they go into the dataset folder, where the paths of whoever built it have no place."""
        return self.image_id or str(self.file)

    def read(self) -> bytes:
        """The encoded image, whichever way the row has it. Raises OSError, saying nothing of where it lies, for what is no regular file."""
        if self.file is None:
            return self.content() if callable(self.content) else self.content or b""
        try:
            mode = self.file.stat().st_mode
            if not stat.S_ISREG(mode):  # a pipe must not be waited for
                raise OSError(EINVAL, "a folder that cannot be looked into" if stat.S_ISDIR(mode) else "not a regular file")
            with self.file.open("rb") as stream:
                return stream.read(DEFAULT_LIMITS.max_bytes + 1)  # a larger file is refused, and need not fill the memory for that
        except OSError as error:
            raise OSError(error.errno, _SAID.get(error.errno or 0) or error.strerror or "cannot be read") from error

    def read_hash(self) -> str:
        """The SHA-256 of what it reads now, which for a dataset's rows is not that of the source; "" where it cannot be read."""
        try:
            return hashlib.sha256(self.read()).hexdigest()
        except OSError:
            return ""


@dataclass(frozen=True)
class LeftOut:
    """A row that a reader did not pass on, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Reading:
    """What a reader found: rows, rows it left out, notes for whoever runs the build and for the card, and what contradicts itself.

    `layout` says in a few words how the source lies and was read, "" where its kind says all.
    """

    rows: list[SourceRow]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    layout: str = ""


def drawn_rows(count: int, *, seed: int = 0, size: int = 320, mode: str = "hard", split: str = "", progress: bool = False) -> Reading:
    """`count` radiographs drawn by the project itself (`draw_set`), PNG-encoded; licence CC0-1.0, one group per drawing.

    `size` is the long side in pixels, `mode` how they are drawn (`radiograph.MODES`); `split` puts all of them into one split, "" leaves
    that to the build.
    """
    from PIL import Image
    from tqdm import tqdm

    from hf_bones.dataset.drawn.radiograph import draw_set

    kind = "drawn" if mode == "hard" else f"drawn-{mode}"
    rows = []
    for drawn in tqdm(draw_set(count, seed, size=size, mode=mode), total=count, desc="drawn", unit="img", disable=not progress):
        rows.append(
            SourceRow(
                label=drawn.label,
                content=png(Image.fromarray(drawn.pixels)),
                subtype=drawn.subtype,
                group=f"{kind}-{drawn.seed}",
                source="drawn",
                region=drawn.region,
                view=drawn.view,
                licence="CC0-1.0",
                boxes=drawn.boxes,
                severity=drawn.severity,
                split=split,
                image_id=f"{kind}-{drawn.seed}",
                synthetic=True,
                cast=drawn.cast,
            )
        )
    return Reading(rows)
