"""The index of an array cache: which image's pixels lie where, what they were made from, and how.

A header in one line of JSON, then one record of fixed length for each row of the dataset, appended as images are written. The header and
each record carry a checksum of their own (XXH3), so that a torn or damaged one is told from a whole one, and the others stay of use.

Not here: reading pixels (`reading.py`), writing them (`writing.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from hf_bones.config.loading import parse_json

INDEX_NAME = "index"
FORMAT = 1

# `source` is the SHA-256 of the image as the dataset stores it: the dataset's own column `sha256` names the original file, which a build
# with another --max-side stores in another size. `pixels` is the XXH3 of the pixels, `record` that of all fields before it.
RECORD = np.dtype(
    [
        ("split", "u1"), ("row", "<u4"), ("source", "u1", 32), ("offset", "<u8"), ("height", "<u4"), ("width", "<u4"),
        ("pixels", "<u8"), ("record", "<u8"),
    ]
)  # fmt: skip
Records = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]
_SEALED = RECORD.itemsize - 8  # bytes of a record that its checksum covers

# Everything that decides what `fit_to(open_image(…).pixels, size)` gives.
_OPENING_CODE = (
    "images/opening.py", "images/dicom.py", "images/dicom_frames.py", "images/headers.py", "images/refusals.py", "images/checks.py",
    "images/budget.py", "images/containers.py", "images/jpeg.py", "images/jpeg2000.py", "images/netpbm.py", "images/png.py",
    "images/tiff.py", "preprocess.py",
)  # fmt: skip
# Digest of that code → digests of earlier code that gives the same pixels, so that array caches outlive a moved file or a mended comment.
SAME_PIXELS: Mapping[str, tuple[str, ...]] = {
    "9a94a4532a91552a": ("250ce0041b1c3b17", "41549dc3056a3f26", "c9088a6c7d13a13d", "a958208a63319278"),
}


class ArrayCacheError(ValueError):
    """An array cache that cannot be used at all; the message names its folder and what is wrong."""


@dataclass(frozen=True)
class SplitState:
    """A split of the dataset when the cache was written: its rows, and the state of its files ("" where that cannot be told)."""

    rows: int
    state: str


@dataclass(frozen=True)
class Header:
    """How the pixels were made (`preprocessing`), from which splits, and the name of the file that holds them."""

    preprocessing: Mapping[str, str]
    splits: Mapping[str, SplitState]
    pixels: str


@dataclass(frozen=True, eq=False)
class Index:
    """A header with its intact records; `damaged` counts the others."""

    header: Header
    records: Records
    damaged: int


def preprocessing_key(size: int) -> dict[str, str]:
    """What the pixels depend on beside the image itself: the size, the code that opens and scales, and the decoders' versions."""
    from PIL import __version__, features

    return {
        "size": f"{size} px",
        "resampling": "bicubic",
        "opening code": _code_digest(),
        "Pillow": __version__,
        "libjpeg-turbo": features.version_feature("libjpeg_turbo") or "none",
    }


@cache
def _code_digest() -> str:
    package = resources.files("hf_bones")
    return hashlib.sha256(b"\0".join((package / name).read_bytes() for name in _OPENING_CODE)).hexdigest()[:16]


def differences(written: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """In words, what a cache was written with that is otherwise now."""
    same = SAME_PIXELS.get(wanted["opening code"], ())
    return [
        f"{name} {written.get(name, 'none')} (now {value})"
        for name, value in wanted.items()
        if written.get(name) != value and not (name == "opening code" and written.get(name) in same)
    ]


def read_index(folder: Path) -> Index:
    """The index in `folder`. Raises `ArrayCacheError` where its header is damaged or of another format, FileNotFoundError without one."""
    content = (folder / INDEX_NAME).read_bytes()
    line, _, body = content.partition(b"\n")
    digest, _, text = line.partition(b" ")
    if digest != _hex(text):
        raise ArrayCacheError(f"{folder}: the header of its index is damaged")
    header = parse_json(text)
    if header["format"] != FORMAT:
        raise ArrayCacheError(f"{folder}: its index has format {header['format']}, this version reads format {FORMAT}")
    whole = len(body) // RECORD.itemsize
    records = np.frombuffer(body, RECORD, whole)
    checks = _checks(records)
    intact = records["record"] == checks
    splits = {name: SplitState(**state) for name, state in header["splits"].items()}
    torn = len(body) % RECORD.itemsize > 0
    return Index(Header(header["preprocessing"], splits, header["pixels"]), records[intact], int((~intact).sum()) + torn)


def usable_index(folder: Path, size: int) -> Index:
    """The index in `folder` if its pixels are what would be written now.

    Raises `ArrayCacheError` saying what is wrong with it, FileNotFoundError without one.
    """
    try:
        index = read_index(folder)
    except FileNotFoundError:
        raise
    except (ArrayCacheError, OSError, ValueError, KeyError, TypeError) as error:
        raise ArrayCacheError(str(error)) from error
    if changed := differences(index.header.preprocessing, preprocessing_key(size)):
        raise ArrayCacheError("it was written with " + ", ".join(changed))
    return index


def write_index(folder: Path, header: Header, records: Records) -> None:
    """Puts a whole index in place in one step; a reader sees the old one or the new one."""
    text = json.dumps({"format": FORMAT, **asdict(header)}).encode()
    with tempfile.NamedTemporaryFile("wb", dir=folder, prefix=f".{INDEX_NAME}.", delete=False) as stream:
        stream.write(_hex(text) + b" " + text + b"\n" + sealed(records).tobytes())
        stream.flush()
        os.fsync(stream.fileno())
    Path(stream.name).chmod(0o644)
    Path(stream.name).replace(folder / INDEX_NAME)


def sealed(records: Records) -> Records:
    """A copy of the records with their own checksums put in."""
    out = records.copy()
    out["record"] = _checks(out)
    return out


def _checks(records: Records) -> npt.NDArray[np.uint64]:
    content = memoryview(records.tobytes())
    starts = range(0, len(content), RECORD.itemsize)
    return np.array([xxhash.xxh3_64_intdigest(content[start : start + _SEALED]) for start in starts], dtype=np.uint64)


def _hex(text: bytes) -> bytes:
    return xxhash.xxh3_64_hexdigest(text).encode()


def pixel_checksum(image: Pixels) -> int:
    """XXH3 of an image's pixels, 64 bits; the image is contiguous."""
    return xxhash.xxh3_64_intdigest(image.data)


def sources_of(records: Records) -> list[bytes]:
    """The SHA-256 of each record's image, as 32 bytes."""
    content = records["source"].tobytes()
    return [content[start : start + 32] for start in range(0, len(content), 32)]
