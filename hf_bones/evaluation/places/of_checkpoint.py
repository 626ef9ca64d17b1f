"""Fits boxes and heat scale of a finished checkpoint on a split with fracture boxes, and writes them into its decision.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hf_bones.dataset.schema import require_split
from hf_bones.evaluation.columns import box_column, rows_of
from hf_bones.evaluation.patch_joins import Films
from hf_bones.evaluation.places.fit import FALSE_BOXES, PatchMap, fit_boxes, fit_heat
from hf_bones.evaluation.places.head import fit_box_head
from hf_bones.evaluation.places.pointing import Truth
from hf_bones.evaluation.report.looks import own_folder
from hf_bones.evaluation.report.run import load_splits, scheme_labels
from hf_bones.inference.boxes import BoxRule, content
from hf_bones.inference.decision import write_decision
from hf_bones.inference.heat import HeatScale
from hf_bones.record import public_name
from hf_bones.training.backbone.patch_head import BOX_HEAD, PatchHead, write_patch_head

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from hf_bones.inference.predictor import BonePredictor


def fit_boxes_of(
    folder: str | Path,
    dataset: str | Path | DatasetDict,
    *,
    split: str = "validation",
    batch_size: int = 16,
    device: str | None = None,
    false_boxes: float = FALSE_BOXES,
    head: bool = True,
    licences: Sequence[str] = (),
    sources: Sequence[str] = (),
) -> tuple[BoxRule, HeatScale]:
    """Fits boxes and the scale of heat maps for the checkpoint in `folder`, writes both into its decision.json and returns them.

    Films of the split whose label is the normal class, and abnormal films that have boxes, are fitted on; an abnormal film without a box
    says neither where a break is nor that there is none. false_boxes: how many boxes a film without a break may show, on the average.
    head: fit a box head before that, to the films of the split `train` that have boxes and as many healthy ones, and write it beside the
    weights; without it boxes and heat come from the patch head. licences: of the films that teach it, any where none is
    named. sources: fit only on films of these; of all where none is named.

    Raises ValueError for a checkpoint that is no folder of one's own, has no decision.json or no patch head, for the split `train`, and
    where films with or without boxes are missing.
    """
    from hf_bones.inference.predictor import BonePredictor

    own = own_folder(folder)
    if own is None:
        raise ValueError(f"{folder}: what is fitted is written into decision.json; name a checkpoint folder of your own")
    if split == "train":
        raise ValueError("split 'train': the checkpoint knows these films, and what its patches say there is not what they say of new ones")
    data = load_splits(dataset)
    require_split(data, split, public_name(dataset) if isinstance(dataset, (str, Path)) else "dataset in memory")
    predictor = BonePredictor.from_pretrained(own, device=device)
    if not predictor.calibrated:
        raise ValueError(f"{folder}: no decision.json, so there is nothing to write boxes into")
    if predictor.patch_head is None:
        raise ValueError(f"{folder}: no patch head, so its patches say nothing; train it with box_loss over 0, or with patch_head: fitted")
    predictor.box_head = None  # one that was fitted before has no say
    if head:
        require_split(data, "train", public_name(dataset) if isinstance(dataset, (str, Path)) else "dataset in memory")
        predictor.box_head = _box_head(predictor, data["train"], rows_of(data["train"], licences, sources), batch_size)
    part = data[split]
    known = _known(predictor, part, split, rows_of(part, sources=sources))
    films = Films(part, list(known))
    maps = patch_maps(predictor, films, batch_size)
    truths = [known[row] for row in films.readable]
    rule = fit_boxes(maps, truths, false_boxes_allowed=false_boxes, head="box" if head else "patch")
    scale = fit_heat(maps, truths, rule.smooth)
    write_patch_head(predictor.box_head, own, BOX_HEAD)
    write_decision(replace(predictor.decision, boxes=rule, heat=scale), own)
    return rule, scale


def _known(predictor: BonePredictor, part: Dataset, split: str, allowed: Sequence[int]) -> dict[int, Truth]:
    """Of the allowed rows those of which it is known where breaks are: of those with boxes these, of the normal class none."""
    labels, boxes = scheme_labels(part, predictor.scheme, f"split {split!r}"), box_column(part)
    normal = labels == predictor.scheme.normal_id
    return {row: () if normal[row] else boxes[row] for row in allowed if labels[row] >= 0 and (normal[row] or boxes[row])}


def _box_head(predictor: BonePredictor, part: Dataset, allowed: Sequence[int], batch_size: int) -> PatchHead:
    """The head from all allowed rows with boxes and as many of the normal class, drawn by a fixed seed."""
    known = _known(predictor, part, "train", allowed)
    broken, whole = ([row for row, truth in known.items() if bool(truth) is kind] for kind in (True, False))
    rows = sorted([*broken, *np.random.default_rng(0).permutation(whole)[: len(broken)].tolist()])
    films = Films(part, rows)
    told = ((film, known[films.readable[-1]]) for film in films)  # the row of the film that was opened last
    return fit_box_head(predictor, told, batch_size=batch_size)


def patch_maps(predictor: BonePredictor, films: Iterable[npt.NDArray[np.uint8]], batch_size: int) -> list[PatchMap]:
    """What the patches say of any number of opened images, a batch in memory at a time."""
    found: list[PatchMap] = []
    remaining = iter(films)
    while batch := list(islice(remaining, batch_size)):
        logits = predictor.patches(batch)
        found += [PatchMap(own, content(film.shape, predictor.spec.size, own.shape)) for own, film in zip(logits, batch, strict=True)]
    return found
