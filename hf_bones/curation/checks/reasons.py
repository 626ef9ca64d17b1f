"""For which reasons an image is suspect: one list, with what each measures and on which side of its threshold the bad ones are.

The words stand in the manifest's table `checks`, in reports and in decisions. Thresholds stand in the recipe (`recipe.CheckSettings`).
Not here: measuring (`measuring.py`) and who is measured when (`run.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hf_bones.config.fields import nearest
from hf_bones.curation.recipe import CheckSettings


class Reason(StrEnum):
    """Every reason for which an image is flagged."""

    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    TOO_SMALL = "too_small"
    ODD_ASPECT = "odd_aspect"
    BLANK = "blank"
    LOW_INFORMATION = "low_information"
    BLURRY = "blurry"
    COLOUR_PHOTOGRAPH = "colour_photograph"
    DIAGRAM = "diagram"
    MULTI_PANEL = "multi_panel"
    BURNT_IN_MARKS = "burnt_in_marks"
    BURNT_IN_TEXT = "burnt_in_text"

    @property
    def words(self) -> str:
        """The reason as a person writes it."""
        hyphened = {"multi_panel": "multi-panel", "burnt_in_marks": "burnt-in marks", "burnt_in_text": "burnt-in text"}
        return hyphened.get(self.value, self.value.replace("_", " "))


def reasons_named(words: Sequence[str]) -> tuple[Reason, ...]:
    """The reasons of these names. Raises ValueError naming a word that is none, and the nearest reason."""
    known = [reason.value for reason in Reason]
    for word in words:
        if word not in known:
            raise ValueError(f"cannot drop for {word!r}: expected one of {', '.join(known)}{nearest(word, known)}")
    return tuple(map(Reason, words))


@dataclass(frozen=True)
class Rule:
    """How a reason is judged: `setting` is its threshold in the recipe ("": 0), `below` says that lower values are the bad ones.

    `value` says what is measured and in which unit, `meaning` what a flagged image probably is; both for a person.
    """

    reason: Reason
    setting: str
    below: bool
    value: str
    meaning: str

    def threshold(self, settings: CheckSettings) -> float:
        """The value beyond which images are flagged."""
        return float(getattr(settings, self.setting)) if self.setting else 0.0

    def is_flagged(self, value: float | None, threshold: float) -> bool:
        """Whether a value is past the threshold; what could not be measured is not."""
        return value is not None and (value < threshold if self.below else value > threshold)


RULES: Mapping[Reason, Rule] = {
    rule.reason: rule
    for rule in (
        Rule(Reason.UNREADABLE, "", False, "1 where it cannot be opened", "A file that is missing or damaged."),
        Rule(Reason.TRUNCATED, "min_rows", True, "share of the rows that are there", "A file that was cut off on its way."),
        Rule(Reason.TOO_SMALL, "min_side", True, "short side, px", "A thumbnail, or a thin crop."),
        Rule(Reason.ODD_ASPECT, "max_aspect", False, "long side ÷ short side", "A strip: a bad crop, a banner, a stitched limb."),
        Rule(Reason.BLANK, "min_grey_range", True, "grey levels between the 0.5 and 99.5 percentiles", "Hardly anything but one grey."),
        Rule(Reason.LOW_INFORMATION, "min_entropy", True, "entropy of the grey levels, bits", "A drawing, a mask, nearly all background."),
        Rule(Reason.BLURRY, "min_fine_detail", True, "finest detail ÷ next finest", "Out of focus, moved, or enlarged from a thumbnail."),
        Rule(Reason.COLOUR_PHOTOGRAPH, "max_colour", False, "mean colour beside the tint", "A photograph; an even tint does not count."),
        Rule(Reason.DIAGRAM, "max_flat_share", False, "flat bright share of what is not dark", "A diagram, plot, page or screenshot."),
        Rule(Reason.MULTI_PANEL, "max_panel_score", False, "cues of a gap or gutter", "Several films side by side, or both limbs on one."),
        Rule(
            Reason.BURNT_IN_MARKS, "max_marks", False, "area of marks, ten-thousandths", "Letters, arrows, markers; wires and rings too."
        ),
        Rule(Reason.BURNT_IN_TEXT, "max_text", False, "letters of the longest line", "A name, date or number, perhaps: nothing was read."),
    )
}  # fmt: skip
