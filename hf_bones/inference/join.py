"""How what the patches of a film say joins what the network says of the whole film.

A patch head (`patch_head.safetensors`) says of each patch whether a break lies there. A break is a few patches of a thousand, and the
classifier, which reads one token and the mean of the patches, loses small ones. So the patches are pooled to one number, their evidence,
which joins the film's answer:

    log odds (abnormal : healthy) = log_odds × those of the network, calibrated + evidence × evidence + offset

The logits of the abnormal classes keep their differences. The numbers are fitted by logistic regression (`join_fit.py`) and stand in
decision.json: under `patches` for the patches of the film as the network sees it, which takes no further pass through it and is part of
every answer, and under `second_look` for those of windows at a larger size (`second_look.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PatchJoin:
    """How evidence joins an answer: factors and offset as above, all finite, and `fitted_on`, counts and figures of the fit."""

    log_odds: float
    evidence: float
    offset: float
    fitted_on: dict[str, Any] = field(default_factory=dict, kw_only=True)

    KEY: ClassVar[str] = "patches"  # in decision.json

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.log_odds, self.evidence, self.offset)):
            raise ValueError(f"{self.KEY}: log_odds, evidence and offset must be finite numbers")

    def joined(self, logits: npt.ArrayLike, evidence: npt.ArrayLike, normal_id: int) -> Floats:
        """Calibrated logits (N, C), temperature divided out, with the evidence (N,) of the films in them; float64 (N, C).

        The logit of the normal class stays; the others move together. Evidence that is not finite raises ValueError.
        """
        rows, seen = np.array(logits, dtype=np.float64), np.asarray(evidence, dtype=np.float64)
        if not np.isfinite(seen).all():
            raise ValueError(f"{self.KEY}: the patches of a film gave no finite evidence")
        single = log_odds(rows, normal_id)
        shift = self.log_odds * single + self.evidence * seen + self.offset - single
        others = np.arange(rows.shape[1]) != normal_id
        rows[:, others] += shift[:, None]
        return rows

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def patch_join_from(data: object, where: str) -> PatchJoin | None:
    """The join of decision.json's `data`, None for null. Raises ValueError naming `where` and the key."""
    if data is None:
        return None
    return PatchJoin(**join_numbers(data, PatchJoin.KEY, where))


def join_numbers(data: object, name: str, where: str) -> dict[str, Any]:
    """What every join of decision.json has, as arguments of its class. Raises ValueError naming `where` and the key."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: {name!r} must be null or a mapping")
    try:
        numbers = {key: float(data[key]) for key in ("log_odds", "evidence", "offset")}
    except KeyError as error:
        raise ValueError(f"{where}: {name}: key {error} is missing; fit it again (`hf-bones second-look`, `join-patches`)") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {name}: {error}") from error
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError(f"{where}: {name}: log_odds, evidence and offset must be finite numbers")
    return {**numbers, "fitted_on": dict(data.get("fitted_on") or {})}


def log_odds(logits: npt.ArrayLike, normal_id: int) -> Floats:
    """Log odds of abnormal against normal, (N,), of logits (N, C): logsumexp of the abnormal ones less the normal one."""
    rows = np.asarray(logits, dtype=np.float64)
    return log_sum_exp(np.delete(rows, normal_id, axis=1)) - rows[:, normal_id]


def log_sum_exp(values: npt.ArrayLike) -> Floats:
    """Of each row of (N, K), (N,): a soft maximum, in which several high values count for more than one. −inf counts for nothing.

    Of patch logits it is the evidence of a film, as in learning from bags of instances (Pinheiro & Collobert, "From Image-level to
    Pixel-level Labeling with Convolutional Networks", CVPR 2015, at r = 1 and without the division by the number of patches).
    """
    rows = np.asarray(values, dtype=np.float64)
    top = rows.max(axis=1)
    found: Floats = top + np.log(np.exp(rows - top[:, None]).sum(axis=1))
    return found
