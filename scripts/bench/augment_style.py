"""Changes of style, casts and metal: do they keep the break, and what do they cost?

    python scripts/bench/augment_style.py DATA

Each change is looked at alone, made in every image at its full strength (`style: 1`), by `hf-bones augment-check` on films of DATA with
boxes and on drawn radiographs; then a whole policy of them at a zoom up to 2.5. What it adds to a batch is measured on one thread, as it is
made in every image, and for `style: 1` at the probabilities of the defaults.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from augment import transform_bars
from harness import Bar, arguments, bar, write_result

from hf_bones.config.augment import FULL_STYLE
from hf_bones.config.recipe import AugmentConfig, load_recipe
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.evaluation.augmentation.check import check_augmentation
from hf_bones.evaluation.augmentation.choices import AugmentCheckSettings
from hf_bones.evaluation.augmentation.report import remarks, verdict
from hf_bones.evaluation.augmentation.transforms import ALONE, POLICY
from hf_bones.preprocess import fit_to
from hf_bones.training.data.augment import AUGMENTATIONS, augment_batch, augmentation_draw, named_draws, policy_without_any
from hf_bones.training.data.batches import batch_images, collate

NEW = (*FULL_STYLE, "invert", "metal", "cast", "zoom")
STYLE: dict[str, Any] = {"style": 1.0, "invert": 0.2, "cast": 0.3, "metal": 0.3, "zoom": 2.5, "zoom_probability": 1.0}
SIZES = (224, 448)


def main() -> None:
    parser = arguments(__doc__, needs_data=False)
    parser.add_argument("--out", type=Path, default=Path("runs/augment-style"), help="report, plot and contact sheets")
    options = parser.parse_args()
    recipe = load_recipe("dinov2-small-448")
    recipe.augment = replace(recipe.augment, **STYLE)
    settings = (
        AugmentCheckSettings(drawn=4, draws=8, looks=2, limit=8)
        if options.quick
        else AugmentCheckSettings(drawn=24, draws=40, looks=3, limit=36)
    )
    found = check_augmentation(recipe, [str(options.data)] if options.data else [], options.out, settings=settings)
    print(verdict(found), *remarks(found), sep="\n")
    bars: list[Bar] = []
    for films in found.sets:
        rows = [row for row in films.transforms if (row.kind == ALONE and row.name in NEW) or row.kind == POLICY]
        bars += [line for row in rows for line in transform_bars(row, films, "")]
    bars += cost_bars(rounds=1 if options.quick else 5)
    write_result("augment_style", "augment_style.py" + (" DATA" if options.data else ""), found.data_sha256, bars, quick=options.quick)


def cost_bars(rounds: int) -> list[Bar]:
    """ms an image that each change adds, at each size."""
    still = policy_without_any()
    policies = {"nothing": still}
    for each in AUGMENTATIONS:
        if each.name in NEW and each.name != "zoom":
            full: dict[str, Any] = {key: AugmentConfig(style=1).strength(key) for key in each.off} | {**each.always}
            policies[each.name] = replace(still, **(full | ({"invert": 0.5} if each.name == "invert" else {})))
    none: dict[str, Any] = dict.fromkeys(FULL_STYLE)
    policies["style: 1, as drawn"] = replace(still, style=1, style_probability=0.3, **none)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    bars = []
    for size in SIZES:
        rows = [{"pixels": fit_to(draw_radiograph(seed, "fractured", size=320).pixels, size), "label": 0} for seed in range(16)]
        batch = collate([row | {"draw": augmentation_draw(0, place), "boxes": []} for place, row in enumerate(rows)], size)
        spent = {name: [seconds(batch, policy) for _ in range(rounds)] for name, policy in policies.items()}
        for name, values in spent.items():
            if name != "nothing":
                added = [1000 * (value - base) / len(rows) for value, base in zip(values, spent["nothing"], strict=True)]
                bars.append(bar(f"{name}: ms an image, {size} px", median(added), n=len(rows), interval=(min(added), max(added))))
    torch.set_num_threads(threads)
    return bars


def seconds(batch: dict[str, torch.Tensor], policy: AugmentConfig) -> float:
    """Processor time of one batch."""
    grey = batch["grey"].float() / 255
    draws, images = named_draws(batch["draws"]), batch_images(batch)
    start = time.process_time()
    augment_batch(grey, batch["heights"], batch["widths"], draws, policy, None, images)
    return time.process_time() - start


if __name__ == "__main__":
    main()
