"""Calibration and prediction sets of a checkpoint: on test films, over many draws, and beside netcal and MAPIE.

    hf-bones calibrate bundled DATA --out runs/calibrated --cache runs/answers
    python scripts/bench/decide_calibrate.py DATA --model runs/calibrated --cache runs/answers           # DATA: what `hf-bones build` wrote
    python scripts/bench/decide_calibrate.py DATA --model runs/calibrated --cache runs/answers --quick   # few films, no new venv of peers

Test films choose nothing: scaling and thresholds are those that the checkpoint came with. Coverage over draws pools validation and test,
which the checkpoint learnt from neither of, and deals the films of each class out at random, half to fit the threshold on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import VENVS, Bar, arguments, bar, few_of_each, peer_venv, run_worker, write_result

from hf_bones.dataset.build import load_bones
from hf_bones.evaluation.calibrate.answers import answers_of
from hf_bones.evaluation.calibrate.figures import changes, ece_by_chance, ece_of
from hf_bones.evaluation.calibrate.recipe import ScalingSettings
from hf_bones.evaluation.calibrate.report import RECORD
from hf_bones.evaluation.calibrate.scaling import temperature_scaling, vector_scaling
from hf_bones.evaluation.calibrate.selective import risk_coverage
from hf_bones.evaluation.calibrate.thresholds import conformal_thresholds, needed, open_classes, verdicts_of
from hf_bones.evaluation.report.run import scheme_labels
from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.predictor import BonePredictor
from hf_bones.inference.vector import vector_from
from hf_bones.logits import softmax
from hf_bones.metrics.decisions import decisions_by_class
from hf_bones.record import read_json, sha256_rows

PEERS = ("netcal", "mapie")
DRAWS = 200
SCALING = ScalingSettings()


@dataclass(frozen=True, eq=False)
class Answered:
    """N films of a split: probabilities (N, C) before calibration and after, class ids (N,), groups, and (hash, label) of each."""

    before: np.ndarray
    after: np.ndarray
    labels: np.ndarray
    groups: list[str]
    hashes: list[tuple[str, int]]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="a checkpoint that `hf-bones calibrate` wrote")
    parser.add_argument("--source", default="fracatlas", help="films of this source are measured")
    parser.add_argument("--cache", type=Path, help="folder of the network's answers, kept")
    parser.add_argument("--peer-venv", type=Path, default=VENVS / "calibrate-peers", help="where the peers are, or are to be installed")
    options = parser.parse_args()
    splits = load_bones(options.data)
    predictor = BonePredictor.from_pretrained(options.model, device="cpu")
    few = 12 if options.quick else None
    fit, test = (answered(predictor, options.model, splits[name], options.source, options.cache, few) for name in ("validation", "test"))
    venv = options.peer_venv.expanduser()
    python = peer_venv(venv, *PEERS) / "python" if not options.quick or (venv / "bin" / "installed").is_file() else None
    found = bars(fit, test, predictor.decision, python=python)
    write_result(
        "decide_calibrate", "decide_calibrate.py DATA --model MODEL", sha256_rows([*fit.hashes, *test.hashes]), found, quick=options.quick
    )


def answered(predictor: BonePredictor, folder: Path, part: Any, source: str, cache: Path | None, few: int | None) -> Answered:
    """What a checkpoint says of the films of a source, and what it said before it was calibrated."""
    rows = [row for row, own in enumerate(part["source"][:]) if own == source]
    part = part.select(rows)
    part = part if few is None else few_of_each(part, few)
    rule = predictor.decision
    labels = scheme_labels(part, rule.scheme, "DATA")
    found = answers_of(predictor, folder, part, np.flatnonzero(labels >= 0).tolist(), 8, cache)
    before = replace(rule, vector=None)  # as it was where the record does not say otherwise: the scaling comes last
    if (folder / RECORD).is_file():
        old = read_json(folder / RECORD)["replaced"]
        before = replace(rule, temperature=old["temperature"], vector=vector_from(old["vector"], RECORD))
    evidence = found.evidence if rule.patches is not None else None
    groups, hashes = part["group"][:], part["sha256"][:]
    kept = found.rows.tolist()
    return Answered(
        softmax(before.calibrated(found.logits, evidence)),
        softmax(rule.calibrated(found.logits, evidence)),
        labels[found.rows],
        [groups[row] or f"row {row}" for row in kept],
        [(hashes[row], int(labels[row])) for row in kept],
    )


def bars(fit: Answered, test: Answered, decision: DecisionRule, *, python: Path | None = None, draws: int = DRAWS) -> list[Bar]:
    """All bars of calibration; those beside the peers where their `python` is given."""
    found = [*test_bars(test, decision), *coverage_bars(fit, test, decision, draws)]
    return found if python is None else found + peer_bars(fit, test, python)


def test_bars(test: Answered, decision: DecisionRule) -> list[Bar]:
    """Calibration, decisions, and what refusing buys, on test films."""
    names, count = decision.scheme.names, len(test.labels)
    moved = changes(test.before, test.after, test.labels, test.groups, names, bins=SCALING.bins)
    chance = ece_by_chance(test.after, SCALING.bins)
    found = [bar("test: ECE (equal mass)", moved["ece"].after, n=count, interval=moved["ece"].after_interval, target=chance, at_most=True)]
    found.append(bar("test: ECE (equal mass) before", moved["ece"].before, n=count, interval=moved["ece"].before_interval))
    for key, target in (("brier", 0.0), ("log_loss", None)):
        change = moved[key]
        name = f"test: {key.replace('_', ' ')}, after less before"
        found.append(bar(name, change.change, n=count, interval=change.change_interval, target=target, at_most=True))
    if decision.thresholds is not None:
        rule, normal_id = decision.conformal, decision.scheme.normal_id
        shares = test.before if rule is not None and rule.before_scaling else test.after
        sets = open_classes(shares, names, decision.thresholds)
        told = verdicts_of(sets, shares, normal_id if rule is not None and rule.abnormal_together else None)
        for each in decisions_by_class(test.labels, sets, told, test.groups, names, normal_id):
            for words, share in (
                ("set holds the class", each.covered),
                ("referred", each.referred),
                ("error among the decided", each.wrong),
            ):
                if share.value is not None:
                    found.append(bar(f"test: {each.name}: {words}", share.value, n=share.of, interval=share.interval))
    risk = risk_coverage(test.after, test.labels, names)
    whole, most = float(risk.risk[-1]), float(risk.risk[risk.at(0.8)])
    found.append(bar("test: error, all films decided", whole, n=count))
    found.append(bar("test: error at 80 % coverage", most, n=risk.at(0.8) + 1, target=whole / 2, at_most=True))
    return found


def coverage_bars(fit: Answered, test: Answered, decision: DecisionRule, draws: int) -> list[Bar]:
    """For each class with enough films, the mean coverage over draws, beside what was promised."""
    scaled = decision.conformal is None or not decision.conformal.before_scaling
    shares = np.concatenate([fit.after, test.after] if scaled else [fit.before, test.before])
    labels = np.concatenate([fit.labels, test.labels])
    names, found = decision.scheme.names, []
    for index, name in enumerate(names):
        alpha = decision.conformal.alpha[name] if decision.conformal is not None else 0.1
        own = shares[labels == index, index]
        count = len(own) // 2
        if count < needed(alpha):
            print(f"{name}: {len(own)} films are too few to halve at an error level of {alpha:g}")
            continue
        covered = drawn_coverage(own, count, alpha, draws)
        mean, error = float(np.mean(covered)), float(np.std(covered) / np.sqrt(len(covered)))
        span = (mean - 2 * error, mean + 2 * error)
        told = f"coverage of {name} over {draws} draws, {count} films to fit on"
        found.append(bar(f"{told}: at least", mean, n=len(own), interval=span, target=1 - alpha - 2 * error))
        found.append(bar(f"{told}: at most", mean, n=len(own), interval=span, target=1 - alpha + 1 / (count + 1) + 2 * error, at_most=True))
    return found


def drawn_coverage(scores: np.ndarray, count: int, alpha: float, draws: int) -> list[float]:
    """The share of the other films of a class that reach the threshold fitted to `count` of them, for each of `draws` random draws."""
    random = np.random.default_rng(0)
    covered = []
    for _ in range(draws):
        order = random.permutation(len(scores))
        fitted, new = scores[order[:count], None], scores[order[count:]]
        threshold = conformal_thresholds(fitted, np.zeros(count, dtype=np.int64), ("a",), {"a": alpha})["a"]
        covered.append(float((new >= threshold).mean()))
    return covered


def peer_bars(fit: Answered, test: Answered, python: Path, alpha: float = 0.1) -> list[Bar]:
    """How far netcal and MAPIE agree, on the answers before calibration."""
    shares, labels = fit.before, fit.labels
    theirs = ask_peers(shares, labels, test.before, python, SCALING.bins, alpha)
    logits = np.log(np.clip(shares, 1e-12, 1))
    inverse, vector = temperature_scaling(logits, labels).scale[0], softmax(vector_scaling(logits, labels, spread=np.inf).applied(logits))
    own = float(ece_of(shares.max(axis=1), shares.argmax(axis=1) == labels, SCALING.bins)[0])
    names = tuple(str(index) for index in range(shares.shape[1]))
    thresholds = conformal_thresholds(shares, labels, names, dict.fromkeys(names, alpha))
    sets = open_classes(test.before, names, thresholds)
    netcal, mapie = (f"{name} {theirs['versions'][name]}" for name in PEERS)
    rows: Sequence[tuple[str, float, str, float]] = (
        ("inverse temperature, difference in per cent", 100 * abs(inverse / theirs["netcal"]["inverse_temperature"] - 1), netcal, 1.0),
        ("vector scaling, largest difference of a probability", _largest(vector, theirs["netcal"]["vector_probabilities"]), netcal, 0.01),
        ("ECE in bins of equal mass, difference", abs(own - theirs["netcal"]["ece"]), netcal, 0.002),
        ("thresholds, largest difference", _largest(list(thresholds.values()), theirs["mapie"]["thresholds"]), mapie, 1e-6),
        ("prediction sets, share of classes told otherwise", float((sets != np.array(theirs["mapie"]["held"]).T).mean()), mapie, 0.0),
    )
    return [bar(f"{words} ({peer})", value, n=len(labels), target=target, at_most=True, peer=peer) for words, value, peer, target in rows]


def ask_peers(shares: np.ndarray, labels: np.ndarray, new: np.ndarray, python: Path, bins: int, alpha: float) -> dict[str, Any]:
    """What `decide_calibrate_peers.py` prints of films to fit on and of new ones."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.npz"
        np.savez(path, shares=shares, labels=labels, new=new)
        return run_worker("decide_calibrate_peers.py", path, bins, alpha, python=python)


def _largest(one: object, other: object) -> float:
    return float(np.abs(np.asarray(one) - np.asarray(other)).max())


if __name__ == "__main__":
    main()
