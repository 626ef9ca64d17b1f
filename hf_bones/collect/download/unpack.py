"""Archives of a set, unpacked without trust: no member leaves its folder, none is a link, and there is a limit to what comes out.

An archive is told by its bytes, not by its name. All members are checked before the first is written; they are counted again while they are
written, since a header can lie. What they are is not asked here: images are decoded when a dataset is built.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from hf_bones.collect.download.listing import DownloadError, safe_name

MOST_MEMBERS = 1_000_000
MOST_TIMES = 50  # what comes out of an archive is at most so many times its size,
SMALL = 2**30  # or this, bytes: tables of text pack well
_DOCUMENTS = {".docx", ".xlsx", ".pptx", ".odt", ".ods", ".npz", ".pt", ".pth", ".whl", ".jar", ".epub"}  # ZIP inside, and meant to stay so
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Member:
    """A regular file in an archive: its safe path, its size in bytes, and the library's own entry of it."""

    name: str
    size: int
    entry: zipfile.ZipInfo | tarfile.TarInfo


def is_archive(path: Path) -> bool:
    """Whether the bytes of a file are a ZIP or TAR archive that is to be unpacked; documents that are ZIP inside are not."""
    return path.suffix.lower() not in _DOCUMENTS and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def read_members(path: Path) -> list[Member]:
    """The files of an archive, without macOS's own. Raises `DownloadError` for one that is damaged, locked, hostile or too large."""
    try:
        with _opened(path) as archive:
            members = list(_members(archive, path))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError) as error:
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(f"{path}: the archive cannot be read ({error}); delete it and run the command again") from error
    return members


def unpack(path: Path, members: list[Member], folder: Path, tell: Callable[[int], None] = lambda count: None) -> None:
    """Writes the members of an archive into `folder`, which is new. `tell` gets 1 for each. Raises `DownloadError` as `read_members`."""
    folder.mkdir(parents=True)
    try:
        with _opened(path) as archive:
            for member in members:
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with _read(archive, member) as source, target.open("xb") as out:
                    _copy(source, out, member, path)
                tell(1)
    except NotImplementedError as error:  # a whole archive, whose compression zipfile does not know
        raise DownloadError(f"{path}: the archive cannot be unpacked here ({error}); use --no-unpack and unpack it yourself") from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError) as error:
        raise DownloadError(f"{path}: the archive cannot be unpacked ({error}); delete it and run the command again") from error


def _opened(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    return zipfile.ZipFile(path) if zipfile.is_zipfile(path) else tarfile.open(path)


def _members(archive: zipfile.ZipFile | tarfile.TarFile, path: Path) -> Iterator[Member]:
    entries = archive.infolist() if isinstance(archive, zipfile.ZipFile) else archive
    seen: set[str] = set()
    left = limit = max(SMALL, MOST_TIMES * path.stat().st_size)
    for count, entry in enumerate(cast("Iterator[zipfile.ZipInfo | tarfile.TarInfo]", entries), start=1):
        if count > MOST_MEMBERS:
            raise DownloadError(f"{path}: over {MOST_MEMBERS:,} members, nothing of it is unpacked")
        given = entry.filename if isinstance(entry, zipfile.ZipInfo) else entry.name
        if _is_folder(entry):
            continue
        name = safe_name(given, f"{path}: the archive")
        if not _is_plain(entry):
            raise DownloadError(f"{path}: {given!r} is a link or a device, nothing of the archive is unpacked")
        if isinstance(entry, zipfile.ZipInfo) and entry.flag_bits & 1:
            raise DownloadError(f"{path}: {given!r} is locked with a password: give --no-unpack, and unpack it yourself")
        if _is_junk(name):
            continue
        if name in seen:
            raise DownloadError(f"{path}: {given!r} stands in the archive twice: give --no-unpack, and unpack it yourself")
        seen.add(name)
        size = entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size
        left -= size
        if left < 0:
            raise DownloadError(f"{path}: would unpack to over {limit:,} bytes: taken for an archive bomb (--no-unpack leaves it packed)")
        yield Member(name, size, entry)


def _is_folder(entry: zipfile.ZipInfo | tarfile.TarInfo) -> bool:
    return entry.is_dir() if isinstance(entry, zipfile.ZipInfo) else entry.isdir()


def _is_plain(entry: zipfile.ZipInfo | tarfile.TarInfo) -> bool:
    """Whether an entry is a regular file. ZIP keeps Unix modes in the upper half of `external_attr`, 0 where there are none."""
    if isinstance(entry, tarfile.TarInfo):
        return entry.isreg()
    return stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)


def _is_junk(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or parts[-1] in (".DS_Store", "Thumbs.db", "desktop.ini") or parts[-1].startswith("._")


def _read(archive: zipfile.ZipFile | tarfile.TarFile, member: Member) -> IO[bytes]:
    if isinstance(archive, zipfile.ZipFile):
        return archive.open(cast(zipfile.ZipInfo, member.entry))
    source = archive.extractfile(cast(tarfile.TarInfo, member.entry))
    assert source is not None  # only regular files are members
    return source


def _copy(source: IO[bytes], out: IO[bytes], member: Member, path: Path) -> None:
    written = 0
    while block := source.read(_BLOCK):
        written += len(block)
        if written > member.size:
            raise DownloadError(f"{path}: {member.name!r} is larger than it says: nothing more of the archive is unpacked")
        out.write(block)
    if written != member.size:
        raise DownloadError(f"{path}: {member.name!r} ends after {written:,} of {member.size:,} bytes: the archive is damaged")
