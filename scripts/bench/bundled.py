"""Makes the bundled model again from its second version, which stands in the project's history: weights, patch head, decision, card,
record, and the list of films it has seen. What is made already is only compared. What it decides by is fitted last (`bundled_decision.py`).

    python scripts/bench/bundled.py DATA --elsewhere FOLDER --out runs/bundled             # made, compared with the second version
    python scripts/bench/bundled.py DATA --elsewhere FOLDER --out runs/bundled --adopt     # judged on test and drawn films, and shipped

DATA: a folder that `hf-bones build` wrote, of which only rows under a licence that allows it are learnt from. --elsewhere: films of other
origins with manifest.csv, none of them learnt from. Beside it stands what the same recipe gives without broken copies. FracAtlas validation
and the films elsewhere choose: nothing is adopted that is worse than the second version on either. Only --adopt looks at test.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy import CAUGHT
from bundled_adopt import LICENCES, TITLE, adopt
from bundled_decision import fit_decision_of
from elsewhere import Elsewhere, elsewhere_bars, read_elsewhere
from harness import Bar, arguments, bar, few_of_each, figure_bars, write_result

from hf_bones.config.recipe import load_recipe, override
from hf_bones.dataset.build import load_bones
from hf_bones.evaluation.report.run import predict_rows, scheme_labels
from hf_bones.evaluation.report.slices import bare_films
from hf_bones.finetune import run
from hf_bones.hub.card import write_card
from hf_bones.hub.card_candidates import RECORD_KEY
from hf_bones.inference.checkpoint import RECORD_FILE, WEIGHTS_FILE
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.metrics.intervals import paired_differences
from hf_bones.record import read_json, sha256_file, sha256_rows, write_json

SECOND_VERSION = "a7c14b4"  # the last commit that has it
RECIPE = "fitted-patches"
THIS, PLAIN, BEFORE = "this model", "without broken copies", "the second version"
FIGURES = {"auroc_abnormal": "AUROC(abnormal)", "balanced_accuracy": "balanced accuracy", CAUGHT: "fractured recall at specificity .85"}
CHOOSING = ("AUROC(abnormal), FracAtlas validation (all)", "mean over sources")
ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--elsewhere", type=Path, metavar="FOLDER", required=True, help="films of other origins, with their manifest.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; another beside it holds the second version")
    parser.add_argument("--adopt", action="store_true", help="put it into the package, if it is no worse")
    options = parser.parse_args()
    out = options.out
    start, plain = (out.with_name(f"{out.name}-{version}") for version in ("second-version", "without-copies"))
    second_version(start)
    learn = {"model": str(start), "dataset": str(options.data), "train_licences": list(LICENCES)}
    for folder, changes in ((out, {}), (plain, {"broken_copies": 0})):
        if not (folder / RECORD_FILE).is_file():
            run(override(load_recipe(RECIPE), {**learn, "output_dir": str(folder), **changes}))
    splits = load_bones(options.data)
    found = read_elsewhere(options.elsewhere, THREE_CLASS.normal, few=4 if options.quick else None)
    films = validation_films(splits["validation"], few=4 if options.quick else None)
    folders = {THIS: out, PLAIN: plain, BEFORE: start}
    if len({sha256_file(folder / WEIGHTS_FILE) for folder in folders.values()}) > 1:
        raise SystemExit(f"{out}: not the weights of {BEFORE}, which {RECIPE} leaves as they are; take the folder away")
    predictors = ask_once({name: BonePredictor.from_pretrained(folder, device="cpu") for name, folder in folders.items()})
    tables = {name: judged(predictor, films) for name, predictor in predictors.items()}
    bars = {name: candidate_bars(predictor, films, tables[name], found) for name, predictor in predictors.items()}
    rows = [candidate_row(same) for same in zip(*bars.values(), strict=True)]
    chosen_by = [row["measure"] for row in rows if row["measure"].startswith(CHOOSING)]
    paired = paired_bar(films, tables[THIS], tables[BEFORE])
    told = {"names": list(bars), "chosen_by": chosen_by, "rows": rows, "difference": {**paired, "measure": paired["bar"]}}
    write_json(out / RECORD_FILE, {**read_json(out / RECORD_FILE), **inherited(start), RECORD_KEY: told})
    write_card(out, name=TITLE)
    named = [{**each, "bar": f"{name}: {each['bar']}"} for name, own in bars.items() for each in own]
    digest = sha256_rows(zip(films.part["sha256"][:], films.labels.tolist(), films.groups, strict=True))
    write_result("bundled", "bundled.py DATA --elsewhere FOLDER --out OUT", digest, [*named, paired], quick=options.quick)
    worse = [row["measure"] for row in rows if row["measure"] in chosen_by and row["values"][0] < row["values"][-1]]
    if worse:
        raise SystemExit(f"not adopted: worse than {BEFORE} on {' and '.join(worse)}")
    fit_decision_of(out, splits)
    if options.adopt:
        adopt(out, splits)


def second_version(folder: Path) -> None:
    """Puts the checkpoint of the second version into `folder`, from the project's history."""
    if (folder / WEIGHTS_FILE).is_file():
        return
    command = ["git", "-C", str(ROOT), "archive", SECOND_VERSION, "hf_bones/checkpoint"]
    packed = subprocess.run(command, capture_output=True, check=False)
    if packed.returncode:
        raise SystemExit(
            f"{SECOND_VERSION}: not in this clone's history; `git fetch --unshallow` gets it ({packed.stderr.decode().strip()})"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                (folder / Path(member.name).name).write_bytes(content.read())


def inherited(start: Path) -> dict[str, Any]:
    """What the record of a model has from the second version, whose weights it has: where these come from, and who taught them."""
    known = read_json(start / RECORD_FILE)
    kept = {key: known[key] for key in ("base_model_id", "distillation", "verdict_shift")}
    return {"base_model": f"{TITLE}, {BEFORE.removeprefix('the ')}", "base_model_sha256": sha256_file(start / WEIGHTS_FILE), **kept}


@dataclass(frozen=True, eq=False)
class Films:
    """N FracAtlas validation films: rows, class ids (N,), groups, and which of them are bare or healthy (N,)."""

    part: Any
    labels: np.ndarray
    groups: list[str]
    bare: np.ndarray


def validation_films(validation: Any, few: int | None) -> Films:
    part = validation.select([row for row, source in enumerate(validation["source"][:]) if source == "fracatlas"])
    part = part if few is None else few_of_each(part, few)
    labels = scheme_labels(part, THREE_CLASS, "validation")
    healthy, abnormal = labels == THREE_CLASS.normal_id, labels > THREE_CLASS.normal_id
    return Films(part, labels, list(part["group"][:]), bare_films(healthy, abnormal, part["hardware"][:], part["cast"][:]))


def ask_once(predictors: dict[str, BonePredictor]) -> dict[str, BonePredictor]:
    """Predictors of the same weights, each of whose networks answers at once what one of them was asked before: that is most of the time.

    Keeps the tokens of each batch in memory, 1.6 MB a film.
    """
    ask, known = next(iter(predictors.values())).model.base_model.forward, {}

    def forward(pixel_values: torch.Tensor, **more: Any) -> Any:
        key = hashlib.sha256(pixel_values.numpy().tobytes()).hexdigest(), repr(sorted(more.items()))
        if key not in known:
            known[key] = ask(pixel_values, **more)
        return known[key]

    for predictor in predictors.values():
        predictor.model.base_model.forward = forward
    return predictors


def judged(predictor: BonePredictor, films: Films) -> np.ndarray:
    """Probabilities (N, C) as the verdict has them."""
    findings = predict_rows(predictor, films.part, 16)
    return np.array([[finding.probabilities[name] for name in THREE_CLASS.names] for finding in findings])


def candidate_bars(predictor: BonePredictor, films: Films, table: np.ndarray, found: Elsewhere) -> list[Bar]:
    """What finished candidates are chosen by and told of: figures on FracAtlas validation and on films elsewhere, source by source."""
    groups = np.array(films.groups)
    names = {key: f"{title}, FracAtlas validation (all)" for key, title in FIGURES.items()}
    bars = figure_bars(names, films.labels, table, films.groups)
    bare = {"auroc_abnormal": f"{FIGURES['auroc_abnormal']}, FracAtlas validation (bare)"}
    bars += figure_bars(bare, films.labels[films.bare], table[films.bare], groups[films.bare].tolist())
    others = elsewhere_bars("candidate", predictor, found, {}, None)
    told = [each["bar"].partition(": ")[2].replace("auroc_abnormal", FIGURES["auroc_abnormal"]) for each in others]
    return bars + [{**each, "bar": name} for each, name in zip(others, told, strict=True)]


def candidate_row(same: Sequence[Bar]) -> dict[str, Any]:
    """One figure of all candidates, as the record has it."""
    values, intervals = [each["value"] for each in same], [each["interval"] for each in same]
    return {"measure": same[0]["bar"], "n": same[0]["n"], "values": values, "intervals": intervals}


def paired_bar(films: Films, one: np.ndarray, other: np.ndarray) -> Bar:
    """AUROC(abnormal) on bare films, the first candidate's less the second's, in resamples that both share."""
    bare, groups = films.bare, np.array(films.groups)
    found = paired_differences(films.labels[bare], one[bare], other[bare], groups[bare].tolist(), THREE_CLASS.names)
    value, *interval = found["auroc_abnormal"]
    return bar(
        f"{FIGURES['auroc_abnormal']} on bare films, FracAtlas validation, {THIS} less {BEFORE}",
        value,
        n=int(bare.sum()),
        interval=interval,
    )


if __name__ == "__main__":
    main()
