"""The gate: is this one bone radiograph, and is it one like those that the model learnt from?

First the pixels are asked (`pixels.py`): hardly any greys, flat paper, a sheet of pictures, colour. Then the network's features of
the image (`features.py`) are compared with those of the training films by the Mahalanobis distance (Lee et al., "A simple unified
framework for detecting out-of-distribution samples and adversarial attacks", NeurIPS 2018, with one class) at each of a few depths. The
logarithms of the distances, each in units of its spread over films that the fit did not see, are averaged: the score of the image.

    score ≥ `refuse`      not_a_bone_xray
    score ≥ `unfamiliar`  refer: a radiograph, perhaps, but unlike those learnt from

The numbers stand in decision.json under `gate`, the arrays in gate.safetensors beside the weights. Not here: the fit
(`evaluation/gate/fit.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from hf_bones.record import read_json, write_json

if TYPE_CHECKING:
    from hf_bones.inference.gate.pixels import PixelValues

Floats = npt.NDArray[np.float64]

FILE_NAME = "gate.safetensors"
DECISION_FILE = "decision.json"
MAX_BYTES = 2_000_000

FILM, UNFAMILIAR, NO_FILM = "film", "unfamiliar", "no_film"


@dataclass(frozen=True)
class GateRule:
    """The numbers of a gate.

    refuse, unfamiliar: scores from which an image is no film, and from which a film is unfamiliar; unfamiliar ≤ refuse. min_grey_range,
    max_flat_share, max_panels, max_colour: what pixel values of a film keep to. fitted_on: counts and shares of the fit.
    """

    refuse: float
    unfamiliar: float
    min_grey_range: float
    max_flat_share: float
    max_panels: float
    max_colour: float
    fitted_on: dict[str, Any] = field(default_factory=dict)

    KEY: ClassVar[str] = "gate"  # in decision.json

    def __post_init__(self) -> None:
        numbers = (self.refuse, self.unfamiliar, self.min_grey_range, self.max_flat_share, self.max_panels, self.max_colour)
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"{self.KEY}: every threshold must be a finite number")
        if self.unfamiliar > self.refuse:
            raise ValueError(f"{self.KEY}: unfamiliar ({self.unfamiliar:g}) must not be over refuse ({self.refuse:g})")

    def pixel_reasons(self, values: PixelValues) -> tuple[str, ...]:
        """Sentences of why the pixels are those of no film; none for a film."""
        found = (
            (values.grey_range < self.min_grey_range, f"hardly anything but one grey: {values.grey_range:.0f} grey levels"),
            (values.colour is not None and values.colour > self.max_colour, "a picture in colour"),
            (values.flat_share > self.max_flat_share, f"flat bright areas ({values.flat_share:.0%}): a page, plot, drawing or screen"),
            (values.panels > self.max_panels, "several pictures in one, parted down and across"),
        )
        return tuple(why for holds, why in found if holds)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Depth:
    """The training films at one depth of the network: what turns features (N, D) into squared distances.

    mean, scale (D,): of each feature. basis (D, K): the directions in which films vary most. spread (K,): by how much, as variances; rest:
    that of all other directions. centre, width: median and spread of the logarithm of the distance over films that the fit did not see.
    """

    mean: Floats
    scale: Floats
    basis: Floats
    spread: Floats
    rest: float
    centre: float
    width: float

    def log_distance(self, features: npt.ArrayLike) -> Floats:
        """The logarithm of the squared distance of features (N, D), (N,)."""
        z = (np.asarray(features, dtype=np.float64) - self.mean) / self.scale
        along = z @ self.basis
        left = np.maximum((z**2).sum(axis=1) - (along**2).sum(axis=1), 0) / self.rest
        found: Floats = np.log((along**2 / self.spread).sum(axis=1) + left + 1e-12)
        return found

    def score(self, features: npt.ArrayLike) -> Floats:
        """How far features (N, D) are, in units of the films' spread: about 0 for a film, (N,)."""
        return (self.log_distance(features) - self.centre) / self.width


@dataclass(frozen=True)
class GateAnswer:
    """What the gate says of one image: `kind` (`film`, `unfamiliar` or `no_film`), its score, the share of films at least as far (its
    familiarity, in [0, 1]), and sentences of why where it is no familiar film."""

    kind: str
    score: float
    familiarity: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Gate:
    """A fitted gate. `scores`: those of films that the fit did not see, sorted, which familiarity is measured against."""

    rule: GateRule
    depths: tuple[Depth, ...]
    scores: Floats

    def score(self, features: Sequence[npt.ArrayLike]) -> Floats:
        """The score of images, (N,), from their features at each depth, (N, D). Raises ValueError for features of another network."""
        sizes = [np.shape(each)[-1] for each in features]
        if sizes != [len(depth.mean) for depth in self.depths]:
            raise ValueError(f"{FILE_NAME} is for features of {[len(depth.mean) for depth in self.depths]} numbers, not of {sizes}")
        found: Floats = np.mean([depth.score(each) for depth, each in zip(self.depths, features, strict=True)], axis=0)
        return found

    def familiarity(self, score: float) -> float:
        """The share of the films that the fit did not see with this score or a higher one."""
        return float((self.scores >= score).mean())

    def answers(self, features: Sequence[npt.ArrayLike], values: Sequence[PixelValues]) -> list[GateAnswer]:
        """What the gate says of each of N images, from their features at each depth, (N, D), and their pixel values."""
        return [self.answer(float(score), own) for score, own in zip(self.score(features), values, strict=True)]

    def answer(self, score: float, values: PixelValues) -> GateAnswer:
        """What the score and the pixel values of an image say together."""
        rule, familiar = self.rule, self.familiarity(score)
        reasons = rule.pixel_reasons(values)
        if score >= rule.refuse:
            reasons += (f"not like one bone radiograph: distance from the films learnt from {score:.1f}, refused from {rule.refuse:.1f}",)
        if reasons:
            return GateAnswer(NO_FILM, score, familiar, reasons)
        if score >= rule.unfamiliar:
            why = f"unlike the films that the model learnt from: {familiar:.1%} of known films are as far from them"
            return GateAnswer(UNFAMILIAR, score, familiar, (why,))
        return GateAnswer(FILM, score, familiar)


