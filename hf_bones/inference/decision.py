"""decision.json: how a checkpoint's logits become calibrated probabilities and a prediction set.

Temperature scaling follows Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017, arXiv 1706.04599): one number T > 0,
fitted on validation logits, divides the logits; the order of the classes never changes.

Not here: fitting vector scaling and thresholds (`evaluation/calibrate/`). They are read and applied where a checkpoint carries them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_bones.inference.boxes import BoxRule, boxes_from
from hf_bones.inference.conformal import Conformal, conformal_from
from hf_bones.inference.gate.fitted import GateRule, gate_rule_from
from hf_bones.inference.heat import HeatScale, heat_from
from hf_bones.inference.join import PatchJoin, patch_join_from
from hf_bones.inference.second_look import SecondLook, second_look_from
from hf_bones.inference.study.join import StudyJoin, study_join_from
from hf_bones.inference.vector import VectorScaling, vector_from
from hf_bones.labels import LabelScheme, scheme_from_dict
from hf_bones.logits import softmax
from hf_bones.record import read_json, write_json

SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, 2)  # 1 knew neither patches nor second look
FILE_NAME = "decision.json"

# Temperatures outside say more about a tiny or separable validation set than about the model.
TEMPERATURE_RANGE = (0.05, 20.0)


@dataclass(frozen=True)
class DecisionRule:
    """What turns logits into a decision.

    temperature: divides the logits; > 0.
    scheme: the classes with their written definitions, in the order of the model's outputs.
    image_size: side of the model input in px.
    thresholds: class name → [0, 1]; a class is in the prediction set when its calibrated probability reaches its threshold (one threshold
        a class: class-conditional conformal prediction). None: the set is the likeliest class alone.
    fitted_on: counts and losses of the fit, for the card.
    patches: how the patches of a film join its answer; None: they do not.
    vector: a factor and an offset for each class, applied last; None: there are none.
    conformal: error levels of the thresholds and how many films they were fitted on; None where thresholds came without.
    second_look: how windows of a doubtful film join its answer; None: a second look was not fitted.
    boxes: how patch logits become boxes; None: there are no boxes. heat: the fitted scale of heat maps; None: log odds (`heat.UNFITTED`).
    study: how the views of a study make one answer; None: by their mean.
    gate: the numbers of the gate, whose arrays stand beside; None: every image is taken for a film.
    """

    temperature: float
    scheme: LabelScheme
    image_size: int
    thresholds: dict[str, float] | None = None
    fitted_on: dict[str, Any] = field(default_factory=dict)
    patches: PatchJoin | None = None
    vector: VectorScaling | None = None
    conformal: Conformal | None = None
    second_look: SecondLook | None = None
    boxes: BoxRule | None = None
    heat: HeatScale | None = None
    study: StudyJoin | None = None
    gate: GateRule | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature must be a positive number, got {self.temperature}")
        if self.vector is not None and len(self.vector.scale) != len(self.scheme.names):
            raise ValueError(f"vector: {len(self.vector.scale)} numbers in scale, but the classes are {list(self.scheme.names)}")
        if self.conformal is not None and (self.thresholds is None or set(self.conformal.alpha) != set(self.scheme.names)):
            raise ValueError(f"conformal: needs 'thresholds', and an alpha for each of the classes {list(self.scheme.names)}")
        if self.thresholds is not None and set(self.thresholds) != set(self.scheme.names):
            raise ValueError(f"thresholds are for {sorted(self.thresholds)}, but the classes are {list(self.scheme.names)}")

    @property
    def has_places(self) -> bool:
        """Whether boxes or heat maps come from a patch head."""
        return self.boxes is not None or (self.heat is not None and self.heat.of_patches)

    @property
    def has_box_head(self) -> bool:
        """Whether it is `box_head.safetensors` that they come from."""
        return self.boxes is not None and self.boxes.head == "box"

    def calibrated(self, logits: np.ndarray, evidence: np.ndarray | None = None) -> np.ndarray:
        """What `joined` and `scaled` make of logits (N, C) and the evidence (N,) of the films' patches: float64 (N, C)."""
        return self.scaled(self.joined(logits, evidence))

    def scaled(self, joined: np.ndarray) -> np.ndarray:
        """The last step: joined logits (N, C) after vector scaling, where there is one."""
        return joined if self.vector is None else self.vector.applied(joined)

    def joined(self, logits: np.ndarray, evidence: np.ndarray | None = None) -> np.ndarray:
        """Logits (N, C) over the temperature, joined with the evidence (N,) of the films' patches where these join; float64 (N, C)."""
        joined: np.ndarray = np.asarray(logits, dtype=np.float64) / self.temperature
        if self.patches is None:
            return joined
        if evidence is None:
            raise ValueError("patches: their evidence is part of every answer of this decision, and none was given")
        return self.patches.joined(joined, evidence, self.scheme.normal_id)

    def looked_again(self, joined: np.ndarray, evidence: np.ndarray, look: SecondLook) -> np.ndarray:
        """Logits as `joined` gives them, (N, C), with the evidence (N,) of a second look where the film is doubtful, (N, C)."""
        doubtful = look.is_doubtful(1 - softmax(joined)[:, self.scheme.normal_id])
        again = np.array(joined, dtype=np.float64)
        if doubtful.any():
            again[doubtful] = look.joined(joined[doubtful], evidence[doubtful], self.scheme.normal_id)
        return again

    def prediction_set(self, probabilities: Sequence[float]) -> tuple[str, ...]:
        """The classes left open by one row of calibrated probabilities, likeliest first; empty when none reaches its threshold."""
        order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
        names = self.scheme.names
        if self.thresholds is None:
            return (names[order[0]],)
        shares: Sequence[float] = probabilities
        if self.vector is not None and self.conformal is not None and self.conformal.before_scaling:
            shares = self.vector.undone(probabilities).tolist()
        return tuple(names[index] for index in order if shares[index] >= self.thresholds[names[index]])


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean of −log P(true class), in nats, for logits (N, C) and labels (N,)."""
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float(np.mean(log_sum - logits[np.arange(len(labels)), labels]))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature in `TEMPERATURE_RANGE` that minimises the negative log-likelihood of labels (N,) under logits (N, C).

    In the inverse temperature b the loss is convex with slope mean(Σ p_c z_c − z_true), so the root of the slope is found by bisection.
    Raises ValueError when there is nothing to fit on or the shapes do not match.
    """
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels, dtype=np.int64)
    if z.ndim != 2 or y.shape != (len(z),) or len(z) == 0:
        raise ValueError(f"temperature needs logits (N, C) and labels (N,) with N ≥ 1, got {z.shape} and {y.shape}")
    if not np.isfinite(z).all() or y.min() < 0 or y.max() >= z.shape[1]:
        raise ValueError(f"temperature needs finite logits and labels in [0, {z.shape[1]}), got labels {y.min()}–{y.max()}")

    def slope(inverse: float) -> float:
        return float(np.mean((softmax(z * inverse) * z).sum(axis=1) - z[np.arange(len(y)), y]))

    low, high = 1 / TEMPERATURE_RANGE[1], 1 / TEMPERATURE_RANGE[0]
    if slope(low) >= 0:  # even at the highest temperature the logits claim too much
        return TEMPERATURE_RANGE[1]
    if slope(high) <= 0:  # every sharpening still helps: the classes are separated
        return TEMPERATURE_RANGE[0]
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / (low * high) ** 0.5


