"""The folder layouts of three public sets, as their authors publish them: FracAtlas, GRAZPEDWRI-DX, MURA.

Sources of the layouts: FracAtlas, doi:10.1038/s41597-023-02432-4; GRAZPEDWRI-DX, doi:10.1038/s41597-022-01328-z; MURA v1.1,
arXiv:1712.06957. What none of them states is not made up: MURA's "positive" is any abnormality, so the build refuses it unless the
caller maps it by hand, and no set says which fractures are beyond repair.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hf_bones.collect.providers.folder import image_files
from hf_bones.curation.splits.names import TRAIN, VALIDATION
from hf_bones.dataset.reading.contradiction import LEFT_OUT
from hf_bones.dataset.reading.fracatlas_check import fracatlas_contradictions
from hf_bones.dataset.reading.layouts.annotations import voc_boxes, yolo_boxes
from hf_bones.dataset.reading.sources import LeftOut, Reading, SourceRow
from hf_bones.dataset.reading.tables import Box, SourceError, cell_text, read_table, yes_or_no
from hf_bones.labels import FRACTURED, HEALTHY

PACKAGED_ROWS = "packaged"
# FracAtlas publishes no patient ids; films of one patient have neighbouring numbers, so runs of numbers stand in for patients.
FRACATLAS_RUN = 25
_FRACATLAS_REGIONS = ("hand", "leg", "hip", "shoulder")
_FRACATLAS_VIEWS = ("frontal", "lateral", "oblique")
_GRAZ_VIEWS = {"1": "frontal", "2": "lateral", "3": "oblique"}
# Order of the classes in the YOLO files of GRAZPEDWRI-DX. Nearly every film has a box of text: the side marker.
_GRAZ_KINDS = (
    "boneanomaly", "bonelesion", "foreignbody", "fracture", "metal", "periostealreaction", "pronatorsign", "softtissue", "text",
)  # fmt: skip
_MURA_SPLITS = {"train": TRAIN, "valid": VALIDATION}
_MURA_PATH = re.compile(r"(?:^|/)(?P<split>train|valid)/XR_[A-Z]+/patient[^/,]*/study[^/,]*")
_MURA_NOTE = "MURA's labels are of studies, not of films, and 'positive' is any abnormality"
_GRAZ_FRACTURE, _GRAZ_TEXT = _GRAZ_KINDS.index("fracture"), _GRAZ_KINDS.index("text")


def fracatlas_rows(root: Path, *, rows: str | Path | None = None) -> Reading:
    """Rows of a FracAtlas folder: `images/{Fractured,Non_fractured}/IMG*.jpg`, `dataset.csv`, `Annotations/{YOLO,PASCAL VOC}/`.

    They lie in `root`, or in a folder of it, as they are downloaded. Groups are runs of 25 image numbers. `rows` takes labels, splits,
    groups and severities from a list of rows instead (columns image_id, label, split, group, severity, and subtype and cast where there
    are any), and only the images it names: "packaged" is the list that this project's figures were measured on, `fracatlas_rows.csv`.
    Films whose folder, table and boxes contradict each other are left out, unless a list of rows says what they are. Raises `SourceError`
    where files or columns are missing.
    """
    root = published_table(root).parent
    records = _read_csv(root / "dataset.csv", ("image_id", "fractured"))
    films = list(image_files(root / "images"))
    paths = {path.name: path for path in films}
    listed = None if rows is None else read_row_list(rows)
    contradictions = fracatlas_contradictions(
        {record["image_id"]: _flag(record, "fractured") for record in records},
        films,
        lambda name: len(_fracatlas_boxes(root / "Annotations", Path(name).stem)),
        decided=listed is not None,
    )
    doubted = {each.file for each in contradictions if each.done == LEFT_OUT}
    found, left_out = [], []
    for record in records:
        name = record["image_id"]
        entry = None if listed is None else listed.get(Path(name).stem)
        if listed is not None and entry is None:
            left_out.append(LeftOut(name, "not in the list of rows"))
            continue
        if name in doubted:
            left_out.append(LeftOut(name, "FracAtlas contradicts itself"))
            continue
        fractured = _flag(record, "fractured")
        folder = "Fractured" if fractured else "Non_fractured"
        path = paths.get(name, root / "images" / folder / name)
        found.append(
            SourceRow(
                label=entry["label"] if entry else (FRACTURED if fractured else HEALTHY),
                file=path,
                subtype=entry.get("subtype", "") if entry else "",
                group=entry["group"] if entry else fracatlas_group(name),
                source="fracatlas",
                region="+".join(part for part in _FRACATLAS_REGIONS if _flag(record, part)),
                view="+".join(view for view in _FRACATLAS_VIEWS if _flag(record, view)),
                licence="CC-BY-4.0",
                boxes=_fracatlas_boxes(root / "Annotations", Path(name).stem) if fractured else (),
                severity=float(entry["severity"]) if entry and entry["severity"] else (math.nan if fractured else 0.0),
                split=entry["split"] if entry else "",
                image_id=Path(name).stem,
                hardware=_flag_if_any(record, "hardware"),
                cast=yes_or_no(entry.get("cast")) if entry else None,
            )
        )
    if not found:
        raise SourceError(f"{root / 'dataset.csv'}: no usable rows")
    notes = [f"FracAtlas has no patient ids: runs of {FRACATLAS_RUN} image numbers stand in for patients"]
    if listed is not None and (absent := listed.keys() - {row.image_id for row in found}):
        notes.append(f"{len(absent)} images of the list are not in {root.name}/dataset.csv")
    return Reading(found, left_out, notes, contradictions)


def fracatlas_group(image_id: str) -> str:
    """The run of 25 image numbers that an image stands in: "IMG0000051.jpg" is in "fa002". Raises `SourceError` for other names."""
    digits = Path(image_id).stem.removeprefix("IMG")
    if not digits.isdigit():
        raise SourceError(f"{image_id!r} is not named as FracAtlas names its images (IMG0000000.jpg)")
    return f"fa{int(digits) // FRACATLAS_RUN:03d}"


def read_row_list(path: str | Path) -> dict[str, dict[str, str]]:
    """A pixel-free list of rows by image id (without suffix), each with label, split, group, severity. "packaged" is the project's own."""
    file = Path(__file__).parent.parent / "fracatlas_rows.csv" if path == PACKAGED_ROWS else Path(path)
    table = _read_csv(file, ("image_id", "label", "split", "group", "severity"))
    return {Path(record["image_id"]).stem: record for record in table}


