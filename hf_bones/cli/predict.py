"""`hf-bones predict`: films in, verdicts out, a film at a time or all views of a study together."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_bones.cli.errors import STRICT
from hf_bones.cli.options import BatchSize, Device, Mirror, ModelOption, Revision, Strict, Zoom
from hf_bones.cli.output import answer, note, wants_json

if TYPE_CHECKING:
    from hf_bones.inference.finding import Finding
    from hf_bones.inference.predictor import BonePredictor

BY_DICOM = "dicom"


def predict(
    paths: Annotated[
        list[Path] | None, typer.Argument(readable=False, help="Images, or folders of images. None with a table of studies.")
    ] = None,
    model: ModelOption = "bundled",
    csv: Annotated[Path | None, typer.Option(help="Write one row per image here instead of printing.")] = None,
    studies: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|dicom",
            help="Answer all views of a study together: a table with columns file and study, or `dicom`, by the Study Instance UID.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Resume a CSV that is there, skipping what it has; refused for one of another model or other options.")
    ] = False,
    heatmaps: Annotated[Path | None, typer.Option(file_okay=False, help="Folder for a heat map of each film, as PNG.")] = None,
    batch_size: BatchSize = 16,
    mirror: Mirror = False,
    zoom: Zoom = False,
    device: Device = None,
    revision: Revision = None,
    strict: Strict = False,
) -> None:
    """Classify images. A file that cannot be read gets the verdict `unreadable` and the reason; the rest are classified."""
    from hf_bones.inference.folder import require_new
    from hf_bones.inference.predictor import BonePredictor

    if csv is not None:
        require_new(csv, resume)
    if studies is not None:
        grouped = _grouped(studies, paths or [])
        files = [path for views in grouped.values() for path in views]
    elif not paths:
        raise typer.BadParameter("name images or folders of images (or a table of studies with --studies)", param_hint="PATHS")
    else:
        files = _files(paths)
    if not files and csv is None:
        answer([], [])
        return
    options: dict[str, Any] = {"batch_size": batch_size, "mirror": mirror, "zoom": zoom}
    predictor = BonePredictor.from_pretrained(model, revision=revision, device=device)
    if studies is not None:
        unreadable = _predict_studies(predictor, grouped, csv, resume, heatmaps, options)
    elif csv is not None:
        unreadable = _predict_into(csv, predictor, files, resume, heatmaps, options)
    else:
        unreadable = _predict_printing(predictor, files, heatmaps, options)
    if strict and unreadable:
        raise typer.Exit(STRICT)


def _files(paths: list[Path]) -> list[Path]:
    from hf_bones.inference.folder import list_files

    left_out: dict[Path, str] = {}
    files = list(dict.fromkeys(list_files(paths, left_out.__setitem__)))
    for path, why in left_out.items():
        note(f"{path}: {why}")
    return files


def _grouped(studies: str, paths: list[Path]) -> dict[str, list[Path]]:
    """Study → its files. Raises typer.BadParameter where paths and table say two things."""
    from hf_bones.inference.study.lists import studies_of_dicom, studies_of_table

    if studies != BY_DICOM:
        if paths:
            raise typer.BadParameter(f"{studies} names the films already; leave out {paths[0]}", param_hint="--studies")
        return studies_of_table(Path(studies))
    if not paths:
        raise typer.BadParameter("`dicom` needs the films: name files or folders", param_hint="--studies")
    return studies_of_dicom(_files(paths), lambda path, why: note(f"{path}: {why}"))


def _predict_into(
    csv: Path, predictor: BonePredictor, files: list[Path], resume: bool, heatmaps: Path | None, options: dict[str, Any]
) -> int:
    from hf_bones.inference.finding import UNREADABLE
    from hf_bones.inference.folder import predict_paths

    verdicts = predict_paths(predictor, files, csv, resume=resume, heatmaps=heatmaps, **options)
    told = ", ".join(f"{verdict} {count}" for verdict, count in sorted(verdicts.items()))
    answer({"csv": csv, "verdicts": verdicts}, [f"{csv}: {told}"])
    return verdicts[UNREADABLE]


def _predict_printing(predictor: BonePredictor, files: list[Path], heatmaps: Path | None, options: dict[str, Any]) -> int:
    """Prints each finding as it comes, or all as one document. Returns how many films were unreadable."""
    from hf_bones.images.opening_process import OpeningProcesses
    from hf_bones.inference.folder import heatmap_files, save_heatmap

    found: list[dict[str, Any]] = []
    unreadable = 0
    pictures = heatmap_files(heatmaps, files) if heatmaps is not None else {}
    with OpeningProcesses() as processes:
        findings = predictor.predict_iter(files, heatmap=heatmaps is not None, opener=processes.open, **options)
        for finding in _shown(findings, len(files), "image"):
            unreadable += not finding.readable
            if pictures:
                save_heatmap(finding, pictures[Path(finding.source)], processes.open)
            if wants_json():
                picture = {"heatmap_file": pictures[Path(finding.source)] if finding.heatmap is not None else None} if pictures else {}
                found.append({**finding.to_dict(), **picture})
            else:
                answer(None, [_line(finding)])
    if wants_json():
        answer(found, [])
    return unreadable


def _predict_studies(
    predictor: BonePredictor,
    studies: dict[str, list[Path]],
    csv: Path | None,
    resume: bool,
    heatmaps: Path | None,
    options: dict[str, Any],
) -> int:
    """The same for studies, each after its views. Returns how many views were unreadable."""
    from hf_bones.images.opening_process import OpeningProcesses
    from hf_bones.inference.folder import heatmap_files, save_heatmap
    from hf_bones.inference.study.paths import predict_studies, predict_studies_into

    files = [path for views in studies.values() for path in views]
    pictures = heatmap_files(heatmaps, files) if heatmaps is not None else {}
    unreadable = 0
    found: list[dict[str, Any]] = []
    with OpeningProcesses() as processes:

        def keep(finding: Finding) -> None:
            nonlocal unreadable
            unreadable += sum(not view.readable for view in finding.views)
            for view in finding.views if pictures else ():
                save_heatmap(view, pictures[Path(view.source)], processes.open)

        asked = {**options, "heatmap": bool(pictures), "opener": processes.open}
        if csv is not None:
            verdicts = predict_studies_into(predictor, studies, csv, resume=resume, keep=keep, **asked)
            told = ", ".join(f"{verdict} {count}" for verdict, count in sorted(verdicts.items()))
            answer({"csv": csv, "verdicts": verdicts}, [f"{csv}: {told} of {sum(verdicts.values())} studies"])
            return unreadable
        for finding in _shown(predict_studies(predictor, studies, **asked), len(studies), "study"):
            keep(finding)
            if wants_json():
                found.append(finding.to_dict())
            else:
                answer(None, [*(f"  {_line(view)}" for view in finding.views), _line(finding)])
    if wants_json():
        answer(found, [])
    return unreadable


def _shown(findings: Iterable[Finding], total: int, unit: str) -> Iterable[Finding]:
    from tqdm import tqdm

    # Lines on a terminal are progress enough, and a bar would stand among them.
    quiet = None if wants_json() or not sys.stdout.isatty() else True
    return tqdm(findings, total=total, unit=unit, disable=quiet)


def _line(finding: Finding) -> str:
    shares = " ".join(f"{name} {share:.2f}" for name, share in finding.probabilities.items())
    said = "; ".join(finding.reasons)
    return f"{finding.source}: {finding.verdict}  {shares or said}" + (f"  ({said})" if shares and said else "")
