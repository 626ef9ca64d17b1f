"""A checkpoint's own verdicts on films of other origins, source by source: a part of accuracy.py.

A film is called abnormal where the verdict is an abnormal class or `refer`, healthy where it is the normal class. Any other is wrong.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from harness import Bar, bar
from tqdm import tqdm

from hf_bones.inference.finding import REFER, Finding
from hf_bones.inference.predictor import BonePredictor
from hf_bones.metrics.figures import weighted_auroc
from hf_bones.metrics.intervals import group_weights, percentile_interval

TEACHING = "radiopaedia"  # the source of subtle breaks, without a healthy film of its own
MEAN_TARGET = 0.76


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """N films: where they lie, their source and patient (the file, where none is known), and whether they are abnormal."""

    files: list[Path]
    sources: np.ndarray
    groups: np.ndarray
    abnormal: np.ndarray


def read_elsewhere(folder: Path, normal: str, few: int | None = None) -> Elsewhere:
    """The films of `folder`/manifest.csv (columns file, label, source and, where known, patient), at most `few` of a label and source."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if few is not None:
        kinds: dict[tuple[str, str], list[dict[str, str]]] = {}
        for row in rows:
            kinds.setdefault((row["source"], row["label"]), []).append(row)
        rows = [row for kind in kinds.values() for row in kind[:few]]
    return Elsewhere(
        [folder / row["file"] for row in rows],
        np.array([row["source"] for row in rows]),
        np.array([row.get("patient") or row["file"] for row in rows]),
        np.array([row["label"] != normal for row in rows]),
    )


def elsewhere_bars(who: str, predictor: BonePredictor, films: Elsewhere, scoring: Mapping[str, Any], target: float | None) -> list[Bar]:
    """Recall of abnormal films, specificity, and AUROC(abnormal) of each source; their mean; the teaching films against others' healthy."""
    found = list(tqdm(predictor.predict_iter(films.files, **scoring), total=len(films.files), desc=f"{who}, elsewhere", unit="film"))
    normal = predictor.scheme.normal
    right = np.array([_is_right(finding, abnormal, normal) for finding, abnormal in zip(found, films.abnormal, strict=True)], dtype=float)
    score = np.array([1 - finding.probabilities[normal] if finding.probabilities else np.nan for finding in found])
    bars, means = [], []
    for source in dict.fromkeys(films.sources.tolist()):
        own = films.sources == source
        shares = [(title, own & (films.abnormal == abnormal)) for title, abnormal in (("recall of abnormal", True), ("specificity", False))]
        shares = [(title, mask) for title, mask in shares if mask.any()]
        drawn = []
        for title, mask in shares:
            draws = _share_draws(right[mask], films.groups[mask])
            drawn.append((float(right[mask].mean()), draws))
            bars.append(bar(f"{who}: {title}, {source}", drawn[-1][0], n=int(mask.sum()), interval=percentile_interval(draws)))
        means.append((np.mean([value for value, _ in drawn]), np.mean([draws for _, draws in drawn], axis=0)))
        if len(shares) == 2:
            bars.append(_auroc_bar(f"{who}: auroc_abnormal, {source}", films, score, own))
    interval = percentile_interval(np.mean([draws for _, draws in means], axis=0))
    mean = float(np.mean([value for value, _ in means]))
    title = f"{who}: mean over sources of the recall and specificity that each has, elsewhere"
    bars.append(bar(title, mean, n=len(right), interval=interval, target=target))
    others = (films.sources == TEACHING) | ~films.abnormal
    if (films.sources == TEACHING).any() and (others & ~films.abnormal).any():
        bars.append(_auroc_bar(f"{who}: auroc_abnormal, {TEACHING} against healthy films of the others", films, score, others))
    return bars


def _is_right(finding: Finding, abnormal: bool, normal: str) -> bool:
    if not abnormal:
        return finding.verdict == normal
    return finding.verdict == REFER or finding.verdict in (finding.probabilities or {}).keys() - {normal}


def _share_draws(right: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(R,) the share that is right in each resample of groups."""
    if len(np.unique(groups)) < 2:
        return np.full(1000, np.nan)
    return np.concatenate([weights @ right / weights.sum(axis=1) for weights in group_weights(groups, len(right))])


def _auroc_bar(name: str, films: Elsewhere, score: np.ndarray, chosen: np.ndarray) -> Bar:
    kept = np.flatnonzero(chosen & ~np.isnan(score))
    truth, own, groups = films.abnormal[kept], score[kept], films.groups[kept]
    value = float(weighted_auroc(truth, own, np.ones((1, len(kept))))[0])
    draws = np.concatenate([weighted_auroc(truth, own, weights) for weights in group_weights(groups, len(kept))])
    return bar(name, value, n=len(kept), interval=percentile_interval(draws))
