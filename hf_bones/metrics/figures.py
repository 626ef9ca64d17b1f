"""Every figure, computed once, for many weightings of the same rows.

A bootstrap repeat is a set of whole-number row weights, so the same code gives the figure (all weights 1) and its resamples (an
(R, N) matrix of weights): each figure is a few matrix products and one cumulative sum, with no loop over repeats.

A figure that its rows cannot define (a class without a row, one class only) is NaN. It is never 0 and never an exception; the
reason in words comes from `metrics/needs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SPECIFICITY = 0.85
CALIBRATION_BINS = 15
# float32 softmax rows are off by about 1e-7, half-precision ones by about 1e-3.
_SUM_TOLERANCE = 5e-3
# A weighted share that ought to equal the asked specificity may fall short of it by rounding alone.
_SHARE_TOLERANCE = 1e-9


def checked(labels: npt.ArrayLike, probabilities: npt.ArrayLike, names: Sequence[str], normal_id: int) -> tuple[Ints, Floats]:
    """`labels` as (N,) int64 and `probabilities` as (N, C) float64, after checking that they describe the same rows and classes.

    Raises ValueError naming the row: wrong shapes, a label outside 0..C-1, a probability outside [0, 1] or not finite, a row that
    does not sum to 1 (logits, say), or class names that would collide with the figures' own names.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(labels)
    if scores.ndim != 2 or scores.shape[1] != len(names):
        raise ValueError(f"probabilities have shape {scores.shape}; expected (rows, {len(names)}) for classes {list(names)}")
    if truth.shape != (len(scores),):
        raise ValueError(f"labels have shape {truth.shape}; expected ({len(scores)},) to match the probabilities")
    if len(set(names)) != len(names):
        raise ValueError(f"class names repeat: {list(names)}")
    if "macro" in names or ("abnormal" in names and len(names) > 2):
        raise ValueError("classes named 'macro' or (among three or more) 'abnormal' would hide figures of those names; rename the class")
    if not 0 <= normal_id < len(names):
        raise ValueError(f"normal_id is {normal_id}; expected 0..{len(names) - 1}")
    if len(truth) and not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(f"labels are {truth.dtype}; expected whole numbers (class indices)")
    wrong = np.flatnonzero((truth < 0) | (truth >= len(names)))
    if wrong.size:
        raise ValueError(f"row {wrong[0]}: label {truth[wrong[0]]} is outside 0..{len(names) - 1}; drop unlabelled rows first")
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1) | (scores < 0).any(axis=1) | (np.abs(scores.sum(axis=1) - 1) > _SUM_TOLERANCE))
    if bad.size:
        raise ValueError(f"row {bad[0]}: {scores[bad[0]].tolist()} are not probabilities (each in [0, 1], sum 1); apply softmax to logits")
    return truth.astype(np.int64), scores


def classification_metrics(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    names: Sequence[str],
    normal_id: int = 0,
    specificity: float = SPECIFICITY,
) -> dict[str, float | int]:
    """All figures of one set of rows, flat: `accuracy`, `auroc_abnormal`, `sensitivity_fractured`, `support_fractured` and so on.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C) rows that sum to 1; the predicted class is the first largest.
        names: the C class names, in column order.
        normal_id: the class that means "nothing found"; all others count as abnormal.
        specificity: share of normal rows, in (0, 1), that must stay below the threshold of the `…_at_specificity_NN` figures.

    Returns:
        Counts (`n`, `support_…`, `correct_…`, `predicted_…`, `caught_…`) as int, everything else as float; NaN where undefined.
        `auroc_abnormal` scores 1 − P(normal); `auroc_ovr_X` scores P(X) for X against the rest; `sensitivity_X`, `specificity_X`
        go by predicted class; `sensitivity_X_at_specificity_85` is the share of true X (`abnormal`: of all abnormal rows) above
        `threshold_at_specificity_85`, which is chosen on these same rows as the lowest that leaves `specificity` of the normal
        ones at or below it (`achieved_specificity_85`); `ece` is top-label, 15 bins of equal width (Guo et al. 2017); `brier` is
        multi-class, the mean squared distance to the one-hot label, in [0, 2] (Brier 1950); `log_loss` is in nats.

    Raises:
        ValueError: see `checked`.
    """
    truth, scores = checked(labels, probabilities, names, normal_id)
    columns = weighted_figures(truth, scores, np.ones((1, len(truth))), names, normal_id, specificity)
    figures: dict[str, float | int] = {}
    for key, column in columns.items():
        value = float(column[0])
        figures[key] = round(value) if is_count(key) and not np.isnan(value) else value
    return figures


