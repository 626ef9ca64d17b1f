"""What an answer comes to: a verdict, the classes left open, why a film is referred or refused; and the finding that says so.

In this order: no bone radiograph; a film unlike those learnt from; a prediction set that is not one class; the class.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hf_bones.inference.answer import Answer
from hf_bones.inference.conformal import LOOK_AT_IT, refer_reasons
from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.finding import NOT_A_BONE_XRAY, REFER, Finding
from hf_bones.inference.gate.fitted import NO_FILM, UNFAMILIAR, GateAnswer
from hf_bones.logits import softmax

UNLIKE_OTHERS = "this image is unlike those that the model learnt from"


def verdict_of(
    decision: DecisionRule, calibrated: npt.NDArray[np.floating], gate: GateAnswer | None = None, *, unfamiliar: bool = False
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Verdict, prediction set and reasons from one row of calibrated probabilities (C,) and what the gate says, None without one.

    `unfamiliar`: referred as one that the gate does not know, whatever the probabilities say.
    """
    open_classes = decision.prediction_set(calibrated.tolist())
    if gate is not None and gate.kind == NO_FILM:
        return NOT_A_BONE_XRAY, open_classes, gate.reasons
    if gate is not None and gate.kind == UNFAMILIAR:
        return REFER, open_classes, (*gate.reasons, LOOK_AT_IT)
    if unfamiliar:
        return REFER, open_classes, (UNLIKE_OTHERS, LOOK_AT_IT)
    if len(open_classes) == 1:
        return open_classes[0], open_classes, ()
    together = decision.conformal is not None and decision.conformal.abnormal_together
    if together and open_classes and decision.scheme.normal not in open_classes:
        return open_classes[0], open_classes, (f"{' and '.join(open_classes[1:])} is possible too",)
    shares = {name: float(share) for name, share in zip(decision.scheme.names, calibrated, strict=True)}
    return REFER, open_classes, refer_reasons(open_classes, shares, decision.conformal)


def finding_of(source: str, answer: Answer, decision: DecisionRule, checkpoint: str, revision: str | None) -> Finding:
    """The finding of one image that was read."""
    names = decision.scheme.names
    calibrated, raw = softmax(answer.calibrated[None])[0], softmax(answer.logits.astype(np.float64))
    gate = answer.gate
    verdict, open_classes, reasons = verdict_of(decision, calibrated, gate)
    return Finding(
        source=source,
        verdict=verdict,
        checkpoint=checkpoint,
        revision=revision,
        probabilities={name: float(share) for name, share in zip(names, calibrated, strict=True)},
        raw_probabilities={name: float(share) for name, share in zip(names, raw, strict=True)},
        prediction_set=open_classes,
        reasons=reasons,
        boxes=decision.boxes.shown(answer.boxes, is_normal=verdict == decision.scheme.normal) if decision.boxes else (),
        heatmap=answer.heatmap,
        mirrored=answer.mirrored,
        zoomed=answer.zoomed,
        gated=gate is not None,
        familiarity=None if gate is None else gate.familiarity,
        unfamiliar=gate is not None and gate.kind == UNFAMILIAR,
    )
