"""The list of augmentations, the numbers that are drawn for them, and how a batch goes through them.

`AUGMENTATIONS` is the list: training, the augmentation check and its contact sheet read it, so a new one is an entry there (and its keys
in `AugmentConfig`).

Each image's draw comes from its own seed (run seed and position in the run), so the changes do not depend on how many processes or
loader workers there are, nor on where a run was killed and resumed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data import tiles
from hf_bones.training.data.augment import appliances, detail, geometry, overlays, tone
from hf_bones.training.data.augment.kinds import Augmentation, BatchImages, Change, Named


def of_style(
    name: str, draws: tuple[str, ...], words: str, change: Change, more: Mapping[str, float] | None = None, *, minds_boxes: bool = False
) -> Augmentation:
    """A change of style: its key is its name, its first draw says whether it comes about, `draws` say how."""
    return Augmentation(
        name,
        {name: 0, "style_probability": 0},
        {name: 1.0} | {f"{name}_{draw}": 0.5 for draw in draws} | dict(more or {}),
        lambda policy: f"{words.format(policy.strength(name))}, in {policy.style_probability:.0%}",
        change,
        minds_boxes=minds_boxes,
        always={"style_probability": 1},
    )


def of_appliance(name: str, draws: tuple[str, ...], change: Change) -> Augmentation:
    """Something that is drawn onto the film of a limb: its key is its name, with a key of its own for healthy films."""
    return Augmentation(
        name,
        {name: 0, f"{name}_healthy": 0},
        {name: 1.0} | {f"{name}_{draw}": 0.5 for draw in draws},
        lambda policy: f"on {policy.strength(name):.0%}, of healthy films on {policy.strength(f'{name}_healthy'):.0%}",
        film=change,
        minds_boxes=True,
        always={name: 1, f"{name}_healthy": 1},
    )


AUGMENTATIONS = (
    Augmentation("rotation", {"rotation_degrees": 0}, {"rotation": 0.5}, lambda policy: f"± {policy.rotation_degrees:g}°"),
    Augmentation("scale", {"scale": 0}, {"scale": 0.5}, lambda policy: f"{1 - policy.scale:g} to {1 + policy.scale:g}"),
    Augmentation("shift", {"shift": 0}, {"shift_x": 0.5, "shift_y": 0.5}, lambda policy: f"± {policy.shift:g} of the side"),
    Augmentation(
        "flips",
        {"horizontal_flip": 0, "vertical_flip": 0},
        {"horizontal_flip": 1, "vertical_flip": 1},
        lambda policy: f"mirrored {policy.horizontal_flip:.0%}, upside down {policy.vertical_flip:.0%}",
    ),
    Augmentation(
        "gamma", {"gamma": 0}, {"gamma": 0.5}, lambda policy: f"{1 / (1 + policy.gamma):.2g} to {1 + policy.gamma:.2g}", tone.gamma
    ),
    Augmentation(
        "contrast",
        {"contrast": 0},
        {"contrast": 0.5},
        lambda policy: f"× {1 - policy.contrast:g} to {1 + policy.contrast:g}",
        tone.contrast,
    ),
    Augmentation("brightness", {"brightness": 0}, {"brightness": 0.5}, lambda policy: f"± {policy.brightness:g}", tone.brightness),
    Augmentation(
        "zoom",
        {"zoom": 1, "zoom_probability": 0},
        {"zoom": 1, "zoom_factor": 0.5, "zoom_x": 0.5, "zoom_y": 0.5},
        lambda policy: f"up to {policy.zoom:g}, in {policy.zoom_probability:.0%}",
        move=geometry.zoomed,
        minds_boxes=True,
    ),
    of_style("blur", ("sigma",), "up to {:.2g} px", detail.blur),
    of_style("sharpen", ("amount", "halo"), "by up to {:.2g}", detail.sharpen),
    of_style("stretch", ("share",), "{:.2g} of the pixels at either end", tone.stretch),
    of_style("clahe", ("share",), "up to {:.2g} of it", tone.clahe),
    of_style("window", ("low", "high"), "{:.2g} of the range at either end", tone.window),
    of_style("noise", ("deviation", "x", "y"), "up to {:.2g}", detail.noise),
    of_style(
        "collimation",
        ("left", "top", "right", "bottom", "tilt", "edge", "shade"),
        "borders up to {:.2g} of the side",
        overlays.collimation,
        minds_boxes=True,
    ),
    of_style("markers", (), "up to {:.2g} of the side", overlays.markers, overlays.MARKER_DRAWS, minds_boxes=True),
    Augmentation("invert", {"invert": 0}, {"invert": 1}, lambda policy: f"{policy.invert:.0%}", tone.invert),
    of_style("resample", ("factor",), "pixels up to {:.2g} + 1 times as coarse", detail.resample),
    of_style("jpeg", ("quality",), "quality down to 100 - {:.2g}", detail.jpeg),
    of_appliance("metal", appliances.METAL_DRAWS, appliances.metal),
    of_appliance("cast", appliances.CAST_DRAWS, appliances.cast),
    Augmentation(
        "tile",
        {"tile_scale": 1, "tile_probability": 0},
        tiles.DRAWS,
        lambda policy: f"up to {policy.tile_scale:g}, in {policy.tile_probability:.0%}",
        move=tiles.tiled,
        minds_boxes=True,
        always={"tile_probability": 1},
    ),
)
"""In the order in which numbers are drawn for them and in which they are made; a new one comes last, and leaves the others their draws."""

_NEUTRAL = {name: value for augmentation in AUGMENTATIONS for name, value in augmentation.draws.items()}
DRAWS = tuple(_NEUTRAL)
"""Names of the uniform numbers in [0, 1) that one image's augmentation takes, in the order in which they are drawn."""


