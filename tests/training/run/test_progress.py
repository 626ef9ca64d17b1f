"""What a run prints while it trains. Run: pytest tests/training/run/test_progress.py"""

import pytest

from hf_bones.training.run.progress import log_line


@pytest.mark.parametrize(
    "logs, line",
    [
        ({"loss": 0.31441, "grad_norm": 8.79, "learning_rate": 2e-5, "epoch": 1.5}, "epoch 1.5   loss 0.3144"),
        ({"loss": 0.31441, "label_loss": 0.5, "epoch": 0.5, "total_flos": 1.0}, "epoch 0.5   loss 0.3144, label_loss 0.5"),
        (
            {"eval_loss": 1.2174, "eval_auroc_abnormal": 0.5, "eval_balanced_accuracy": 2 / 3, "eval_runtime": 3.7, "epoch": 2},
            "epoch 2     validation: loss 1.217; AUROC(abnormal) 0.500; balanced accuracy 0.667",
        ),
        ({"train_runtime": 41.7, "train_loss": 0.3, "epoch": 2}, ""),
        ({"grad_norm": 1.0, "epoch": 1}, ""),
    ],
)
def test_a_log_is_a_plain_line(logs, line):
    assert log_line(logs) == line
