"""Where the model says that a break lies: boxes and heat maps of a checkpoint against radiologists' boxes; a part of decide.py.

    python scripts/bench/decide_boxes.py DATA [--model bundled]

DATA: a folder with films and manifest.csv (columns file, label, source, region, split, and boxes_xywh_norm: boxes as "cx cy w h", shares of
the film, with ; between them). Films of the split are looked at once each; nothing is chosen here.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import Bar, arguments, bar, write_result
from tqdm import tqdm

from hf_bones.evaluation.places.heat import asks, curves, heat_order, likeness, random_order, with_random_weights
from hf_bones.evaluation.places.pointing import Point, Truth, chance, false_boxes, hits, peak, recall, region_places, top_points
from hf_bones.images.opening import open_image
from hf_bones.inference.boxes import Box, film_boxes
from hf_bones.inference.explain import patch_heat
from hf_bones.inference.predictor import BonePredictor
from hf_bones.metrics.intervals import group_weights, percentile_interval
from hf_bones.record import sha256_file

POINTING, AIM, HEAT = 0.50, 0.745, 0.35
FEW = 12  # films of the two checks of heat maps, which ask the network many times


@dataclass(frozen=True, eq=False)
class Boxed:
    """Films of one split: where they lie, region, group and fracture boxes of each (none: healthy), and the places of boxes in training."""

    files: list[Path]
    regions: list[str]
    groups: np.ndarray
    truths: list[Truth]
    places: dict[str, Point]


def read_boxed(folder: Path, split: str = "test", few: int | None = None) -> Boxed:
    """Healthy films and those with boxes, of the sources that have any box; at most `few` of each kind."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    sources = {row["source"] for row in rows if row["boxes_xywh_norm"]}
    rows = [row for row in rows if row["source"] in sources]
    train = [row for row in rows if row["split"] == "train"]
    own = [row for row in rows if row["split"] == split]
    kinds = [[row for row in own if row["boxes_xywh_norm"]], [row for row in own if row["label"] == "healthy"]]
    chosen = [row for kind in kinds for row in kind[:few]]
    return Boxed(
        [folder / row["file"] for row in chosen],
        [row["region"] for row in chosen],
        np.array([row.get("copy_group") or row["file"] for row in chosen]),
        [_truth(row) for row in chosen],
        region_places([row["region"] for row in train], [_truth(row) for row in train]),
    )


def _truth(row: dict[str, str]) -> Truth:
    numbers = [[float(number) for number in box.split()] for box in row["boxes_xywh_norm"].split(";") if box.strip()]
    return [(cx, cy, w, h) for cx, cy, w, h in numbers]


def bars(predictor: BonePredictor, films: Boxed, *, batch_size: int = 16, few: int = FEW) -> list[Bar]:
    """The bars of boxes and heat maps. Raises ValueError for a checkpoint whose decision.json has no boxes."""
    rule = predictor.decision.boxes
    if rule is None:
        raise ValueError(f"{predictor.checkpoint}: its decision.json has no boxes; fit them first (`fit_boxes_of`)")
    boxes, points, coloured = _look(predictor, films, batch_size)
    broken = np.array([bool(truth) for truth in films.truths])
    truths, groups = films.truths, films.groups[broken]
    priors: list[Point | None] = [films.places.get(region, films.places.get("")) for region in films.regions]
    found = [
        _pointing("pointing game: middle of the highest box", top_points(boxes), truths, groups, POINTING),
        _pointing("pointing game: the same, against a published detector", top_points(boxes), truths, groups, AIM),
        _pointing("pointing game: maximum of the heat map", points, truths, groups, HEAT),
        bar("pointing game: chance", chance(truths), n=int(broken.sum())),
        _pointing("pointing game: middle of the film", [(0.5, 0.5)] * len(truths), truths, groups),
        _pointing("pointing game: mean place of the region's boxes in training", priors, truths, groups),
    ]
    count = sum(len(truth) for truth in truths)
    for most in (1, 3, 5):
        found.append(bar(f"recall of fracture boxes, first {most}, IoU 0.3", recall(boxes, truths, most), n=count))
        found.append(bar(f"recall of fracture boxes, first {most}, middle inside", recall(boxes, truths, most, iou=None), n=count))
    found.append(bar("boxes of the shown score a healthy film", false_boxes(boxes, truths, rule.shown_from), n=int((~broken).sum())))
    for name, mask in (("broken", broken), ("healthy", ~broken)):
        shown = [own[0].score >= rule.shown_from for own, kept in zip(boxes, mask, strict=True) if own and kept]
        found.append(bar(f"{name} films with a box of the shown score", float(np.mean(shown)), n=int(mask.sum())))
        found.append(bar(f"{name} films with colour on the heat map", float(coloured[mask].mean()), n=int(mask.sum())))
    return [*found, *heat_bars(predictor, [file for file, kept in zip(films.files, broken, strict=True) if kept][:few])]


