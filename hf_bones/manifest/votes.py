"""What people said of one image, as votes: each reviewer's last decision that stands, about its label and about its use.

Two questions are voted on apart: which label an image has ("relabel", also where it confirms), and whether it is used ("drop", "keep").
Where reviewers differ, the image needs adjudication, and no vote counts more than another for being the last. An adjudication is a decision
whose reason is `ADJUDICATED`: it settles what was voted on its question before; whoever differs from it later asks for another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

NEEDS_ADJUDICATION = "needs adjudication"  # what is said of an image about which reviewers differ
ADJUDICATED = "adjudicated"
PROGRAM = "curate "  # how the names begin under which commands decide; a person's decision is a vote, theirs is not
_LABEL, _USE = ("relabel",), ("drop", "keep")


@dataclass(frozen=True)
class Vote:
    """One reviewer's word about one image: `decision` is "relabel" (to `label`, `subtype`), "drop" or "keep"."""

    by: str
    decision: str
    label: str = ""
    subtype: str = ""
    reason: str = ""
    at: str = ""

    @property
    def says(self) -> str:
        """The label, or the decision about use."""
        return self.label or self.decision


class _Reasoned(Protocol):
    @property
    def reason(self) -> str: ...


def adjudicates(decision: _Reasoned) -> bool:
    """Whether a vote or a decision settles what was voted before it."""
    return decision.reason.partition(":")[0] == ADJUDICATED


def votes_that_stand(said: Iterable[Vote]) -> tuple[Vote, ...]:
    """Of decisions that nobody took back, oldest first, those that are votes: on each question each person's last since it was adjudicated.

    A vote without a name, as an earlier export carries it, gives way to those that have one.
    """
    decisions = tuple(said)
    standing: list[Vote] = []
    for question in (_LABEL, _USE):
        votes: dict[str, Vote] = {}
        for vote in decisions:
            if vote.decision not in question or vote.by.startswith(PROGRAM):
                continue
            if adjudicates(vote):
                votes.clear()
            votes.pop(vote.by, None)
            votes[vote.by] = vote
        if len(votes) > 1:
            votes.pop("", None)
        standing += votes.values()
    return tuple(standing)


def on_label(votes: Iterable[Vote]) -> tuple[Vote, ...]:
    """The votes about the label."""
    return tuple(vote for vote in votes if vote.decision in _LABEL)


def on_use(votes: Iterable[Vote]) -> tuple[Vote, ...]:
    """The votes about dropping and keeping."""
    return tuple(vote for vote in votes if vote.decision in _USE)


def differ(votes: Iterable[Vote]) -> bool:
    """Whether votes on one question say more than one thing."""
    return len({vote.says for vote in votes}) > 1


def agreed_label(votes: Iterable[Vote]) -> tuple[str, str]:
    """Label and subtype on which all votes about the label agree; ("", "") where they differ or there are none.

    A subtype that some gave and nobody contradicts counts.
    """
    given = on_label(votes)
    if not given or differ(given):
        return "", ""
    subtypes = {vote.subtype for vote in given} - {""}
    return given[0].label, subtypes.pop() if len(subtypes) == 1 else ""


def stated_labels(label: str, votes: Iterable[Vote]) -> set[str]:
    """What an image may be: the `label` that counts, or while reviewers differ each that one of them gives; empty without any."""
    return {label} if label else {vote.label for vote in on_label(votes)}


def told(votes: Iterable[Vote]) -> str:
    """Who says what, for a message: "ada fractured, bo healthy"."""
    return ", ".join(f"{vote.by or 'nobody by name'} {vote.says}" for vote in votes)
