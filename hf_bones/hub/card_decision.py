"""What a card says of a decision rule that may refer or refuse: error levels, what became of test films, what the gate keeps out.

Every figure comes from decision.json and metrics.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.study.join import MEAN
from hf_bones.pages.tables import markdown_table


def decision_lines(decision: DecisionRule, metrics: Mapping[str, Any]) -> list[str]:
    """Paragraphs of Markdown; none for a rule that always answers with the likeliest class and has no gate."""
    found: list[str] = []
    if decision.vector is not None:
        told = decision.vector.fitted_on
        losses = told.get("log_loss_out_of_fold") or {}
        after = losses.get(told.get("method"))
        said = f" on {told['n']} films: log loss {told['log_loss_before']:.3f} before, {after:.3f} after, out of fold" if after else ""
        found.append(f"Vector scaling (a factor and an offset for each class) comes last{said}.")
    if decision.conformal is not None:
        found += _levels(decision)
        found += _became(metrics)
    if decision.gate is not None:
        found.append(_gate(decision.gate.fitted_on))
    if decision.boxes is not None:
        told = decision.boxes.fitted_on
        said = (
            f": on {told['broken']} validation films with fracture boxes the first points into one on {told['pointing']:.2f}"
            if told
            else ""
        )
        found.append(f"Findings carry up to five boxes where a break may lie{said}.")
    if decision.study is not None and (fit := decision.study.fitted_on):
        areas = fit["auroc_abnormal"]
        way = "their mean" if decision.study.kind == MEAN else "the view that is most abnormal"
        found.append(
            f"Several views of a study are joined by {way}: AUROC {areas[decision.study.kind]:.3f}, one view alone "
            f"{areas['one view']:.3f}, on {fit['studies']} studies made up of two films of two patients each. Real views have more "
            "in common and gain less."
        )
    return found


def _levels(decision: DecisionRule) -> list[str]:
    rule = decision.conformal
    assert rule is not None and decision.thresholds is not None
    rows = [[name, f"{rule.alpha[name]:g}", str(rule.n[name]), f"{decision.thresholds[name]:.3f}"] for name in decision.scheme.names]
    table = markdown_table(["class", "error level", "films", "threshold"], rows, right_from=1)
    lines = [
        "A class is left open where its probability reaches its threshold; the error level is the share of its films whose set may lack it "
        f"(fitted on {'validation' if rule.fitted_on == 'validation' else 'answers out of fold'}).",
        table,
    ]
    if rule.before_scaling:
        lines.append("The thresholds are for the probabilities before the scaling, which hold classes for equally frequent.")
    if rule.abnormal_together:
        lines.append("Where only abnormal classes are left open, the likeliest is the verdict, and the finding names the others.")
    return lines


def _became(metrics: Mapping[str, Any]) -> list[str]:
    """Coverage and referral on test, by class."""
    rows = [
        [each["name"], *(_share(each[key]) for key in ("covered", "decided", "referred", "wrong", "missed"))]
        for each in metrics.get("decisions") or []
    ]
    if not rows:
        return []
    head = ["true class", "set holds it", "decided", "referred", "error among the decided", "called normal though not"]
    return ["What became of the test films:", markdown_table(head, rows)]


def _share(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "–"
    span = f" ({found['interval'][0]:.2f}–{found['interval'][1]:.2f})" if found.get("interval") else ""
    return f"{found['count']} of {found['of']}: {found['value']:.2f}{span}"


def _gate(fit: Mapping[str, Any]) -> str:
    shares = fit.get("drawn_refused") or {}
    refused, unfamiliar = (100 * float(fit.get(key, 0)) for key in ("refused", "unfamiliar"))
    told = (
        f"A gate, fitted on {fit.get('films', 'an unknown number of')} training films, refuses what is no bone radiograph and refers "
        f"films unlike those. Of validation films {refused:.2g} % are refused, {unfamiliar:.2g} % refused or unfamiliar."
    )
    if not shares:
        return told
    mean = sum(shares.values()) / len(shares)
    missed = ", ".join(kind for kind, share in shares.items() if share < 1)
    weak = f" (not all of: {missed})" if missed else ""
    return f"{told} Of {fit['drawn_of_each']} drawn pictures of each of {len(shares)} kinds that are no film it refuses {mean:.2f}{weak}."
