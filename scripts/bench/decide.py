"""What the model decides, refers, refuses and points at: every bar of a decision, each a row with its target.

    python scripts/bench/decide.py DATA --films FOLDER --elsewhere FOLDER --hard FOLDER [--model MODEL] [--part PART …]

DATA: a folder that `hf-bones build` wrote, whose test rows are looked at and choose nothing. --films: the films it was built from, with
manifest.csv and its boxes. --elsewhere: films of other origins with manifest.csv. --hard: images with cases.csv, some of them no films.
Parts: answers (decided, referred and refused, elsewhere and on test), calibration, gate, boxes, labels. The result is written for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import decide_audit
import decide_boxes
import decide_calibrate
import decide_elsewhere
import decide_gate
import numpy as np
from elsewhere import Elsewhere, read_elsewhere
from harness import VENVS, Bar, arguments, bar, few_of_each, peer_venv, print_bars, write_result
from tqdm import tqdm

from hf_bones.dataset.build import load_bones
from hf_bones.evaluation.report.run import predict_rows, scheme_labels
from hf_bones.images.opening import open_image
from hf_bones.inference.checkpoint import WEIGHTS_FILE, find_checkpoint
from hf_bones.inference.decision import FILE_NAME as DECISION_FILE
from hf_bones.inference.finding import Finding
from hf_bones.inference.predictor import BonePredictor
from hf_bones.record import read_json, sha256_file, sha256_rows, write_json

SOURCE = "fracatlas"
MOST_EXTRA = 1.1  # of the time of a prediction, what gate, sets and boxes make of it
TIMED = 16  # films


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--films", type=Path, required=True, help="the films that DATA was built from, with manifest.csv")
    parser.add_argument("--elsewhere", type=Path, required=True, help="films of other origins, with manifest.csv")
    parser.add_argument("--hard", type=Path, required=True, help="images with cases.csv, some of which are no films")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="a folder with a folder of images for each further kind of no film")
    parser.add_argument("--model", default="bundled", help="`bundled`, a checkpoint folder or a Hub id")
    parser.add_argument("--cache", type=Path, help="folder of answers, features and finished parts: given again, a run goes on")
    parser.add_argument("--part", action="append", choices=sorted(PARTS), help="only this part; nothing is written")
    options = parser.parse_args()
    predictor = BonePredictor.from_pretrained(options.model, device="cpu")
    splits = load_bones(options.data)
    looked = Looked(options, predictor, splits)
    bars = [line for name in options.part or PARTS for line in _kept(name, options, looked)]
    if options.part:
        print_bars(bars)
        return
    digest = sha256_file(options.films / "manifest.csv")
    write_result("decide", "decide.py DATA --films FOLDER --elsewhere FOLDER --hard FOLDER", digest, bars, quick=options.quick)


def _kept(part: str, options: Any, looked: Looked) -> list[Bar]:
    """A part's bars: those that an earlier run left in --cache for the same checkpoint and films, else measured now and left there."""
    if options.cache is None or options.quick:
        return PARTS[part](options, looked)
    folder = find_checkpoint(options.model).folder
    files = [folder / WEIGHTS_FILE, folder / DECISION_FILE, *(place / "manifest.csv" for place in (options.films, options.elsewhere))]
    marks = [(sha256_file(file),) for file in files]
    file = options.cache / f"decide-{part}-{sha256_rows(marks)[:16]}.json"
    if not file.is_file():
        options.cache.mkdir(parents=True, exist_ok=True)
        write_json(file, {"bars": PARTS[part](options, looked)})
    found: list[Bar] = read_json(file)["bars"]
    return found


