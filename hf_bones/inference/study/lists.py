"""Which files are the views of one study: by a table with a column of studies, or by the Study Instance UID of DICOM files.

Not here: how the views are answered together (`study.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hf_bones.dataset.reading.listed.file_names import NamedFiles
from hf_bones.dataset.reading.tables import COLUMN_NAMES, SourceError, cell_text, find_columns, read_lines
from hf_bones.images.budget import DICOM_READ_STEPS, Budget, MeteredFile

_STUDY_COLUMNS = ("study", "study_id", "studyinstanceuid", "study_instance_uid", "accession", "accession_number", "exam", "exam_id")


def studies_of_table(path: Path, root: Path | None = None) -> dict[str, list[Path]]:
    """Study → its files, both in the order of the table, whose columns are file and study (or accession, exam).

    File names are relative to `root`, else to the table's folder. A row without a study is a study of its own, called by its file. Raises
    `SourceError` naming the file and what it lacks, or the line of a file that is not there.
    """
    table = read_lines(path)
    columns = find_columns(table.columns, where=str(path))
    named = {column.strip().casefold().replace(" ", "_").replace("-", "_"): column for column in table.columns}
    study = next((named[name] for name in _STUDY_COLUMNS if name in named), None)
    if study is None or "file" not in columns:
        lacking = "study" if study is None else "file"
        wanted = ", ".join(_STUDY_COLUMNS if study is None else COLUMN_NAMES["file"])
        found = ", ".join(table.columns) or "none"
        raise SourceError(f"{path}: no column for the {lacking} of a film. Columns found: {found}; wanted one of: {wanted}")
    names = [cell_text(record.get(columns["file"])) for record in table.records]
    files = NamedFiles(root or path.parent, [name for name in names if name])
    studies: dict[str, list[Path]] = {}
    for line, record, name in zip(table.lines, table.records, names, strict=True):
        file = files.find(name) if name else None
        if file is None:
            missing = files.place(name) if name else "its file"
            raise SourceError(f"{path}: line {line}: {missing} is not there; mend the line or take it out")
        studies.setdefault(cell_text(record.get(study)) or name, []).append(file)
    return studies


def studies_of_dicom(files: Sequence[Path], passed_over: Callable[[Path, str], None]) -> dict[str, list[Path]]:
    """Study Instance UID → its files, in the order of `files`. A file without one is a study of its own, called by its path, and
    `passed_over` is told why."""
    studies: dict[str, list[Path]] = {}
    for path in files:
        uid = ""
        try:
            uid = _study_uid(path)
            why = "it names no study"
        except Exception as error:  # noqa: BLE001 - pydicom answers damaged files with nearly every exception there is
            why = f"its study cannot be read ({type(error).__name__}: {error})"
        if not uid:
            passed_over(path, f"{why}; it is taken for a study of its own")
        studies.setdefault(uid or str(path), []).append(path)
    return studies


def _study_uid(path: Path) -> str:
    """Empty for a file that is no DICOM file, or names none. Nothing else of its tags is parsed."""
    import pydicom

    if not path.is_file():
        return ""
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return ""
        file.seek(0)
        metered: Any = MeteredFile(file, Budget(), DICOM_READ_STEPS)
        header = pydicom.dcmread(metered, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
    return str(header.get("StudyInstanceUID") or "").strip()
