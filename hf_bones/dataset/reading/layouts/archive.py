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

__all__ = ["is_archive", "unpacked"]

_folders: dict[tuple[Path, int, int], Path] = {}  # of archives that are unpacked: path, time of change, size


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