def gate_rule_from(data: object, where: str) -> GateRule | None:
    """The gate's numbers of decision.json's `data`, None for null. Raises ValueError naming `where` and the key."""
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: {GateRule.KEY!r} must be null or a mapping")
    keys = ("refuse", "unfamiliar", "min_grey_range", "max_flat_share", "max_panels", "max_colour")
    try:
        return GateRule(**{key: float(data[key]) for key in keys}, fitted_on=dict(data.get("fitted_on") or {}))
    except KeyError as error:
        raise ValueError(f"{where}: {GateRule.KEY}: key {error} is missing; fit the gate again (`hf-bones calibrate`)") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def write_gate(gate: Gate | None, folder: Path) -> None:
    """Writes the gate into `folder`: gate.safetensors, and `gate` in its decision.json; None takes both away.

    Raises ValueError for a folder without a decision.json, and for a gate over `MAX_BYTES`.
    """
    from safetensors.numpy import save_file

    decision = folder / DECISION_FILE
    if not decision.is_file():
        raise ValueError(f"{folder}: no {DECISION_FILE}, in which a gate's thresholds stand; calibrate the checkpoint first")
    path = folder / FILE_NAME
    if gate is None:
        path.unlink(missing_ok=True)
    else:
        arrays: dict[str, Any] = {"scores": gate.scores.astype(np.float32)}
        for number, depth in enumerate(gate.depths):
            arrays |= {f"{number}.{name}": np.asarray(getattr(depth, name), dtype=np.float32) for name in ("mean", "scale", "spread")}
            arrays[f"{number}.basis"] = depth.basis.astype(np.float16)
            arrays[f"{number}.numbers"] = np.array([depth.rest, depth.centre, depth.width], dtype=np.float64)
        size = sum(array.nbytes for array in arrays.values())
        if size > MAX_BYTES:
            raise ValueError(f"a gate of {size} bytes, over the {MAX_BYTES} that {FILE_NAME} may have; fit it with fewer directions")
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
        path.chmod(0o644)
    write_json(decision, {**read_json(decision), GateRule.KEY: None if gate is None else gate.rule.as_dict()})


def read_gate(folder: Path) -> Gate | None:
    """The gate of a checkpoint, None where its decision.json has none. Raises ValueError naming what is malformed or missing."""
    decision, path = folder / DECISION_FILE, folder / FILE_NAME
    rule = gate_rule_from(read_json(decision).get(GateRule.KEY), str(decision)) if decision.is_file() else None
    if rule is None:
        return None
    if not path.is_file():
        raise ValueError(f"{path}: missing, but {DECISION_FILE} has a gate; fetch it with the rest of the checkpoint")
    return Gate(rule, *_read_arrays(path))


def _read_arrays(path: Path) -> tuple[tuple[Depth, ...], Floats]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        stored = {name: array.astype(np.float64) for name, array in load_file(path).items()}
        scores = np.sort(stored["scores"])
        depths: list[Depth] = []
        while f"{len(depths)}.mean" in stored:
            mean, scale, basis, spread = (stored[f"{len(depths)}.{name}"] for name in ("mean", "scale", "basis", "spread"))
            rest, centre, width = map(float, stored[f"{len(depths)}.numbers"])
            depths.append(Depth(mean, scale, basis, spread, rest, centre, width))
    except KeyError as error:
        raise ValueError(f"{path}: {error} is missing; fit the gate again") from error
    except (SafetensorError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a gate: {error}") from error
    for depth in depths:
        size, count = len(depth.mean), depth.basis.shape[-1]
        numbers = (depth.mean, depth.scale, depth.basis, depth.spread, np.array([depth.rest, depth.centre, depth.width]))
        shapes = depth.scale.shape == (size,) and depth.basis.shape == (size, count) and depth.spread.shape == (count,)
        positive = depth.rest > 0 and depth.width > 0 and (depth.scale > 0).all() and (depth.spread > 0).all()
        if not (shapes and positive and all(np.isfinite(each).all() for each in numbers)):
            raise ValueError(f"{path}: not a gate: its arrays do not fit one another, or hold numbers that are not finite or not positive")
    if not depths or not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"{path}: not a gate: it has no depth, or no finite scores")
    return tuple(depths), scores
