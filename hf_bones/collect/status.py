"""How a collection stands: URLs by provider, label, licence and outcome; searches; copies; labels that contradict each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from hf_bones.manifest import Manifest, open_manifest

# A URL counts once, for the search that saw it first, so that the counts add up to the number of URLs.
_OUTCOMES = """
SELECT q.provider, coalesce(nullif(s.label, ''), q.label) AS label, s.licence, f.state, f.reason, count(*) AS count
FROM fetches f JOIN sightings s ON s.id = f.sighting_id JOIN searches q ON q.id = s.search_id GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
# The labels under which an image was seen, over all its URLs.
LABELS_OF_IMAGES = """
SELECT f.sha256, group_concat(DISTINCT coalesce(nullif(s.label, ''), q.label)) AS labels
FROM fetches f JOIN sightings s ON s.url = f.url JOIN searches q ON q.id = s.search_id
WHERE f.state = 'stored' AND coalesce(nullif(s.label, ''), q.label) != '' GROUP BY f.sha256
HAVING count(DISTINCT coalesce(nullif(s.label, ''), q.label)) > 1
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
    """A collection in numbers. `copies` are URLs whose bytes another URL had brought before; `bytes` is the size of the images."""

    outcomes: tuple[OutcomeCount, ...]
    searches: dict[str, int]
    failed_searches: tuple[tuple[str, str, str], ...]
    images: int
    bytes: int
    copies: int
    label_conflicts: int
    forgotten: int


def collection_status(folder: Path) -> Status:
    """The status of the collection in `folder`. Raises `ManifestError` where there is none."""
    with open_manifest(folder) as manifest:
        one = manifest.connection.execute
        images, size = one("SELECT count(*), coalesce(sum(bytes), 0) FROM images").fetchone()
        stored = one("SELECT count(*) FROM fetches WHERE state = 'stored'").fetchone()[0]
        failed = manifest.rows("SELECT provider, query, error FROM searches WHERE state = 'failed' ORDER BY id")
        return Status(
            outcomes=tuple(OutcomeCount(*row) for row in manifest.rows(_OUTCOMES)),
            searches={row[0]: row[1] for row in manifest.rows("SELECT state, count(*) FROM searches GROUP BY state")},
            failed_searches=tuple((row[0], row[1], row[2]) for row in failed),
            images=images,
            bytes=size,
            copies=max(0, stored - images),
            label_conflicts=len(label_conflicts(manifest)),
            forgotten=one("SELECT count(*) FROM tombstones").fetchone()[0],
        )


def label_conflicts(manifest: Manifest) -> dict[str, list[str]]:
    """Hash → labels, for each image that was seen under more than one."""
    return {row["sha256"]: sorted(row["labels"].split(",")) for row in manifest.rows(LABELS_OF_IMAGES)}


def status_table(status: Status) -> Table:
    """The outcomes as a table for the terminal, totals below."""
    table = Table("provider", "label", "licence", "outcome", show_edge=False, header_style="bold")
    table.add_column("URLs", justify="right")
    for row in status.outcomes:
        outcome = row.state + (f": {row.reason}" if row.reason else "")
        table.add_row(row.provider, row.label or "–", row.licence, outcome, f"{row.count:,}")
    table.add_section()
    table.add_row("all", "", "", "", f"{sum(row.count for row in status.outcomes):,}")
    return table


def status_lines(status: Status) -> list[str]:
    """What the table does not say, a line each."""
    searches = ", ".join(f"{count} {state}" for state, count in sorted(status.searches.items())) or "none"
    lines = [
        f"images: {status.images:,} ({status.bytes / 2**20:,.1f} MiB), {status.copies:,} URLs brought copies of them",
        f"searches: {searches}",
    ]
    lines += [f"  failed: {provider} {query!r}: {error}" for provider, query, error in status.failed_searches]
    if status.label_conflicts:
        lines.append(f"label conflicts: {status.label_conflicts:,} images were seen under several labels; a build leaves them out")
    if status.forgotten:
        lines.append(f"forgotten: {status.forgotten:,} URLs and hashes")
    return lines