def calibrate(
    logits: np.ndarray, labels: np.ndarray, *, scheme: LabelScheme, image_size: int, copies: np.ndarray | None = None
) -> DecisionRule:
    """Fits the temperature on validation logits (N, C) and labels (N,), class ids in the order of `scheme`.

    `copies` (K × N, C) are logits of K augmented copies of these images, the first copies of all images first: the temperature is fitted
    on them too, what is said of the fit is of the images themselves.
    """
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels, dtype=np.int64)
    if z.ndim != 2 or z.shape[1] != len(scheme.names):
        raise ValueError(f"logits have shape {z.shape}, but the label scheme has {len(scheme.names)} classes {list(scheme.names)}")
    many = 0 if copies is None else len(copies) // max(1, len(y))
    temperature = fit_temperature(z if copies is None else np.concatenate([z, copies]), np.tile(y, many + 1))
    counts = np.bincount(y, minlength=len(scheme.names))
    return DecisionRule(
        temperature=temperature,
        scheme=scheme,
        image_size=image_size,
        fitted_on={
            "n": len(y),
            **({"copies_of_each": many} if many else {}),
            "counts": {name: int(count) for name, count in zip(scheme.names, counts, strict=True)},
            "log_loss_before": negative_log_likelihood(z, y),
            "log_loss_after": negative_log_likelihood(z / temperature, y),
        },
    )


