"""Most suspect labels: out-of-fold opinions of a head on frozen features, and what cleanlab makes of them.

Every labelled image that was not dropped is judged by heads that saw no image of its group (`out_of_fold.py`). Its suspicion is one less
cleanlab's label-quality score, the probability of the label it has (self-confidence); which labels are called issues is cleanlab's
confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021). A suspect
label is a reason to look at the picture, not an error that was found: a hard film is as suspect as a wrong one.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_bones.curation.recipe import OpinionSettings
from hf_bones.curation.splits.group_keys import group_keys, merged_groups, why_left_out
from hf_bones.curation.subject import Subject
from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import FEATURES_FOLDER, ImageRecord, Manifest
from hf_bones.metrics import SPECIFICITY
from hf_bones.metrics.figures import Floats, Ints, weighted_figures
from hf_bones.pages.tables import CsvWriter
from hf_bones.record import now, public_name

COLUMNS = ("sha256", "file", "label", "suspicion", "issue", "likeliest")


class MissingCleanlabError(ValueError):
    """cleanlab is not installed."""


@dataclass(frozen=True, eq=False)
class Suspect:
    """An image, the label that it has, the probabilities by class from outside of its group, and how suspect the label is, in [0, 1].

    `issue` says that cleanlab would not trust the label.
    """

    record: ImageRecord
    probabilities: dict[str, float]
    suspicion: float
    issue: bool

    @property
    def label(self) -> str:
        return self.record.final_label

    @property
    def likeliest(self) -> str:
        """The class that the heads hold likeliest."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


@dataclass(frozen=True, eq=False)
class SuspectLabels:
    """All images that were judged, the most suspect first.

    `left_out` maps hashes to why an image was not judged; `auroc` is the AUROC(abnormal) of the opinions against the labels that are
    there (None where all are normal or abnormal): how much such an opinion is worth.
    """

    model: str
    suspects: tuple[Suspect, ...]
    left_out: dict[str, str]
    auroc: float | None
    notes: tuple[str, ...]

    @property
    def issues(self) -> dict[str, int]:
        """Label → how many of its images cleanlab calls issues."""
        names = sorted({suspect.label for suspect in self.suspects}, key=_in_order)
        return {name: sum(suspect.issue and suspect.label == name for suspect in self.suspects) for name in names}


def suspect_labels(
    subject: Subject,
    settings: OpinionSettings,
    *,
    model: str = "bundled",
    revision: str | None = None,
    device: str | None = None,
    progress: bool = True,
) -> SuspectLabels:
    """Judges every labelled image of `subject` and writes the opinions into its manifest, in place of those of the same model.

    Raises `MissingCleanlabError` before anything is computed; `TooFewGroupsError` and ValueError where the images cannot be judged.
    """
    require_cleanlab()
    from hf_bones.evaluation.opinions.frozen import frozen_features, learnt_from, load_backbone
    from hf_bones.evaluation.opinions.out_of_fold import out_of_fold

    records = list(subject.manifest.images())
    left_out = {record.sha256: reason for record in records if (reason := why_left_out(record))}
    # Images marked unused are judged too, and what they share with others holds as well.
    judged = [replace(record, split="") for record in records if record.sha256 not in left_out]
    if not judged:
        raise ValueError(f"{subject.folder}: no image to judge: all are dropped or without a label")
    backbone = load_backbone(model, revision=revision, device=device)
    images, hashes = [partial(subject.read, record) for record in judged], [record.sha256 for record in judged]
    features = frozen_features(backbone, images, hashes, subject.folder / FEATURES_FOLDER, progress=progress)
    left_out |= {hashes[row]: why for row, why in features.refused.items()}
    kept = [judged[row] for row in features.kept]
    names = sorted({record.final_label for record in kept}, key=_in_order)
    labels = np.array([names.index(record.final_label) for record in kept], dtype=np.int64)
    groups = merged_groups(group_keys(subject.manifest, kept, subject.kind))
    weights = replace(settings, class_weights=settings.suspect_weights)
    normal = names.index(THREE_CLASS.normal) if THREE_CLASS.normal in names else 0
    probabilities = out_of_fold(
        features.values[features.kept], labels, [groups[record.sha256] for record in kept], names, weights, normal_id=normal
    )
    suspicion, issue = doubt(labels, probabilities)
    own = {record.sha256: record for record in records}
    suspects = [
        Suspect(own[record.sha256], dict(zip(names, row.tolist(), strict=True)), float(how), bool(called))
        for record, row, how, called in zip(kept, probabilities, suspicion, issue, strict=True)
    ]
    suspects.sort(key=lambda suspect: (-suspect.suspicion, suspect.record.sha256))
    name = public_name(model) if model != "bundled" else model
    write_opinions(subject.manifest, name, suspects)
    figures = weighted_figures(labels, probabilities, np.ones((1, len(labels))), names, normal, SPECIFICITY)
    auroc = float(figures["auroc_abnormal"][0])
    note = learnt_from(model)
    return SuspectLabels(name, tuple(suspects), left_out, None if np.isnan(auroc) else auroc, (note,) if note else ())


