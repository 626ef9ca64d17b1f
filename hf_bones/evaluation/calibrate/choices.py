"""What is asked of a calibration."""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.choices import choice
from hf_bones.evaluation.calibrate.recipe import FIT_ON, METHODS


@dataclass(frozen=True)
class CalibrateChoices:
    """Which rows are fitted on, and what is changed in the recipe: None keeps what stands there."""

    split: str = choice("validation", "Split to fit on; not the one that the checkpoint learnt from.")
    licences: tuple[str, ...] = choice((), "Fit only on rows with these licences (SPDX ids).", metavar="WORD…")
    sources: tuple[str, ...] = choice((), "Fit only on rows of these sources.", metavar="WORD…")
    method: str | None = choice(None, "How probabilities are scaled, instead of the recipe's way.", metavar="|".join(METHODS))
    alpha: float | None = choice(None, "Error level of every class, instead of the recipe's.")
    class_alpha: tuple[str, ...] = choice((), "Error level of one class; may be repeated.", metavar="CLASS=LEVEL")
    fit_on: str | None = choice(None, "Films that thresholds are fitted on, instead of the recipe's.", metavar="|".join(FIT_ON))
    cost_miss: float | None = choice(None, "Cost of an abnormal film called normal; moves the normal class's threshold.")
    cost_alarm: float | None = choice(None, "Cost of a normal film called abnormal; only its ratio to the other counts.")
    batch_size: int = choice(16, "Images per forward pass.", least=1)
    device: str | None = choice(None, "torch device; by default a GPU, if there is one.")
    revision: str | None = choice(None, "Branch, tag or commit of a Hub checkpoint.")
    cache: str | None = choice(None, "Keep the network's answers in this folder: a further run takes seconds.", metavar="PATH")
    site: bool = choice(False, "The films are a site's own: keep the rule that is replaced in decision.json, under `site`.")
    gate: bool = choice(False, "Fit a gate too, on the train split: what is no bone radiograph, and what is unfamiliar.")
    boxes: bool = choice(False, "Fit boxes and the scale of heat maps too; needs a patch head, and fracture boxes in the split.")
