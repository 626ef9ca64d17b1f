"""What a decision does with films: how many abnormal ones it finds, how many normal ones it leaves alone, how many it refers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_bones.evaluation.report.cells import count_cell
from hf_bones.evaluation.report.figures import ENOUGH_GROUPS, MIN_GROUPS, ROUGH, Figure, Resampling
from hf_bones.metrics import MIN_ROWS
from hf_bones.metrics.figures import Ints
from hf_bones.metrics.intervals import group_weights, percentile_interval

Mask = npt.NDArray[np.bool_]
CALLED_ABNORMAL, CALLED_NORMAL, REFERRED = 1, 0, -1

# Key → how it reads. The order of tables.
SHARES = {
    "sensitivity": "sensitivity: abnormal films called abnormal, of those decided",
    "specificity": "specificity: normal films called normal, of those decided",
    "found_or_referred": "abnormal films called abnormal or referred, of all abnormal",
    "missed": "abnormal films called normal, of all abnormal",
    "false_alarms": "normal films called abnormal, of all normal",
    "ppv": "positive predictive value: abnormal, of those called abnormal",
    "npv": "negative predictive value: normal, of those called normal",
    "referred": "films referred, of all",
    "wrong": "wrong calls, of those decided",
}


@dataclass(frozen=True)
class Share:
    """`hits` of `count` films, and the share as a figure with its interval or the reason why it has none."""

    hits: int
    count: int
    figure: Figure

    def cell(self) -> str:
        """As it stands in a table: `72 of 93: 0.77 (0.68–0.85)`."""
        return count_cell(self.hits, self.figure, self.count, with_reason=self.count >= MIN_ROWS)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def called(verdicts: Sequence[str], normal: str, classes: Sequence[str]) -> Ints:
    """(N,) what each verdict says of its film: abnormal, normal, or that somebody else has to look (`REFERRED`)."""
    meant = {name: CALLED_NORMAL if name == normal else CALLED_ABNORMAL for name in classes}
    return np.array([meant.get(verdict, REFERRED) for verdict in verdicts], dtype=np.int64).reshape(-1)


def operating_shares(abnormal: Mask, calls: Ints, groups: Sequence[str], resampling: Resampling) -> dict[str, Share]:
    """Every share of `SHARES`, from the truth (N,) and what was called (N,); intervals by a bootstrap over `groups` (N,)."""
    decided, alarm = calls != REFERRED, calls == CALLED_ABNORMAL
    parts: dict[str, tuple[Mask, Mask, str]] = {
        "sensitivity": (abnormal & alarm, abnormal & decided, "decided abnormal films"),
        "specificity": (~abnormal & decided & ~alarm, ~abnormal & decided, "decided normal films"),
        "found_or_referred": (abnormal & (alarm | ~decided), abnormal, "abnormal films"),
        "missed": (abnormal & decided & ~alarm, abnormal, "abnormal films"),
        "false_alarms": (~abnormal & alarm, ~abnormal, "normal films"),
        "ppv": (abnormal & alarm, alarm, "films called abnormal"),
        "npv": (~abnormal & decided & ~alarm, decided & ~alarm, "films called normal"),
        "referred": (~decided, np.ones(len(calls), dtype=bool), "films"),
        "wrong": (decided & (alarm != abnormal), decided, "decided films"),
    }
    hits = np.stack([hit for hit, _, _ in parts.values()], axis=1).astype(np.float64)
    among = np.stack([of for _, of, _ in parts.values()], axis=1).astype(np.float64)
    drawn = _resampled(hits, among, groups, resampling)
    found = {}
    for place, (key, (hit, of, words)) in enumerate(parts.items()):
        holding = len({group for group, inside in zip(groups, of, strict=True) if inside})
        interval = percentile_interval(drawn[:, place], resampling.level) if len(drawn) else None
        count = int(of.sum())
        value = float(hit.sum() / count) if count else None
        found[key] = Share(int(hit.sum()), count, share_figure(value, interval, count, words, holding))
    return found


def share_figure(value: float | None, interval: tuple[float, float] | None, count: int, words: str, groups: int) -> Figure:
    """A share with its interval where enough films and groups hold it up, else with the reason (the limits of every report)."""
    if value is None:
        return Figure(None, None, 0, words, groups, f"no {words}")
    if count < MIN_ROWS:
        return Figure(value, None, count, words, groups, f"only {count} {words}")
    if interval is None or groups < MIN_GROUPS:
        return Figure(value, None, count, words, groups, f"only {groups} groups")
    if np.isnan(interval[0]):
        return Figure(value, None, count, words, groups, "undefined in over 5 % of the resamples")
    if interval[0] == interval[1] and value not in (0, 1):
        return Figure(value, None, count, words, groups, "the same in every resample")
    if interval[0] == interval[1]:  # none or all: that there was no error among 34 does not mean that there can be none
        return Figure(value, exact_interval(value, groups), count, words, groups, f"exact, of {groups} groups")
    return Figure(value, interval, count, words, groups, f"{ROUGH}: only {groups} groups" if groups < ENOUGH_GROUPS else None)


def exact_interval(value: float, groups: int, level: float = 0.95) -> tuple[float, float]:
    """The interval (Clopper and Pearson 1934) of a share that is 0 or 1 in all of so many groups."""
    open_end = ((1 - level) / 2) ** (1 / groups)
    return (open_end, 1.0) if value == 1 else (0.0, 1 - open_end)


def _resampled(
    hits: npt.NDArray[np.float64], among: npt.NDArray[np.float64], groups: Sequence[str], resampling: Resampling
) -> npt.NDArray[np.float64]:
    """Shares (R, K) in resamples of whole groups; (0, K) where there are too few groups to draw from."""
    if len(set(groups)) < MIN_GROUPS:
        return np.zeros((0, hits.shape[1]))
    parts = []
    for weights in group_weights(groups, len(hits), resampling.repeats, resampling.seed):
        total = weights @ among
        parts.append(np.divide(weights @ hits, total, out=np.full(total.shape, np.nan), where=total > 0))
    return np.concatenate(parts)