def grazpedwri_rows(root: Path, *, keep_uncertain: bool = False) -> Reading:
    """Rows of a GRAZPEDWRI-DX folder: `dataset.csv`, `images_part1/` … (or any folders of PNGs), `…/yolov5/labels/*.txt`.

    Groups are patients. `fracture_visible` makes a film fractured. Healthy is a film without it that has no cast, no metal, no AO class
    and no box but of text; what is neither is left out. So are films whose diagnosis is marked uncertain, unless `keep_uncertain`.
    Raises `SourceError` where files or columns of the layout are missing.
    """
    records = _read_csv(published_table(root), ("filestem", "patient_id", "fracture_visible"))
    paths = {path.stem: path for path in image_files(root)}
    annotations = {path.stem: path for path in root.rglob("labels/*.txt")}
    found, left_out = [], []
    for record in records:
        stem = record["filestem"]
        fractured = _flag(record, "fracture_visible")
        kinds = list(yolo_boxes(annotations[stem])) if stem in annotations else []
        if _flag(record, "diagnosis_uncertain") and not keep_uncertain:
            left_out.append(LeftOut(stem, "diagnosis marked uncertain"))
            continue
        if not fractured and (sign := _sign_of_injury(record, {kind for kind, _ in kinds})):
            left_out.append(LeftOut(stem, f"{sign} but no visible fracture"))
            continue
        found.append(
            SourceRow(
                label=FRACTURED if fractured else HEALTHY,
                file=paths.get(stem, root / f"{stem}.png"),
                group=f"graz-{record['patient_id']}",
                source="grazpedwri",
                region="wrist",
                view=_GRAZ_VIEWS.get(record.get("projection", "").split(".")[0], "unknown"),
                licence="CC-BY-4.0",
                boxes=tuple(box for kind, box in kinds if kind == _GRAZ_FRACTURE) if fractured else (),
                severity=math.nan if fractured else 0.0,
                image_id=stem,
                hardware=_flag_if_any(record, "metal"),
                cast=_flag_if_any(record, "cast"),
            )
        )
    if not found:
        raise SourceError(f"{root / 'dataset.csv'}: no usable rows")
    notes = ["GRAZPEDWRI-DX: children's wrists only"]
    if not annotations:
        notes.append("GRAZPEDWRI-DX: no boxes (…/yolov5/labels/): healthy films are told by dataset.csv alone, and fractures have no box")
    return Reading(found, left_out, notes)


