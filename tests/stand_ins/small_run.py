"""Small whole runs of training: their arguments, what ends them, and what they leave."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import TrainerCallback

from hf_bones.training.run.checkpoints import last_complete_checkpoint


def arguments(ground: Path, output: Path, *more: str) -> list[str]:
    return [
        *("--recipe", "quickstart", "--cpu", "true", "--model", str(ground / "start"), "--trainable", "all", "--image_size", "56"),
        *("--dataset", str(ground / "dataset"), "--drawn_images", "0", "--drawn_validation_images", "0", "--output_dir", str(output)),
        *("--batch_size", "8", "--epochs", "4", "--probe_c", "1e-2", "--learning_rate", "3e-3", "--head_learning_rate", "3e-3", *more),
    ]


class StopAt(TrainerCallback):
    """Ends a run after a step as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **_) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def assert_same_weights(first: Path, second: Path, atol: float) -> None:
    torch.testing.assert_close(weights(first), weights(second), atol=atol, rtol=1e-4)


def last_step(folder: Path) -> Path:
    found = last_complete_checkpoint(folder)
    assert found is not None
    return found
