"""A set that lies in an archive: unpacked for as long as the program runs, under the rules of downloads."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from pathlib import Path

from hf_bones.collect.download.listing import DownloadError
from hf_bones.collect.download.unpack import is_archive, read_members, unpack
from hf_bones.dataset.reading.tables import SourceError

__all__ = ["is_archive", "lone_archive", "unpacked"]

_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".rar", ".7z")

_folders: dict[tuple[Path, int, int], Path] = {}  # of archives that are unpacked: path, time of change, size


def lone_archive(folder: Path) -> Path | None:
    """The archive that is all there is in a folder, beside a read-me; None where there is no archive.

    Raises `SourceError` where there are several, or one that is neither ZIP nor TAR.
    """
    found = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in _SUFFIXES)
    if not found:
        return None
    named = ", ".join(path.name for path in found[:5]) + (", …" if len(found) > 5 else "")
    if not all(is_archive(path) for path in found):
        raise SourceError(
            f"{folder}: holds {named}, and ZIP and TAR archives alone are read: unpack it there, and run the same command again"
        )
    if len(found) > 1:
        raise SourceError(f"{folder}: holds the archives {named}: unpack them there, each into a folder, and run the same command again")
    return found[0]


def unpacked(path: Path) -> Path:
    """The folder that an archive (ZIP or TAR) is unpacked into: once, and gone when the program ends.

    Raises `SourceError` for an archive that is damaged, locked or hostile, and where the disk has no room for it.
    """
    state = path.stat()
    key = (path.resolve(), state.st_mtime_ns, state.st_size)
    if key not in _folders:
        place = Path(tempfile.mkdtemp(prefix="hf-bones-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        try:
            members = read_members(path)
            needed, free = sum(member.size for member in members), shutil.disk_usage(place).free
            if needed > free:
                raise SourceError(
                    f"{path}: unpacks to {needed / 1e9:.1f} GB, and {place.parent} has {free / 1e9:.1f} GB free: set TMPDIR to a folder on "
                    "another disk, or unpack it yourself and give the folder"
                )
            unpack(path, members, place / path.name.split(".")[0])
        except DownloadError as error:
            shutil.rmtree(place, ignore_errors=True)
            told = re.sub(r"(give|use) --no-unpack,? and |\(--no-unpack [^)]*\)", "", str(error))
            raise SourceError(told.replace("delete it and run the command again", "get it again")) from error
        _folders[key] = place / path.name.split(".")[0]
    return _folders[key]
