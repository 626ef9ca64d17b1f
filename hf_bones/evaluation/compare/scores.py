"""What each checkpoint of a comparison says of the same rows, kept on disk, so that a command that is run again predicts nothing twice.

A look at test is counted where predictions of its rows are made, before they are kept; reading kept ones is no new look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_bones.config.recipe import DataConfig
from hf_bones.dataset.schema import require_split
from hf_bones.evaluation.columns import text_column
from hf_bones.evaluation.opinions.stored_arrays import read_arrays, write_arrays
from hf_bones.evaluation.report.baselines import FOREST, MAJORITY, keep_licences
from hf_bones.evaluation.report.looks import count_look_somewhere, own_folder
from hf_bones.evaluation.report.run import OPEN_SPLITS, fit_baselines, predict_rows, scheme_labels
from hf_bones.inference.checkpoint import PROCESSOR_FILE, find_checkpoint
from hf_bones.inference.decision import FILE_NAME as DECISION_FILE
from hf_bones.labels import LabelScheme
from hf_bones.metrics.figures import Floats, Ints, weighted_auroc
from hf_bones.record import read_json, sha256_file, sha256_rows
from hf_bones.training.data.batches import PixelSource
from hf_bones.training.data.rows import training_rows

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from hf_bones.inference.finding import Finding
    from hf_bones.inference.predictor import BonePredictor

FORMAT = 1


@dataclass(frozen=True, eq=False)
class SplitRows:
    """The N labelled rows of one split. `sha256` is the fingerprint that looks are counted under; `key` also tells their order."""

    split: str
    part: Dataset
    scheme: LabelScheme
    labels: Ints
    groups: tuple[str, ...]
    sources: tuple[str, ...]
    sha256: str
    key: str


@dataclass(frozen=True, eq=False)
class Scores:
    """Probabilities of one checkpoint, (N, C) on the validation rows and (M, C) on the rows that are shown, NaN for unreadable images.

    `train_auroc` is AUROC(abnormal) on rows that it learnt from, None where they are not known.
    """

    validation: Floats
    shown: Floats
    train_auroc: float | None


def split_rows(splits: Mapping[str, Any], split: str, scheme: LabelScheme, licences: Sequence[str] | None = None) -> SplitRows:
    """The rows of `split` that have a label and, where `licences` are given, one of these. Raises ValueError where there are none."""
    require_split(splits, split, "the dataset")
    part = splits[split]
    labels = scheme_labels(part, scheme, f"split {split!r}")
    allowed = keep_licences(text_column(part, "licence"), list(licences)) if licences else np.arange(len(part))
    kept = allowed[labels[allowed] >= 0]
    if not len(kept):
        raise ValueError(f"split {split!r} has no labelled row to compare on")
    part, labels = part.select(kept.tolist()), labels[kept]
    groups = tuple(group or f"row {index}" for group, index in zip(text_column(part, "group"), kept, strict=True))
    hashes = text_column(part, "sha256")
    rows = list(zip(hashes, labels.tolist(), groups, strict=True))
    key = hashlib.sha256("\n".join("\t".join(map(str, row)) for row in rows).encode()).hexdigest()[:24]
    return SplitRows(split, part, scheme, labels, groups, tuple(text_column(part, "source")), sha256_rows(rows), key)


def checkpoint_scores(
    name: str,
    checkpoint: str,
    validation: SplitRows,
    shown: SplitRows,
    out: Path,
    *,
    sample: TrainingSample | None = None,
    device: str | None = None,
    batch_size: int = 16,
) -> Scores:
    """The scores of a folder, Hub id or `bundled`, called `name` here, from `out`/scores where they are kept there.

    With a `sample` of the rows that it learnt from, those are scored too. Raises ValueError where
    the checkpoint cannot be loaded or has other classes.
    """
    from hf_bones.inference.predictor import BonePredictor

    key = "\n".join([str(FORMAT), fingerprint(checkpoint), validation.key, shown.split, shown.key, sample.key if sample else ""])
    path = out / "scores" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
    kept = _read(path)
    if kept is not None:
        return kept
    predictor = BonePredictor.from_pretrained(checkpoint, device=device)
    check_classes(predictor, validation.scheme)
    on_validation = probability_table(predict_rows(predictor, validation.part, batch_size), validation.scheme)
    train_auroc = _train_auroc(predictor, sample, batch_size) if sample is not None else None
    on_shown = probability_table(predict_rows(predictor, shown.part, batch_size), shown.scheme)
    if shown.split not in OPEN_SPLITS:
        count_look_somewhere(own_folder(checkpoint), _ledger(out, name), shown.split, shown.sha256)
    scores = Scores(on_validation, on_shown, train_auroc)
    _write(path, scores)
    return scores


def own_rows_scores(checkpoint: str, rows: SplitRows, out: Path, *, device: str | None = None, batch_size: int = 16) -> Floats:
    """Probabilities (N, C) of a folder's checkpoint on rows of open splits alone, from `out`/scores where they are kept there.

    NaN for unreadable images. Raises ValueError where the checkpoint cannot be loaded or has other classes.
    """
    from hf_bones.inference.predictor import BonePredictor

    key = "\n".join([str(FORMAT), "own rows", fingerprint(checkpoint), rows.key])
    path = out / "scores" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
    kept = read_arrays(path, "probabilities")
    if kept is not None:
        return kept[0]
    predictor = BonePredictor.from_pretrained(checkpoint, device=device)
    check_classes(predictor, rows.scheme)
    probabilities = probability_table(predict_rows(predictor, rows.part, batch_size), rows.scheme)
    write_arrays(path, probabilities=probabilities)
    return probabilities


def looks_at(name: str, checkpoint: str, split: str, out: Path) -> int | None:
    """How often `split` was looked at with this checkpoint, in its own record and in this comparison; None where looks are not counted."""
    if split in OPEN_SPLITS:
        return None
    folder = own_folder(checkpoint)
    ledgers = [_ledger(out, name), *([folder / "record.json"] if folder is not None else [])]
    looks = [look for path in ledgers if path.is_file() for look in read_json(path).get("test_looks", [])]
    return sum(1 for look in looks if look.get("split") == split)


def _ledger(out: Path, name: str) -> Path:
    """Where looks are counted with a checkpoint that cannot be written to."""
    return out / "looks" / f"{name}.json"


def check_classes(predictor: BonePredictor, scheme: LabelScheme) -> None:
    """Raises ValueError where a checkpoint's classes are not those of the comparison, in whatever order."""
    if set(predictor.names) != set(scheme.names):
        raise ValueError(f"{predictor.checkpoint}: it has the classes {list(predictor.names)}; this comparison has {list(scheme.names)}")


