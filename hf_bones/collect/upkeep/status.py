"""How a collection stands: URLs by provider, label, licence and outcome; searches; identical files; labels that contradict each other."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from hf_bones.manifest.store import Manifest, open_manifest
from hf_bones.pages.tables import rich_table

# A URL counts once, for the search that saw it first, so that the counts add up to the number of URLs. What was rebuilt counts for the
# provider that had found it in the beginning.
_OUTCOMES = """
SELECT coalesce(json_extract(s.details, '$.provider'), q.provider), coalesce(nullif(s.label, ''), q.label), s.licence, f.state, f.reason,
       count(*)
FROM fetches f JOIN sightings s ON s.id = f.sighting_id JOIN searches q ON q.id = s.search_id GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
# The labels under which each URL was seen, those included that a rebuilt image had brought from its first collection.
_SEEN = """
WITH seen (sha256, url, state, label) AS (
  SELECT f.sha256, f.url, f.state, coalesce(nullif(s.label, ''), q.label)
  FROM fetches f JOIN sightings s ON s.url = f.url JOIN searches q ON q.id = s.search_id
  UNION ALL
  SELECT f.sha256, f.url, f.state, other.value
  FROM fetches f JOIN sightings s ON s.url = f.url, json_each(s.details, '$.label_conflict') other
)
"""
_LABELS_OF_IMAGES = f"""
{_SEEN} SELECT sha256, json_group_array(DISTINCT label) AS labels FROM seen WHERE state = 'stored' AND label != '' GROUP BY sha256
HAVING count(DISTINCT label) > 1
"""
_URLS_IN_CONFLICT = f"""
{_SEEN} SELECT count(*) FROM (
  SELECT url FROM seen WHERE state != 'stored' AND label != '' GROUP BY url HAVING count(DISTINCT label) > 1
)
"""


@dataclass(frozen=True)
class OutcomeCount:
    """How many URLs of one provider, label and licence came to one outcome; `reason` is "" for those stored or waiting."""

    provider: str
    label: str
    licence: str
    state: str
    reason: str
    count: int


@dataclass(frozen=True)
class Status:
    """A collection in numbers. `copies` are URLs whose bytes another URL had brought before; `missing` are images whose file is not there.

    `bytes` is the size of the images, `bytes_on_disk` that of the whole folder. `label_conflicts` are images seen under several labels,
    `url_label_conflicts` URLs seen so that have brought no image.
    """

    outcomes: tuple[OutcomeCount, ...]
    searches: dict[str, int]
    failed_searches: tuple[tuple[str, str, str], ...]
    images: int
    missing: int
    bytes: int
    bytes_on_disk: int
    copies: int
    label_conflicts: int
    url_label_conflicts: int
    forgotten: int


def collection_status(folder: Path) -> Status:
    """The status of the collection in `folder`. Raises `ManifestError` where there is none."""
    with open_manifest(folder) as manifest:
        one = manifest.connection.execute
        images, size = one("SELECT count(*), coalesce(sum(bytes), 0) FROM images").fetchone()
        copies = one("SELECT count(*) - count(DISTINCT sha256) FROM fetches WHERE state = 'stored'").fetchone()[0]
        failed = manifest.rows("SELECT provider, query, error FROM searches WHERE state = 'failed' ORDER BY id")
        return Status(
            outcomes=tuple(OutcomeCount(*row) for row in manifest.rows(_OUTCOMES)),
            searches={row[0]: row[1] for row in manifest.rows("SELECT state, count(*) FROM searches GROUP BY state")},
            failed_searches=tuple((row[0], row[1], row[2]) for row in failed),
            images=images,
            missing=sum(not (manifest.folder / row[0]).is_file() for row in manifest.rows("SELECT file FROM images")),
            bytes=size,
            bytes_on_disk=_bytes_on_disk(manifest.folder),
            copies=copies,
            label_conflicts=len(label_conflicts(manifest)),
            url_label_conflicts=one(_URLS_IN_CONFLICT).fetchone()[0],
            forgotten=one("SELECT count(*) FROM tombstones").fetchone()[0],
        )


def label_conflicts(manifest: Manifest) -> dict[str, list[str]]:
    """Hash → labels, for each image that was seen under more than one."""
    return {row["sha256"]: sorted(json.loads(row["labels"])) for row in manifest.rows(_LABELS_OF_IMAGES)}


def _bytes_on_disk(folder: Path) -> int:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # a collector at work renames its files
                size += os.lstat(Path(place, name)).st_size
    return size


def status_table(status: Status) -> Table:
    """The outcomes as a table for the terminal, totals below."""
    rows = [
        [row.provider, row.label or "–", row.licence, row.state + (f": {row.reason}" if row.reason else ""), f"{row.count:,}"]
        for row in status.outcomes
    ]
    total = ["all", "", "", "", f"{sum(row.count for row in status.outcomes):,}"]
    return rich_table(["provider", "label", "licence", "outcome", "URLs"], rows, left=range(4), total=total)


def status_lines(status: Status) -> list[str]:
    """What the table does not say, a line each."""
    searches = ", ".join(f"{count} {state}" for state, count in sorted(status.searches.items())) or "none"
    lines = [
        f"images: {status.images:,} ({status.bytes / 2**20:,.1f} MiB; the whole folder {status.bytes_on_disk / 2**20:,.1f} MiB), "
        f"{status.copies:,} URLs brought identical files",
        f"searches: {searches}",
    ]
    lines += [f"  failed: {provider} {query!r}: {error}" for provider, query, error in status.failed_searches]
    if status.label_conflicts:
        lines.append(f"label conflicts: {status.label_conflicts:,} images were seen under several labels; a build leaves them out")
    if status.url_label_conflicts:
        lines.append(f"label conflicts: {status.url_label_conflicts:,} URLs that have brought no image were seen under several labels")
    if status.missing:
        lines.append(f"missing: the files of {status.missing:,} images are not there; fetch them again with: hf-bones collection rebuild")
    if status.forgotten:
        lines.append(f"forgotten: {status.forgotten:,} URLs and hashes")
    return lines
