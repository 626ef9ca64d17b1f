"""Vector scaling: a factor and an offset for each class, which make probabilities mean what they say (`vector` in decision.json).

It comes last, after the temperature, the patches and a second look:

    logit of a class, calibrated = scale of the class × its log probability so far + its bias

(Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599). Log probabilities rather than logits: these are known
up to a number added to all of them, which the factors of the classes would each make something else of. Equal factors without offsets are a
temperature. `hf-bones calibrate` fits it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hf_bones.inference.join import Floats, log_sum_exp

_LEAST = 1e-300  # of a probability, before its logarithm


@dataclass(frozen=True)
class VectorScaling:
    """Factors, over 0, and offsets of the C classes in the order of the model's outputs; `fitted_on`, counts and figures of the fit."""

    scale: tuple[float, ...]
    bias: tuple[float, ...]
    fitted_on: dict[str, Any] = field(default_factory=dict, kw_only=True)

    KEY: ClassVar[str] = "vector"  # in decision.json

    def __post_init__(self) -> None:
        if len(self.scale) != len(self.bias):
            raise ValueError(f"{self.KEY}: {len(self.scale)} numbers in scale, {len(self.bias)} in bias; each class has one of both")
        if not all(math.isfinite(value) for value in (*self.scale, *self.bias)) or min(self.scale, default=1.0) <= 0:
            raise ValueError(f"{self.KEY}: scale must hold finite numbers over 0, bias finite numbers")

    def applied(self, logits: npt.ArrayLike) -> Floats:
        """Calibrated logits, float64 (N, C), of logits (N, C)."""
        rows = np.asarray(logits, dtype=np.float64)
        scaled: Floats = (rows - log_sum_exp(rows)[:, None]) * np.array(self.scale) + np.array(self.bias)
        return scaled

    def undone(self, probabilities: npt.ArrayLike) -> Floats:
        """The probabilities (C,) that calibrated ones (C,) were before the scaling.

        A scaled row fixes the log probabilities before it up to one number, which is where they sum up to 1: it is found by bisection.
        """
        shifted = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _LEAST)) - np.array(self.bias)
        scale = np.array(self.scale)
        low, high = float((-shifted).min()) - 1e3, float((-shifted).max())  # at the latter one of them is 1 at the least
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if np.exp((shifted + middle) / scale).sum() < 1 else (low, middle)
        before: Floats = np.exp((shifted + high) / scale)
        return before / before.sum()

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "scale": list(self.scale), "bias": list(self.bias)}


def vector_from(data: object, where: str) -> VectorScaling | None:
    """The vector scaling of decision.json's `data`, None for null. Raises ValueError naming `where` and the key."""
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: {VectorScaling.KEY!r} must be null or a mapping with 'scale' and 'bias'")
    try:
        scale, bias = (tuple(float(value) for value in data[key]) for key in ("scale", "bias"))
        return VectorScaling(scale, bias, fitted_on=dict(data.get("fitted_on") or {}))
    except KeyError as error:
        raise ValueError(f"{where}: vector: key {error} is missing; fit it again with `hf-bones calibrate`") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {VectorScaling.KEY}: {error}") from error
