"""Random changes to a batch of radiographs that keep each image's label, run on the batch's device.

`AUGMENTATIONS` in `policy.py` is the list of them; what each does is in the files beside it.
"""

from hf_bones.training.data.augment.geometry import warp
from hf_bones.training.data.augment.kinds import Augmentation, BatchImages, Named
from hf_bones.training.data.augment.policy import (
    AUGMENTATIONS,
    DRAWS,
    affine_matrices,
    augment_batch,
    augmentation_draw,
    named_draws,
    needs_boxes,
    neutral_draw,
    policy_without_any,
)

__all__ = [
    "AUGMENTATIONS",
    "DRAWS",
    "Augmentation",
    "BatchImages",
    "Named",
    "affine_matrices",
    "augment_batch",
    "augmentation_draw",
    "named_draws",
    "needs_boxes",
    "neutral_draw",
    "policy_without_any",
    "warp",
]
