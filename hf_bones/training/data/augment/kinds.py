"""What an augmentation is, and what is known of the images that it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data.on_device import constant

Named = Mapping[str, torch.Tensor]
"""Uniform numbers (B,) in [0, 1) by what is drawn with them, see `policy.named_draws`."""


@dataclass(frozen=True, eq=False)
class BatchImages:
    """What is known of the unpadded images of a batch: sides (B,) px, boxes (B, K, 4), whether these are known (B,), which images are of
    whole bones (B,), and where it is at hand how bright they are (`tiles.brightness`)."""

    heights: torch.Tensor
    widths: torch.Tensor
    boxes: torch.Tensor
    boxes_known: torch.Tensor
    healthy: torch.Tensor
    bright: torch.Tensor | None = None

    @classmethod
    def without_boxes(cls, heights: torch.Tensor, widths: torch.Tensor) -> BatchImages:
        """Images of which nothing but the sides is known."""
        unknown = torch.zeros_like(heights, dtype=torch.bool)
        return cls(heights, widths, heights.new_zeros(len(heights), 1, 4, dtype=torch.float32), unknown, unknown)

    @property
    def sides(self) -> torch.Tensor:
        """(B, 2) width and height, float32 px."""
        return torch.stack([self.widths, self.heights], dim=1).float()

    @property
    def hidden(self) -> torch.Tensor:
        """(B,): images that may show a break whose place nobody has noted."""
        return ~(self.boxes_known | self.healthy)

    def of(self, rows: torch.Tensor | slice) -> BatchImages:
        """The same of some of the images."""
        bright = None if self.bright is None else self.bright[rows]
        return BatchImages(self.heights[rows], self.widths[rows], self.boxes[rows], self.boxes_known[rows], self.healthy[rows], bright)

    def corners(self) -> torch.Tensor:
        """First and last x and y of each box, px from the frame's corner: (B, K, 4) as x, y, x, y; of none, inf and -inf."""
        scale = self.sides[:, None]
        low, high = (self.boxes[..., :2] - self.boxes[..., 2:] / 2) * scale, (self.boxes[..., :2] + self.boxes[..., 2:] / 2) * scale
        none = ~(self.boxes[..., 2:] > 0).all(dim=-1, keepdim=True)
        return torch.cat([low.masked_fill(none, torch.inf), high.masked_fill(none, -torch.inf)], dim=-1)

    def moved(self, matrices: torch.Tensor) -> BatchImages:
        """The same after `matrices` (B, 2, 3): boxes become upright ones that hold what became of them."""
        corners = constant((-0.5, -0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.5), self.boxes.device).view(4, 2)
        sides = self.sides
        points = (self.boxes[:, :, None, :2] + corners * self.boxes[:, :, None, 2:]) * sides[:, None, None]
        moved = torch.einsum("bij,bkcj->bkci", matrices[:, :, :2], points - 0.5) + matrices[:, None, None, :, 2] + 0.5
        low, high = moved.amin(dim=2) / sides[:, None], moved.amax(dim=2) / sides[:, None]
        real = (self.boxes[..., 2:] > 0).all(dim=-1, keepdim=True)
        boxes = torch.where(real, torch.cat([(low + high) / 2, high - low], dim=-1), torch.zeros_like(self.boxes))
        return replace(self, boxes=boxes)


Change = Callable[[torch.Tensor, Named, BatchImages, AugmentConfig], torch.Tensor]


@dataclass(frozen=True)
class Augmentation:
    """A random change: the keys of `AugmentConfig` with the values at which it does nothing, the uniform numbers it takes with those at
    which it does nothing whatever the policy, and how strong a policy makes it, in words.

    `tone` changes grey values (B, 1, S, S) in [0, 1], in place; it is told of the images as they lie by then. `film` does the same before
    anything moves, so that what it draws moves with the limb. `move` follows up on the matrices of `affine_matrices` where boxes are
    given, and has to keep these in view itself. Rotation, scale, shift and flips have none of them: they make up one similarity.
    `minds_boxes`: whether it looks at where breaks are. `always`: values of its keys at which it is made in every image.
    """

    name: str
    off: Mapping[str, float]
    draws: Mapping[str, float]
    strength: Callable[[AugmentConfig], str]
    tone: Change | None = None
    move: Change | None = None
    film: Change | None = None
    minds_boxes: bool = False
    always: Mapping[str, float] = field(default_factory=dict)

    def is_on(self, policy: AugmentConfig) -> bool:
        """Whether a policy ever makes this change; one with a probability beside its strength needs both."""
        differ = {key: policy.strength(key) != value for key, value in self.off.items()}
        chance = [differ.pop(key) for key in self.off if key.endswith("_probability")]
        return all(chance) and any(differ.values())


def of_some(grey: torch.Tensor, chosen: torch.Tensor, change: Callable[[torch.Tensor, torch.Tensor | slice], torch.Tensor]) -> torch.Tensor:
    """`grey` (B, 1, S, S) with the `chosen` images (B,) put through `change`, which is also told their rows.

    On a GPU all images go through it, since asking which are chosen would make the host wait; on a CPU these alone.
    """
    if grey.is_cuda:
        return torch.where(chosen[:, None, None, None], change(grey, slice(None)), grey)
    rows = chosen.nonzero()[:, 0]
    if len(rows):
        grey[rows] = change(grey[rows], rows)
    return grey


def grid(grey: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x (1, 1, S) and y (1, S, 1) of pixel centres, px from the corner of the frame."""
    height, width = grey.shape[-2:]
    return (
        torch.arange(width, device=grey.device, dtype=grey.dtype)[None, None, :] + 0.5,
        torch.arange(height, device=grey.device, dtype=grey.dtype)[None, :, None] + 0.5,
    )
