"""Random changes to a batch of radiographs that keep each image's label, run on the batch's device by kornia.

The policy holds rotation, isotropic scale, shift, flips, gamma, contrast and brightness. It has no shear, no anisotropic scale and no
crop: shear can imitate displacement, which is what tells `beyond_repair` from `fractured`, and a crop can cut the break out.

Each image's draw comes from its own seed (run seed and position in the run), so the changes do not depend on how many processes or
loader workers there are, nor on where a run was killed and resumed.
"""

from __future__ import annotations

import math

import kornia
import numpy as np
import torch

from hf_bones.config import AugmentConfig

DRAWS = 9
"""Uniform numbers in [0, 1) that one image's augmentation takes."""


def augmentation_draw(seed: int, position: int) -> np.ndarray:
    """The float32 (`DRAWS`,) uniform numbers of the image at `position` (counted over the whole run)."""
    return np.random.default_rng([seed, position]).random(DRAWS, dtype=np.float32)


def affine_matrices(draws: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor, policy: AugmentConfig) -> torch.Tensor:
    """Float32 (B, 2, 3) pixel-space matrices, source to destination, about the centre of each unpadded image.

    `draws` is (B, `DRAWS`) in [0, 1); `heights` and `widths` are (B,) px of the unpadded images.
    """
    centre_x, centre_y = (widths - 1) / 2, (heights - 1) / 2
    angle = (draws[:, 0] * 2 - 1) * math.radians(policy.rotation_degrees)
    scale = 1 + (draws[:, 1] * 2 - 1) * policy.scale
    shift_x = (draws[:, 2] * 2 - 1) * policy.shift * widths
    shift_y = (draws[:, 3] * 2 - 1) * policy.shift * heights
    mirror = torch.where(draws[:, 4] < policy.horizontal_flip, -1.0, 1.0)
    flip = torch.where(draws[:, 5] < policy.vertical_flip, -1.0, 1.0)
    # Rotation × isotropic scale × mirror: angles between bones and relative lengths are kept, which shear would not do.
    a, b = scale * torch.cos(angle) * mirror, -scale * torch.sin(angle) * flip
    c, d = scale * torch.sin(angle) * mirror, scale * torch.cos(angle) * flip
    move_x = centre_x + shift_x - a * centre_x - b * centre_y
    move_y = centre_y + shift_y - c * centre_x - d * centre_y
    return torch.stack([torch.stack([a, b, move_x], dim=1), torch.stack([c, d, move_y], dim=1)], dim=1)


def augment_batch(
    grey: torch.Tensor, heights: torch.Tensor, widths: torch.Tensor, draws: torch.Tensor, policy: AugmentConfig
) -> torch.Tensor:
    """Augments grey images in [0, 1], (B, 1, S, S), padded right and below beyond `heights` × `widths`.

    Returns the same shape in [0, 1]. What a rotation or shift brings in from outside is black; the padding is left to the caller,
    who sets it to 0 again after normalising.
    """
    matrices = affine_matrices(draws, heights.to(grey.dtype), widths.to(grey.dtype), policy)
    warped = kornia.geometry.transform.warp_affine(
        grey, matrices, dsize=(grey.shape[-2], grey.shape[-1]), mode="bilinear", padding_mode="zeros", align_corners=True
    )
    log_gamma = (draws[:, 6] * 2 - 1) * math.log1p(policy.gamma)
    contrast = 1 + (draws[:, 7] * 2 - 1) * policy.contrast
    brightness = (draws[:, 8] * 2 - 1) * policy.brightness
    toned = kornia.enhance.adjust_gamma(warped.clamp(0, 1), torch.exp(log_gamma))
    toned = kornia.enhance.adjust_contrast(toned, contrast)
    return (toned + brightness[:, None, None, None]).clamp(0, 1)
