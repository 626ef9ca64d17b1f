"""What the thresholds of a decision rule promise, and why a film is referred (`conformal` in decision.json).

Class-conditional conformal prediction: of new films of a class like those that its threshold was fitted on, the share whose prediction set
lacks their class is at most the class's error level alpha (Vovk, "Conditional validity of inductive conformal predictors", Machine Learning
2013; Sadinle, Lei and Wasserman, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels", JASA 2019). `hf-bones calibrate` fits
the thresholds; they stand under `thresholds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

VALIDATION, OUT_OF_FOLD = "validation", "out_of_fold"
LOOK_AT_IT = "a radiologist should look at this image"


@dataclass(frozen=True)
class Conformal:
    """What thresholds rest on.

    alpha: class → the share of its films, in (0, 1), whose prediction set may lack it. n: class → films that its threshold was fitted on.
    fitted_on: `validation` or `out_of_fold`. costs: what a missed abnormal film and a false alarm cost, where these moved the threshold of
    the normal class, to which alpha then does not apply. abnormal_together: whether a film of which only abnormal classes are left open is
    answered by the likeliest of them; else it is referred as any other with more than one. before_scaling: whether the thresholds are for
    the probabilities before vector scaling, which do not know how frequent each class is where the films were fitted on.
    """

    alpha: dict[str, float]
    n: dict[str, int]
    fitted_on: str
    costs: dict[str, float] | None = None
    abnormal_together: bool = False
    before_scaling: bool = False

    KEY: ClassVar[str] = "conformal"  # in decision.json

    def __post_init__(self) -> None:
        if set(self.alpha) != set(self.n):
            raise ValueError(f"{self.KEY}: alpha is of {sorted(self.alpha)}, n of {sorted(self.n)}")
        if not all(0 < value < 1 for value in self.alpha.values()):
            raise ValueError(f"{self.KEY}: alpha must be between 0 and 1, got {self.alpha}")
        if self.fitted_on not in (VALIDATION, OUT_OF_FOLD):
            raise ValueError(f"{self.KEY}: fitted_on must be {VALIDATION!r} or {OUT_OF_FOLD!r}, got {self.fitted_on!r}")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def conformal_from(data: object, where: str) -> Conformal | None:
    """What decision.json's `data` says, None for null. Raises ValueError naming `where` and the key."""
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: {Conformal.KEY!r} must be null or a mapping with 'alpha', 'n' and 'fitted_on'")
    try:
        costs = data.get("costs")
        return Conformal(
            alpha={str(name): float(value) for name, value in data["alpha"].items()},
            n={str(name): int(value) for name, value in data["n"].items()},
            fitted_on=str(data["fitted_on"]),
            costs=None if costs is None else {str(name): float(value) for name, value in costs.items()},
            abnormal_together=bool(data.get("abnormal_together", False)),
            before_scaling=bool(data.get("before_scaling", False)),
        )
    except KeyError as error:
        raise ValueError(f"{where}: conformal: key {error} is missing; fit it again with `hf-bones calibrate`") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: {Conformal.KEY}: {error}") from error


def refer_reasons(open_classes: Sequence[str], probabilities: Mapping[str, float], conformal: Conformal | None) -> tuple[str, ...]:
    """Why a film whose prediction set is not one class is referred: sentences without their full stop.

    open_classes: the set, likeliest first. probabilities: of all classes, calibrated.
    """
    level = ""
    if conformal is not None:
        low, high = min(conformal.alpha.values()), max(conformal.alpha.values())
        level = f" at an error level of {100 * low:g} %" if low == high else f" at error levels of {100 * low:g} to {100 * high:g} %"
    if not open_classes:
        likeliest = max(probabilities, key=probabilities.__getitem__)
        return f"no class is likely enough{level}: the likeliest is {likeliest} ({100 * probabilities[likeliest]:.0f} %)", LOOK_AT_IT
    if len(open_classes) == 1:
        raise ValueError(f"{open_classes[0]} alone is left open: that is a verdict, and nothing to refer")
    named = [f"{name} ({100 * probabilities[name]:.0f} %)" for name in open_classes]
    both = "both" if len(named) == 2 else "all"
    return f"{', '.join(named[:-1])} and {named[-1]} are {both} possible{level}", LOOK_AT_IT
