"""`hf_bones.evaluate`: a checkpoint scored on a split, as `hf-bones evaluate` does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_bones.api.keywords import names_nearest
from hf_bones.evaluation.report.choices import EvaluateChoices
from hf_bones.evaluation.report.results import Evaluation
from hf_bones.evaluation.report.run import evaluate_checkpoint
from hf_bones.record import command_line

if TYPE_CHECKING:
    from datasets import DatasetDict

    from hf_bones.inference.predictor import BonePredictor


@names_nearest
def evaluate(
    model: str | Path | BonePredictor,
    dataset: str | Path | DatasetDict,
    out: str | Path,
    *,
    split: str = "test",
    batch_size: int = 16,
    mirror: bool = False,
    zoom: bool = False,
    device: str | None = None,
    revision: str | None = None,
    specificity: float = 0.85,
    repeats: int = 1000,
    seed: int = 0,
    baselines: bool = True,
    baseline_licences: Sequence[str] = (),
    least_rows: int = 10,
    worst: int = 40,
) -> Evaluation:
    """Scores a checkpoint on a split, with intervals, trivial baselines, plots and its worst errors, as `hf-bones evaluate` does.

    A look at test is counted in the checkpoint's record. Choose between models and settings by validation.

    Args:
        model: "bundled", a checkpoint folder, a Hub id, or a `BonePredictor`.
        dataset: A folder that `build` wrote, a Hub id, or a `DatasetDict`.
        out: Folder for the report, `metrics.json`, plots and the page of the worst errors.
        split: Split to score.
        batch_size: Images per forward pass.
        mirror: Score each image mirrored left-right too and average the logits; twice the time.
        zoom: Look at doubtful films again, in windows at twice the size; up to five times the time.
        device: torch device. None: a GPU, if there is one.
        revision: Branch, tag or commit of a Hub checkpoint.
        specificity: Healthy specificity of the threshold figures, 0 to 1.
        repeats: Bootstrap resamples behind the intervals.
        seed: Seed of bootstrap and forest.
        baselines: Fit the majority and statistics-only baselines beside the model.
        baseline_licences: Fit them on training rows of these licences only. Empty: on all.
        least_rows: Sources and regions of fewer films share one line in the report.
        worst: How many errors to show with pictures.

    Returns:
        The paths of what was written, and the figures; `tables[0]` is the checkpoint on all rows, `break_tables` are those on bare films,
        within regions and by severity; `seen` says which of the rows the checkpoint had before, as far as it says so.

    Raises:
        ValueError: A split or licence that is not there, rows of a class that the checkpoint lacks, or no row to score.
        CheckpointError: A model that is not there or cannot be loaded, or `zoom` of one without a second look. A ValueError.
        OSError: A dataset that is neither here nor, without a network, to be had from the Hub.

    Examples:
        >>> from hf_bones import evaluate
        >>> done = evaluate("runs/mine", "data/mine", out="runs/report", repeats=100)
        >>> done.report
        PosixPath('runs/report/report.md')
        >>> done.metrics
        PosixPath('runs/report/metrics.json')
    """
    choices = EvaluateChoices(
        split=split,
        batch_size=batch_size,
        mirror=mirror,
        zoom=zoom,
        device=device,
        revision=revision,
        specificity=specificity,
        repeats=repeats,
        seed=seed,
        baselines=baselines,
        baseline_licences=tuple(baseline_licences),
        least_rows=least_rows,
        worst=worst,
    )
    return evaluate_checkpoint(model, dataset, out, choices, command=command_line())
