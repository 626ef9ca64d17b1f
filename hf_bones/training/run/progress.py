"""What a run prints while it trains: transformers' progress bar, with a plain line where its callback prints a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import ProgressCallback, Trainer, TrainerControl, TrainerState, TrainingArguments

from hf_bones.metrics.headlines import ALONE, TRAINING, figure_name

_SOURCE = "eval_source_score_"
_LEFT_OUT = ("epoch", "grad_norm", "learning_rate", "total_flos")  # in record.json and curves.png


class PlainProgress(ProgressCallback):
    """The bar of steps, and above it a line for each log and each validation."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the line above the bar, in the first process."""
        if state.is_world_process_zero and self.training_bar is not None and (line := log_line(logs or {})):
            self.training_bar.write(line)


def log_line(logs: Mapping[str, Any]) -> str:
    """A log of the Trainer as a line: "epoch 1.5  loss 0.314", or "epoch 2  validation: loss 0.41; AUROC(abnormal) 0.874; …". "" for one
    that only says how long something took."""
    if "train_runtime" in logs:
        return ""
    if "eval_loss" in logs:
        figures = [f"{figure_name(key)} {logs[f'eval_{key}']:{ALONE}}" for key in TRAINING if f"eval_{key}" in logs]
        scores = {key.removeprefix(_SOURCE): value for key, value in logs.items() if key.startswith(_SOURCE)}
        if scores:
            worst = min(scores, key=lambda name: (scores[name], name))
            figures.append(f"worst source {worst} {scores[worst]:{ALONE}}")
        said = "; ".join([f"validation: loss {logs['eval_loss']:{ALONE}}", *figures])
    else:
        said = ", ".join(f"{key} {value:.4g}" for key, value in logs.items() if key not in _LEFT_OUT)
    return f"epoch {logs.get('epoch', 0):<5.3g} {said}" if said else ""


def print_plainly(trainer: Trainer) -> None:
    """Puts the plain lines in the place of the Trainer's; without its bar (`disable_tqdm`) all stays as it is."""
    if trainer.pop_callback(ProgressCallback) is not None:
        trainer.add_callback(PlainProgress())
