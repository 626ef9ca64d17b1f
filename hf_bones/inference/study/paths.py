"""Predicting studies into a CSV: the rows of a study's views, then the study's own, written together, so that a run can be resumed.

Not here: which files are one study (`lists.py`), one row a file (`folder.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hf_bones.inference.finding import Finding, csv_columns, csv_row, open_csv
from hf_bones.inference.folder import Made, require_new, rows_made
from hf_bones.inference.predictor import BonePredictor, Opener
from hf_bones.inference.study.finding import study_finding
from hf_bones.pages.tables import CsvWriter
from hf_bones.pages.text import printable_text

STUDY = "study"  # the column in front of those of `csv_columns`: a study's own row has it and no file


def predict_studies(model: BonePredictor, studies: Mapping[str, Sequence[Path]], *, opener: Opener, **options: Any) -> Iterator[Finding]:
    """One finding a study, in order, as `study_finding` makes it; `options` as for `BonePredictor.predict_iter`."""
    views = model.predict_iter((path for paths in studies.values() for path in paths), opener=opener, **options)
    for name, paths in studies.items():
        yield study_finding(name, [next(views) for _ in paths], model.decision)


def study_rows(finding: Finding, names: Sequence[str]) -> list[list[str]]:
    """The rows of a study's views, then its own, under [`STUDY`, *`csv_columns(names)`], without the last three."""
    views = [[finding.source, *csv_row(view, names)] for view in finding.views]
    return [*views, [finding.source, "", *csv_row(finding, names)[1:]]]


def predict_studies_into(
    model: BonePredictor,
    studies: Mapping[str, Sequence[Path]],
    csv_path: Path,
    *,
    opener: Opener,
    resume: bool = False,
    mirror: bool = False,
    zoom: bool = False,
    heatmap: bool = False,
    keep: Callable[[Finding], None] | None = None,
    **options: Any,
) -> Counter[str]:
    """Predicts studies into a CSV and returns how often each verdict was given to a study.

    `keep` is given each study's finding as soon as its rows are written. With `resume`, studies whose own row is there are skipped and
    counted from it; what a killed run left of another is cut off. For what is raised see `folder.predict_paths`.
    """
    require_new(csv_path, resume)
    if zoom:
        model.second_look()
    columns = [STUDY, *csv_columns(model.names)]
    made = Made.by(model, mirror=mirror, zoom=zoom, heatmaps=heatmap)
    done = _done(csv_path, columns, made) if csv_path.exists() else {}
    verdicts = Counter(done.values())
    pending = {name: paths for name, paths in studies.items() if printable_text(name) not in done}
    is_new = not csv_path.exists() or csv_path.stat().st_size == 0
    with open_csv(csv_path, "a") as stream:
        writer = CsvWriter(stream, line_end="\n")
        if is_new:
            writer.writerow(columns)
        findings = predict_studies(model, pending, opener=opener, mirror=mirror, zoom=zoom, heatmap=heatmap, **options)
        for finding in tqdm(findings, total=len(studies), initial=len(studies) - len(pending), unit="study", disable=None):
            for row in study_rows(finding, model.names):
                writer.writerow([*row, *made.cells()])
            stream.flush()
            if keep is not None:
                keep(finding)
            verdicts[finding.verdict] += 1
    return verdicts


def _done(target: Path, columns: list[str], made: Made) -> dict[str, str]:
    """Study → verdict of the whole studies of a CSV; what stands after the last of them is cut off."""
    rows = rows_made(target, columns, made)
    done: dict[str, str] = {}
    kept = 1
    for number, row in enumerate(rows[1:], start=2):
        if len(row) == len(columns) and not row[1]:
            done[printable_text(row[0])] = row[2]
            kept = number
    if kept < len(rows):
        with open_csv(target, "w") as stream:
            CsvWriter(stream, line_end="\n").writerows(rows[:kept])
    return done
