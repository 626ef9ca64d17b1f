"""Films out of a zip that a stranger made: what may be read is decided by its list of contents, before anything is unpacked.

Nothing is written to disk, and no name in it is used as a path. Not here: whether an entry is an image (`open_image` judges that).
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hf_bones.images.opening import DEFAULT_LIMITS
from hf_bones.pages.text import one_line

_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")  # a first entry, or none
_DIRECTORY_BYTES = 2 * 2**20  # of the list of contents, which zipfile reads in one piece: some 20,000 names
_NAME_LENGTH = 200  # characters of a name that are shown
_PIECE = 2**20  # bytes that are unpacked at once
_SMALL = 2**20  # bytes below which no entry is too well packed: nothing is won by it
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a bound


class ArchiveError(ValueError):
    """A zip that is not read; `reason` is a key of the page's words, `batch.refused.…`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a zip that is not read: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class ArchiveLimits:
    """entries: of a zip. entry_bytes: of one of them, unpacked. total_bytes: of all of them. ratio: bytes that a packed byte may
    become."""

    entries: int = 2000
    entry_bytes: int = DEFAULT_LIMITS.max_bytes
    total_bytes: int = 4 * 2**30
    ratio: int = 200


@dataclass(frozen=True)
class Entry:
    """A file in a zip: its place in the list of contents, and its name as it may be shown."""

    place: int
    name: str


@dataclass(frozen=True)
class Listing:
    """What is in a zip: what may be read, and what is left out as (name, reason), `reason` as in `ArchiveError`."""

    entries: tuple[Entry, ...]
    left_out: tuple[tuple[str, str], ...]


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip does, whatever its name."""
    with path.open("rb") as stream:
        return stream.read(4) in _MAGIC


def list_archive(path: Path, limits: ArchiveLimits = ArchiveLimits()) -> Listing:
    """What a zip holds, in its order; folders and hidden files go unmentioned. Raises `ArchiveError` for one that is damaged, or that
    claims more than `limits` in all."""
    with _opened(path) as archive:
        infos = archive.infolist()
    if len(infos) > limits.entries:
        raise ArchiveError("too_many_entries")
    # Entries that share packed bytes would unpack more than the file holds.
    if sum(info.compress_size for info in infos) > path.stat().st_size or sum(info.file_size for info in infos) > limits.total_bytes:
        raise ArchiveError("unpacks_to_too_much")
    entries: list[Entry] = []
    left_out: list[tuple[str, str]] = []
    for place, info in enumerate(infos):
        name = shown_name(info.filename)
        if info.is_dir() or _hidden(info.filename):
            continue
        if reason := _why_not(info, limits):
            left_out.append((name, reason))
        else:
            entries.append(Entry(place, name))
    return Listing(tuple(entries), tuple(left_out))


def read_entry(path: Path, place: int, limits: ArchiveLimits = ArchiveLimits()) -> bytes:
    """The bytes of the entry at `place` of the list of contents, at most `limits.entry_bytes`.

    Raises `ArchiveError` where it is damaged or not what the list said.
    """
    with _opened(path) as archive:
        info = archive.infolist()[place]
        if reason := _why_not(info, limits):
            raise ArchiveError(reason)
        content = bytearray()
        try:
            with archive.open(info) as stream:
                while piece := stream.read(_PIECE):
                    content += piece
                    if len(content) > limits.entry_bytes:
                        raise ArchiveError("entry_too_large")
        except ArchiveError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
            raise ArchiveError("damaged_entry") from error
    return bytes(content)


def shown_name(name: str) -> str:
    """A name from elsewhere as it is shown, put into tables and used below the root of a zip of ours: no path out of it, never empty."""
    parts = [one_line(part) for part in name.replace("\\", "/").split("/")]
    kept = [part for part in parts if part not in ("", ".", "..") and not part.endswith(":")]
    return "/".join(kept)[-_NAME_LENGTH:].lstrip("/") or "film"


def _why_not(info: zipfile.ZipInfo, limits: ArchiveLimits) -> str:
    """Why an entry is not read; "" where it is."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return "link"
    if info.flag_bits & 1:
        return "locked"
    if info.compress_type not in _METHODS:
        return "packed_otherwise"
    if info.file_size > limits.entry_bytes:
        return "entry_too_large"
    if info.file_size > max(_SMALL, limits.ratio * info.compress_size):
        return "packed_too_well"
    return ""


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.replace("\\", "/").split("/"))


class _ShortDirectory(io.FileIO):
    """A file of which no piece larger than a list of contents may be is read at once: zipfile takes the size from the file's own word."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _DIRECTORY_BYTES:
            raise ArchiveError("too_many_entries")
        return super().read(size) or b""


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with _ShortDirectory(path, "rb") as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except ArchiveError:
            raise
        except (zipfile.BadZipFile, OSError, ValueError, OverflowError, NotImplementedError) as error:
            raise ArchiveError("damaged") from error
        with archive:
            yield archive