def _sign_of_injury(record: Mapping[str, str], kinds: set[int]) -> str:
    """What speaks against calling a film of GRAZPEDWRI-DX without a visible fracture healthy; "" if nothing does."""
    for column in ("metal", "cast"):
        if _flag(record, column):
            return column
    if record.get("ao_classification"):
        return "an AO class"
    marked = sorted(_GRAZ_KINDS[kind] if kind < len(_GRAZ_KINDS) else str(kind) for kind in kinds - {_GRAZ_TEXT})
    return f"a box of {marked[0]}" if marked else ""


def published_table(root: Path) -> Path:
    """Where the `dataset.csv` of a published set lies: in its folder, or in the only folder there that has one, as archives unpack.

    Where there is none, the place where it should be.
    """
    table, within = root / "dataset.csv", list(root.glob("*/dataset.csv"))
    return within[0] if len(within) == 1 and not table.is_file() else table


def mura_rows(root: Path) -> Reading:
    """Rows of a MURA folder: `train|valid/XR_REGION/patientNNNNN/studyN_{positive,negative}/imageN.png`, in `root` or in `root/MURA-v1.1`.

    Labels are MURA's own words, which the build refuses unless mapped by hand; studies whose folder states none take that of
    `*_labeled_studies.csv`. Groups are patients; `valid` is validation, and the build takes a test split from train. Raises `SourceError`
    where there are no such folders.
    """
    base = root / "MURA-v1.1" if (root / "MURA-v1.1").is_dir() else root
    stated = {study: label for table in sorted(base.glob("*_labeled_studies.csv")) for study, label in _mura_lines(table)}
    found = []
    for folder in _MURA_SPLITS:
        for path in image_files(base / folder):
            parts = path.relative_to(base).parts
            label = stated.get("/".join(parts[:-1]), "")
            if len(parts) != 5 or not parts[2].startswith("patient") or not ("_" in parts[3] or label):
                raise SourceError(f"{path}: expected {folder}/XR_REGION/patientNNNNN/studyN_positive/imageN.png")
            found.append(_mura_row(path, parts, label))
    if not found:
        raise SourceError(f"{base}: expected MURA's folders train/XR_… and valid/XR_…, found no images there")
    return Reading(found, notes=[_MURA_NOTE])


