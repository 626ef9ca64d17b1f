"""The words of the look-up page, as HTML: cards, captions, agreement.

Titles, names, licences and reasons come from the web and from other people: everything is escaped. `blind` leaves out whatever would tell
a second reviewer the label. Not here: the panel (`panel.py`), the page's frame (`frame.py`), colours (`style.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import isnan
from pathlib import Path

from hf_bones.app.demo.texts import OTHER_SIGN, SIGNS, words
from hf_bones.curate.review.agreement import Agreement
from hf_bones.curate.review.facets import DROP, KEEP, NOT_ASKED, RELABEL, Entry
from hf_bones.curate.review.lookup import BY_ARRIVAL, BY_COPIES, BY_DECISION, BY_HASH, BY_SUSPICION

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
    if action == RELABEL:
        return f"is {words(label).lower()}" + (f", {subtype}" if subtype else "") + (" (confirmed)" if reason == "confirmed" else "")
    return {DROP: f"dropped ({reason})", KEEP: reason}.get(action, action)


def label_html(label: str) -> str:
    """A class with its sign."""
    if not label:
        return '<span class="label">no label</span>'
    sign = SIGNS.get(label, OTHER_SIGN)
    shown = f'<span class="sign" aria-hidden="true">{sign}</span> {escape(words(label))}'
    return f'<span class="label" data-class="{escape(label)}">{shown}</span>'


def thumbnail_html(sha256: str) -> str:
    """The small picture of an image, whose words stand beside it."""
    return f'<img src="/pictures/thumbnail/{sha256}" alt="" decoding="async">'


def card_html(entry: Entry, blind: bool, reviewer: str) -> str:
    """One image of the gallery, as a list item with a button."""
    record = entry.record
    own = entry.standing(reviewer)
    marks: list[tuple[str, str, str]] = []  # class, sign, words
    if blind:
        shown = own[-1].label if own and own[-1].decision == RELABEL else ""
        dropped = bool(own) and own[-1].decision == DROP
        why = own[-1].reason if dropped else ""
        under = label_html(shown) if shown else '<span class="label">read</span>' if own else '<span class="label">not read yet</span>'
    else:
        shown, dropped, why = record.final_label, entry.dropped, record.decision_reason
        under = label_html(shown)
        if entry.relabelled:
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
    badges = "".join(
        f'<span class="mark {kind}" title="{escape(tip)}" aria-hidden="true">{escape(sign)}</span>' for kind, sign, tip in marks
    )
    gone = f'<span class="gone">{escape(why)}</span>' if dropped else ""
    return (
        f'<li><button type="button" class="card" tabindex="-1" data-sha="{record.sha256}"{" data-dropped" if dropped else ""} '
        f'aria-label="{escape(f"Image {record.sha256[:8]}: {told}")}">'
        f'<span class="thumb">{thumbnail_html(record.sha256)}{gone}'
        f'<span class="marks">{badges}</span></span>{under}</button></li>'
    )


def command_that_fills(chosen: Mapping[str, frozenset[str]], folder: Path) -> str:
    """The command that fills what is filtered by, or ""."""
    return next((f"hf-bones curate {command} {folder}" for facet, command in _FILLS.items() if facet in chosen), "")


def nothing_html(chosen: Mapping[str, frozenset[str]], command: str) -> str:
    """In the gallery's place where nothing fits."""
    hint = f" What you filter by is filled by <code>{escape(command)}</code>." if command else ""
    return f'<li class="nothing">No image fits {"these filters" if chosen else "what you look for"}.{hint}</li>'


def caption_html(entry: Entry, blind: bool) -> str:
    """Under a film: what it is, in one line."""
    record = entry.record
    parts = [f"<code>{record.sha256[:8]}</code>"]
    if not blind:
        parts = [label_html(record.final_label), *parts]
    parts += [
        escape(part)
        for part in ("" if blind else words(record.final_subtype).lower(), record.split, record.provider, record.region)
        if part
    ]
    if entry.dropped and not blind:
        parts.append(f"dropped: {escape(record.decision_reason)}")
    return " · ".join(parts)


def no_agreement_html() -> str:
    return (
        '<p class="hint">Nobody has read two or more images in common yet. Each reviewer opens this page under a name of their own, ticks '
        "<b>Hide labels</b>, and gives labels with the keys of the classes. A label that is confirmed counts as a reading.</p>"
    )


def agreement_html(found: Agreement, differing: Sequence[tuple[str, str, str]], *, blind: bool) -> str:
    """Figures, table, and the images that differ. `blind` shows no single reading: it would be hidden elsewhere."""
    if not found.count:
        return '<p class="hint">These two have read no image in common.</p>'
    low, high = found.interval
    span = "" if isnan(low) else f' <span class="span">95 % interval {low:.2f} to {high:.2f}</span>'
    kappa = f"<b>{found.kappa:.2f}</b>{span}" if not isnan(found.kappa) else "<b>not defined</b> (one category was used)"
    head = "".join(f"<th>{escape(words(name))}</th>" for name in found.categories)
    rows = "".join(
        f"<tr><th>{escape(words(name))}</th>{''.join(f'<td{_same(i == j)}>{cell}</td>' for j, cell in enumerate(row))}</tr>"
        for i, (name, row) in enumerate(zip(found.categories, found.table.tolist(), strict=True))
    )
    caption = f"<caption>Rows: {escape(found.first)}. Columns: {escape(found.second)}.</caption>"
    table = f'<table class="confusion">{caption}<tr><th></th>{head}</tr>{rows}</table>'
    cards = "".join(
        f'<li><button type="button" class="card" data-act="open-differing" data-sha="{sha}">'
        f'<span class="thumb">{thumbnail_html(sha)}</span>'
        f'<span class="label">{escape(words(ours))} / {escape(words(theirs))}</span></button></li>'
        for sha, ours, theirs in ([] if blind else differing)
    )
    images = f"{len(differing):,} image{'' if len(differing) == 1 else 's'}"
    several = f'<h3>They differ on {images}</h3><ul class="cards">{cards}</ul>' if cards else ""
    return (
        f'<p class="kappa">Cohen\'s kappa {kappa}</p>'
        f"<p>{found.agreed:,} of {found.count:,} images read alike ({found.agreed / found.count:.0%}).</p>{table}{several}"
    )


def _same(diagonal: bool) -> str:
    return ' class="same"' if diagonal else ""
