"""Plain names of every figure, for whoever reads them, and which figures reports, cards and terminals show first.

Keys stay in files (metrics.json, record.json, CSV); a person reads the names. `tests/metrics/test_names.py` fails for a key without one.
"""

from __future__ import annotations

ABNORMAL = "any abnormal class"  # beside the classes: all of them but the normal one
TITLES = {
    "n": "rows",
    "auroc_abnormal": "AUROC(abnormal)",
    "auroc_ovr_macro": "AUROC, one against rest, mean",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "macro_f1": "mean F1 of the classes",
    "cohen_kappa": "Cohen's kappa",
    "ece": "expected calibration error (ECE)",
    "brier": "Brier score",
    "log_loss": "log loss",
    "worst_source_score": "score of the worst source",
}
# A key starts so and goes on with the class, whose name stands for {}.
_OF_A_CLASS = {
    "auroc_ovr_": "AUROC, {} against rest",
    "sensitivity_": "sensitivity, {}",
    "specificity_": "specificity, {}",
    "support_": "rows labelled {}",
    "correct_": "rows of {} predicted right",
    "predicted_": "rows predicted as {}",
    "caught_": "rows of {} above the threshold",
    "source_score_": "score of source {}",
}
_AT = "_at_specificity_"
_REACHED = "achieved_specificity_"
# Which of them are shown where, in the order of `TITLES`.
TABLE = ("auroc_abnormal", "balanced_accuracy")  # evaluation reports, leaderboards, resolutions
CARD = (*TABLE, "macro_f1")
TRAINING = ("auroc_abnormal", "auroc_ovr_macro", "balanced_accuracy", "accuracy")  # validation while and after training
DISTILLATION = ("auroc_abnormal", "auroc_ovr_macro", "balanced_accuracy", "log_loss")

IN_CELL = ".2f"  # with its interval, in a table of figures
ALONE = ".3f"  # by itself, or where models are close to each other


def figure_name(key: str) -> str:
    """The plain name of a figure: `auroc_ovr_macro` → "AUROC, one against rest, mean", `sensitivity_fractured_at_specificity_85` →
    "sensitivity, fractured, at specificity 0.85". Class names stay as they are. Raises ValueError for a key that has no name.
    """
    if key in TITLES:
        return TITLES[key]
    base, at, share = key.partition(_AT)
    if at:
        where = f"at specificity {_share(share)}"
        return f"threshold {where}" if base == "threshold" else f"{figure_name(base)}, {where}"
    if key.startswith(_REACHED):
        return f"specificity reached at that threshold ({_share(key.removeprefix(_REACHED))} asked)"
    for prefix, name in _OF_A_CLASS.items():
        if key.startswith(prefix) and key != prefix:
            of = key.removeprefix(prefix)
            return name.format(ABNORMAL if of == "abnormal" else of)
    raise ValueError(f"the figure {key!r} has no plain name; add one in hf_bones/metrics/headlines.py")


def _share(tag: str) -> str:
    """ "85" → "0.85": the end of a key as the share that it stands for."""
    return f"{float(tag) / 100:g}"
