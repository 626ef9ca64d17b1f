"""Several views of one patient's examination, a study, answered together.

A view that cannot be read, or is no bone radiograph, is left out and said to be.

Not here: how their probabilities are joined (`join.py`), which files are one study (`lists.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hf_bones.inference.decision import DecisionRule
from hf_bones.inference.finding import NOT_A_BONE_XRAY, UNREADABLE, Finding
from hf_bones.inference.study.join import StudyJoin
from hf_bones.inference.verdict import verdict_of


def study_finding(name: str, views: Sequence[Finding], decision: DecisionRule) -> Finding:
    """One finding from the findings of a study's views, of one checkpoint and in their order; `views` hold them as they are.

    Of a study without a usable view the verdict is that of its views: `not_a_bone_xray` where one was readable, else `unreadable`. One of
    whose usable views half or more are unfamiliar is referred. Raises ValueError where there is no view.
    """
    if not views:
        raise ValueError(f"study {name!r} has no views")
    usable = [view for view in views if view.probabilities and view.verdict not in (UNREADABLE, NOT_A_BONE_XRAY)]
    left_out = tuple(f"{view.source} is left out: {_why(view)}" for view in views if view not in usable)
    whole = replace(
        views[0], source=name, study=name, views=tuple(views), heatmap=None, boxes=(), familiarity=None, reasons=left_out,
        verdict=UNREADABLE, probabilities={}, raw_probabilities={}, prediction_set=(),
    )  # fmt: skip
    if not usable:
        return replace(whole, verdict=NOT_A_BONE_XRAY if any(view.readable for view in views) else UNREADABLE)
    join, names = decision.study or StudyJoin(), decision.scheme.names
    calibrated = join.joined([[view.probabilities[each] for each in names] for view in usable], decision.scheme.normal_id)
    raw = join.joined([[view.raw_probabilities[each] for each in names] for view in usable], decision.scheme.normal_id)
    unfamiliar = sum(view.unfamiliar for view in usable)
    verdict, open_classes, reasons = verdict_of(decision, calibrated, unfamiliar=2 * unfamiliar >= len(usable))
    return replace(
        whole,
        verdict=verdict,
        prediction_set=open_classes,
        reasons=(*reasons, *left_out),
        probabilities={each: float(share) for each, share in zip(names, calibrated, strict=True)},
        raw_probabilities={each: float(share) for each, share in zip(names, raw, strict=True)},
        mirrored=all(view.mirrored for view in usable),
        zoomed=any(view.zoomed for view in usable),
        unfamiliar=2 * unfamiliar >= len(usable),
    )


def _why(view: Finding) -> str:
    return "; ".join(view.reasons) or view.verdict
