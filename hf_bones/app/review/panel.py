"""The panel beside a large image: its label, the model's view, near-duplicates, provenance, checks and log, as HTML.

As in `texts.py`, `blind` leaves out whatever would tell a second reviewer the label. The template is `panel.html.j2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from hf_bones.app.demo.classify import Answer
from hf_bones.app.review.texts import TEMPLATE, decision_words, value_words
from hf_bones.curation.review.facets import CONTRADICTORY, TORN, Entry
from hf_bones.inference.heat import legend
from hf_bones.labels import LabelScheme
from hf_bones.manifest.store import ImageRecord
from hf_bones.pages.templates import fragment, render
from hf_bones.pages.text import is_web_address

Fact = tuple[str, str, str]  # its name, its text, the address that it leads to or ""


def panel_html(entry: Entry, copies: Sequence[Entry], blind: bool, reviewer: str, scheme: LabelScheme, folder: Path) -> str:
    """All that is known about an image, beside it."""
    given = entry.opinion.probabilities if entry.opinion else {}
    ordered = sorted(given, key=lambda name: scheme.names.index(name) if name in scheme.names else len(scheme.names))
    notes = [CONTRADICTORY] if entry.contradictory and not blind else []
    links = {link.other: link for link in entry.links}
    rows = []
    for copy in copies:
        link = links.get(copy.record.sha256)
        rows.append((copy.record, f"{link.change} · {link.score:.2f}" if link else "same group", copy.dropped and not blind))
    seen = [decision for decision in entry.decisions if not blind or decision.decided_by == reviewer]
    return render(
        "app/review/panel.html.j2",
        entry=entry,
        blind=blind,
        folder=folder,
        classes=scheme.names,
        probabilities={name: given[name] for name in ordered},
        copies=rows,
        notes=[value_words("copies", note) for note in (*notes, *([TORN] if entry.torn else []))],
        facts=_facts(entry.record, blind),
        checks=sorted(entry.checks, key=lambda check: (not check.flagged, check.reason)),
        decisions=[(one, decision_words(one.decision, one.label, one.subtype, one.reason)) for one in reversed(seen)],
    )


def model_html(found: Answer, scheme: LabelScheme) -> str:
    """A model's finding, asked for by hand."""
    finding = found.finding
    ordered = {name: finding.probabilities[name] for name in scheme.names if name in finding.probabilities}
    scale = legend(found.scale) if found.scale is not None and not found.silent else None
    return fragment(TEMPLATE, "model", finding, ordered, scale)


def _facts(record: ImageRecord, blind: bool) -> list[Fact]:
    size = f"{record.width} × {record.height} px, " if record.width and record.height else ""
    facts = [
        ("Source", record.provider, ""),
        _linked("Licence", record.licence, record.licence_url),
        ("Region, view", ", ".join(part for part in (record.region, record.view) if part), ""),
        ("Split", record.split, ""),
        ("Size", f"{size}{record.bytes / 1000:,.0f} kB {record.format}", ""),
    ]
    if blind:
        return facts
    return [
        ("Title", record.title, ""),
        _linked("Page", _host(record.page), record.page),
        _linked("Creator", record.creator, record.creator_url) if record.creator else ("Creator", "", ""),
        ("Query", record.query, ""),
        *facts,
        ("Group", record.group, ""),
        ("Boxes", str(len(record.boxes) or ""), ""),
        ("Severity", "" if record.severity is None else f"{record.severity:.2f}", ""),
        ("File", record.file, ""),
        ("Fetched", record.fetched_at, ""),
        ("Drawn", "drawn, not a real film" if record.synthetic else "", ""),
    ]


def _host(page: str) -> str:
    return (urlsplit(page).hostname if is_web_address(page) else "") or page


def _linked(name: str, text: str, url: str) -> Fact:
    """A fact with its address; the text alone where the address is none of the web."""
    return name, text or url, url if is_web_address(url) else ""