def selection_score(labels: npt.ArrayLike, probabilities: npt.ArrayLike, normal_id: int = 0) -> float:
    """Mean of AUROC(abnormal) and mean AUROC of one against rest, in [0, 1]: what the best checkpoint is chosen by.

    A class without rows is left out of the macro mean (a small validation split may lack one); NaN only where no class can be
    scored. Arguments and errors as in `classification_metrics`.
    """
    width = np.asarray(probabilities).shape[-1]
    truth, scores = checked(labels, probabilities, [f"class_{index}" for index in range(width)], normal_id)
    return float(weighted_selection(truth, scores, np.ones((1, len(truth))), normal_id)[0])


def weighted_selection(truth: Ints, scores: Floats, weights: Floats, normal_id: int) -> Floats:
    """`selection_score` for each of R weightings, (R,): `truth` (N,), `scores` (N, C), `weights` (R, N), already checked."""
    abnormal = weighted_auroc(truth != normal_id, 1.0 - scores[:, normal_id], weights)
    each = np.stack([weighted_auroc(truth == index, scores[:, index], weights) for index in range(scores.shape[1])], axis=1)
    defined = (~np.isnan(each)).sum(axis=1)
    mean = np.divide(np.nansum(each, axis=1), defined, out=np.full(len(weights), np.nan), where=defined > 0)
    return np.asarray((abnormal + mean) / 2)


def is_count(key: str) -> bool:
    """True for keys that count rows, which have no interval."""
    return key == "n" or key.startswith(("support_", "correct_", "predicted_", "caught_"))


def specificity_suffix(specificity: float) -> str:
    """0.85 → "85", 0.975 → "97.5": how a specificity is written in a key. Raises ValueError outside (0, 1)."""
    if not 0 < specificity < 1:
        raise ValueError(f"specificity is {specificity}; expected a share between 0 and 1, such as 0.85")
    return f"{specificity * 100:g}"


