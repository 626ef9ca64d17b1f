"""What the record of a download says of the files beside it: their licence, and whom to cite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hf_bones.collect.candidate import UNKNOWN_LICENCE
from hf_bones.collect.download.state import DownloadState, read_state
from hf_bones.dataset.reading.sources import Reading
from hf_bones.dataset.reading.tables import SourceError

_UPWARDS = 3  # folders above the source: an archive's own folder, and what is in that


def find_download(path: Path) -> DownloadState | None:
    """The record of the download that a file or folder belongs to; None where it belongs to none.

    Raises `SourceError` where the record cannot be read, and where the download is not finished, so that no half of a set is built from.
    """
    here = path if path.is_dir() else path.parent
    for folder in (here, *list(here.absolute().parents)[:_UPWARDS]) if path.exists() else ():
        try:
            found = read_state(folder)
        except ValueError as error:
            raise SourceError(str(error)) from error
        if found is None:
            continue
        if not found.finished:
            raise SourceError(f"{folder}: the download is not finished: run `hf-bones download` again first, it resumes")
        return found
    return None


def with_terms(reading: Reading, downloaded: DownloadState, *, replaces: bool) -> Reading:
    """A reading with a note on where it is from; where its importer takes a licence for granted (`replaces`), the registry's wins."""
    rows = reading.rows
    if replaces and downloaded.licence != UNKNOWN_LICENCE:
        rows = [replace(row, licence=downloaded.licence) for row in rows]
    origin = f"{downloaded.title}: {downloaded.registry} {downloaded.article}, version {downloaded.version}, {downloaded.licence}"
    notes = [f"{origin}; cite {downloaded.citation[-1]}" if downloaded.citation else origin]
    if downloaded.warning:
        notes.append(f"{downloaded.name}: {downloaded.warning}")
    return replace(reading, rows=rows, notes=[*reading.notes, *notes])