def fingerprint(checkpoint: str, revision: str | None = None) -> str:
    """A hash of all that a checkpoint's answers depend on."""
    folder = find_checkpoint(checkpoint, revision).folder
    named = [folder / name for name in ("config.json", PROCESSOR_FILE, DECISION_FILE)]
    files = sorted([*folder.glob("*.safetensors"), *(path for path in named if path.is_file())])
    return hashlib.sha256("".join(f"{path.name} {sha256_file(path)}\n" for path in files).encode()).hexdigest()


def baseline_scores(
    splits: DatasetDict, validation: SplitRows, shown: SplitRows, out: Path, licences: Sequence[str], seed: int
) -> dict[str, Scores]:
    """The majority class and the statistics-only forest, fitted on the training rows of `licences` (all of them where there are none).

    Kept in `out`/scores as well: the forest opens every image of the dataset.
    """
    from datasets import concatenate_datasets

    train = split_rows(splits, "train", validation.scheme, licences)
    key = "\n".join([str(FORMAT), "baselines", train.key, validation.key, shown.split, shown.key, str(seed)])
    folder = out / "scores" / hashlib.sha256(key.encode()).hexdigest()[:24]
    kept = {name: _read(folder / f"{name.replace(' ', '-')}.npz") for name in (FOREST, MAJORITY)}
    if kept[MAJORITY] is None:  # written last
        columns = ["image", "label"]
        both = concatenate_datasets([validation.part.select_columns(columns), shown.part.select_columns(columns)])
        fitted, _ = fit_baselines(splits, both, validation.scheme, list(licences) or None, seed)
        count = len(validation.labels)
        kept = {name: Scores(fitted[name][:count], fitted[name][count:], None) for name in (FOREST, MAJORITY) if name in fitted}
        for name, scores in kept.items():
            if scores is not None:
                _write(folder / f"{name.replace(' ', '-')}.npz", scores)
    return {name: scores for name, scores in kept.items() if scores is not None}


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """Some of the rows that a recipe trains on: where their pixels are, their labels, and a key that tells them."""

    places: tuple[tuple[PixelSource, int], ...]
    labels: Ints
    normal_id: int
    key: str


