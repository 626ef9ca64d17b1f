"""A contact sheet of a collection or dataset: a band for each label with a random few of its images and their captions.

Every image is opened by `images.open_image`, so that the sheet shows what training sees; one that cannot be opened has its reason in its
place. The same records, numbers and seed give the same picture. Not here: who chooses the records (the command's filters, the review page).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from PIL import Image

from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import ImageRecord
from hf_bones.pages.palette import class_colour
from hf_bones.pages.sheet import FAINT, MONO, WARNING, Band, Cell, Words, draw_sheet

_NO_LABEL = "no label"
_LARGE_CELL = 150  # px; below it, twelve letters of a hash would leave no room for the split


def contact_sheet(
    records: Iterable[ImageRecord],
    read: Callable[[ImageRecord], bytes],
    *,
    per_label: int = 12,
    columns: int = 6,
    cell: int = 220,
    seed: int = 0,
    title: str = "",
    subtitle: str = "",
) -> Image.Image:
    """The sheet as an RGB picture: for each label that counts (`ImageRecord.final_label`) its name, its number of images, and `per_label`
    of them chosen by `seed`, `columns` beside each other in squares of `cell` px. `read` gives an image's bytes (see `curate.Subject`).

    Labels come in the order of the three-class scheme, others after them by name. Raises ValueError without any record, and for numbers
    below 1 (a cell below 64).
    """
    if per_label < 1 or columns < 1 or cell < 64:
        raise ValueError(f"per label {per_label}, columns {columns} and cell {cell} px: needs at least 1, 1 and 64")
    by_label: dict[str, list[ImageRecord]] = {}
    for record in records:
        by_label.setdefault(record.final_label or _NO_LABEL, []).append(record)
    if not by_label:
        raise ValueError("no images to show: nothing is left by these filters")
    bands = []
    for place, label in enumerate(sorted(by_label, key=_place)):
        some = _some(by_label[label], per_label, seed)
        cells = [Cell(partial(_picture, record, read), _caption(record, cell)) for record in some]
        colour = FAINT if label == _NO_LABEL else class_colour(label, place)
        bands.append(Band(label, colour, _detail(by_label[label], len(some)), cells))
    return draw_sheet(bands, title=title, subtitle=subtitle, columns=columns, cell=cell)


def _place(label: str) -> tuple[int, str]:
    names = THREE_CLASS.names
    return (len(names) + 1 if label == _NO_LABEL else names.index(label) if label in names else len(names), label)


def _some(records: Sequence[ImageRecord], count: int, seed: int) -> list[ImageRecord]:
    """`count` of the records, by a hash of seed and image: which ones does not depend on their order, nor on the images beside them."""
    return sorted(records, key=lambda record: hashlib.sha256(f"{seed} {record.sha256}".encode()).digest())[:count]


def _picture(record: ImageRecord, read: Callable[[ImageRecord], bytes]) -> Image.Image | str:
    """The image, grey; or why there is none."""
    try:
        return Image.fromarray(open_image(read(record)).pixels)
    except ImageRefusedError as error:
        return str(error.reason).replace("_", " ")
    except OSError:
        return "file is missing"


def _detail(records: Sequence[ImageRecord], shown: int) -> str:
    """How many images there are, and from where."""
    many = f"{len(records):,} image{'s' * (len(records) != 1)}" + (f", {shown} shown" if shown < len(records) else "")
    sources = Counter(record.provider or "source unknown" for record in records).most_common()
    return f"{many}   ·   " + ", ".join(f"{name} {count:,}" for name, count in sources)


def _caption(record: ImageRecord, cell: int) -> list[list[Words]]:
    known = [record.provider, *(word.replace("_", " ") for word in (record.region, record.final_subtype) if word not in ("", "unknown"))]
    digest = Words(record.sha256[: 12 if cell >= _LARGE_CELL else 7], FAINT, MONO)
    last = Words("dropped", WARNING) if record.decision == "drop" else Words(record.split, FAINT)
    return [[Words(" · ".join(filter(None, known)) or "source unknown")], [digest, last]]


def matching(records: Iterable[ImageRecord], filters: Mapping[str, Sequence[str]]) -> list[ImageRecord]:
    """The records whose columns have one of the values asked for. A filter without values lets all through; case does not matter.

    Raises ValueError naming the values that are there where one that is asked for is not.
    """
    kept = list(records)
    for column, wanted in filters.items():
        if not wanted:
            continue
        there = Counter(str(getattr(record, column)) for record in kept)
        words = {word.casefold() for word in wanted}
        missing = words - {value.casefold() for value in there}
        if missing:
            shown = ", ".join(f"{value or '(none)'} ({count:,})" for value, count in there.most_common(12))
            raise ValueError(f"no image has {column} {', '.join(sorted(missing))!r}; there are: {shown or 'no images'}")
        kept = [record for record in kept if str(getattr(record, column)).casefold() in words]
    return kept
