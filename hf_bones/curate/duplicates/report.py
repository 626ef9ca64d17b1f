"""The report of near-duplicates: one self-contained HTML page with the copies side by side, and a CSV of the groups.

Contradictory groups stand first. Not here: finding copies (`find.py`) and deciding about them (`decide.py`).
"""

from __future__ import annotations

import base64
import csv
import html
import io
from pathlib import Path

from PIL import Image

from hf_bones.curate.duplicates.decide import CopyGroup, Deduplicated
from hf_bones.curate.subject import Subject
from hf_bones.images.opening import open_image
from hf_bones.manifest.store import ImageRecord

PAGE_NAME, TABLE_NAME = "near_duplicates.html", "near_duplicates.csv"
_SIDE, _QUALITY = 300, 80  # px; JPEG quality of the pictures

_STYLE = """
:root { color-scheme: light dark; } body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 82rem; padding: 0 1.2rem; }
h1 { margin-bottom: .2rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .3rem; border-top: 1px solid #8884; padding-top: 1.1rem; }
p { margin: .2rem 0; } .faint { opacity: .72; } .bad { color: #bc4c00; font-weight: 600; }
.row { display: flex; flex-wrap: wrap; gap: .7rem; margin-top: .6rem; } figure { margin: 0; width: 15rem; }
img { width: 15rem; height: 15rem; object-fit: contain; background: #000; border: 3px solid transparent; border-radius: 4px; }
.kept img { border-color: #1a7f37; } figcaption { font-size: .82rem; overflow-wrap: anywhere; }
"""


def write_report(subject: Subject, done: Deduplicated, folder: Path, *, most: int = 500) -> tuple[Path, Path]:
    """Writes page and table into `folder`; returns both paths. The page shows the first `most` groups, the table has all."""
    folder.mkdir(parents=True, exist_ok=True)
    page, table = folder / PAGE_NAME, folder / TABLE_NAME
    page.write_text(_page(subject, done, most), encoding="utf-8")
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["group", "sha256", "file", "label", "source", "licence", "split", "kept", "contradictory"])
        for group in done.groups:
            for record in group.members:
                kept = record.sha256 == group.kept
                writer.writerow(
                    [group.name, record.sha256, record.file, record.final_label, record.provider, record.licence, record.split, kept,
                     group.is_contradictory]
                )  # fmt: skip
    return page, table


def _page(subject: Subject, done: Deduplicated, most: int) -> str:
    torn = sum(group.is_contradictory for group in done.groups) + len(done.identical)
    title = f"Near-duplicates in {html.escape(subject.folder.resolve().name)}"
    shown = "\n".join(_group(subject, group) for group in done.groups[:most])
    more = f'<p class="bad">{len(done.groups) - most:,} further groups stand in the table only.</p>' if len(done.groups) > most else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>{_STYLE}</style></head><body><h1>{title}</h1>
<p>{done.images:,} images, {len(done.groups):,} groups of copies, {torn:,} of them under different labels.</p>
<p class="faint">The copy with a green frame is kept. Where labels contradict each other, none is: somebody has to decide, with
hf-bones review.</p>
{_identical(subject, done)}
{shown}
{more}
</body></html>
"""


def _identical(subject: Subject, done: Deduplicated) -> str:
    """What is one file, byte for byte, under several labels."""
    found = []
    for sha256, labels in done.identical.items():
        record = subject.manifest.image(sha256)
        if record is not None and record.file and sha256 not in done.unreadable:
            words = f'<span class="bad">different labels: {html.escape(", ".join(labels))}</span>'
            found.append(f'<h2>identical files {words}</h2><div class="row">{_figure(subject, record, False)}</div>')
    return "\n".join(found)


def _group(subject: Subject, group: CopyGroup) -> str:
    words = f'<span class="bad">different labels: {html.escape(", ".join(group.labels))}</span>' if group.is_contradictory else ""
    changes = "; ".join(f"{link.first[:8]} – {link.second[:8]}: {link.change} ({link.score:.2f})" for link in group.links)
    figures = "".join(_figure(subject, record, record.sha256 == group.kept) for record in group.members)
    return f'<h2>{html.escape(group.name)} {words}</h2><p class="faint">{html.escape(changes)}</p><div class="row">{figures}</div>'


def _figure(subject: Subject, record: ImageRecord, kept: bool) -> str:
    lines = (
        f"{record.sha256[:12]}{' – kept' if kept else ''}",
        f"{record.final_label or 'no label'}, {record.provider or 'no source'}, {record.licence}",
        record.title or record.file,
    )
    caption = "<br>".join(html.escape(line) for line in lines)
    return (
        f'<figure{" class=kept" if kept else ""}><img alt="" src="{_picture(subject, record)}"><figcaption>{caption}</figcaption></figure>'
    )


def _picture(subject: Subject, record: ImageRecord) -> str:
    image = Image.fromarray(open_image(subject.read(record)).pixels)
    image.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
