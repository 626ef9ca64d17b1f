"""What is asked of the fit of patches and of a second look."""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.choices import choice


@dataclass(frozen=True)
class PatchJoinChoices:
    """Where it is fitted how the patches of a film join its answer."""

    split: str = choice("validation", "Split to fit on; never one that the checkpoint learnt from.")
    batch_size: int = choice(16, "Images per forward pass.", least=1)
    device: str | None = choice(None, "torch device; by default a GPU, if there is one.")


@dataclass(frozen=True)
class SecondLookChoices(PatchJoinChoices):
    """How a second look is fitted. A film is looked at again when its calibrated P(abnormal) is from `doubtful_from` to `doubtful_to`."""

    scale: float = choice(2.0, "Long side of the film in the second look, times the model's input.")
    top: int = choice(5, "How many of the highest patches are averaged; 1 takes the highest.", least=1)
    doubtful_from: float = choice(0.0, "Films of this P(abnormal) or more are looked at again …")
    doubtful_to: float = choice(1.0, "… if theirs is this or less.")