def augmentation_draw(seed: int, position: int) -> np.ndarray:
    """The float32 uniform numbers of the image at `position` (counted over the whole run), in the order of `DRAWS`."""
    return np.random.default_rng([seed, position]).random(len(DRAWS), dtype=np.float32)


def neutral_draw() -> np.ndarray:
    """The draw that changes nothing, whatever the policy: middle values, and certainties at which no flip and no zoom comes about."""
    return np.array([*_NEUTRAL.values()], dtype=np.float32)


def named_draws(draws: torch.Tensor) -> dict[str, torch.Tensor]:
    """The numbers of a batch, each (B,), by name, from the draws of its images stacked to one tensor."""
    return dict(zip(DRAWS, draws.unbind(1), strict=True))


def policy_without_any() -> AugmentConfig:
    """The policy all of whose augmentations are off."""
    off: dict[str, float] = {}
    for augmentation in AUGMENTATIONS:
        off |= augmentation.off
    return AugmentConfig(**off)  # type: ignore[arg-type]  # `augment` and `keep_in_view` are none of these keys


def needs_boxes(policy: AugmentConfig) -> bool:
    """Whether a policy looks at where the breaks of an image are."""
    return policy.augment and (policy.keep_in_view or any(each.minds_boxes and each.is_on(policy) for each in AUGMENTATIONS))


def affine_matrices(
    draws: Named,
    heights: torch.Tensor,
    widths: torch.Tensor,
    policy: AugmentConfig,
    boxes: torch.Tensor | None = None,
    boxes_known: torch.Tensor | None = None,
    bright: torch.Tensor | None = None,
) -> torch.Tensor:
    """Float32 (B, 2, 3) pixel-space matrices, source to destination, about the centre of each unpadded image.

    `heights` and `widths` are (B,) px of the unpadded images. `boxes` (B, K, 4) are (cx, cy, w, h) in [0, 1] of them, rows of zero size
    being none: they stay in view (`keep_in_view`), and only images whose boxes are known (B,) are zoomed, or
    replaced by a tile. `bright` are the maps of `tiles.brightness`; without them a tile may show background.
    """
    matrices = geometry.similarity(draws, heights, widths, policy)
    if boxes is None or boxes_known is None:
        return matrices
    if policy.keep_in_view:
        matrices = geometry.moved_back(matrices, heights, widths, boxes)
    images = BatchImages(heights, widths, boxes, boxes_known, torch.zeros_like(boxes_known), bright)
    for augmentation in AUGMENTATIONS:
        if augmentation.move is not None:
            matrices = augmentation.move(matrices, draws, images, policy)
    return matrices


def augment_batch(
    grey: torch.Tensor,
    heights: torch.Tensor,
    widths: torch.Tensor,
    draws: Named,
    policy: AugmentConfig,
    matrices: torch.Tensor | None = None,
    images: BatchImages | None = None,
) -> torch.Tensor:
    """Augments grey images in [0, 1], (B, 1, S, S), padded right and below beyond `heights` × `widths`.

    `matrices` are those of `affine_matrices`, where they are at hand (a zoom needs the boxes); otherwise they are made without a zoom.
    `images` says what else is known of them; without it, as of films with a break at an unknown place. Returns the same shape in [0, 1].
    What a rotation or shift brings in from outside is black; the padding is left to the caller, who sets it to 0 again after normalising.
    """
    if matrices is None:
        matrices = affine_matrices(draws, heights.to(grey.dtype), widths.to(grey.dtype), policy)
    images = images or BatchImages.without_boxes(heights, widths)
    with torch.autocast(grey.device.type, enabled=False):  # grey values and places of pixels need all the digits of float32
        return _augmented(grey, draws, policy, matrices, images)


def _augmented(grey: torch.Tensor, draws: Named, policy: AugmentConfig, matrices: torch.Tensor, images: BatchImages) -> torch.Tensor:
    on = [each for each in AUGMENTATIONS if each.is_on(policy)]
    if any(each.film is not None for each in on):
        grey = grey.clone()  # the images that were given stay as they are
        for augmentation in on:
            if augmentation.film is not None:
                grey = augmentation.film(grey, draws, images, policy)
    changed = geometry.warp(grey, matrices).clamp_(0, 1)
    if any("style_probability" in each.off for each in on):
        changed = detail.spread_edges(changed, images.heights, images.widths)
        images = images.moved(matrices)
    for augmentation in on:
        if augmentation.tone is not None:
            changed = augmentation.tone(changed, draws, images, policy)
    return changed
