"""Predicting many files: folders walked in a stable order, rows appended as they come, an interrupted run continued."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from hf_bones.images.opening_process import OpeningProcesses
from hf_bones.inference.finding import csv_columns, csv_row, open_csv
from hf_bones.inference.predictor import BonePredictor


def list_files(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Files as named, and every file under the folders named, sorted within each folder; hidden files and folders are left out.

    Names decide nothing, since extensions lie: what is no image gets the verdict `unreadable`. Links to folders are not followed.
    Raises FileNotFoundError for a path that does not exist.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            if not path.exists():
                raise FileNotFoundError(f"{path}: no such file or folder")
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def predict_paths(
    model: BonePredictor,
    paths: Sequence[str | Path],
    csv_path: str | Path,
    *,
    resume: bool = False,
    batch_size: int = 16,
    mirror: bool = False,
    zoom: bool = False,
) -> Counter[str]:
    """Predicts files and folders into a CSV (file, verdict, p_<class>…, reasons) and returns how often each verdict was given.

    Files are opened in a process of its own, each with a deadline. A row is written and flushed as soon as its batch is done. With
    `resume`, files that the CSV already has are skipped and counted from it; the last row of a killed run is dropped if it is torn.
    Without it an existing CSV raises FileExistsError, so that a long run is never lost by mistake. A CSV of other classes raises
    ValueError. mirror, zoom: see `BonePredictor.predict`; the rows do not tell them, nor the model, so resume with those that the CSV
    was begun with.
    """
    if zoom:
        model.second_look()  # refused before a file is begun
    target = Path(csv_path)
    columns = csv_columns(model.names)
    done: dict[str, str] = {}
    if target.exists():
        if not resume:
            raise FileExistsError(f"{target} exists: add --resume to resume it, or name another file")
        done = _read_done(target, columns)
    pending = [path for path in dict.fromkeys(list_files(paths)) if str(path) not in done and path.resolve() != target.resolve()]
    verdicts = Counter(done.values())
    is_new = not target.exists() or target.stat().st_size == 0
    with open_csv(target, "a") as stream, OpeningProcesses() as processes:
        writer = csv.writer(stream, lineterminator="\n")
        if is_new:
            writer.writerow(columns)
        findings = model.predict_iter(pending, batch_size=batch_size, mirror=mirror, zoom=zoom, opener=processes.open)
        for finding in tqdm(findings, total=len(pending), unit="image", disable=None):
            writer.writerow(csv_row(finding, model.names))
            stream.flush()
            verdicts[finding.verdict] += 1
    return verdicts


def _read_done(target: Path, columns: list[str]) -> dict[str, str]:
    """File → verdict of the whole rows of a CSV; cuts off a last row that has no line end."""
    content = target.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with target.open("r+b") as stream:
            stream.truncate(len(whole))
    with open_csv(target, "r") as stream:
        rows = list(csv.reader(stream))
    if rows and rows[0] != columns:
        raise ValueError(f"{target}: its columns are {rows[0]}, this model writes {columns}; name another file")
    return {row[0]: row[1] for row in rows[1:] if len(row) == len(columns)}
