"""Runs a checkpoint over one split of a dataset and writes the report: what `hf-bones evaluate` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hf_bones.dataset.faults.advice import joining
from hf_bones.dataset.schema import require_split
from hf_bones.evaluation.columns import image_names, row_columns, text_column
from hf_bones.evaluation.report.baselines import (
    FOREST,
    MAJORITY,
    STATISTICS,
    forest_probabilities,
    image_statistics,
    keep_licences,
    majority_probabilities,
)
from hf_bones.evaluation.report.cautions import cautions
from hf_bones.evaluation.report.choices import EvaluateChoices
from hf_bones.evaluation.report.figures import Resampling
from hf_bones.evaluation.report.looks import count_look_somewhere, own_folder
from hf_bones.evaluation.report.report import evaluate_probabilities
from hf_bones.evaluation.report.results import Evaluation, EvaluationSetup
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.evaluation.seen import seen_by
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.labels import LabelScheme
from hf_bones.metrics.figures import Floats, Ints
from hf_bones.record import public_name, sha256_rows

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from hf_bones.inference.finding import Finding
    from hf_bones.inference.predictor import BonePredictor

# Splits that are there to be looked at; a look at any other one is counted.
OPEN_SPLITS = ("train", "validation")


def evaluate_checkpoint(
    model: str | Path | BonePredictor,
    dataset: str | Path | DatasetDict,
    out_dir: str | Path,
    choices: EvaluateChoices = EvaluateChoices(),  # noqa: B008 - frozen
    *,
    command: str = "",
) -> Evaluation:
    """Evaluates `model` ("bundled", a folder, a Hub id or a predictor) on a split of `dataset` (a folder, a Hub id or a DatasetDict).

    command: what the report says was run. Files: see `evaluate_probabilities`. A look at a split other than train and validation is
    counted in the record.json of a checkpoint folder; for the bundled model, a Hub id or a read-only folder in test_looks.json of
    `out_dir`.

    Raises ValueError for a split or licence that is not there, a dataset with labelled rows of a class that the checkpoint lacks, or
    no row to score.
    """
    data, split = load_splits(dataset), choices.split
    require_split(data, split, _name_of(dataset))
    predictor = _load_predictor(model, choices.revision, choices.device)
    scheme, part = predictor.scheme, data[split]
    labels = scheme_labels(part, scheme, f"{_name_of(dataset)}, split {split!r}")
    findings = predict_rows(predictor, part, choices.batch_size, mirror=choices.mirror, zoom=choices.zoom)
    rows, left_out = _scored(part, labels, findings, predictor, split)
    fingerprint = sha256_rows(
        (s, label, g) for s, label, g in zip(text_column(part, "sha256"), labels, text_column(part, "group"), strict=True)
    )
    kept = [index for index, (label, finding) in enumerate(zip(labels, findings, strict=True)) if label >= 0 and finding.readable]
    fitted: dict[str, Floats] = {}
    notes: list[str] = []
    if choices.baselines:
        fitted, notes = fit_baselines(
            data, part.select(kept), scheme, choices.baseline_licences or None, choices.seed, is_train=split == "train"
        )
    out = Path(out_dir)
    looks, looks_in = None, ""
    if split not in OPEN_SPLITS:
        looks, ledger = count_look_somewhere(own_folder(model), out / "test_looks.json", split, fingerprint)
        looks_in = ledger.name if ledger.parent == out else f"the checkpoint's {ledger.name}"
    about = EvaluationSetup(
        checkpoint=public_name(findings[0].checkpoint),
        revision=findings[0].revision,
        calibrated=findings[0].calibrated,
        mirror=choices.mirror,
        zoom=sum(findings[index].zoomed for index in kept) if choices.zoom else None,
        dataset=_name_of(dataset),
        split=split,
        dataset_sha256=fingerprint,
        command=command,
        looks=looks,
        looks_in=looks_in,
        left_out=left_out,
        notes=tuple(notes),
        warnings=tuple(cautions(rows, text_column(part.select(kept), "sha256") if "sha256" in part.column_names else ())),
    )
    resampling = Resampling(repeats=choices.repeats, seed=choices.seed)
    return evaluate_probabilities(
        rows,
        out,
        about,
        baselines=fitted,
        specificity=choices.specificity,
        resampling=resampling,
        least_rows=choices.least_rows,
        worst=choices.worst,
    )


def load_splits(dataset: str | Path | DatasetDict) -> DatasetDict:
    """The splits of a folder or Hub id; a DatasetDict as it is."""
    if not isinstance(dataset, (str, Path)):
        return dataset
    from hf_bones.dataset.schema import load_bones

    return load_bones(dataset)


def _load_predictor(model: str | Path | BonePredictor, revision: str | None, device: str | None) -> BonePredictor:
    if not isinstance(model, (str, Path)):
        return model
    from hf_bones.inference.predictor import BonePredictor

    return BonePredictor.from_pretrained(model, revision=revision, device=device)


def scheme_labels(part: Dataset, scheme: LabelScheme, where: str) -> Ints:
    """(N,) labels of `part` as indices into `scheme`; −1 stays −1 (unlabelled). Raises ValueError naming rows of a class it lacks."""
    names = part.features["label"].names
    given = np.asarray(part.with_format(None)["label"][:], dtype=np.int64)
    to_scheme = np.array([scheme.names.index(name) if name in scheme.names else -2 for name in names] + [-1], dtype=np.int64)
    labels: Ints = to_scheme[given]
    if (labels == -2).any():
        unknown = {names[i]: int((given == i).sum()) for i in sorted(set(given[labels == -2].tolist()))}
        raise ValueError(
            f"{where}: rows of classes that the checkpoint does not know: {unknown}; it knows {list(scheme.names)}. "
            f"Leave those rows out, grow the checkpoint's head to these classes and train it, or {joining(scheme, list(unknown))}"
        )
    return labels


def _sources(part: Dataset) -> Dataset:
    """The image column undecoded: bytes or paths go to the predictor as they are, so that a broken one is a row without figures."""
    from datasets import Image as ImageFeature

    return part.select_columns("image").cast_column("image", ImageFeature(decode=False))


def _source(image: Mapping[str, Any]) -> bytes | str:
    found = image["bytes"] if image["bytes"] is not None else image["path"]
    return bytes(found) if isinstance(found, bytes) else str(found)


def predict_rows(predictor: BonePredictor, part: Dataset, batch_size: int, *, mirror: bool = False, zoom: bool = False) -> list[Finding]:
    """A finding for each row of `part`, with a progress bar."""
    from tqdm import tqdm

    findings: list[Finding] = []
    sources = _sources(part)
    # A few batches at a time: the files of a whole split need not fit into memory.
    step = 8 * batch_size
    with tqdm(total=len(part), unit="image", desc="predict", disable=None) as progress:
        for start in range(0, len(part), step):
            images = [_source(image) for image in sources[start : start + step]["image"]]
            findings += predictor.predict(images, batch_size=batch_size, mirror=mirror, zoom=zoom)
            progress.update(len(images))
    return findings


def _scored(
    part: Dataset, labels: Ints, findings: Sequence[Finding], predictor: BonePredictor, split: str
) -> tuple[ScoredRows, dict[str, str]]:
    """The rows that can be scored, and image id → reason for the others."""
    scheme = predictor.scheme
    ids = image_names(part)
    left_out: dict[str, str] = {}
    kept: list[int] = []
    for index, finding in enumerate(findings):
        if labels[index] < 0:
            left_out[ids[index]] = "without a label"
        elif not finding.readable:
            left_out[ids[index]] = f"unreadable: {finding.reasons[0] if finding.reasons else 'no reason given'}"
        else:
            kept.append(index)

    def table(which: str) -> Floats:
        return np.array([[getattr(findings[i], which)[name] for name in scheme.names] for i in kept]).reshape(-1, len(scheme.names))

    sources = _sources(part)

    def pixels(index: int) -> npt.NDArray[np.uint8]:
        return open_image(_source(sources[kept[index]]["image"])).pixels

    rows = ScoredRows(
        names=scheme.names,
        normal_id=scheme.normal_id,
        labels=labels[kept],
        probabilities=table("probabilities"),
        raw_probabilities=table("raw_probabilities"),
        verdicts=[findings[index].verdict for index in kept],
        sets=[findings[index].prediction_set for index in kept],
        seen=seen_by(predictor.checkpoint, predictor.revision, part.select(kept), split),
        image=lambda index: Image.fromarray(pixels(index)),
        heat_maps=lambda indices, classes: predictor.heat([pixels(index) for index in indices], classes),
        heat_scale=predictor.heat_scale,
        **row_columns(part, kept),
    )
    return rows, left_out


def fit_baselines(
    data: Mapping[str, Any],
    part: Dataset,
    scheme: LabelScheme,
    licences: Sequence[str] | None,
    seed: int,
    *,
    is_train: bool = False,
) -> tuple[dict[str, Floats], list[str]]:
    """Baselines fitted on the train split and applied to the rows of `part`, with a sentence on what they were fitted on.
    `is_train`: these rows are of the train split itself, which the forest would know by heart."""
    if "train" not in data or not len(data["train"]):
        return {}, ["No baselines: the dataset has no train split to fit them on."]
    train = data["train"].select(keep_licences(text_column(data["train"], "licence"), licences))
    labels = scheme_labels(train, scheme, "split 'train'")
    statistics, readable = _statistics(train)
    usable = readable & (labels >= 0)
    labels, statistics = labels[usable], statistics[usable]
    which = f" with licence {' or '.join(licences)}" if licences is not None else ""
    notes = [f"Baselines were fitted on {len(labels)} training rows{which}."]
    fitted = {MAJORITY: majority_probabilities(labels, len(scheme.names), len(part))}
    if is_train:
        return fitted, [*notes, "No statistics-only forest: it would be scored on the rows that it was fitted to."]
    if len(set(labels.tolist())) < 2:
        return fitted, [*notes, "No statistics-only forest: the training rows hold one class only."]
    scored, _ = _statistics(part)
    return {FOREST: forest_probabilities(statistics, labels, scored, len(scheme.names), seed), **fitted}, notes


def _statistics(part: Dataset) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """`image_statistics` of every row (N, F), zeros where an image cannot be opened, and which ones could be (N,)."""
    table, readable = np.zeros((len(part), len(STATISTICS))), np.zeros(len(part), dtype=bool)
    for index, row in enumerate(_sources(part)):
        try:
            table[index] = image_statistics(open_image(_source(row["image"])).pixels)
        except ImageRefusedError:
            continue  # training leaves such rows out as well
        readable[index] = True
    return table, readable


def _name_of(dataset: object) -> str:
    return public_name(dataset) if isinstance(dataset, (str, Path)) else "dataset in memory"