def require_cleanlab() -> None:
    """Raises `MissingCleanlabError` saying how to install it."""
    if importlib.util.find_spec("cleanlab") is None:
        raise MissingCleanlabError("suspect labels are found with cleanlab, which is not installed: pip install 'hf-bones[cleanlab]'")


def doubt(labels: Ints, probabilities: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """How suspect each label is, (N,) in [0, 1], and whether cleanlab calls it an issue, (N,); `probabilities` (N, C) are out of fold."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    quality = np.asarray(get_label_quality_scores(labels, probabilities, method="self_confidence"), dtype=np.float64)
    issues: Any = find_label_issues(labels, probabilities, filter_by="prune_by_noise_rate", n_jobs=1)
    return np.clip(1 - quality, 0, 1), np.asarray(issues, dtype=np.bool_)


def write_opinions(manifest: Manifest, model: str, suspects: Sequence[Suspect]) -> None:
    """Puts the opinions of `model` into the manifest, in one step; its earlier ones go, other models' stay."""
    at = now()
    with manifest.transaction() as connection:
        connection.execute("DELETE FROM opinions WHERE model = ?", (model,))
        connection.executemany(
            "INSERT INTO opinions (sha256, model, label, probabilities, suspicion, given_at) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (suspect.record.sha256, model, suspect.label, json.dumps(suspect.probabilities), suspect.suspicion, at)
                for suspect in suspects
            ],
        )


def write_csv(path: Path, found: SuspectLabels) -> None:
    """A row an image, the most suspect first: `COLUMNS`, then a column of probability for each class."""
    names = list(found.suspects[0].probabilities) if found.suspects else []
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = CsvWriter(stream)
        table.writerow([*COLUMNS, *(f"p_{name}" for name in names)])
        for suspect in found.suspects:
            row = [suspect.record.sha256, suspect.record.file, suspect.label, f"{suspect.suspicion:.4f}", int(suspect.issue)]
            table.writerow([*row, suspect.likeliest, *(f"{suspect.probabilities[name]:.4f}" for name in names)])


def suspect_lines(found: SuspectLabels, worst: int = 20) -> list[str]:
    """The most suspect labels and the counts, for the terminal."""
    lines = [f"{'suspicion':>9}  {'label':<15}{'likeliest':<24}image"]
    for suspect in found.suspects[:worst]:
        guess = f"{suspect.likeliest} {suspect.probabilities[suspect.likeliest]:.2f}"
        lines.append(f"{suspect.suspicion:>9.3f}  {suspect.label:<15}{guess:<24}{suspect.record.title or suspect.record.file}")
    counts = ", ".join(f"{count:,} of {sum(s.label == name for s in found.suspects):,} {name}" for name, count in found.issues.items())
    worth = "" if found.auroc is None else f"; AUROC(abnormal) of these opinions against the labels: {found.auroc:.2f}"
    lines += ["", f"{len(found.suspects):,} labels judged by {found.model}{worth}"]
    lines.append(f"cleanlab calls {sum(found.issues.values()):,} of them issues: {counts}")
    if found.left_out:
        lines.append(f"{len(found.left_out):,} images were not judged: dropped, without a label, or unreadable")
    return lines + [f"note: {note}" for note in found.notes]


def _in_order(name: str) -> tuple[int, str]:
    """Classes of the shipped scheme in its order, others after them by name."""
    return (THREE_CLASS.names.index(name) if name in THREE_CLASS.names else len(THREE_CLASS.names), name)