class Looked:
    """What several parts look at: the model, test films and films elsewhere, each asked once, when a part first wants it."""

    def __init__(self, options: Any, predictor: BonePredictor, splits: Any) -> None:
        self.predictor, self.splits, self._options = predictor, splits, options
        self._few = 4 if options.quick else None

    @cached_property
    def films(self) -> Elsewhere:
        return read_elsewhere(self._options.elsewhere, self.predictor.scheme.normal, self._few)

    @cached_property
    def elsewhere(self) -> list[Finding]:
        films = self.films.files
        return list(tqdm(self.predictor.predict_iter(films), total=len(films), desc="elsewhere", unit="film"))

    @cached_property
    def part(self) -> Any:
        test = self.splits["test"]
        part = test.select([row for row, source in enumerate(test["source"][:]) if source == SOURCE])
        return part if self._few is None else few_of_each(part, self._few)

    @cached_property
    def test(self) -> list[Finding]:
        return predict_rows(self.predictor, self.part, 16)


def answers(options: Any, looked: Looked) -> list[Bar]:
    """Verdicts on films elsewhere and on test, the curve that the thresholds are a point of, error against coverage, and the time."""
    films, found, test = looked.films, looked.elsewhere, looked.test
    scheme = looked.predictor.scheme
    truth = [looked.predictor.names[label] for label in scheme_labels(looked.part, scheme, "test")]
    return [
        *decide_elsewhere.elsewhere_bars(films, found, scheme.normal),
        decide_elsewhere.referred_bar(test, list(looked.part["group"][:]), scheme.normal),
        *decide_elsewhere.curve_bars(films, found, test, scheme.normal),
        *decide_elsewhere.selective_bars(test, truth),
        _extra_time(options, films.files[:TIMED]),
    ]


def calibration(options: Any, looked: Looked) -> list[Bar]:
    folder, few = find_checkpoint(options.model).folder, 12 if options.quick else None
    fit, test = (
        decide_calibrate.answered(looked.predictor, folder, looked.splits[name], SOURCE, options.cache, few)
        for name in ("validation", "test")
    )
    python = None if options.quick else peer_venv(VENVS / "calibrate-peers", *decide_calibrate.PEERS) / "python"
    return decide_calibrate.bars(fit, test, looked.predictor.decision, python=python)


def gate(options: Any, looked: Looked) -> list[Bar]:
    few = 3 if options.quick else None
    asked = decide_gate.Asked(looked.part, looked.test, looked.elsewhere, looked.films.sources)
    return decide_gate.bars(looked.predictor, looked.splits, asked, options.hard, options.pictures, few=few, peers=not options.quick)


def boxes(options: Any, looked: Looked) -> list[Bar]:
    few = 8 if options.quick else None
    return decide_boxes.bars(looked.predictor, decide_boxes.read_boxed(options.films, few=few))


def labels(options: Any, looked: Looked) -> list[Bar]:
    return decide_audit.bars(options.data, model=options.model, cache=options.cache, quick=options.quick)


PARTS: dict[str, Callable[[Any, Looked], list[Bar]]] = {
    "answers": answers,
    "calibration": calibration,
    "gate": gate,
    "boxes": boxes,
    "labels": labels,
}


def _extra_time(options: Any, files: list[Path]) -> Bar:
    """A prediction with all of it against one with the network, its patches and the temperature alone; best of five, in turn."""
    from dataclasses import replace

    whole, bare = (BonePredictor.from_pretrained(options.model, device="cpu") for _ in range(2))
    bare.gate = bare.box_head = None
    bare.decision = replace(bare.decision, thresholds=None, conformal=None, vector=None, gate=None, boxes=None, heat=None)
    pixels = [open_image(path).pixels for path in files]
    seconds: dict[str, list[float]] = {"whole": [], "bare": []}
    for _ in range(5):
        for name, predictor in (("whole", whole), ("bare", bare)):
            begun = time.perf_counter()
            predictor.predict(pixels, batch_size=8)
            seconds[name].append(time.perf_counter() - begun)
    ratio = float(np.min(seconds["whole"]) / np.min(seconds["bare"]))
    return bar("time of a prediction with gate, sets and boxes ÷ without", ratio, n=len(pixels), target=MOST_EXTRA, at_most=True)


if __name__ == "__main__":
    main()