def weighted_figures(
    truth: Ints, scores: Floats, weights: Floats, names: Sequence[str], normal_id: int, specificity: float
) -> dict[str, Floats]:
    """Every figure for each of R weightings: key → (R,) float64. `truth` (N,), `scores` (N, C), `weights` (R, N) ≥ 0, already checked."""
    count = len(names)
    predicted = scores.argmax(axis=1) if len(scores) else np.zeros(0, dtype=np.int64)
    cells = np.zeros((len(truth), count * count))
    cells[np.arange(len(truth)), truth * count + predicted] = 1.0
    confusion = (weights @ cells).reshape(-1, count, count)  # (R, true, predicted)
    total = confusion.sum(axis=(1, 2))
    support, chosen = confusion.sum(axis=2), confusion.sum(axis=1)
    hit = np.diagonal(confusion, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hit / support
        f1 = np.where(support > 0, 2 * hit / (support + chosen), np.nan)
        by_chance = (support * chosen).sum(axis=1) / total**2
        agreement = hit.sum(axis=1) / total
        kappa = np.where(by_chance < 1 - 1e-12, (agreement - by_chance) / (1 - by_chance), np.nan)
        true_negative = total[:, None] - support - chosen + hit
        true_specificity = true_negative / (total[:, None] - support)
        against_rest = [weighted_auroc(truth == index, scores[:, index], weights) for index in range(count)]
        figures = {
            "n": total,
            "accuracy": agreement,
            # Means over classes need every class: a mean over those that happen to be there cannot be compared between slices.
            "balanced_accuracy": recall.mean(axis=1),
            "macro_f1": f1.mean(axis=1),
            "cohen_kappa": kappa,
            "auroc_abnormal": weighted_auroc(truth != normal_id, 1.0 - scores[:, normal_id], weights),
            "auroc_ovr_macro": np.mean(against_rest, axis=0),
            **_calibration(truth, scores, predicted, weights, total),
        }
    for index, name in enumerate(names):
        figures[f"auroc_ovr_{name}"] = against_rest[index]
        figures[f"sensitivity_{name}"] = recall[:, index]
        figures[f"specificity_{name}"] = true_specificity[:, index]
        figures[f"support_{name}"] = support[:, index]
        figures[f"correct_{name}"] = hit[:, index]
        figures[f"predicted_{name}"] = chosen[:, index]
    figures.update(_at_specificity(truth, 1.0 - scores[:, normal_id], weights, names, normal_id, specificity))
    return figures


def weighted_auroc(positive: npt.NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve for each weighting, ties counted half (Mann–Whitney); (R,) in [0, 1], NaN where a side has no weight.

    `positive` (N,) bool, `score` (N,), `weights` (R, N).
    """
    if not len(score):
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    tie_starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    heavy = weights[:, order]
    above = np.add.reduceat(heavy * positive[order], tie_starts, axis=1)
    below = np.add.reduceat(heavy * ~positive[order], tie_starts, axis=1)
    won = (above * (below.cumsum(axis=1) - below / 2)).sum(axis=1)
    pairs = above.sum(axis=1) * below.sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def calibration_bins(confidence: Floats) -> Ints:
    """The bin, 0..14, of each confidence in [0, 1]: 15 bins of equal width, each closed on the right."""
    return np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)


def _calibration(truth: Ints, scores: Floats, predicted: Ints, weights: Floats, total: Floats) -> dict[str, Floats]:
    if not len(truth):
        return {key: np.full(len(weights), np.nan) for key in ("ece", "brier", "log_loss")}
    rows = np.arange(len(truth))
    confidence = scores[rows, predicted]
    gaps = np.zeros((len(truth), CALIBRATION_BINS))
    gaps[rows, calibration_bins(confidence)] = (predicted == truth) - confidence
    target = np.zeros_like(scores)
    target[rows, truth] = 1.0
    given = np.clip(scores[rows, truth], np.finfo(np.float64).eps, 1.0)
    return {
        "ece": np.abs(weights @ gaps).sum(axis=1) / total,
        "brier": weights @ ((scores - target) ** 2).sum(axis=1) / total,
        "log_loss": weights @ -np.log(given) / total,
    }


def _at_specificity(
    truth: Ints, score: Floats, weights: Floats, names: Sequence[str], normal_id: int, specificity: float
) -> dict[str, Floats]:
    tag = specificity_suffix(specificity)
    repeats = len(weights)
    normal = truth == normal_id
    order = np.argsort(score[normal], kind="stable")
    ranked = score[normal][order]
    share = weights[:, normal][:, order].cumsum(axis=1)
    defined = share[:, -1] > 0 if len(ranked) else np.zeros(repeats, dtype=bool)
    threshold = np.full(repeats, np.nan)
    if defined.any():
        reached = share[defined] >= (specificity - _SHARE_TOLERANCE) * share[defined][:, -1:]
        threshold[defined] = ranked[reached.argmax(axis=1)]
    flagged = weights * (score[None, :] > threshold[:, None])
    figures = {f"threshold_at_specificity_{tag}": threshold}
    groups = {"abnormal": ~normal} | {name: truth == index for index, name in enumerate(names) if index != normal_id}
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = 1 - flagged[:, normal].sum(axis=1) / weights[:, normal].sum(axis=1)
        figures[f"achieved_specificity_{tag}"] = np.where(defined, kept, np.nan)
        for name, members in groups.items():
            caught = flagged[:, members].sum(axis=1)
            figures[f"sensitivity_{name}_at_specificity_{tag}"] = np.where(defined, caught / weights[:, members].sum(axis=1), np.nan)
            figures[f"caught_{name}_at_specificity_{tag}"] = np.where(defined, caught, np.nan)
    return figures
