"""What a checkpoint answers, refers and refuses on films of other origins: a part of decide.py.

A film is decided where the verdict is a class, answered abnormal where that class is not the normal one. Beside the shipped thresholds
stands the curve that they are a point of: the least probability of a break at which a film is no longer called healthy, from low to high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from elsewhere import TEACHING, Elsewhere
from harness import Bar, bar

from hf_bones.inference.finding import NOT_A_BONE_XRAY, Finding
from hf_bones.metrics.intervals import group_weights, percentile_interval

MOST_MISSED, MOST_ALARMS = 0.25, 0.12
LEAST_DECIDED = {"eeeh": 0.6, "rsna_boneage": 0.6}
LEAST_FOUND = {"eeeh": 0.75}
MOST_REFERRED, MOST_REFUSED = 0.25, 0.05


@dataclass(frozen=True, eq=False)
class Answers:
    """Of N films: whether each was answered healthy, answered abnormal (else it is referred), and refused as no bone radiograph."""

    healthy: np.ndarray
    abnormal: np.ndarray
    refused: np.ndarray

    @property
    def decided(self) -> np.ndarray:
        return self.healthy | self.abnormal


def answers_of(findings: Sequence[Finding], normal: str) -> Answers:
    verdicts = np.array([finding.verdict for finding in findings])
    classes = {name for finding in findings for name in finding.probabilities}
    return Answers(verdicts == normal, np.isin(verdicts, sorted(classes - {normal})), verdicts == NOT_A_BONE_XRAY)


def elsewhere_bars(films: Elsewhere, findings: Sequence[Finding], normal: str) -> list[Bar]:
    """Source by source: decided, abnormal films answered healthy, healthy films answered abnormal, refused; each with its target."""
    told = answers_of(findings, normal)
    bars: list[Bar] = []
    for source in dict.fromkeys(films.sources.tolist()):
        own = films.sources == source
        abnormal, healthy = own & films.abnormal, own & ~films.abnormal
        bars.append(_share(f"{source}: decided", told.decided, own, films, LEAST_DECIDED.get(source)))
        if abnormal.any():
            most = MOST_MISSED if source == TEACHING else None
            bars.append(_share(f"{source}: abnormal films answered {normal}", told.healthy, abnormal, films, most, at_most=True))
            bars.append(_share(f"{source}: abnormal films answered abnormal", told.abnormal, abnormal, films, LEAST_FOUND.get(source)))
        if healthy.any():
            title = f"{source}: {normal} films answered abnormal"
            bars.append(_share(title, told.abnormal, healthy, films, MOST_ALARMS, at_most=True))
    every = np.ones(len(findings), bool)
    bars.append(_share("elsewhere: refused as no bone radiograph", told.refused, every, films, MOST_REFUSED, at_most=True))
    return bars


def referred_bar(findings: Sequence[Finding], groups: Sequence[str], normal: str) -> Bar:
    """The share of held-out films of the training sources that is referred or refused."""
    referred = ~answers_of(findings, normal).decided
    weights = np.concatenate([drawn @ referred / drawn.sum(axis=1) for drawn in group_weights(np.array(groups), len(referred))])
    title = "FracAtlas test: referred"
    return bar(title, referred.mean(), n=len(referred), interval=percentile_interval(weights), target=MOST_REFERRED, at_most=True)


def curve_bars(films: Elsewhere, findings: Sequence[Finding], test: Sequence[Finding], normal: str) -> list[Bar]:
    """The trade-off: films answered healthy only where P(healthy) reaches a level, from 0.3 to 0.9; all else as shipped."""
    told, told_test = answers_of(findings, normal), answers_of(test, normal)
    bars: list[Bar] = []
    for level in np.arange(0.3, 0.91, 0.1):
        healthy, here = _called_healthy(findings, told, normal, level), _called_healthy(test, told_test, normal, level)
        at = f"P({normal}) ≥ {level:.1f}"
        teaching = films.abnormal & (films.sources == TEACHING)
        if teaching.any():
            bars.append(bar(f"{at}: {TEACHING}'s breaks answered {normal}", healthy[teaching].mean(), n=int(teaching.sum())))
        for source in LEAST_DECIDED:
            own = films.sources == source
            if own.any():
                bars.append(bar(f"{at}: {source} decided", (healthy | told.abnormal)[own].mean(), n=int(own.sum())))
        bars.append(bar(f"{at}: FracAtlas test referred", (~(here | told_test.abnormal)).mean(), n=len(test)))
    return bars


def selective_bars(findings: Sequence[Finding], truth: Sequence[str]) -> list[Bar]:
    """The error of the likeliest class over all films, and over the 80 % whose likeliest class is likeliest; aim: half of it."""
    sure = np.array([max(finding.probabilities.values()) for finding in findings])
    wrong = np.array(
        [max(finding.probabilities, key=finding.probabilities.__getitem__) != name for finding, name in zip(findings, truth, strict=True)]
    )
    kept = np.argsort(-sure, kind="stable")[: round(0.8 * len(sure))]
    whole = float(wrong.mean())
    title = "FracAtlas test: error at 80 % coverage"
    return [
        bar("FracAtlas test: error at full coverage", whole, n=len(wrong)),
        bar(title, float(wrong[kept].mean()), n=len(kept), target=whole / 2, at_most=True),
    ]


def _called_healthy(findings: Sequence[Finding], told: Answers, normal: str, level: float) -> np.ndarray:
    share = np.array([finding.probabilities.get(normal, 0.0) for finding in findings])
    return (share >= level) & ~told.abnormal & ~told.refused & ~np.array([finding.unfamiliar for finding in findings])


def _share(name: str, told: np.ndarray, chosen: np.ndarray, films: Elsewhere, target: float | None = None, *, at_most: bool = False) -> Bar:
    kept = told[chosen].astype(float)
    groups = films.groups[chosen]
    drawn = np.concatenate([weights @ kept / weights.sum(axis=1) for weights in group_weights(groups, len(kept))])
    return bar(name, float(kept.mean()), n=len(kept), interval=percentile_interval(drawn), target=target, at_most=at_most)
