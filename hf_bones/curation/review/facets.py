"""What images can be filtered by: each facet says which of its values an image has. Values are the manifest's own words.

Not here: counting and filtering (`index.py`), and how values are shown (`app/review/texts.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hf_bones.labels import THREE_CLASS
from hf_bones.manifest.store import Decision, ImageRecord
from hf_bones.manifest.votes import NEEDS_ADJUDICATION, differ, on_use

DROP, KEEP, RELABEL = "drop", "keep", "relabel"
UNDECIDED, KEPT, DROPPED, RELABELLED, CONFIRMED = "undecided", "kept", "dropped", "relabelled", "confirmed"
UNREAD, READ = "not yet", "done"
NOT_CHECKED, NOTHING_FLAGGED = "not checked", "nothing flagged"
NO_COPIES, COPIES, CONTRADICTORY, TORN = "no near-duplicates", "has near-duplicates", "labels contradict", "in two splits"
SEVERAL_LABELS, ONE_LABEL = "several labels", "one label"
NOT_ASKED = "not asked"
# Lower ends of the bands that suspicion is shown in, from the most suspect down.
BANDS = (0.9, 0.7, 0.5, 0.3, 0.0)


@dataclass(frozen=True)
class Check:
    """What a check measured on an image; `flagged` where the value is past the threshold."""

    reason: str
    value: float | None
    threshold: float | None
    flagged: bool
    detail: str


@dataclass(frozen=True)
class NeighbourLink:
    """A near-duplicate of an image: its hash, by which change one is made of the other, and how alike they are (0 to 1)."""

    other: str
    change: str
    score: float


@dataclass(frozen=True)
class Opinion:
    """What a model that had not learnt from the image says of it. `suspicion` in [0, 1]: how likely the label is wrong; None: not asked."""

    model: str
    label: str
    probabilities: dict[str, float]
    suspicion: float | None


@dataclass
class Entry:
    """An image and all that is known of it.

    `copies` are the hashes of its near-duplicates, `decisions` all of its log, oldest first; `contradictory` says that copies have other
    labels, `torn` that they stand in other splits; `came_as` are the labels that it was found under, where those are several.
    """

    record: ImageRecord
    checks: tuple[Check, ...] = ()
    links: tuple[NeighbourLink, ...] = ()
    copies: tuple[str, ...] = ()
    opinion: Opinion | None = None
    decisions: tuple[Decision, ...] = ()
    contradictory: bool = False
    torn: bool = False
    came_as: tuple[str, ...] = ()

    @property
    def dropped(self) -> bool:
        """Whether it is dropped, and no other reviewer keeps it."""
        return self.record.decision == DROP and not differ(on_use(self.record.votes))

    @property
    def relabelled(self) -> bool:
        """Whether the label or subtype that counts is another one than the image came with."""
        record = self.record
        return bool(record.reviewed_label) and (record.final_label, record.final_subtype) != (record.label, record.subtype)

    def standing(self, reviewer: str) -> tuple[Decision, ...]:
        """The reviewer's own decisions about it that are not taken back."""
        return tuple(d for d in self.decisions if d.decided_by == reviewer and d.decision != "undo" and not d.undone)


@dataclass(frozen=True)
class Facet:
    """A filter: its name, its title, the values that an image has, and the order of values (others follow, the commonest first)."""

    name: str
    title: str
    values: Callable[[Entry], tuple[str, ...]]
    order: tuple[str, ...] = ()


def band(suspicion: float | None) -> str:
    """The band of suspicion: "0.7–0.9", say."""
    if suspicion is None:
        return NOT_ASKED
    upper = 1.0
    for lower in BANDS:
        if suspicion >= lower:
            break
        upper = lower
    return f"{lower:.1f}–{upper:.1f}"


def _decision(entry: Entry) -> tuple[str, ...]:
    if entry.record.disputed:
        return (NEEDS_ADJUDICATION,)
    said = [{DROP: DROPPED, KEEP: KEPT}.get(entry.record.decision, entry.record.decision)] if entry.record.decision else []
    if entry.record.reviewed_label:
        said.append(RELABELLED if entry.relabelled else CONFIRMED)
    return tuple(said) or (UNDECIDED,)


def _checks(entry: Entry) -> tuple[str, ...]:
    if not entry.checks:
        return (NOT_CHECKED,)
    return tuple(check.reason for check in entry.checks if check.flagged) or (NOTHING_FLAGGED,)


def _copies(entry: Entry) -> tuple[str, ...]:
    if not entry.copies:
        return (NO_COPIES,)
    return (COPIES, *([CONTRADICTORY] if entry.contradictory else []), *([TORN] if entry.torn else []))


FACETS = (
    Facet("label", "Label", lambda entry: (entry.record.final_label,), THREE_CLASS.names),
    Facet("subtype", "Subtype", lambda entry: (entry.record.final_subtype,)),
    Facet("decision", "Decision", _decision, (NEEDS_ADJUDICATION, UNDECIDED, KEPT, DROPPED, RELABELLED, CONFIRMED)),
    Facet(
        "suspicion",
        "Suspect label",
        lambda entry: (band(entry.opinion.suspicion if entry.opinion else None),),
        (*(band(lower) for lower in BANDS), NOT_ASKED),
    ),
    Facet("copies", "Near-duplicates", _copies, (CONTRADICTORY, TORN, COPIES, NO_COPIES)),
    Facet("came", "Found under", lambda entry: (SEVERAL_LABELS if entry.came_as else ONE_LABEL,), (SEVERAL_LABELS, ONE_LABEL)),
    Facet("checks", "Flagged by checks", _checks, (NOTHING_FLAGGED, NOT_CHECKED)),
    Facet("split", "Split", lambda entry: (entry.record.split,), ("train", "validation", "test", "unused")),
    Facet("source", "Source", lambda entry: (entry.record.provider,)),
    Facet("region", "Region", lambda entry: (entry.record.region,)),
    Facet("licence", "Licence", lambda entry: (entry.record.licence,)),
)
# One more, which depends on who asks: whether the reviewer has decided anything about the image.
MINE = "mine"
# What a second reviewer may filter by without being led.
BLIND_FACETS = frozenset({MINE, "checks", "split", "source", "region", "licence"})
