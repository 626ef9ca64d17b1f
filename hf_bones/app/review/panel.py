"""The panel beside a large image: its label, the model's view, near-duplicates, provenance, checks and log, as HTML.

As in `texts.py`, everything is escaped and `blind` leaves out whatever would tell a second reviewer the label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from hf_bones.app.demo.classify import Answer
from hf_bones.app.demo.texts import percent, words
from hf_bones.app.review.texts import decision_words, label_html, thumbnail_html, value_words
from hf_bones.curate.review.facets import CONTRADICTORY, TORN, Entry
from hf_bones.labels import LabelScheme
from hf_bones.manifest.store import Decision


def panel_html(entry: Entry, copies: Sequence[Entry], blind: bool, reviewer: str, scheme: LabelScheme, folder: Path) -> str:
    """All that is known about an image, beside it."""
    parts = [_provenance_html(entry, blind), _checks_html(entry, folder), _log_html(entry, blind, reviewer)]
    if not blind:
        parts = [_standing_html(entry), _opinion_html(entry, scheme, folder), _copies_html(entry, copies, blind, folder), *parts]
    else:
        parts = [
            '<section><p class="hint">Labels, titles and others\' decisions are hidden.</p></section>',
            _copies_html(entry, copies, blind, folder),
            *parts,
        ]
    return "".join(parts)


def _section(title: str, body: str) -> str:
    return f"<section><h3>{title}</h3>{body}</section>"


def _button(act: str, text: str, key: str) -> str:
    return f'<button type="button" class="small" data-act="{act}">{text} <kbd>{key}</kbd></button>'


def _hint(text: str, command: str, folder: Path) -> str:
    """What is missing, and which command of curation fills it."""
    return f'<p class="hint">{text} <code>hf-bones curate {command} {escape(str(folder))}</code></p>'


def _standing_html(entry: Entry) -> str:
    record = entry.record
    subtype = f" · {escape(words(record.final_subtype).lower())}" if record.final_subtype else ""
    lines = [f'<p class="now">{label_html(record.final_label)}{subtype}</p>']
    basis = f" ({escape(record.label_basis)})" if record.label_basis else ""
    if entry.relabelled:
        came = " · ".join(escape(part) for part in (words(record.label).lower() if record.label else "no label", record.subtype) if part)
        lines.append(f"<p>It came as: {came}{basis}.</p>")
    else:
        lines.append(f"<p>As it came{basis}{', confirmed in review' if record.reviewed_label else ''}.</p>")
    if entry.dropped:
        lines.append(f'<p class="warn">Dropped: {escape(record.decision_reason)}, by {escape(record.decided_by)}.</p>')
    if entry.came_as:
        lines.append(
            f'<p class="warn">Found under several labels: {escape(", ".join(words(label).lower() for label in entry.came_as))}.</p>'
        )
    if record.marks:
        lines.append(f'<p class="warn">{escape(record.marks)}</p>')
    return _section("Label", "".join(lines))


def bars_html(probabilities: Mapping[str, float]) -> str:
    """Probabilities as bars."""
    rows = "".join(
        f'<li data-class="{escape(name)}"><span>{escape(words(name))}</span><span class="bar">'
        f'<i style="width:{100 * min(max(share, 0), 1):.1f}%"></i></span><b>{percent(share)}</b></li>'
        for name, share in probabilities.items()
    )
    return f'<ul class="bars">{rows}</ul>'


def _opinion_html(entry: Entry, scheme: LabelScheme, folder: Path) -> str:
    opinion = entry.opinion
    button = f'<p class="ask">{_button("ask", "Ask the model now", "m")}</p><div class="asked"></div>'
    if opinion is None:
        return _section("The model's view", _hint("No out-of-fold opinions yet:", "suspects", folder) + button)
    ordered = sorted(opinion.probabilities, key=lambda name: scheme.names.index(name) if name in scheme.names else len(scheme.names))
    suspicion = "" if opinion.suspicion is None else f"<p>Suspicion of the label it came with: <b>{opinion.suspicion:.2f}</b></p>"
    bars = bars_html({name: opinion.probabilities[name] for name in ordered})
    return _section("The model's view", f'{bars}{suspicion}<p class="hint">Out of fold, {escape(opinion.model)}.</p>{button}')


def model_html(found: Answer, scheme: LabelScheme) -> str:
    """A model's finding, asked for by hand."""
    finding = found.finding
    if not finding.readable:
        return f'<p class="warn">{escape("; ".join(finding.reasons))}</p>'
    ordered = {name: finding.probabilities[name] for name in scheme.names if name in finding.probabilities}
    heat = "" if found.heat is None or found.silent else f" {_button('heat', 'Heat map', 'h')}"
    said = f"{escape(finding.checkpoint)}: {escape(words(finding.verdict).lower())}. It may have learnt from this very image."
    return f'{bars_html(ordered)}<p class="hint">{said}{heat}</p>'


