"""Fits all that the bundled model decides by, on top of its weights: scaling, prediction sets, gate, boxes, heat scale, study.

    python scripts/bench/bundled_decision.py DATA --out runs/decision            # the shipped model, its decision fitted anew
    python scripts/bench/bundled_decision.py DATA --out runs/decision --adopt    # judged on test, its card written, and shipped

DATA: a folder that `hf-bones build` wrote. Only rows under a licence that allows it are fitted on: films of validation for probabilities,
sets, boxes and study, of training for the gate. `bundled.py` does the same for a model that it makes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bundled_adopt import LICENCES, adopt
from harness import arguments

from hf_bones.dataset.build import load_bones
from hf_bones.evaluation.calibrate.choices import CalibrateChoices
from hf_bones.evaluation.calibrate.recipe import load_calibrate_recipe
from hf_bones.evaluation.calibrate.run import calibrate_checkpoint
from hf_bones.evaluation.gate.of_checkpoint import fit_gate_of
from hf_bones.evaluation.places.of_checkpoint import fit_boxes_of
from hf_bones.inference.checkpoint import BUNDLED, find_folder

RECIPE = "bundled"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint with its decision")
    parser.add_argument("--part", action="append", choices=("scaling", "boxes", "gate"), default=[], help="only this; may be repeated")
    parser.add_argument("--cache", help="folder in which the network's answers for the scaling are kept")
    parser.add_argument("--adopt", action="store_true", help="put it into the package")
    options = parser.parse_args()
    splits = load_bones(options.data)
    if not options.out.is_dir():
        shutil.copytree(find_folder(BUNDLED), options.out, ignore=shutil.ignore_patterns("__pycache__"))
    fit_decision_of(options.out, splits, options.part, options.cache)
    if options.adopt:
        adopt(options.out, splits)


def fit_decision_of(folder: Path, splits: Any, only: Sequence[str] = (), cache: str | None = None) -> None:
    """Fits what is in `folder`/decision.json, or `only` some parts of it: not the temperature and what patches add, which come with the
    model."""
    parts: dict[str, Callable[[], object]] = {
        "scaling": lambda: calibrate_checkpoint(folder, splits, choices=CalibrateChoices(licences=LICENCES, cache=cache), recipe=RECIPE),
        "boxes": lambda: fit_boxes_of(folder, splits, licences=LICENCES),
        "gate": lambda: fit_gate_of(folder, splits, licences=LICENCES, settings=load_calibrate_recipe(RECIPE).gate),
    }
    for name in only or parts:
        parts[name]()


if __name__ == "__main__":
    main()
