"""Does a model take a cast or a plate for a break? P(abnormal) of healthy films, bare and with casts and metal drawn onto them.

    python scripts/bench/appliances.py DATA --model bundled

Of DATA, healthy films of the validation split are taken, evenly by region. A rise of P(abnormal) is what the appliance alone tells the
model; films onto which nothing could be drawn, since no limb was found, are left out of its row.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from harness import Bar, arguments, bar, write_result

from hf_bones.dataset.schema import load_bones, require_split
from hf_bones.inference.predictor import BonePredictor
from hf_bones.metrics.intervals import percentile_interval
from hf_bones.record import sha256_rows
from hf_bones.training.data.augment import BatchImages, augment_batch, augmentation_draw, named_draws, policy_without_any
from hf_bones.training.data.rows import StoredImages

KINDS = {"a drawn cast": "cast_healthy", "drawn metal": "metal_healthy"}
_SEED = 14
_SEEN = 0.1  # of the grey range: a change of a pixel from which something was drawn


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="bundled", help="checkpoint folder, Hub id or bundled")
    parser.add_argument("--films", type=int, default=240)
    options = parser.parse_args()
    predictor = BonePredictor.from_pretrained(options.model)
    films, sha256 = healthy_films(options, predictor.spec.size)
    bare = abnormal(predictor, films)
    bars: list[Bar] = [mean_bar("P(abnormal) of healthy films: bare", bare)]
    for words, key in KINDS.items():
        changed = [with_appliance(film, key, place, predictor.spec.size) for place, film in enumerate(films)]
        drawn = [place for place, each in enumerate(changed) if each is not None]
        found = abnormal(predictor, [each for each in changed if each is not None])
        bars.append(mean_bar(f"P(abnormal) of healthy films: with {words}", found))
        bars.append(mean_bar(f"rise of P(abnormal) by {words}", found - bare[drawn]))
    command = f"appliances.py DATA --model {options.model}"
    write_result("appliances", command, sha256, bars, quick=options.quick)


def healthy_films(options: argparse.Namespace, size: int) -> tuple[list[np.ndarray], str]:
    """Healthy validation films (h, w) uint8, the long side at the model's size, taken from all regions in turn; and their fingerprint."""
    splits = load_bones(options.data)
    require_split(splits, "validation", str(options.data))
    table = splits["validation"].select_columns(["label", "region", "sha256"]).to_pandas()
    table = table[table["label"] == 0].sample(frac=1, random_state=_SEED)
    turn = table.groupby("region").cumcount()
    chosen = table.loc[turn.sort_values(kind="stable").index][: 60 if options.quick else options.films]
    images = StoredImages(splits["validation"].select(chosen.index.tolist()))
    return images.fitted(range(len(chosen)), size), sha256_rows(zip(chosen["sha256"], strict=True))


def with_appliance(film: np.ndarray, key: str, place: int, size: int) -> np.ndarray | None:
    """The film with an appliance drawn on, None where nothing was drawn."""
    height, width = film.shape
    grey = torch.zeros(1, 1, size, size)
    grey[0, 0, :height, :width] = torch.from_numpy(film) / 255
    heights, widths, yes = torch.tensor([height]), torch.tensor([width]), torch.tensor([True])
    images = BatchImages(heights, widths, torch.zeros(1, 1, 4), yes, yes)
    draws = named_draws(torch.from_numpy(augmentation_draw(_SEED, place))[None])
    policy = replace(policy_without_any(), **dict[str, Any]({key: 1.0}))
    after = augment_batch(grey, heights, widths, draws, policy, None, images)[0, 0, :height, :width]
    if (after - grey[0, 0, :height, :width]).abs().max() < _SEEN:
        return None
    return after.mul(255).round().byte().numpy()


def abnormal(predictor: BonePredictor, films: Sequence[np.ndarray]) -> np.ndarray:
    """(N,): the probability of all classes but the first."""
    healthy = predictor.names[0]
    return np.array([1 - finding.probabilities[healthy] for finding in predictor.predict(films)])


def mean_bar(name: str, values: np.ndarray) -> Bar:
    """A mean with its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(values, size=(2000, len(values))).mean(axis=1)
    return bar(name, float(values.mean()), n=len(values), interval=percentile_interval(drawn))


if __name__ == "__main__":
    main()
