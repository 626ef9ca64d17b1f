"""The report of near-duplicates: one self-contained HTML page with near-duplicates side by side, and a CSV of the groups.

Contradictory groups stand first. Not here: finding near-duplicates (`find.py`) and deciding about them (`decide.py`).
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from hf_bones.curation.duplicates.decide import Deduplicated
from hf_bones.curation.subject import Subject
from hf_bones.images.opening import open_image
from hf_bones.manifest.store import ImageRecord
from hf_bones.pages.pictures import data_url, thumbnail
from hf_bones.pages.tables import write_csv
from hf_bones.pages.templates import render

PAGE_NAME, TABLE_NAME = "near_duplicates.html", "near_duplicates.csv"
_SIDE = 300  # px of the pictures


def write_report(subject: Subject, done: Deduplicated, folder: Path, *, most: int = 500) -> tuple[Path, Path]:
    """Writes page and table into `folder`; returns both paths. The page shows the first `most` groups, the table has all."""
    folder.mkdir(parents=True, exist_ok=True)
    page, table = folder / PAGE_NAME, folder / TABLE_NAME
    page.write_text(_page(subject, done, most), encoding="utf-8")
    rows = [
        [group.name, record.sha256, record.file, record.final_label, record.provider, record.licence, record.split,
         record.sha256 == group.kept, group.is_contradictory]
        for group in done.groups for record in group.members
    ]  # fmt: skip
    write_csv(table, ["group", "sha256", "file", "label", "source", "licence", "split", "kept", "contradictory"], rows)
    return page, table


def _page(subject: Subject, done: Deduplicated, most: int) -> str:
    def picture(record: ImageRecord) -> str:
        return data_url(thumbnail(Image.fromarray(open_image(subject.read(record)).pixels), _SIDE))

    # What is one file, byte for byte, under several labels.
    known = [(subject.manifest.image(sha256), labels) for sha256, labels in done.identical.items() if sha256 not in done.unreadable]
    return render(
        "curation/duplicates/near_duplicates.html.j2",
        title=f"Near-duplicates in {subject.folder.resolve().name}",
        done=done,
        torn=sum(group.is_contradictory for group in done.groups) + len(done.identical),
        identical=[(record, labels) for record, labels in known if record is not None and record.file],
        most=most,
        picture=picture,
    )
