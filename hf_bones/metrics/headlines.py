"""The figures that reports, cards and terminals show first: titles, order and number formats. Figures of one class are not among them."""

from __future__ import annotations

TITLES = {
    "auroc_abnormal": "AUROC(abnormal)",
    "auroc_ovr_macro": "macro one-against-rest AUROC",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log loss",
}
# Which of them are shown where, in the order of `TITLES`.
TABLE = ("auroc_abnormal", "balanced_accuracy")  # evaluation reports, leaderboards, resolutions
CARD = (*TABLE, "macro_f1")
TRAINING = ("auroc_abnormal", "auroc_ovr_macro", "balanced_accuracy", "accuracy")  # validation while and after training
DISTILLATION = ("auroc_abnormal", "auroc_ovr_macro", "balanced_accuracy", "log_loss")

IN_CELL = ".2f"  # with its interval, in a table of figures
ALONE = ".3f"  # by itself, or where models are close to each other
