"""Whether a heat map can be trusted: it must change with the weights, and what it marks must matter to the answer.

- *Random weights* (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018): a map that stays the same when the network has learnt
  nothing is of the film, not of the model.
- *Insertion and deletion* (Petsiuk et al., "RISE", BMVC 2018): the film is blurred from its hottest places on, or given back from a blurred
  one, and the answer is asked again at each step. A map is worth something where it beats an order drawn at random.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor

Ask = Callable[[Sequence[np.ndarray]], npt.NDArray[np.float64]]  # P(class) (N,) of opened images

CELLS = 16  # a film is cut into so many places a side
STEPS = 8


@dataclass(frozen=True, eq=False)
class Curves:
    """P(class) while more and more of a film is blurred (`deletion`) or given back (`insertion`), each (STEPS + 1,), first no place, last
    all of them; and their means, the areas under them."""

    deletion: npt.NDArray[np.float64]
    insertion: npt.NDArray[np.float64]

    @property
    def deletion_area(self) -> float:
        return float((self.deletion[1:] + self.deletion[:-1]).mean() / 2)

    @property
    def insertion_area(self) -> float:
        return float((self.insertion[1:] + self.insertion[:-1]).mean() / 2)


def curves(ask: Ask, pixels: npt.NDArray[np.uint8], order: npt.ArrayLike, steps: int = STEPS) -> Curves:
    """The curves of one opened image (H, W) for an order of its places: `heat_order` of its map, or `random_order`.

    Steps are equal shares of the places: the first ones in the order go, or come back, first.
    """
    rank = np.argsort(np.asarray(order).ravel()).reshape(CELLS, CELLS)
    height, width = pixels.shape
    place = rank[np.arange(height) * CELLS // height][:, np.arange(width) * CELLS // width]
    blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(max(height, width) / 20)))
    counts = [round(step * CELLS * CELLS / steps) for step in range(steps + 1)]
    deleted = [np.where(place < count, blurred, pixels) for count in counts]
    inserted = [np.where(place < count, pixels, blurred) for count in counts]
    found = ask([*deleted, *inserted])
    return Curves(found[: steps + 1], found[steps + 1 :])


def heat_order(heatmap: np.ndarray) -> npt.NDArray[np.int64]:
    """The places of a map (H, W), hottest first, as numbers of the cells (CELLS × CELLS,) row by row."""
    cells = np.asarray(Image.fromarray(heatmap.astype(np.float32)).resize((CELLS, CELLS), Image.Resampling.BOX))
    return np.argsort(-cells.ravel(), kind="stable")


def random_order(seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(CELLS * CELLS)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation (Spearman) of two maps of one shape; 0 where one of them is the same everywhere."""
    from scipy.stats import rankdata

    ranks = [rankdata(each.ravel()) for each in (one, other)]
    if any(np.ptp(each) == 0 for each in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def with_random_weights(predictor: BonePredictor, seed: int = 0) -> BonePredictor:
    """A copy of a predictor that has learnt nothing: the numbers of each weight, and of the patch head, drawn anew with the same mean and
    spread."""
    import torch

    random = torch.Generator().manual_seed(seed)
    model = copy.deepcopy(predictor.model)
    with torch.no_grad():
        for weight in model.parameters():
            drawn = torch.randn(weight.shape, generator=random)
            weight.copy_(drawn * weight.float().std(correction=0).cpu() + weight.float().mean().cpu())
    other = copy.copy(predictor)
    other.model = model
    if predictor.patch_head is not None:
        head = predictor.patch_head
        weights = torch.randn(head.weight.shape, generator=random).numpy() * head.weight.std()
        other.patch_head = replace(head, weight=weights.astype(np.float32))
    return other


def asks(predictor: BonePredictor, batch_size: int = 16) -> Ask:
    """P(abnormal), calibrated, of opened images."""

    def ask(pixels: Sequence[np.ndarray]) -> npt.NDArray[np.float64]:
        from hf_bones.logits import softmax

        found = []
        for start in range(0, len(pixels), batch_size):
            logits = predictor.decision.calibrated(*predictor.views(pixels[start : start + batch_size]))
            found.append(1 - softmax(logits)[:, predictor.scheme.normal_id])
        return np.concatenate(found)

    return ask
