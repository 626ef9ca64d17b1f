"""What a random split would have claimed: the same images, dealt out one by one instead of by whole groups, scored beside the real split.

Two classifiers on features of a frozen network: logistic regression, and the nearest neighbour, which finds the other films of a patient
and near-duplicates wherever a split lets it. The gap between the two splits is what leaks: duplicates (L1.4) and images that depend on each
other (L3.2), as Kapoor and Narayanan call it ("Leakage and the reproducibility crisis in machine-learning-based science", Patterns 2023).
Both are fitted on train and asked about test.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from hf_bones.curation.recipe import SplitSettings
from hf_bones.curation.splits.dealing import split_groups
from hf_bones.curation.splits.group_keys import HASH, KINDS, Key, images_by_key
from hf_bones.curation.splits.names import SPLITS, TEST, TRAIN
from hf_bones.curation.subject import Subject
from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import FEATURES_FOLDER, ImageRecord
from hf_bones.metrics import bootstrap_intervals, classification_metrics
from hf_bones.metrics.figures import Floats, Ints
from hf_bones.metrics.headlines import ALONE, TITLES
from hf_bones.pages.tables import rich_table
from hf_bones.pages.text import span

GROUPED, RANDOM = "this split", "random split"
REGRESSION, NEAREST = "logistic regression", "nearest neighbour"
FIGURES = ("balanced_accuracy", "accuracy", "auroc_abnormal")

# Records → features (N, F), rows that cannot be had being NaN.
FeatureReader = Callable[[Sequence[ImageRecord]], npt.NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Claim:
    """A figure on the test images of one of the two splits, with its 95 % interval by a bootstrap over groups (None: too few)."""

    classifier: str
    split: str
    figure: str
    value: float
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True)
class RandomScore:
    """The claims of both splits. `torn` maps each kind of key to how many keys the random split tears and how many several images share;
    `without_features` counts images that could not be opened."""

    claims: tuple[Claim, ...]
    torn: dict[str, tuple[int, int]]
    without_features: int
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)


def random_score(
    records: Sequence[ImageRecord],
    groups: Sequence[str],
    splits: Sequence[str],
    keys: Sequence[Key],
    features: FeatureReader,
    settings: SplitSettings,
    *,
    repeats: int = 1000,
) -> RandomScore:
    """Scores the split that is there, and a random one of the same sizes by label; one value a record in `groups` and `splits`.

    Raises ValueError where train or test has no image, or train images of one label only.
    """
    values = np.asarray(features(records), dtype=np.float64)
    readable = np.asarray(np.isfinite(values).all(axis=1), dtype=np.bool_)
    kept = [place for place in range(len(records)) if readable[place] and splits[place] in SPLITS]
    present = {records[place].final_label for place in kept}
    names = [name for name in THREE_CLASS.names if name in present] + sorted(present - set(THREE_CLASS.names))
    labels = np.array([names.index(records[place].final_label) for place in kept], dtype=np.int64)
    own = [splits[place] for place in kept]
    shares = {split: own.count(split) / len(own) for split in SPLITS} if own else {}
    _require_scorable(labels, own, names)
    hashes = [records[place].sha256 for place in kept]
    dealt = split_groups(hashes, [names[label] for label in labels], proportions=shares, seed=settings.seed)
    claims = []
    for name, division in ((GROUPED, own), (RANDOM, dealt)):
        _require_scorable(labels, division, names)
        train, test = (np.array([home == split for home in division]) for split in (TRAIN, TEST))
        for classifier, judge in ((REGRESSION, _by_regression), (NEAREST, _by_nearest)):
            answers = judge(values[kept][train], labels[train], values[kept][test], len(names), settings)
            members = [groups[place] for place, is_test in zip(kept, test, strict=True) if is_test]
            claims += _claims(classifier, name, labels[test], answers, members, names, repeats, settings.seed)
    random_homes = dict(zip(hashes, dealt, strict=True))
    torn = {kind: _torn(keys, kind, random_homes) for kind in KINDS if kind != HASH}
    return RandomScore(tuple(claims), torn, int((~readable).sum()), settings.seed)


def frozen_reader(subject: Subject, model: str = "bundled") -> FeatureReader:
    """Features of a checkpoint's frozen backbone (`bundled`, a folder or a Hub id), kept in the subject's folder from run to run."""
    from hf_bones.evaluation.opinions.frozen import frozen_features, load_backbone

    def read(records: Sequence[ImageRecord]) -> npt.NDArray[np.floating[Any]]:
        images = [partial(subject.read, record) for record in records]
        hashes = [record.sha256 for record in records]
        return frozen_features(load_backbone(model), images, hashes, subject.folder / FEATURES_FOLDER).values

    return read


def _require_scorable(labels: Ints, splits: Sequence[str], names: Sequence[str]) -> None:
    counts = Counter(splits)
    seen = {names[label] for label, split in zip(labels, splits, strict=True) if split == TRAIN}
    if not counts[TRAIN] or not counts[TEST] or len(seen) < 2:
        raise ValueError(
            f"a split is scored on images of two labels or more in train, and some in test; there are {counts[TRAIN]} of "
            f"{', '.join(sorted(seen)) or 'no label'} in train and {counts[TEST]} in test"
        )


def _by_regression(train: Floats, truth: Ints, asked: Floats, class_count: int, settings: SplitSettings) -> Floats:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=settings.random_score_strength, class_weight="balanced", max_iter=1000)
    model = make_pipeline(StandardScaler(), regression).fit(train, truth)
    answers = np.zeros((len(asked), class_count))
    answers[:, model.classes_] = model.predict_proba(asked)
    return answers


def _by_nearest(train: Floats, truth: Ints, asked: Floats, class_count: int, settings: SplitSettings) -> Floats:
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(1, metric="cosine").fit(train, truth)
    return np.eye(class_count)[model.predict(asked)]


def _claims(
    classifier: str, split: str, truth: Ints, answers: Floats, groups: Sequence[str], names: Sequence[str], repeats: int, seed: int
) -> list[Claim]:
    normal = list(names).index(THREE_CLASS.normal) if THREE_CLASS.normal in names else 0
    figures: Mapping[str, float | int] = classification_metrics(truth, answers, names, normal)
    intervals: dict[str, tuple[float, float]] = {}
    if len(set(groups)) > 1:
        intervals = bootstrap_intervals(truth, answers, list(groups), names, normal, repeats=repeats, seed=seed)
    claims = []
    for figure in FIGURES:
        if classifier == NEAREST and figure == "auroc_abnormal":
            continue  # it has no probabilities, only answers
        interval = intervals.get(figure)
        undefined = interval is None or math.isnan(interval[0])
        claims.append(Claim(classifier, split, figure, float(figures[figure]), None if undefined else interval, len(truth)))
    return claims


def _torn(keys: Sequence[Key], kind: str, homes: Mapping[str, str]) -> tuple[int, int]:
    images = images_by_key((key for key in keys if key.sha256 in homes), kind)
    shared = [hashes for hashes in images.values() if len(hashes) > 1]
    return sum(len({homes[sha256] for sha256 in hashes}) > 1 for hashes in shared), len(shared)


def score_table(score: RandomScore) -> Table:
    """The figures of both splits beside each other, for the terminal."""
    counts = {claim.split: claim.n for claim in score.claims}
    by_place = {(claim.figure, claim.classifier, claim.split): claim for claim in score.claims}
    rows: list[list[str]] = []
    for classifier in dict.fromkeys(claim.classifier for claim in score.claims):
        rows.append([classifier])
        for figure in dict.fromkeys(claim.figure for claim in score.claims if claim.classifier == classifier):
            rows.append([f"  {TITLES[figure]}", *(_cell(by_place[figure, classifier, name]) for name in (GROUPED, RANDOM))])
    return rich_table(["on test, by", *(f"{name}\n{counts[name]:,} images" for name in (GROUPED, RANDOM))], rows)


def _cell(claim: Claim) -> str:
    return f"{claim.value:{ALONE}}{span(claim.interval, ALONE)}"


def score_lines(score: RandomScore) -> list[str]:
    """What the random split tears, a line for each kind of key that there is."""
    lines = [f"the random split tears {torn:,} of {shared:,} shared: {kind}" for kind, (torn, shared) in score.torn.items() if shared]
    if score.without_features:
        lines.append(f"{score.without_features:,} images could not be opened and are not scored")
    return lines
