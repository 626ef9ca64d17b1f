"""Planted label errors: some labels are changed at random, and suspect labels are looked for as `hf-bones curate suspects` does.

A film is the more suspect, the less a head gives to the label that it has, asked about films of groups that the head did not learn from
(`opinions/out_of_fold.py`). It learns from the changed labels too: nobody knows which they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_bones.curation.recipe import OpinionSettings
from hf_bones.evaluation.audit.audited import OPEN, Audited
from hf_bones.evaluation.audit.choices import LABELS
from hf_bones.evaluation.audit.plots import plot_found
from hf_bones.evaluation.audit.results import Section, Table
from hf_bones.evaluation.audit.weighing import Statistic, percent_words, weighed
from hf_bones.evaluation.opinions.out_of_fold import TooFewGroupsError, out_of_fold
from hf_bones.evaluation.report.cells import figure_cell
from hf_bones.evaluation.report.figures import Figure, Resampling
from hf_bones.metrics.figures import Floats, Ints
from hf_bones.pages.text import plain

PICTURE = "labels.png"
LOOKED_AT = (0.01, 0.02, 0.05, 0.1, 0.2)  # shares of the films, the most suspect first


@dataclass(frozen=True, eq=False)
class Planted:
    """`labels` (N,) after some were changed, `changed` (N,) which, `suspicion` (N,) of each in [0, 1]; `share` asked for.

    `precision` and `found`: of the top `share` of the suspects, how many were changed; of the changed, how many are among them.
    """

    labels: Ints
    changed: npt.NDArray[np.bool_]
    suspicion: Floats
    share: float
    precision: Figure
    found: Figure


def planted(
    features: npt.NDArray[np.float32],
    labels: Ints,
    groups: list[str],
    names: tuple[str, ...],
    share: float,
    seed: int,
    resampling: Resampling,
    *,
    normal_id: int = 0,
) -> Planted:
    """Changes `share` of the labels to another class that there is, each as likely, and ranks all films by suspicion.

    Raises ValueError for labels of one class, and `TooFewGroupsError` where a class is of one group only.
    """
    random = np.random.default_rng(seed)
    present = np.unique(labels)
    if len(present) < 2:
        raise ValueError("label errors can be planted among two classes or more")
    chosen = random.permutation(len(labels))[: max(1, round(share * len(labels)))]
    wrong = labels.copy()
    for row in chosen:
        wrong[row] = random.choice(present[present != labels[row]])
    # No strength is chosen: that would take 80 fits and moves the ranking little.
    settings = OpinionSettings(repeats=1, strengths=[1e-3], class_weights="none", seed=seed)
    probabilities = out_of_fold(features, wrong, groups, names, settings, normal_id=normal_id)
    suspicion = 1 - probabilities[np.arange(len(wrong)), wrong]
    changed = wrong != labels
    precision = weighed(_in_top(suspicion, changed, share, of_top=True), groups, resampling)
    found = weighed(_in_top(suspicion, changed, share, of_top=False), groups, resampling)
    return Planted(wrong, changed, suspicion, share, precision, found)


def labels_part(audited: Audited) -> Section:
    """How many of the planted errors are among the most suspect labels."""
    title, asks = "Planted label errors", "Would wrong labels be found?"
    films = audited.open_films
    if films is None:
        return Section(LABELS, title, asks, missing=(f"the dataset has no films of {OPEN}, whose labels would be changed",))
    kept, choices = audited.features.kept, audited.choices
    labels, groups = films.rows.labels[kept], np.array(films.rows.groups)[kept].tolist()
    features, names = audited.features.values[kept], audited.scheme.names
    try:
        done = planted(
            features, labels, groups, names, choices.label_errors, choices.seed, audited.resampling, normal_id=audited.scheme.normal_id
        )
    except TooFewGroupsError as error:
        return Section(LABELS, title, asks, missing=(str(error),))
    except ValueError as error:
        return Section(LABELS, title, asks, missing=(plain(error),))
    order = np.argsort(-done.suspicion, kind="stable")
    hits = done.changed[order].cumsum()
    body, points = [], []
    for share in sorted({*LOOKED_AT, choices.label_errors}):
        top = max(1, round(share * len(order)))
        body.append((f"{100 * share:g} %", str(top), str(hits[top - 1]), f"{hits[top - 1] / top:.2f}", f"{hits[top - 1] / hits[-1]:.2f}"))
        points.append({"share": share, "films": top, "planted": int(hits[top - 1])})
    looked = np.arange(1, len(order) + 1) / len(order)
    plot_found(looked, hits / hits[-1], choices.label_errors, audited.out / PICTURE)
    top = max(1, round(choices.label_errors * len(order)))
    said = (
        f"{int(hits[-1])} of {len(order)} labels of {OPEN} were changed ({100 * choices.label_errors:g} %): {int(hits[top - 1])} of the "
        f"{top} most suspect labels are among them, precision {figure_cell(done.precision)} (in any order {choices.label_errors:.2f}).",
        f"{percent_words(done.found)} of the changed labels are found by looking at that share of the films. Other suspects may be errors "
        "that were there before.",
    )
    by_class = [
        (plain(name), str(int(own.sum())), str(int((own & np.isin(np.arange(len(order)), order[:top])).sum())))
        for index, name in enumerate(names)
        if (own := done.changed & (labels == index)).any()
    ]
    tables = (
        Table(("films looked at, the most suspect first", "films", "planted errors", "precision", "share found"), tuple(body), 1),
        Table(("true label", "changed", f"among the top {100 * choices.label_errors:g} %"), tuple(by_class), 1),
    )
    data = {"planted": int(hits[-1]), "films": len(order), "precision": done.precision, "found": done.found, "looked_at": points}
    missing = (audited.flattered,) if audited.flattered else ()
    return Section(LABELS, title, asks, said, tables, {PICTURE: "Planted errors found, by films looked at"}, missing, data)


def _in_top(suspicion: Floats, changed: npt.NDArray[np.bool_], share: float, *, of_top: bool) -> Statistic:
    """Changed rows among the most suspect `share`, as a share of that top or of all changed rows, for each weighting."""
    order = np.argsort(-suspicion, kind="stable")

    def statistic(weights: Floats) -> Floats:
        heavy = weights[:, order]
        total = heavy.sum(axis=1, keepdims=True)
        before = heavy.cumsum(axis=1) - heavy
        top = np.clip(np.round(share * total) - before, 0, heavy)
        hits = top @ changed[order].astype(np.float64)
        whole = top.sum(axis=1) if of_top else heavy @ changed[order].astype(np.float64)
        return np.asarray(np.divide(hits, whole, out=np.full(len(weights), np.nan), where=whole > 0))

    return statistic
