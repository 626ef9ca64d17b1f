"""The accuracy bars: checkpoints, the frozen reference and the trivial baselines on the FracAtlas test rows, the scraped rows apart; on
bare films, within regions and by severity; on films of other origins.

    python scripts/bench/accuracy.py DATA --model bundled --model dinov2-small=runs/dinov2-small --reference facebook/dinov2-small
    python scripts/bench/accuracy.py DATA --model bundled --elsewhere FOLDER
    python scripts/bench/accuracy.py DATA --model new=runs/new --model bundled --paired

The reference is logistic regression on frozen features (CLS and mean patch token of the whole DINOv2-small, 224 px) from the CC BY rows of
train and validation. --elsewhere: a folder with manifest.csv (file, label, source). --paired compares the first two models on the bare
films of validation and nothing else. Each evaluation of a checkpoint counts as a look at test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from elsewhere import MEAN_TARGET, elsewhere_bars, read_elsewhere
from frozen import films, frozen_features
from harness import Bar, arguments, bar, few_of_each, figure_bars, work_folder, write_result

from hf_bones.config.recipe import ModelConfig
from hf_bones.dataset.build import load_bones
from hf_bones.evaluation.report.choices import EvaluateChoices
from hf_bones.evaluation.report.run import evaluate_checkpoint, predict_rows, scheme_labels
from hf_bones.evaluation.report.slices import bare_films
from hf_bones.inference.predictor import BonePredictor
from hf_bones.labels import THREE_CLASS
from hf_bones.logits import softmax
from hf_bones.metrics.intervals import paired_differences
from hf_bones.record import read_json, sha256_rows
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.loss import class_weights
from hf_bones.training.probe import fit_head

CAUGHT = "sensitivity_fractured_at_specificity_85"
TARGETS = {("bundled", "auroc_abnormal"): 0.89, ("bundled", CAUGHT): 0.76, ("dinov2-small", "auroc_abnormal"): 0.82}
FIGURES = ("auroc_abnormal", "balanced_accuracy", "auroc_ovr_beyond_repair")
SCORING = ("mirror", "zoom")  # options that change how a film is scored, each passed on under its name


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", action="append", default=[], metavar="NAME[=PATH]")
    parser.add_argument("--reference", help="DINOv2-small: a Hub id or folder; left out: no reference row")
    parser.add_argument("--elsewhere", type=Path, metavar="FOLDER", help="films of other origins, with their manifest.csv")
    parser.add_argument("--paired", action="store_true", help="only the first model less the second on bare validation films")
    for name in SCORING:
        parser.add_argument(f"--{name}", action="store_true", help=f"score films with --{name}, as `hf-bones evaluate` does")
    options = parser.parse_args()
    scoring: dict[str, Any] = {name: True for name in SCORING if getattr(options, name)}
    models = {name.partition("=")[0]: name.partition("=")[2] or name for name in options.model or ["bundled"]}
    splits = load_bones(options.data)
    if options.quick:
        for split in splits:
            splits[split] = few_of_each(splits[split], 8)
    command = " ".join([
        "accuracy.py DATA", *(f"--model {name}" for name in models), *(["--elsewhere FOLDER"] if options.elsewhere else []),
        *(["--paired"] if options.paired else []), *(f"--{name}" for name in scoring),
    ])  # fmt: skip
    if options.paired:
        bars, digest = paired_bars(models, splits["validation"], scoring)
        write_result("paired", command, digest, bars, quick=options.quick)
        return
    bars = []
    for index, (label, path) in enumerate(models.items()):
        predictor = BonePredictor.from_pretrained(path)
        with work_folder() as folder:
            choices = EvaluateChoices(baselines=index == 0, baseline_licences=("CC-BY-4.0",), worst=0, **scoring)
            done = evaluate_checkpoint(path, splits, folder, choices)
            digest = read_json(done.metrics)["dataset"]["sha256"]
        print("\n".join(f"{label}: {warning}" for warning in done.warnings))
        sources = sorted(set(splits["test"]["source"]))
        for table in done.tables:
            if table.kind == ("source" if len(sources) > 1 else "all"):
                name = table.name if len(sources) > 1 else sources[0]
                bars += table_bars(table, label if table.model == "checkpoint" else table.model, name)
        bars += break_bars(done.break_tables, label)
        if options.elsewhere:
            few = 4 if options.quick else None
            found = read_elsewhere(options.elsewhere, predictor.scheme.normal, few)
            bars += elsewhere_bars(label, predictor, found, scoring, MEAN_TARGET if label == "bundled" else None)
    if options.reference:
        bars += reference_bars(options.reference, splits)
    write_result("accuracy", command, digest, bars, quick=options.quick)


def table_bars(table: Any, who: str, source: str) -> list[Bar]:
    """What `evaluate_checkpoint` found on the test rows of one source."""
    wanted = [(key, key, table.n) for key in (*FIGURES, CAUGHT)]
    wanted += [(f"recall of {label}", f"sensitivity_{label}", table.supports[label]) for label in THREE_CLASS.names]
    bars = []
    for title, key, count in wanted:
        figure = table.figures[key]
        if count and figure.value is not None:
            target = TARGETS.get((who, key)) if source == "fracatlas" else None
            bars.append(bar(f"{who}: {title}, {source} test", figure.value, n=count, interval=figure.interval, target=target))
    return bars


def break_bars(tables: Any, who: str) -> list[Bar]:
    """Bare films, within regions and by severity: of the sources that say so, which is FracAtlas here."""
    bars = []
    for table in tables:
        figure, abnormal = table.figures["auroc_abnormal"], table.n - table.supports[THREE_CLASS.normal]
        if figure.value is not None:
            name = f"{who}: auroc_abnormal, {table.name} ({abnormal} abnormal) test"
            bars.append(bar(name, figure.value, n=table.n, interval=figure.interval))
    return bars


def paired_bars(models: dict[str, str], part: Any, scoring: dict[str, Any]) -> tuple[list[Bar], str]:
    """AUROC(abnormal) on the bare films of a split, the first model's less the second's, in resamples that both share."""
    if len(models) != 2:
        raise SystemExit("--paired: name two models, as in --model new=runs/new --model bundled")
    labels = scheme_labels(part, THREE_CLASS, "validation")
    healthy, abnormal = labels == THREE_CLASS.normal_id, labels > THREE_CLASS.normal_id
    rows = np.flatnonzero(bare_films(healthy, abnormal, part["hardware"][:], part["cast"][:]))
    bare, truth = part.select(rows.tolist()), labels[rows]
    tables = []
    for path in models.values():
        found = predict_rows(BonePredictor.from_pretrained(path), bare, 16, **scoring)
        tables.append(np.array([[finding.probabilities[name] for name in THREE_CLASS.names] for finding in found]))
    one, other = tables
    value, *interval = paired_differences(truth, one, other, list(bare["group"]), THREE_CLASS.names)["auroc_abnormal"]
    name = f"bare films, validation: {' minus '.join(models)}"
    digest = sha256_rows(zip(bare["sha256"][:], truth.tolist(), bare["group"][:], strict=True))
    return [bar(name, value, n=len(rows), interval=interval)], digest


def reference_bars(backbone: str, splits: Any) -> list[Bar]:
    """The frozen reference on the FracAtlas test rows."""
    model, spec = load_model(ModelConfig(backbone), THREE_CLASS)
    known, unseen = [films(splits, *names) for names in (("train", "validation"), ("test",))]
    weight = class_weights(np.bincount(known.labels), "balanced")
    weights, biases = fit_head(frozen_features(model, spec, known.images, known.labels), known.labels, 3, 1e-3, weight)
    probabilities = softmax(frozen_features(model, spec, unseen.images, unseen.labels) @ weights.T + biases)
    names = {key: f"reference: {key}, fracatlas test" for key in FIGURES}
    peer = "logistic regression on frozen DINOv2-small"
    return figure_bars(names, unseen.labels, probabilities, unseen.groups, peer=peer)


if __name__ == "__main__":
    main()
