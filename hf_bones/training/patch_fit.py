"""A patch head fitted to a finished network: logistic regression on its frozen patches, those in a fracture box against all others.

Steps of gradient descent move the network and the head together, and what patches of training films look like moves with them. A fit to the
network as it is takes one pass over the films, and needs no `box_loss` before it: any transformer that classifies gets a patch head so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from hf_bones.config.recipe import RecipeError
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.auxiliary import box_cover, last_patches
from hf_bones.training.backbone.patch_head import PatchHead
from hf_bones.training.data.batches import SquareCollator, TrainingRows, batch_matrices, batch_to_input

OUTSIDE = 60  # patches of each film that lie in no box: neighbours say the same, and all of them would not fit into memory
STRENGTH = 1e-2  # scikit-learn's inverse regularisation, on standardised features, with patches in and outside boxes weighing the same

Patches = tuple[np.ndarray, np.ndarray]  # (N, D) float16, and whether each lies in a box (N,)


def fit_patch_head(
    model: PreTrainedModel, spec: InputSpec, rows: TrainingRows, batch_size: int, device: torch.device, seed: int = 0
) -> PatchHead:
    """The patch head for a finished network, from one plain view of each of `rows`, which know their boxes.

    Films whose boxes are not known are left out. Raises `RecipeError` where no patch lies in a box.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    was_training = model.training
    model.eval().to(device)
    patches = _patches(model, spec, rows, batch_size, device, seed)
    seen = list(tqdm(patches, total=len(rows), desc="patches of training images", unit="image", disable=None))
    model.train(was_training)
    features, broken = (np.concatenate(part) for part in zip(*seen, strict=True))
    if not broken.any() or broken.all():
        raise RecipeError(
            f"patch_head: {int(broken.sum()):,} of {len(broken):,} patches of training images lie in a fracture box, and both kinds are "
            "needed. Give the dataset boxes, or set patch_head to trained"
        )
    scaler = StandardScaler()
    standard = scaler.fit_transform(features.astype(np.float32))
    fitted = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=300).fit(standard, broken)
    weight = (fitted.coef_[0] / scaler.scale_).astype(np.float32)
    return PatchHead(weight, float(fitted.intercept_[0] - weight.astype(np.float64) @ scaler.mean_))


def _patches(
    model: PreTrainedModel, spec: InputSpec, rows: TrainingRows, batch_size: int, device: torch.device, seed: int
) -> Iterator[Patches]:
    """Of each batch of films, all patches that a box covers and `OUTSIDE` of each film that none does; none of the padding."""
    random, collate, channels = np.random.default_rng(seed), SquareCollator(spec.size), getattr(model.config, "num_channels", 3)
    for start in range(0, len(rows), batch_size):
        some = rows.__getitems__(range(start, min(start + batch_size, len(rows))))
        batch = {key: value.to(device) for key, value in collate(some).items()}
        with torch.inference_mode():
            _, patches = last_patches(model, batch_to_input(batch, spec, channels=channels))
        grid = patches.shape[1]
        cover = box_cover(batch["boxes"], batch_matrices(batch, None), batch["heights"], batch["widths"], grid, spec.size).flatten(1) > 0
        middle = (torch.arange(grid, device=device) + 0.5) * spec.size / grid
        film = ((middle[None, :, None] < batch["heights"][:, None, None]) & (middle[None, None] < batch["widths"][:, None, None])).flatten(
            1
        )
        features = patches.flatten(1, 2).half().cpu().numpy()
        for known, own, inside, content in zip(batch["boxes_known"].cpu(), features, cover.cpu().numpy(), film.cpu().numpy(), strict=True):
            if known:
                outside = random.permutation(np.flatnonzero(content & ~inside))[:OUTSIDE]
                kept = np.concatenate([np.flatnonzero(inside), outside])
                yield own[kept], inside[kept]
