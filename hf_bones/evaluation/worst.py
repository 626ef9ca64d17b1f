"""The worst errors with their pictures: a self-contained HTML page, and a contact sheet for Markdown."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from PIL import Image

from hf_bones.evaluation.rows import NOT_STATED, ScoredRows

NOTICE = "A research and teaching tool, not a medical device: it must not be used to diagnose or to decide on treatment."
_THUMBNAIL = 256
_SHEET = 24
_COLUMNS = 6

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222; background: #fff; }
ol { list-style: none; padding: 0; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
li { border: 1px solid #ccc; border-radius: 6px; padding: .7rem; }
img { display: block; width: 100%; height: 15rem; object-fit: contain; background: #000; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .6rem; margin: .6rem 0 0; font-size: .85rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
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
    lines = -(-len(shown) // _COLUMNS)
    figure = Canvas(figsize=(2.3 * _COLUMNS, 2.95 * lines + 0.5), layout="constrained")
    axes = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, index in zip(axes, shown, strict=False):
        axis.imshow(np.asarray(_thumbnail(rows.image(index))), cmap="gray", vmin=0, vmax=255)
        true, predicted = (rows.names[k].replace("_", " ") for k in (rows.labels[index], rows.predicted[index]))
        given = rows.probabilities[index, rows.labels[index]]
        caption = f"true: {true}, P = {given:.2f}\npredicted: {predicted}\n{_short(rows.image_ids[index])}"
        axis.set_title(caption, fontsize=8, parse_math=False)
    figure.suptitle(f"The {len(shown)} errors that gave the true class least. Not a medical device.", fontsize=11)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _item(rows: ScoredRows, index: int) -> str:
    assert rows.image is not None, "the caller leaves the page out where there are no pictures"
    stream = io.BytesIO()
    _thumbnail(rows.image(index)).save(stream, format="JPEG", quality=80)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    true, predicted = rows.names[rows.labels[index]], rows.names[rows.predicted[index]]
    shares = ", ".join(f"{name} {rows.probabilities[index, k]:.3f}" for k, name in enumerate(rows.names))
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