def write_decision(decision: DecisionRule, folder: Path) -> Path:
    """Writes `folder`/decision.json and returns its path. Keys of an earlier one that are none of a rule (`site`) stay."""
    path = folder / FILE_NAME
    kept = read_json(path) if path.is_file() else {}
    write_json(
        path,
        {
            **kept,
            "schema_version": SCHEMA_VERSION,
            "temperature": decision.temperature,
            "thresholds": decision.thresholds,
            "labels": decision.scheme.as_dict(),
            "image_size": decision.image_size,
            "fitted_on": decision.fitted_on,
            "patches": decision.patches.as_dict() if decision.patches is not None else None,
            "vector": decision.vector.as_dict() if decision.vector is not None else None,
            "conformal": decision.conformal.as_dict() if decision.conformal is not None else None,
            "second_look": decision.second_look.as_dict() if decision.second_look is not None else None,
            BoxRule.KEY: decision.boxes.as_dict() if decision.boxes is not None else None,
            HeatScale.KEY: decision.heat.as_dict() if decision.heat is not None else None,
            StudyJoin.KEY: decision.study.as_dict() if decision.study is not None else None,
            GateRule.KEY: decision.gate.as_dict() if decision.gate is not None else None,
        },
    )
    return path


def read_decision(folder: Path) -> DecisionRule | None:
    """The decision beside a checkpoint, or None when it has none. Raises ValueError naming the file and key of a malformed one."""
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    data = read_json(path)
    version = data.get("schema_version")
    if version not in READABLE_VERSIONS:
        raise ValueError(f"{path}: schema_version is {version!r}, this hf-bones reads {SCHEMA_VERSION} and older; update hf-bones")
    labels, thresholds = data.get("labels"), data.get("thresholds")
    if not isinstance(labels, Mapping):
        raise ValueError(f"{path}: 'labels' must be a label scheme (a mapping with 'classes')")
    if thresholds is not None and not isinstance(thresholds, Mapping):
        raise ValueError(f"{path}: 'thresholds' must be null or map each class to a number")
    patches = patch_join_from(data.get(PatchJoin.KEY), str(path))
    vector = vector_from(data.get(VectorScaling.KEY), str(path))
    conformal = conformal_from(data.get(Conformal.KEY), str(path))
    second_look = second_look_from(data.get(SecondLook.KEY), str(path))
    study = study_join_from(data.get(StudyJoin.KEY), str(path))
    boxes, heat = boxes_from(data.get(BoxRule.KEY), str(path)), heat_from(data.get(HeatScale.KEY), str(path))
    gate = gate_rule_from(data.get(GateRule.KEY), str(path))
    try:
        return DecisionRule(
            temperature=float(data["temperature"]),
            scheme=scheme_from_dict(labels, f"{path}: labels"),
            image_size=int(data["image_size"]),
            thresholds=None if thresholds is None else {str(name): float(value) for name, value in thresholds.items()},
            fitted_on=dict(data.get("fitted_on") or {}),
            patches=patches,
            vector=vector,
            conformal=conformal,
            second_look=second_look,
            boxes=boxes,
            heat=heat,
            study=study,
            gate=gate,
        )
    except KeyError as error:
        raise ValueError(
            f"{path}: key {error} is missing; write the file again with `hf_bones.inference.decision.write_decision`"
        ) from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