def _copies_html(entry: Entry, copies: Sequence[Entry], blind: bool, folder: Path) -> str:
    if not copies:
        if blind or entry.record.hashes:
            return ""
        return _section("Near-duplicates", _hint("None found. They are looked for by", "dedup", folder))
    notes = []
    if not blind and entry.contradictory:
        notes.append(value_words("copies", CONTRADICTORY))
    if entry.torn:
        notes.append(value_words("copies", TORN))
    warn = f'<p class="warn">{"; ".join(notes).capitalize()}.</p>' if notes else ""
    links = {link.other: link for link in entry.links}
    rows = []
    for copy in copies:
        link = links.get(copy.record.sha256)
        how = f"{link.change} · {link.score:.2f}" if link else "same group"
        label = "" if blind else label_html(copy.record.final_label)
        gone = "" if blind or not copy.dropped else '<span class="hint">dropped</span>'
        rows.append(
            f'<li><button type="button" class="copy" data-act="compare" data-sha="{copy.record.sha256}">'
            f"{thumbnail_html(copy.record.sha256)}<span>{label}<br>{escape(how)}<br>"
            f"{escape(copy.record.split)} {escape(copy.record.provider)} {gone}</span></button>"
            f'<button type="button" class="small" data-act="open" data-sha="{copy.record.sha256}">Open</button></li>'
        )
    return _section("Near-duplicates <kbd>c</kbd>", f'{warn}<ul class="copies">{"".join(rows)}</ul>')


def link_html(url: str, text: str) -> str:
    """A link that tells its target nothing; the text alone where the URL is none of the web."""
    shown = escape(text or url)
    if urlsplit(url).scheme not in ("http", "https"):
        return shown
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer nofollow" referrerpolicy="no-referrer">{shown}</a>'


def _provenance_html(entry: Entry, blind: bool) -> str:
    record = entry.record
    size = f"{record.width} × {record.height} px, " if record.width and record.height else ""
    rows: list[tuple[str, str]] = [
        ("Source", escape(record.provider)),
        ("Licence", link_html(record.licence_url, record.licence) if record.licence_url else escape(record.licence)),
        ("Region, view", escape(", ".join(part for part in (record.region, record.view) if part))),
        ("Split", escape(record.split)),
        ("Size", escape(f"{size}{record.bytes / 1000:,.0f} kB {record.format}")),
    ]
    if not blind:
        rows = [
            ("Title", escape(record.title)),
            ("Page", link_html(record.page, urlsplit(record.page).hostname or record.page) if record.page else ""),
            ("Creator", link_html(record.creator_url, record.creator) if record.creator else ""),
            ("Query", escape(record.query)),
            *rows,
            ("Group", escape(record.group)),
            ("Boxes", str(len(record.boxes) or "")),
            ("Severity", "" if record.severity is None else f"{record.severity:.2f}"),
            ("File", escape(record.file)),
            ("Fetched", escape(record.fetched_at)),
        ]
        if record.synthetic:
            rows.append(("Drawn", "a drawing, not a film"))
    rows.append(("SHA-256", f'<code class="hash">{record.sha256}</code>'))
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows if value)
    return _section("Where it comes from", f"<dl>{listed}</dl>")


def _checks_html(entry: Entry, folder: Path) -> str:
    if not entry.checks:
        return _section("Checks", _hint("Not checked yet:", "checks", folder))

    def row(name: str, value: float | None, threshold: float | None, flagged: bool, detail: str) -> str:
        measured = "" if value is None else f"{value:.3g}"
        limit = "" if threshold is None else f"{threshold:.3g}"
        return (
            f"<tr{' class=flagged' if flagged else ''}><th>{'⚑ ' if flagged else ''}{escape(words(name))}</th>"
            f"<td>{measured}</td><td>{limit}</td><td>{escape(detail)}</td></tr>"
        )

    ordered = sorted(entry.checks, key=lambda check: (not check.flagged, check.reason))
    rows = "".join(row(check.reason, check.value, check.threshold, check.flagged, check.detail) for check in ordered)
    return f"<section><h3>Checks</h3><table><tr><th></th><td>value</td><td>limit</td><td></td></tr>{rows}</table></section>"


def _log_html(entry: Entry, blind: bool, reviewer: str) -> str:
    def line(decision: Decision) -> str:
        told = (
            "took back a decision"
            if decision.decision == "undo"
            else decision_words(decision.decision, decision.label, decision.subtype, decision.reason)
        )
        when = decision.decided_at.replace("T", " ")[:16]
        state = " class=undone" if decision.undone else ""
        return f"<li{state}><b>{escape(decision.decided_by)}</b> {escape(told)} <time>{escape(when)}</time></li>"

    seen = [decision for decision in entry.decisions if not blind or decision.decided_by == reviewer]
    if not seen:
        return ""
    return f'<section><h3>Decisions</h3><ol class="log">{"".join(line(decision) for decision in reversed(seen))}</ol></section>'
