"""What a rule that may refer decides: coverage of its sets, referral rate, and the error among what it decides, by true class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_bones.metrics.figures import Floats, Ints
from hf_bones.metrics.intervals import group_weights, percentile_interval
from hf_bones.metrics.needs import MIN_ROWS

ALL = "all classes"
REFERRED = -1  # in place of a class
_MIN_GROUPS = 5  # fewer resample too much alike for an interval
Interval = tuple[float, float]


@dataclass(frozen=True)
class Share:
    """A share of rows: `count` of `of`, its value (None of no row), and its interval over groups (None where they are too few,
    or where all resamples agree)."""

    count: int
    of: int
    value: float | None
    interval: Interval | None


@dataclass(frozen=True)
class ClassDecisions:
    """The decisions on the rows of one true class, or of `ALL`.

    covered: rows whose prediction set holds their class. decided: rows whose verdict is a class; referred: all others. wrong: of the
    decided rows those whose verdict is another class. missed: of all rows those of an abnormal class whose verdict is the normal one.
    """

    name: str
    covered: Share
    decided: Share
    referred: Share
    wrong: Share
    missed: Share


def decisions_by_class(
    labels: Ints,
    sets: npt.NDArray[np.bool_],
    verdicts: Ints,
    groups: Sequence[str],
    names: Sequence[str],
    normal_id: int,
    *,
    repeats: int = 1000,
    seed: int = 0,
) -> list[ClassDecisions]:
    """The decisions on all rows, and on those of each class.

    labels (N,): class ids. sets (N, C): which classes are left open. verdicts (N,): class ids, `REFERRED` for what is no class. groups
    (N,): resampled whole. A share has no interval where it rests on fewer than ten rows or on fewer than five groups.
    """
    rows = np.arange(len(labels))
    decided = verdicts != REFERRED
    right = {
        "covered": sets[rows, labels],
        "decided": decided,
        "referred": ~decided,
        "wrong": decided & (verdicts != labels),
        "missed": (labels != normal_id) & (verdicts == normal_id),
    }
    found = []
    for name in (ALL, *names):
        own = np.ones(len(labels), dtype=bool) if name == ALL else labels == list(names).index(name)
        shares = {
            key: share(true, own & decided if key == "wrong" else own, groups, repeats=repeats, seed=seed) for key, true in right.items()
        }
        found.append(ClassDecisions(name, **shares))
    return found


def share(true: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_], groups: Sequence[str], *, repeats: int = 1000, seed: int = 0) -> Share:
    """How many of the rows `among` (N,) are `true` (N,), with a 95 % interval from resamples of whole groups."""
    of = int(among.sum())
    count = int((true & among).sum())
    if not of:
        return Share(0, 0, None, None)
    member = np.asarray(groups)[among]
    interval: Interval | None = None
    if of >= MIN_ROWS and len(np.unique(member)) >= _MIN_GROUPS:
        drawn: list[Floats] = []
        for weights in group_weights(member, of, repeats, seed):
            drawn.append((weights @ true[among]) / weights.sum(axis=1))
        low, high = percentile_interval(np.concatenate(drawn))
        interval = (low, high) if low < high else None  # the same in every resample: there was no error, say, which may be chance
    return Share(count, of, count / of, interval)
