"""Predicting many files: folders walked in a stable order, rows appended as they come, an interrupted run continued.

Not here: the columns of the CSV (`finding.py`).
"""

from __future__ import annotations

import csv
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from hf_bones.images.opening import DEFAULT_LIMITS, open_image
from hf_bones.images.opening_process import OpeningProcesses
from hf_bones.inference.boxes import with_boxes
from hf_bones.inference.checkpoint import weights_digest
from hf_bones.inference.finding import Finding, csv_columns, csv_row, open_csv
from hf_bones.inference.heat import overlay, with_legend
from hf_bones.inference.predictor import BonePredictor, Opener
from hf_bones.pages.tables import CsvWriter, stated
from hf_bones.pages.text import printable_text

log = logging.getLogger(__name__)


def warn(path: Path, why: str) -> None:
    """Logs what is left out."""
    log.warning("%s: %s", path, why)


def list_files(paths: Iterable[str | Path], passed_over: Callable[[Path, str], None] = warn) -> Iterator[Path]:
    """Files as named, and every file under the folders named, sorted within each folder; hidden files and folders are left out.

    Names decide nothing, since extensions lie: what is no image gets the verdict `unreadable`. A folder that may not be opened is listed
    itself, and gets it too. `passed_over` (by default the log) is told what else is left out and why: a link to a folder, which is not
    followed, and a folder without a file. Raises FileNotFoundError for a path that does not exist.
    """
    for path in map(Path, paths):
        try:
            is_folder = path.is_dir()
        except PermissionError:  # it lies in a folder that may not be opened
            yield path
            continue
        if not is_folder:
            if not os.path.lexists(path):
                raise FileNotFoundError(f"{path}: no such file or folder")
            yield path
            continue
        listed = False
        for found in _walk(path, passed_over):
            listed = True
            yield found
        if not listed:
            passed_over(path, "no files in it")


def _walk(path: Path, passed_over: Callable[[Path, str], None]) -> Iterator[Path]:
    locked: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=lambda error: locked.append(Path(os.fsdecode(error.filename)))):
        while locked:
            yield locked.pop(0)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if Path(folder, name).is_symlink():
                passed_over(Path(folder, name), "a link to a folder, which is not followed: name the folder itself")
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))
    yield from locked


@dataclass(frozen=True)
class Made:
    """What the rows of a CSV rest on: the checkpoint's name, its revision (a Hub commit, or a hash of its files), and the options."""

    checkpoint: str
    revision: str
    options: str

    @classmethod
    def by(cls, model: BonePredictor, *, mirror: bool, zoom: bool, heatmaps: bool) -> Made:
        chosen = [name for name, on in (("mirror", mirror), ("zoom", zoom), ("heatmaps", heatmaps)) if on]
        return cls(model.checkpoint, model.revision or weights_digest(model.checkpoint), " ".join(chosen))

    def cells(self) -> list[str]:
        return [self.checkpoint, self.revision, self.options]


def require_new(csv_path: Path, resume: bool) -> None:
    """Raises FileExistsError for a CSV that is there and is not to be resumed, so that a long run is never lost by mistake."""
    if csv_path.exists() and not resume:
        raise FileExistsError(f"{csv_path} exists: add --resume to resume it, or name another file")