def training_sample(data: DataConfig, seed: int, scheme: LabelScheme, count: int) -> TrainingSample:
    """About `count` rows that the recipe trains on, classes in their shares, the same for all recipes of the same rows.

    What is drawn is left out, broken copies too: beside films, it says nothing of how far films were learnt by heart.
    """
    rows, _ = training_rows(data, scheme, seed)
    films = ~np.array(rows.synthetic)
    usable = np.flatnonzero(films if films.any() else ~films)
    labels = np.array(rows.labels, dtype=np.int64)
    random = np.random.default_rng(0)
    share = min(1.0, count / len(usable))
    chosen = []
    for index in range(len(scheme.names)):
        own = usable[labels[usable] == index]
        chosen.append(random.permutation(own)[: max(1, round(share * len(own)))])
    picked = np.sort(np.concatenate(chosen))
    key = hashlib.sha256("\n".join(f"{rows.hashes[row]} {rows.labels[row]}" for row in picked).encode()).hexdigest()[:24]
    places = [(source, place) for source in rows.sources for place in range(len(source))]
    return TrainingSample(tuple(places[row] for row in picked), labels[picked], scheme.normal_id, key)


def _train_auroc(predictor: BonePredictor, sample: TrainingSample, batch_size: int) -> float:
    abnormal: list[float] = []
    for start in range(0, len(sample.places), batch_size):
        pixels = [source.pixels(row) for source, row in sample.places[start : start + batch_size]]
        findings = predictor.predict(pixels, batch_size=batch_size)
        abnormal += [1 - (finding.probabilities or {})[predictor.scheme.normal] for finding in findings]
    return float(weighted_auroc(sample.labels != sample.normal_id, np.array(abnormal), np.ones((1, len(abnormal))))[0])


def probability_table(findings: Sequence[Finding], scheme: LabelScheme) -> Floats:
    """(N, C) probabilities in the scheme's order."""
    unreadable = dict.fromkeys(scheme.names, float("nan"))
    rows = [finding.probabilities if finding.readable and finding.probabilities else unreadable for finding in findings]
    return np.array([[row[name] for name in scheme.names] for row in rows], dtype=np.float64).reshape(-1, len(scheme.names))


def _read(path: Path) -> Scores | None:
    stored = read_arrays(path, "validation", "shown", "train_auroc")
    if stored is None:
        return None
    validation, shown, train_auroc = stored
    return Scores(validation, shown, None if np.isnan(train_auroc) else float(train_auroc))


def _write(path: Path, scores: Scores) -> None:
    train_auroc = float("nan") if scores.train_auroc is None else scores.train_auroc
    write_arrays(path, validation=scores.validation, shown=scores.shown, train_auroc=train_auroc)
