"""A patch head fitted to a finished network: logistic regression on its frozen patches, those in a fracture box against all others.

Steps of gradient descent move the network and the head together, and what patches of training films look like moves with them. A fit to the
network as it is takes one pass over them, and needs no `box_loss` before it.

Drawn breaks lie on bright shafts, and most other patches do not: against these alone the head would learn shafts. So a broken copy is set
against the film that it is of, at the very patches that its break covers. Drawn breaks weigh less than real ones, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from hf_bones.config.recipe import RecipeError
from hf_bones.preprocess import InputSpec
from hf_bones.training.backbone.auxiliary import box_cover, last_patches
from hf_bones.training.backbone.patch_head import PatchHead
from hf_bones.training.data.batches import SquareCollator, TrainingRows, batch_matrices, batch_to_input, collate_described

OUTSIDE = 60  # patches of each film that lie in no box: neighbours say the same, and all of them would not fit into memory
STRENGTH = 1e-3  # scikit-learn's inverse regularisation, on standardised features, with patches in and outside boxes weighing the same

DRAWN_SHARE = 0.5  # what the patches of drawn breaks weigh together, of what those of real ones do

WHOLE, BROKEN, DRAWN, SET_AGAINST = range(4)  # patches outside boxes, in them, in those of drawn breaks, and what these are set against
Patches = tuple[np.ndarray, np.ndarray]  # (N, D) float16, and of which of these kinds each is (N,)


def fit_patch_head(
    model: PreTrainedModel,
    spec: InputSpec,
    rows: TrainingRows,
    batch_size: int,
    device: torch.device,
    seed: int = 0,
    copies_of: Mapping[int, int] | None = None,
) -> PatchHead:
    """The patch head for a finished network, from one plain view of each film of `rows`, which know their boxes.

    Films whose boxes are not known are left out, and of those without a break all but as many as have one: most patches of these lie
    outside too. copies_of: the rows of broken copies, and the rows of their films, all of which are taken. Raises `RecipeError` where no
    patch lies in a box.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    was_training = model.training
    model.eval().to(device)
    random = np.random.default_rng(seed)
    compared = {film: copy for copy, film in (copies_of or {}).items()}
    chosen = _chosen(rows, random, compared)
    patches = _patches(model, spec, rows, chosen, compared, batch_size, device, random)
    seen = list(tqdm(patches, total=len(chosen), desc="patches of training images", unit="image", disable=None))
    model.train(was_training)
    features, kinds = (np.concatenate(part) for part in zip(*seen, strict=True)) if seen else (np.empty((0, 0)), np.empty(0, int))
    broken = (kinds == BROKEN) | (kinds == DRAWN)
    if not broken.any() or broken.all():
        raise RecipeError(
            f"patch_head: {int(broken.sum()):,} of {len(broken):,} patches of training images lie in a fracture box, and both kinds are "
            "needed. Give the dataset boxes, or set patch_head to trained"
        )
    scaler = StandardScaler()
    standard = scaler.fit_transform(features.astype(np.float32))
    fitted = LogisticRegression(C=STRENGTH, max_iter=300).fit(standard, broken, sample_weight=patch_weights(kinds))
    weight = (fitted.coef_[0] / scaler.scale_).astype(np.float32)
    return PatchHead(weight, float(fitted.intercept_[0] - weight.astype(np.float64) @ scaler.mean_))


def patch_weights(kinds: np.ndarray) -> np.ndarray:
    """What each patch (N,) weighs in the fit, by its kind; 1 on the average.

    Patches in boxes and all others weigh the same together. Drawn breaks weigh `DRAWN_SHARE` of real ones, where there are any, and what
    they are set against as much as they do.
    """
    weights = np.ones(len(kinds))
    real, drawn, against = (kinds == kind for kind in (BROKEN, DRAWN, SET_AGAINST))
    if real.any() and drawn.any():
        weights[drawn] = DRAWN_SHARE * real.sum() / drawn.sum()
    if against.any():
        weights[against] = weights[drawn].sum() / against.sum()
    for side in (real | drawn, ~(real | drawn)):
        weights[side] *= len(kinds) / 2 / weights[side].sum()
    return weights


def _chosen(rows: TrainingRows, random: np.random.Generator, compared: Mapping[int, int]) -> list[int]:
    """All films with boxes, and as many of those that are known to have none, `compared` ones first."""
    boxes = [rows.described(row)["boxes"] for row in range(len(rows))]
    broken, whole = ([row for row, own in enumerate(boxes) if own is not None and bool(own) is kind] for kind in (True, False))
    others = random.permutation([row for row in whole if row not in compared]).tolist()
    return sorted([*broken, *[*compared, *others][: len(broken)]])


def _patches(
    model: PreTrainedModel,
    spec: InputSpec,
    rows: TrainingRows,
    chosen: list[int],
    compared: Mapping[int, int],
    batch_size: int,
    device: torch.device,
    random: np.random.Generator,
) -> Iterator[Patches]:
    """Of each film, all patches that a box covers and `OUTSIDE` of those that none does; none of the padding.

    Of a film with a broken copy (`compared`), all that the box of its copy covers are taken too, to be set against the copy's.
    """
    copies = set(compared.values())
    collate, channels = SquareCollator(spec.size), getattr(model.config, "num_channels", 3)
    for start in range(0, len(chosen), batch_size):
        numbers = chosen[start : start + batch_size]
        are_drawn = [row in copies for row in numbers]
        batch = {key: value.to(device) for key, value in collate(rows.__getitems__(numbers)).items()}
        of_copies = collate_described([rows.described(compared[row]) if row in compared else {"label": 0, "boxes": []} for row in numbers])
        with torch.inference_mode():
            _, patches = last_patches(model, batch_to_input(batch, spec, channels=channels))
        grid = patches.shape[1]
        covered = _covered(batch, grid, spec.size).cpu().numpy()
        set_against = _covered(batch | {"boxes": of_copies["boxes"].to(device)}, grid, spec.size).cpu().numpy()
        middle = (torch.arange(grid, device=device) + 0.5) * spec.size / grid
        film = ((middle[None, :, None] < batch["heights"][:, None, None]) & (middle[None, None] < batch["widths"][:, None, None])).flatten(
            1
        )
        features = patches.flatten(1, 2).half().cpu().numpy()
        for own, inside, same_place, content, is_drawn in zip(features, covered, set_against, film.cpu().numpy(), are_drawn, strict=True):
            outside = random.permutation(np.flatnonzero(content & ~inside & ~same_place))[:OUTSIDE]
            kept = np.concatenate([np.flatnonzero(inside | same_place), outside])
            kinds = np.where(same_place, SET_AGAINST, WHOLE)
            kinds[inside] = DRAWN if is_drawn else BROKEN
            yield own[kept], kinds[kept]


def _covered(batch: dict[str, torch.Tensor], grid: int, size: int) -> torch.Tensor:
    """Which patches (B, grid²) the boxes of a batch cover, as far as they reach."""
    return box_cover(batch["boxes"], batch_matrices(batch, None), batch["heights"], batch["widths"], grid, size).flatten(1) > 0
