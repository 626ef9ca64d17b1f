"""The page of the checks' report: HTML and inline SVG out of plain data. Every text is escaped here."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BARS, _WIDTH, _HEIGHT = 48, 480, 64  # of a histogram: bars, and px of its drawing

_STYLE = """
:root { --ink: #1f2328; --faint: #636c76; --line: #d1d9e0; --ground: #fff; --soft: #f6f8fa; --bad: #bc4c00; --ok: #57606a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --faint: #9198a1; --line: #3d444d; --ground: #0d1117; --soft: #151b23; --bad: #f0883e; --ok: #6e7681; }
}
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 82rem; padding: 0 1.2rem; }
body { color: var(--ink); background: var(--ground); }
h1 { margin-bottom: .2rem; } h2 { margin: 2.6rem 0 .2rem; border-top: 1px solid var(--line); padding-top: 1.4rem; }
p { max-width: 60rem; margin: .3rem 0; } .faint { color: var(--faint); } a { color: inherit; }
table { border-collapse: collapse; margin: 1.2rem 0; }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; } td.bad { color: var(--bad); font-weight: 600; }
ol { list-style: none; padding: 0; margin: 1rem 0 0; display: grid; gap: .8rem; }
ol { grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); }
li { border: 1px solid var(--line); border-radius: 6px; overflow: hidden; background: var(--soft); }
li { font-size: .82rem; overflow-wrap: anywhere; }
li.flagged { border-color: var(--bad); } li.flagged b { color: var(--bad); }
li div { padding: .45rem .6rem .6rem; } li b { font-size: .95rem; font-variant-numeric: tabular-nums; } li span { display: block; }
li img, li .none { display: flex; width: 100%; height: 11.5rem; object-fit: contain; background: #000; color: #9198a1; padding: 0;
  align-items: center; justify-content: center; text-align: center; }
svg { display: block; margin: .8rem 0; max-width: 100%; } svg text { font: 11px system-ui, sans-serif; fill: var(--faint); }
.bar { fill: var(--ok); } .bar.past { fill: var(--bad); } .threshold { stroke: var(--bad); stroke-dasharray: 3 3; }
code { font-size: .92em; }
"""


@dataclass(frozen=True)
class Card:
    """One image: its `picture` as a data URL ("" where there is none), the value in words, and lines below it."""

    picture: str
    value: str
    lines: tuple[str, ...]
    flagged: bool


@dataclass(frozen=True, eq=False)
class Section:
    """One reason: its name, its title, what it is, the values of all images with the threshold, and cards of the worst."""

    name: str
    title: str
    meaning: str
    value: str
    values: Sequence[float]
    threshold: float
    below: bool
    flagged: int
    setting: str
    cards: Sequence[Card]
    has_spread: bool = True  # False where a value is either good or bad


def page(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """The whole page, without script and without anything from elsewhere."""
    rows = "\n".join(_table_row(section) for section in sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{html.escape(introduction)}</p>
<p class="faint">Flagged is suspect, not wrong: nothing was deleted or decided by a flag. Values are in the manifest, thresholds in the
recipe; changing a threshold judges anew without opening an image.</p>
<table><thead><tr><th>reason</th><th class="number">flagged</th><th class="number">measured</th><th class="number">worst</th>
<th class="number">threshold</th><th>measured is</th></tr></thead><tbody>
{rows}
</tbody></table>
{"".join(_section(section) for section in sections)}
</body></html>
"""


def number(value: float | None) -> str:
    """A value as it is shown: whole numbers without decimals, others with three digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def _table_row(section: Section) -> str:
    worst = (min if section.below else max)(section.values, default=None)
    bad = " bad" if section.flagged else ""
    side = "&lt;" if section.below else "&gt;"
    return (
        f'<tr><td><a href="#{section.name}">{html.escape(section.title)}</a></td><td class="number{bad}">{section.flagged:,}</td>'
        f'<td class="number">{len(section.values):,}</td><td class="number">{number(worst)}</td>'
        f'<td class="number">{side} {number(section.threshold)}</td><td class="faint">{html.escape(section.value)}</td></tr>'
    )


def _section(section: Section) -> str:
    side = "below" if section.below else "above"
    key = f" (<code>{html.escape(section.setting)}</code>)" if section.setting else ""
    many = f"{section.flagged:,} of {len(section.values):,} images are {side} {number(section.threshold)}{key}."
    shown = "\n".join(_card(card) for card in section.cards)
    return f"""
<h2 id="{section.name}">{html.escape(section.title)}</h2>
<p>{html.escape(section.meaning)} <span class="faint">Measured: {html.escape(section.value)}.</span></p>
<p>{many}</p>
{_histogram(section)}
<ol>{shown}</ol>
"""


def _card(card: Card) -> str:
    words = html.escape(", ".join((card.value, *card.lines)), quote=True)
    picture = f'<img alt="{words}" src="{card.picture}">' if card.picture else '<span class="none">no picture</span>'
    lines = "".join(f'<span class="faint">{html.escape(line)}</span>' for line in card.lines if line)
    return f"<li{' class=flagged' if card.flagged else ''}>{picture}<div><b>{html.escape(card.value)}</b>{lines}</div></li>"


def _histogram(section: Section) -> str:
    """How the values are spread; heights go by the square root of the counts, so that a few flagged images can be seen."""
    values = np.asarray(section.values, dtype=np.float64)
    if not section.has_spread or values.size < 2 or values.min() == values.max():
        return ""
    low, high = min(values.min(), section.threshold), max(values.max(), section.threshold)
    counts, edges = np.histogram(values, bins=_BARS, range=(low, high))
    step, tallest = _WIDTH / _BARS, float(np.sqrt(counts.max()))
    bars = []
    for place, count in enumerate(counts):
        if count:
            height = max(1.5, float(np.sqrt(count)) / tallest * _HEIGHT)
            middle = (edges[place] + edges[place + 1]) / 2
            past = " past" if (middle < section.threshold if section.below else middle > section.threshold) else ""
            bars.append(
                f'<rect class="bar{past}" x="{place * step:.1f}" y="{_HEIGHT - height:.1f}" width="{step - 1:.1f}" height="{height:.1f}">'
                f"<title>{number(edges[place])} to {number(edges[place + 1])}: {count:,} images</title></rect>"
            )
    at = (section.threshold - low) / (high - low) * _WIDTH
    anchor = "end" if at > _WIDTH / 2 else "start"
    return (
        f'<svg viewBox="0 -14 {_WIDTH} {_HEIGHT + 30}" width="{_WIDTH}" role="img" aria-label="Spread of the values">{"".join(bars)}'
        f'<line class="threshold" x1="{at:.1f}" x2="{at:.1f}" y1="-4" y2="{_HEIGHT}"/>'
        f'<text x="{at:.1f}" y="-5" text-anchor="{anchor}">threshold {number(section.threshold)}</text>'
        f'<text x="0" y="{_HEIGHT + 13}">{number(low)}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 13}" text-anchor="end">{number(high)}</text></svg>'
    )
