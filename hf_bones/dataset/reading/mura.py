"""MURA v1.1 (arXiv:1712.06957), as its authors publish it: its folders, and its tables, which have no header.

Its "positive" is any abnormality, so the build refuses it unless the caller maps it by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hf_bones.collect.providers.folder import image_files
from hf_bones.curation.splits.names import TRAIN, VALIDATION
from hf_bones.dataset.reading.sources import LeftOut, Reading, SourceRow
from hf_bones.dataset.reading.tables import SourceError

_SPLITS = {"train": TRAIN, "valid": VALIDATION}
_PATH = re.compile(r"(?:^|/)(?P<split>train|valid)/XR_[A-Z]+/patient[^/,]*/study[^/,]*")
_NOTE = "MURA's labels are of studies, not of films, and 'positive' is any abnormality"


def mura_rows(root: Path) -> Reading:
    """Rows of a MURA folder: `train|valid/XR_REGION/patientNNNNN/studyN_{positive,negative}/imageN.png`, in `root` or in `root/MURA-v1.1`.

    Labels are MURA's own words, which the build refuses unless mapped by hand; studies whose folder states none take that of
    `*_labeled_studies.csv`. Groups are patients; `valid` is validation, and the build takes a test split from train. Raises `SourceError`
    where there are no such folders.
    """
    base = root / "MURA-v1.1" if (root / "MURA-v1.1").is_dir() else root
    stated = {study: label for table in sorted(base.glob("*_labeled_studies.csv")) for study, label in _lines(table)}
    found = []
    for folder in _SPLITS:
        for path in image_files(base / folder):
            parts = path.relative_to(base).parts
            label = stated.get("/".join(parts[:-1]), "")
            if len(parts) != 5 or not parts[2].startswith("patient") or not ("_" in parts[3] or label):
                raise SourceError(f"{path}: expected {folder}/XR_REGION/patientNNNNN/studyN_positive/imageN.png")
            found.append(_row(path, parts, label))
    if not found:
        raise SourceError(f"{base}: expected MURA's folders train/XR_… and valid/XR_…, found no images there")
    return Reading(found, notes=[_NOTE])


def mura_table_rows(table: Path) -> Reading:
    """Rows of one of MURA's own CSVs, which have no header: `train_labeled_studies.csv` (study, 0 or 1) or `valid_image_paths.csv`.

    Images lie beside the table, or in `MURA-v1.1` there. Studies that are not there, or whose folder says the contrary, are left out by
    name. Raises `SourceError` where no image is found.
    """
    rows, left_out = [], []
    for place, label in _lines(table):
        bases = (table.parent, table.parent / "MURA-v1.1", table.parent.parent)
        path = next((base / place for base in bases if (base / place).exists()), None)
        if path is None:
            left_out.append(LeftOut(place, "no such file or folder"))
            continue
        base = path.parents[len(Path(place).parts) - 1]
        for file in image_files(path) if path.is_dir() else [path]:
            row = _row(file, file.relative_to(base).parts, label)
            told = file.parent.name.partition("_")[2]
            if label and told in ("positive", "negative") and told != label:
                left_out.append(LeftOut(row.image_id, f"{table.name} says {label}, its folder {told}"))
            else:
                rows.append(row)
    if not rows:
        raise SourceError(f"{table}: none of the {len(left_out)} files and studies that it names is there; it has to lie in MURA-v1.1/")
    notes = [_NOTE]
    if left_out:
        notes.append(f"left out: {len(left_out)} entries of {table.name} ({left_out[0].name}: {left_out[0].reason})")
    return Reading(rows, left_out, notes, layout="a table of MURA's, without a header")


def is_mura_table(path: Path) -> bool:
    """Whether a CSV is one of MURA's own, by its first line, or by the second below names of two columns that somebody added."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            first, second = stream.readline(1000), stream.readline(1000)
            return bool(_PATH.search(first)) or _is_study(second)
    except ValueError:
        return False


def _is_study(line: str) -> bool:
    """Whether a line is MURA's for a whole study, which names a folder and no image."""
    found = _PATH.search(line)
    return found is not None and line[found.end() :].lstrip("/")[:1] in (",", "\n", "")


def _lines(table: Path) -> Iterator[tuple[str, str]]:
    """Paths from `train/` or `valid/` on, and the labels of those that a table states one for."""
    for number, line in enumerate(table.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        place, _, cell = (part.strip() for part in line.replace("\\", "/").partition(","))
        found = _PATH.search(place)
        if found is None and number == 1:
            continue  # names of columns
        if found is None or cell not in ("", "0", "1", "0.0", "1.0"):
            raise SourceError(f"{table}, line {number}: {line!r} is not train/XR_REGION/patientNNNNN/studyN_positive/,1")
        yield place[found.start("split") :].rstrip("/"), {"": "", "0": "negative", "1": "positive"}[cell.removesuffix(".0")]


def _row(path: Path, parts: Sequence[str], label: str) -> SourceRow:
    """The row of an image whose `parts` are split, region, patient, study and file."""
    return SourceRow(
        label=label or parts[3].split("_", 1)[1],
        file=path,
        group=f"mura-{parts[2]}",
        source="mura",
        region=parts[1].removeprefix("XR_").lower(),
        view="unknown",
        licence="MURA-research-use",
        split=_SPLITS[parts[0]],
        image_id="/".join(parts),
    )
