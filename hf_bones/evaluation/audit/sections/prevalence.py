"""What an answer is worth where fewer films are broken: predictive values at a prevalence of 1, 5 and 20 %.

By Bayes' rule from sensitivity and specificity, which are taken as the same at every prevalence; in fact milder cases come with lower
prevalence, and sensitivity falls with them (Leeflang et al., "Variation of a test's sensitivity and specificity with disease prevalence",
CMAJ 2013).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hf_bones.evaluation.audit.audited import Audited
from hf_bones.evaluation.audit.choices import PREVALENCE
from hf_bones.evaluation.audit.plots import plot_curves
from hf_bones.evaluation.audit.results import Section, Table
from hf_bones.evaluation.audit.weighing import Statistic, figure_words, percent_words, share_of, weighed
from hf_bones.evaluation.report.cells import figure_cell
from hf_bones.metrics import classification_metrics
from hf_bones.metrics.figures import Floats, specificity_suffix
from hf_bones.pages.text import plain

SHARES = (0.01, 0.05, 0.20)
PICTURE = "prevalence.png"


def predictive_values(sensitivity: Floats, specificity: Floats, prevalence: float) -> tuple[Floats, Floats]:
    """Positive and negative predictive value, each (R,), of tests with these rates (R,); NaN where nothing is called so."""
    right, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    cleared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    called, not_called = right + false, cleared + missed
    positive = np.divide(right, called, out=np.full(np.shape(called), np.nan), where=called > 0)
    negative = np.divide(cleared, not_called, out=np.full(np.shape(called), np.nan), where=not_called > 0)
    return positive, negative


def prevalence_part(audited: Audited) -> Section:
    """Predictive values by two rules: the likeliest class is not the normal one, and the threshold at the asked specificity."""
    rows = audited.rows
    title, asks = "Where fewer films are broken", "What is an alarm worth in a clinic?"
    abnormal = rows.labels != rows.normal_id
    scarce = int(min(abnormal.sum(), (~abnormal).sum()))
    if not scarce:
        return Section(PREVALENCE, title, asks, missing=("predictive values need normal and abnormal films; these are of one kind",))
    figures = classification_metrics(rows.labels, rows.probabilities, rows.names, rows.normal_id, audited.choices.specificity)
    tag = specificity_suffix(audited.choices.specificity)
    score = 1 - rows.probabilities[:, rows.normal_id]
    rules = {
        "the likeliest class is abnormal": rows.predicted != rows.normal_id,
        f"above the threshold at specificity {audited.choices.specificity:g}": score > float(figures[f"threshold_at_specificity_{tag}"]),
    }
    body, said = [], []
    data: dict[str, Any] = {}
    curves: dict[str, tuple[Floats, Floats]] = {}
    for rule, called in rules.items():
        groups = list(rows.groups)
        rates = {
            "sensitivity": weighed(_rate(called, abnormal), groups, audited.resampling, n=scarce, of="either kind"),
            "specificity": weighed(_rate(~called, ~abnormal), groups, audited.resampling, n=scarce, of="either kind"),
        }
        own = {}
        for share in SHARES:
            ppv, npv = (
                weighed(_value(called, abnormal, share, side), groups, audited.resampling, n=scarce, of="either kind") for side in (0, 1)
            )
            own[share] = ppv, npv
            alarms = "–" if not ppv.value else f"{(1 - ppv.value) / ppv.value:.1f}"
            body.append((plain(rule), f"{100 * share:g} %", figure_cell(ppv), figure_cell(npv), alarms))
        data[rule] = {**rates, "values": [{"prevalence": share, "positive": ppv, "negative": npv} for share, (ppv, npv) in own.items()]}
        grid = np.geomspace(0.005, 0.5, 80)
        sensitivity, specificity = (np.array(rates[key].value) for key in ("sensitivity", "specificity"))
        curves[rule] = grid, np.array([float(predictive_values(sensitivity, specificity, each)[0]) for each in grid])
        low, high = own[SHARES[0]], own[SHARES[-1]]
        said.append(
            f"Called abnormal because {rule} (sensitivity {figure_words(rates['sensitivity'])}, specificity "
            f"{figure_words(rates['specificity'])}): where 1 film in 100 is broken, {percent_words(low[0])} of the alarms are right; where "
            f"20 are, {percent_words(high[0])}."
            if rule.startswith("the")
            else f"Called abnormal {rule}: {percent_words(low[0])} and {percent_words(high[0])}."
        )
    own_share = float(abnormal.mean())
    said.append(f"Of the films scored here {100 * own_share:.0f} % are abnormal, so shares of right alarms counted on them flatter.")
    plot_curves(curves, ("share of films that are broken", "share of alarms that are right"), audited.out / PICTURE)
    head = (
        "called abnormal when",
        "prevalence",
        "alarms that are right (PPV)",
        "all-clears that are right (NPV)",
        "false alarms for a right one",
    )
    pictures = {PICTURE: "Share of alarms that are right, by prevalence"}
    return Section(PREVALENCE, title, asks, tuple(said), (Table(head, tuple(body)),), pictures, (), data)


def _rate(called: npt.NDArray[np.bool_], members: npt.NDArray[np.bool_]) -> Statistic:
    """The weighted share of the `members` that are `called`."""
    hits = share_of(called[members])
    return lambda weights: hits(weights[:, members])


def _value(called: npt.NDArray[np.bool_], abnormal: npt.NDArray[np.bool_], prevalence: float, side: int) -> Statistic:
    sensitivity, specificity = _rate(called, abnormal), _rate(~called, ~abnormal)
    return lambda weights: predictive_values(sensitivity(weights), specificity(weights), prevalence)[side]