def _look(predictor: BonePredictor, films: Boxed, batch_size: int) -> tuple[list[list[Box]], list[Point | None], np.ndarray]:
    """Of each film its boxes, shown or not, the maximum of its heat map, and whether anything of that is coloured."""
    boxes: list[list[Box]] = []
    points: list[Point | None] = []
    coloured: list[bool] = []
    for start in tqdm(range(0, len(films.files), batch_size), desc="boxes and heat maps", unit="batch"):
        pixels = [open_image(file).pixels for file in films.files[start : start + batch_size]]
        patches = predictor.patches(pixels)
        boxes += film_boxes(predictor.decision.boxes, pixels, patches, predictor.spec.size)
        scale = predictor.heat_scale
        maps = patch_heat(scale, predictor.spec, pixels, patches) if scale.of_patches else predictor.explain(pixels)
        points += [peak(heat) if heat.any() else None for heat in maps]
        coloured += [not scale.is_silent(heat) for heat in maps]
    return boxes, points, np.array(coloured)


def _pointing(name: str, points: Sequence[Point | None], truths: Sequence[Truth], groups: np.ndarray, target: float | None = None) -> Bar:
    right = hits(points, truths)
    draws = np.concatenate([weights @ right / weights.sum(axis=1) for weights in group_weights(groups, len(right))])
    return bar(name, float(right.mean()), n=len(right), interval=percentile_interval(draws), target=target)


def heat_bars(predictor: BonePredictor, files: Sequence[Path]) -> list[Bar]:
    """Insertion and deletion against a random order of places, and how like the map of random weights is."""
    ask, other = asks(predictor), with_random_weights(predictor)
    areas, alike = [], []
    for number, file in enumerate(tqdm(files, desc="insertion, deletion, random weights", unit="film")):
        pixels = open_image(file).pixels
        (heat,) = predictor.heat([pixels])
        by_heat, by_chance = curves(ask, pixels, heat_order(heat)), curves(ask, pixels, random_order(number))
        areas.append([by_heat.deletion_area, by_chance.deletion_area, by_heat.insertion_area, by_chance.insertion_area])
        alike.append(abs(likeness(heat, other.heat([pixels])[0])))
    means = np.mean(areas, axis=0)
    names = ("deletion by heat", "deletion by chance", "insertion by heat", "insertion by chance")
    found = [bar(f"heat map: area under {name}", float(mean), n=len(files)) for name, mean in zip(names, means, strict=True)]
    return [*found, bar("heat map: rank correlation with that of random weights, absolute", float(np.mean(alike)), n=len(files))]


def main() -> None:
    parser = arguments(__doc__, data="a folder with films and manifest.csv")
    parser.add_argument("--model", default="bundled", help="checkpoint with boxes in its decision.json")
    parser.add_argument("--split", default="test", help="split of the manifest")
    given = parser.parse_args()
    films = read_boxed(given.data, given.split, 8 if given.quick else None)
    found = bars(BonePredictor.from_pretrained(given.model), films, few=2 if given.quick else FEW)
    write_result("decide_boxes", "decide_boxes.py DATA", sha256_file(given.data / "manifest.csv"), found, quick=given.quick)


if __name__ == "__main__":
    main()
