"""The attribution page of a collection: title, author, source and licence of each image, as Creative Commons recommends (TASL).

Titles and names come from strangers' pages: they are escaped in both forms, and only http and https addresses become links.
"""

from __future__ import annotations

from pathlib import Path

from hf_bones.collect.candidate import UNKNOWN_LICENCE
from hf_bones.collect.licences import licence_url
from hf_bones.manifest.store import ImageRecord, open_manifest
from hf_bones.pages.templates import render
from hf_bones.pages.text import one_line

_NOTE = "The files are stored as they came. What is made of them (a dataset, a model) may scale and recolour them."
_WARNING = "No licence is known for these. Do not pass them on."


def write_credits(folder: Path, out: Path) -> tuple[Path, Path, int]:
    """Writes CREDITS.md and credits.html into `out`; returns both and the number of images named. Images that were dropped are left out.

    Raises `ManifestError` where `folder` holds no collection.
    """
    with open_manifest(folder) as manifest:
        by_licence: dict[str, list[ImageRecord]] = {}
        for record in manifest.images():
            if record.decision != "drop":
                by_licence.setdefault(record.licence or UNKNOWN_LICENCE, []).append(record)
    values = {
        "title": "Image credits",
        "note": _NOTE,
        "warning": _WARNING,
        "unknown": UNKNOWN_LICENCE,
        # Those without a licence come last.
        "groups": sorted(by_licence.items(), key=lambda item: (item[0] == UNKNOWN_LICENCE, item[0])),
        "titled": lambda record: one_line(record.title) or "Untitled",
        "licence_url": licence_url,
    }
    out.mkdir(parents=True, exist_ok=True)
    markdown, page = out / "CREDITS.md", out / "credits.html"
    for path, template in ((markdown, "credits.md.j2"), (page, "credits.html.j2")):
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(render(f"collect/upkeep/{template}", **values), encoding="utf-8")
        partial.replace(path)
    return markdown, page, sum(map(len, by_licence.values()))