def predict_paths(
    model: BonePredictor,
    paths: Sequence[str | Path],
    csv_path: str | Path,
    *,
    resume: bool = False,
    batch_size: int = 16,
    mirror: bool = False,
    zoom: bool = False,
    heatmaps: str | Path | None = None,
    passed_over: Callable[[Path, str], None] = warn,
) -> Counter[str]:
    """Predicts files and folders into a CSV (file, verdict, p_<class>…, reasons, checkpoint, revision, options) and returns how often each
    verdict was given.

    Files are opened in a process of its own, each with a deadline. A row is written and flushed as soon as its batch is done. With
    `resume`, files that the CSV already has are skipped and counted from it; the last row of a killed run is dropped if it is torn.
    Without it an existing CSV raises FileExistsError. A CSV of other classes, of another checkpoint or revision, or with other options
    raises ValueError. mirror, zoom: see `BonePredictor.predict`. heatmaps: a folder for a heat map of each readable film
    (`heatmap_files`). passed_over: see `list_files`.
    """
    if zoom:
        model.second_look()  # refused before a file is begun
    target = Path(csv_path)
    require_new(target, resume)
    columns = csv_columns(model.names)
    made = Made.by(model, mirror=mirror, zoom=zoom, heatmaps=heatmaps is not None)
    done = _read_done(target, columns, made) if target.exists() else {}
    listed = list(dict.fromkeys(list_files(paths, passed_over)))
    pictures = heatmap_files(heatmaps, listed) if heatmaps is not None else {}
    itself = os.path.realpath(target)
    pending = [path for path in listed if printable_text(str(path)) not in done and os.path.realpath(path) != itself]
    verdicts = Counter(done.values())
    is_new = not target.exists() or target.stat().st_size == 0
    with open_csv(target, "a") as stream, OpeningProcesses() as processes:
        writer = CsvWriter(stream, line_end="\n")
        if is_new:
            writer.writerow(columns)
        findings = model.predict_iter(
            pending, batch_size=batch_size, mirror=mirror, zoom=zoom, heatmap=heatmaps is not None, opener=processes.open
        )
        for finding in tqdm(findings, total=len(listed), initial=len(listed) - len(pending), unit="image", disable=None):
            if pictures:
                save_heatmap(finding, pictures[Path(finding.source)], processes.open)
            writer.writerow([*csv_row(finding, model.names), *made.cells()])
            stream.flush()
            verdicts[finding.verdict] += 1
    return verdicts


def heatmap_files(folder: str | Path, paths: Sequence[Path]) -> dict[Path, Path]:
    """Where the heat map of each file goes: under `folder` as the files lie under the folder that they share, `.png` behind their names."""
    if not paths:
        return {}
    shared = os.path.commonpath([path.absolute().parent for path in paths])
    return {path: Path(folder, os.path.relpath(path.absolute(), shared) + ".png") for path in paths}


def save_heatmap(finding: Finding, target: Path, opener: Opener = open_image) -> None:
    """Writes a finding's heat map over its film, as a PNG of the film's size with its boxes drawn and the colour bar in a strip at its
    right; nothing for a film without one."""
    if finding.heatmap is None or finding.heat_scale is None:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    picture = overlay(opener(finding.source, DEFAULT_LIMITS).pixels, finding.heatmap, finding.heat_scale)
    with_legend(np.asarray(with_boxes(Image.fromarray(picture), finding.boxes)), finding.heat_scale).save(target)


def _read_done(target: Path, columns: list[str], made: Made) -> dict[str, str]:
    """File → verdict of the whole rows of a CSV; cuts off a last row that has no line end. Raises ValueError for one made otherwise."""
    content = target.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with target.open("r+b") as stream:
            stream.truncate(len(whole))
    return {printable_text(row[0]): row[1] for row in rows_made(target, columns, made)[1:] if len(row) == len(columns)}


def rows_made(target: Path, columns: list[str], made: Made) -> list[list[str]]:
    """The rows of a CSV, its columns first, as they were before they were defused. Raises ValueError for one of other columns or made
    otherwise."""
    try:
        with open_csv(target, "r") as stream:
            rows = [[stated(cell) for cell in row] for row in csv.reader(stream)]
    except csv.Error as error:
        raise ValueError(f"{target}: cannot be read as a CSV ({error}); name another file") from error
    if rows and rows[0] != columns:
        raise ValueError(f"{target}: its columns are {rows[0]}, this model writes {columns}; name another file")
    own = made.cells()
    for row in rows[1:]:
        if len(row) == len(columns) and row[-2:] != own[-2:]:
            raise ValueError(
                f"{target}: its rows were made by {_named(row[-3:])}, and this run is of {_named(own)}: the two do not go into one table. "
                "Give the same options again, or name another file"
            )
    return rows


def _named(cells: Sequence[str]) -> str:
    checkpoint, revision, options = cells
    return f"{checkpoint} at {revision} " + (f"with {options}" if options else "without further options")
