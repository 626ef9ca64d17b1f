"""Whether an answer stays the same under changes that should not matter: the film mirrored, and with less and with more contrast."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_bones.inference.finding import Finding

Pixels = npt.NDArray[np.uint8]

SOFTER, HARDER = 0.7, 1.4  # of the distance of each grey value from the film's mean


@dataclass(frozen=True, eq=False)
class Stability:
    """The findings of one film by change: `as_given`, `mirrored`, `softer`, `harder`."""

    findings: dict[str, Finding]

    @property
    def is_stable(self) -> bool:
        """Whether all have one verdict."""
        return len({finding.verdict for finding in self.findings.values()}) == 1


def changed_films(pixels: Pixels) -> dict[str, Pixels]:
    """The changed films by change, each uint8 (H, W) as `pixels`."""
    return {
        "mirrored": np.ascontiguousarray(pixels[:, ::-1]),
        "softer": with_contrast(pixels, SOFTER),
        "harder": with_contrast(pixels, HARDER),
    }


def with_contrast(pixels: Pixels, factor: float) -> Pixels:
    """The film with `factor` times the contrast about its own mean."""
    mean = float(pixels.mean())
    return np.clip((pixels.astype(np.float32) - mean) * factor + mean, 0, 255).round().astype(np.uint8)


def stability(given: Finding, pixels: Pixels, predict: Callable[[Pixels], Finding]) -> Stability:
    """Asks again about the changed films, all at once, so that they go through the network together."""
    changed = changed_films(pixels)
    with ThreadPoolExecutor(len(changed)) as pool:
        findings = list(pool.map(predict, changed.values()))
    return Stability({"as_given": given, **dict(zip(changed, findings, strict=True))})
