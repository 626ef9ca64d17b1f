"""Answers from a GPU that is lent for moments, as ZeroGPU Spaces lend one: only within a decorated function, which runs in another process.

The predictor of this process stays on the CPU. What it asks of its network goes, as numbers, to `run` in the process that has the GPU,
and comes back as numbers. That process is forked off this one or started anew; where a model is not in it, it loads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_bones.inference.answer import Answer
from hf_bones.inference.network import best_device
from hf_bones.inference.predictor import BonePredictor, Colours
from hf_bones.inference.second_look import SecondLook

Run = Callable[[str, str | None, str, tuple[Any, ...]], Any]  # `run`, or what a decorator made of it

_here: dict[tuple[str, str | None], BonePredictor] = {}  # the models of this process: those that a Space names, so a few


class LentGpuPredictor(BonePredictor):
    """A `BonePredictor` whose batches and heat maps go through the network where `run` takes them."""

    run: Run
    asked_for: tuple[str, str | None]

    @classmethod
    def load(cls, name: str | Path, *, revision: str | None, run: Run) -> LentGpuPredictor:
        """As `BonePredictor.from_pretrained`, on the CPU. Raises `CheckpointError` likewise."""
        key = str(name), revision
        plain = _here.setdefault(key, BonePredictor.from_pretrained(name, revision=revision, device="cpu"))
        made = cls(
            plain.model,
            plain.spec,
            plain.decision,
            calibrated=plain.calibrated,
            checkpoint=plain.checkpoint,
            revision=plain.revision,
            patch_head=plain.patch_head,
            box_head=plain.box_head,
            gate=plain.gate,
        )
        made.run, made.asked_for = run, key
        return made

    def heat(
        self, pixels: Sequence[np.ndarray], targets: Sequence[str] | None = None, patches: Sequence[np.ndarray] = ()
    ) -> list[np.ndarray]:
        maps: list[np.ndarray] = self.run(*self.asked_for, "heat", (pixels, targets, patches))
        return maps

    def _classify(
        self, pixels: Sequence[np.ndarray], colours: Colours, heatmap: bool, mirror: bool, look: SecondLook | None, batch_size: int
    ) -> list[Answer]:
        asked = (list(pixels), colours, heatmap, mirror, look, batch_size)
        answers: list[Answer] = self.run(*self.asked_for, "_classify", asked) if pixels else []
        return answers


def run(name: str, revision: str | None, method: str, given: tuple[Any, ...]) -> Any:
    """Calls `method` of the predictor called `name` with what is given, on the best device of the process in which this runs."""
    if (name, revision) not in _here:
        _here[name, revision] = BonePredictor.from_pretrained(name, revision=revision)
    predictor = _here[name, revision]
    predictor.model.to(best_device())
    return getattr(predictor, method)(*given)
