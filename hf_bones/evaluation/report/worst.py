"""The worst errors with their pictures: a self-contained HTML page, and a contact sheet for Markdown."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hf_bones.evaluation.report.rows import NOT_STATED, ScoredRows

NOTICE = "A research and teaching tool, not a medical device: it must not be used to diagnose or to decide on treatment."
_THUMBNAIL = 256
_SHEET = 24
_COLUMNS = 6
_GAP = 8
_LINE = 17

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222; background: #fff; }
ol { list-style: none; padding: 0; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
li { border: 1px solid #ccc; border-radius: 6px; padding: .7rem; }
img { display: block; width: 100%; height: 15rem; object-fit: contain; background: #000; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .6rem; margin: .6rem 0 0; font-size: .85rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; font-variant-numeric: tabular-nums; }
.notice { border-left: 4px solid #d55e00; padding: .4rem .8rem; background: #fdf3ec; }
"""


def worst_rows(rows: ScoredRows, limit: int) -> list[int]:
    """Up to `limit` rows whose predicted class is wrong, the least probability for the true class first (ties by image id)."""
    given = rows.probabilities[np.arange(len(rows.labels)), rows.labels]
    wrong = np.flatnonzero(rows.predicted != rows.labels)
    return sorted((int(i) for i in wrong), key=lambda i: (given[i], rows.image_ids[i]))[:limit]


def write_page(rows: ScoredRows, chosen: list[int], path: Path, title: str) -> None:
    """One HTML file with embedded JPEG thumbnails (long side ≤ 256 px) and no script; every text from the data is escaped."""
    total = int((rows.predicted != rows.labels).sum())
    items = "\n".join(_item(rows, index) for index in chosen)
    path.write_text(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
<p class="notice">{html.escape(NOTICE)}</p>
<p>{len(chosen)} of {total} wrong predictions among {len(rows.labels)} images, the least probability for the true class first.
A wrong prediction may be a wrong label: look before judging either.</p>
<ol>
{items or "<li>No wrong prediction.</li>"}
</ol></body></html>
""",
        encoding="utf-8",
    )


def write_sheet(rows: ScoredRows, chosen: list[int], path: Path) -> None:
    """A PNG with the first 24 of `chosen`, six to a line, each captioned with the true and the predicted class."""
    assert rows.image is not None, "the caller leaves the sheet out where there are no pictures"
    shown = chosen[:_SHEET]
    cell, caption, head = _THUMBNAIL + 2 * _GAP, 3 * _LINE + _GAP, 2 * _LINE
    lines = -(-len(shown) // _COLUMNS)
    sheet = Image.new("L", (_COLUMNS * cell, head + lines * (cell + caption)), 255)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    draw.text((_GAP, _GAP), f"The {len(shown)} errors that gave the true class least. Not a medical device.", fill=0, font=font)
    for place, index in enumerate(shown):
        left, top = place % _COLUMNS * cell, head + place // _COLUMNS * (cell + caption)
        true, predicted = (rows.names[k].replace("_", " ") for k in (rows.labels[index], rows.predicted[index]))
        words = (
            f"true: {true}, P = {rows.probabilities[index, rows.labels[index]]:.2f}",
            f"predicted: {predicted}",
            _short(rows.image_ids[index]),
        )
        for line, text in enumerate(words):
            draw.text((left + _GAP, top + line * _LINE), text, fill=0, font=font)
        small = _thumbnail(rows.image(index))
        sheet.paste(small, (left + (cell - small.width) // 2, top + caption + (cell - small.height) // 2))
    sheet.save(path)


def _item(rows: ScoredRows, index: int) -> str:
    assert rows.image is not None, "the caller leaves the page out where there are no pictures"
    stream = io.BytesIO()
    _thumbnail(rows.image(index)).save(stream, format="JPEG", quality=80)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    true, predicted = rows.names[rows.labels[index]], rows.names[rows.predicted[index]]
    shares = "\n".join(f"{rows.probabilities[index, k]:.3f} {name}" for k, name in enumerate(rows.names))
    facts = {
        "image": rows.image_ids[index],
        "true": true,
        "predicted": predicted,
        "probabilities": shares,
        "source": rows.sources[index] or NOT_STATED,
        "region": rows.regions[index] or NOT_STATED,
    }
    if rows.verdicts is not None:
        facts["verdict"] = rows.verdicts[index]
    terms = "".join(f"<dt>{key}</dt><dd>{html.escape(str(value))}</dd>" for key, value in facts.items())
    words = html.escape(f"Radiograph {rows.image_ids[index]}, labelled {true}, predicted {predicted}", quote=True)
    return f'<li><img alt="{words}" src="data:image/jpeg;base64,{data}"><dl>{terms}</dl></li>'


def _thumbnail(image: Image.Image) -> Image.Image:
    small = image.convert("L")
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return small


def _short(text: str) -> str:
    return text if len(text) <= 28 else f"…{text[-27:]}"
