"""The folder layouts of two public sets, as their authors publish them: FracAtlas, GRAZPEDWRI-DX.

Sources of the layouts: FracAtlas, doi:10.1038/s41597-023-02432-4; GRAZPEDWRI-DX, doi:10.1038/s41597-022-01328-z. What they do not state
is not made up: neither says which fractures are beyond repair.

Not here: MURA (`mura.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from hf_bones.collect.providers.folder import image_files
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
