"""The words of the review page, as HTML: cards, captions, agreement.

`blind` leaves out whatever would tell a second reviewer the label. The template is `texts.html.j2`. Not here: the panel (`panel.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

from hf_bones.curation.review.agreement import Agreement
from hf_bones.curation.review.facets import DROP, KEEP, NOT_ASKED, RELABEL, Entry
from hf_bones.curation.review.index import BY_ARRIVAL, BY_COPIES, BY_DECISION, BY_HASH, BY_SUSPICION
from hf_bones.manifest.votes import ADJUDICATED, NEEDS_ADJUDICATION, Vote
from hf_bones.pages.templates import fragment
from hf_bones.pages.text import words

TEMPLATE = "app/review/texts.html.j2"
_VERBATIM = {"licence", "source"}
_ORDER_WORDS = {
    BY_HASH: "Mixed (by hash)",
    BY_SUSPICION: "Most suspect labels first",
    BY_COPIES: "Near-duplicates together",
    BY_DECISION: "Last decided first",
    BY_ARRIVAL: "As they came",
}
_FILLS = {"checks": "checks", "copies": "dedup", "suspicion": "suspects"}


def value_words(facet: str, value: str) -> str:
    """How a value of a facet is shown."""
    if not value:
        return "None stated"
    if facet == "suspicion" and value != NOT_ASKED:
        return value
    return value if facet in _VERBATIM else words(value)


def order_choices(checks: Sequence[Sequence[str]]) -> list[list[str]]:
    """[order, words] for the choice of orders; `checks` are those of checks."""
    return [[order, told] for order, told in _ORDER_WORDS.items()] + [[order, f"Check: {words(name).lower()}"] for order, name in checks]


def decision_words(action: str, label: str, subtype: str, reason: str) -> str:
    """A decision as part of a sentence. Plain text."""
    if action == RELABEL and reason == ADJUDICATED:
        return f"adjudicated as {words(label).lower()}" + (f", {subtype}" if subtype else "")
    if action == RELABEL:
        return f"is {words(label).lower()}" + (f", {subtype}" if subtype else "") + (" (confirmed)" if reason == "confirmed" else "")
    return {DROP: f"dropped ({reason})", KEEP: reason, "undo": "took back a decision"}.get(action, action)


def votes_words(votes: Sequence[Vote]) -> str:
    """Who says what, in one line: "ada: fractured, bo: healthy". Plain text."""
    return ", ".join(f"{vote.by or 'no name'}: {words(vote.says).lower()}" for vote in votes)


def card_html(entry: Entry, blind: bool, reviewer: str) -> str:
    """One image of the gallery, as a list item with a button."""
    record = entry.record
    own = entry.standing(reviewer)
    marks: list[tuple[str, str, str]] = []  # class, sign, words
    if blind:
        shown = own[-1].label if own and own[-1].decision == RELABEL else ""
        dropped = bool(own) and own[-1].decision == DROP
        why = own[-1].reason if dropped else ""
        in_its_place = "" if shown else "read" if own else "not read yet"
    else:
        shown, dropped, why = record.final_label, entry.dropped, record.decision_reason
        disputed = record.disputed
        in_its_place = NEEDS_ADJUDICATION.capitalize() if disputed else ""
        if disputed:
            marks.append(("disputed", "≠", f"{NEEDS_ADJUDICATION}, {votes_words(disputed)}"))
        elif entry.relabelled:
            marks.append(("relabelled", "✎", f"relabelled, was {words(record.label).lower() or 'without label'}"))
        elif record.reviewed_label:
            marks.append(("confirmed", "✓", "label confirmed"))
        if record.decision == KEEP:
            marks.append(("kept", "↺", "kept"))
        if entry.opinion is not None and entry.opinion.suspicion is not None and entry.opinion.suspicion >= 0.5:
            marks.append(("suspect", f"{entry.opinion.suspicion:.2f}", f"suspicion {entry.opinion.suspicion:.2f}"))
    if entry.copies:
        contradicts = ", labels contradict" if entry.contradictory and not blind else ""
        marks.append(("copies", f"×{len(entry.copies) + 1}", f"near-duplicates: {len(entry.copies)}{contradicts}"))
    flagged = [check.reason for check in entry.checks if check.flagged]
    if flagged:
        marks.append(("flagged", "⚑", f"flagged: {', '.join(words(reason).lower() for reason in flagged)}"))
    told = ", ".join(
        part for part in (words(shown) if shown else "", *(mark[2] for mark in marks), f"dropped: {why}" if dropped else "") if part
    )
    name = f"Image {record.sha256[:8]}: {told}"
    return fragment(TEMPLATE, "card", record.sha256, name, dropped, why, marks, shown, in_its_place)


def command_that_fills(chosen: Mapping[str, frozenset[str]], folder: Path) -> str:
    """The command that fills what is filtered by, or ""."""
    return next((f"hf-bones curate {command} {folder}" for facet, command in _FILLS.items() if facet in chosen), "")


def nothing_html(chosen: Mapping[str, frozenset[str]], command: str) -> str:
    """In the gallery's place where nothing fits."""
    return fragment(TEMPLATE, "nothing", bool(chosen), command)


def caption_html(entry: Entry, blind: bool) -> str:
    """Under a film: what it is, in one line."""
    record = entry.record
    parts = ["" if blind else words(record.final_subtype).lower(), record.split, record.provider, record.region]
    return fragment(TEMPLATE, "caption", record, [part for part in parts if part], blind, entry.dropped and not blind)


def no_agreement_html() -> str:
    return fragment(TEMPLATE, "no_agreement")


def agreement_html(found: Agreement, differing: Sequence[tuple[str, str, str]], *, blind: bool) -> str:
    """Figures, table, and the images that differ. `blind` shows no single reading: it would be hidden elsewhere."""
    return fragment(TEMPLATE, "agreement", found, not isnan(found.kappa), *found.interval, [] if blind else differing)