def mura_table_rows(table: Path) -> Reading:
    """Rows of one of MURA's own CSVs, which have no header: `train_labeled_studies.csv` (study, 0 or 1) or `valid_image_paths.csv`.

    Images lie beside the table, or in `MURA-v1.1` there. Studies that are not there, or whose folder says the contrary, are left out by
    name. Raises `SourceError` where no image is found.
    """
    rows, left_out = [], []
    for place, label in _mura_lines(table):
        bases = (table.parent, table.parent / "MURA-v1.1", table.parent.parent)
        path = next((base / place for base in bases if (base / place).exists()), None)
        if path is None:
            left_out.append(LeftOut(place, "no such file or folder"))
            continue
        base = path.parents[len(Path(place).parts) - 1]
        for file in image_files(path) if path.is_dir() else [path]:
            row = _mura_row(file, file.relative_to(base).parts, label)
            told = file.parent.name.partition("_")[2]
            if label and told in ("positive", "negative") and told != label:
                left_out.append(LeftOut(row.image_id, f"{table.name} says {label}, its folder {told}"))
            else:
                rows.append(row)
    if not rows:
        raise SourceError(f"{table}: none of the {len(left_out)} files and studies that it names is there; it has to lie in MURA-v1.1/")
    notes = [_MURA_NOTE]
    if left_out:
        notes.append(f"left out: {len(left_out)} entries of {table.name} ({left_out[0].name}: {left_out[0].reason})")
    return Reading(rows, left_out, notes, layout="a table of MURA's, without a header")


def is_mura_table(path: Path) -> bool:
    """Whether a CSV is one of MURA's own, by its first line."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return _MURA_PATH.search(stream.readline(1000)) is not None
    except ValueError:
        return False


def _mura_lines(table: Path) -> Iterator[tuple[str, str]]:
    """Paths from `train/` or `valid/` on, and the labels of those that a table states one for."""
    for number, line in enumerate(table.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        place, _, cell = (part.strip() for part in line.replace("\\", "/").partition(","))
        found = _MURA_PATH.search(place)
        if found is None or cell not in ("", "0", "1", "0.0", "1.0"):
            raise SourceError(f"{table}, line {number}: {line!r} is not train/XR_REGION/patientNNNNN/studyN_positive/,1")
        yield place[found.start("split") :].rstrip("/"), {"": "", "0": "negative", "1": "positive"}[cell.removesuffix(".0")]


def _mura_row(path: Path, parts: Sequence[str], label: str) -> SourceRow:
    """The row of an image whose `parts` are split, region, patient, study and file."""
    return SourceRow(
        label=label or parts[3].split("_", 1)[1],
        file=path,
        group=f"mura-{parts[2]}",
        source="mura",
        region=parts[1].removeprefix("XR_").lower(),
        view="unknown",
        licence="MURA-research-use",
        split=_MURA_SPLITS[parts[0]],
        image_id="/".join(parts),
    )


def _read_csv(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """A CSV's rows with cells stripped. Raises `SourceError` naming the file, and the columns found and missing."""
    if not path.is_file():
        raise SourceError(f"{path} is missing: point at the folder that holds it, unpacked as published")
    found, records = read_table(path)
    columns = [column.strip() for column in found]
    if missing := [name for name in needed if name not in columns]:
        raise SourceError(f"{path}: no column {', '.join(missing)}; columns found: {', '.join(columns) or 'none'}")
    return [{key.strip(): cell_text(value) for key, value in record.items() if key} for record in records]


def _flag(record: Mapping[str, str], column: str) -> bool:
    """Whether a 0/1 cell says yes; spreadsheets write it as 1, 1.0 or true, and leave no empty."""
    return record.get(column, "").casefold() in {"1", "1.0", "true", "yes"}


def _flag_if_any(record: Mapping[str, str], column: str) -> bool | None:
    """`_flag`, or None where the table has no such column."""
    return _flag(record, column) if column in record else None


def _fracatlas_boxes(annotations: Path, stem: str) -> tuple[Box, ...]:
    """Fracture boxes from the YOLO file, or else the PASCAL VOC file; none where there is neither."""
    yolo, voc = annotations / "YOLO" / f"{stem}.txt", annotations / "PASCAL VOC" / f"{stem}.xml"
    if yolo.is_file():
        return tuple(box for _, box in yolo_boxes(yolo))
    return tuple(box for _, box in voc_boxes(voc)) if voc.is_file() else ()
