"""Local images into a collection: folders, tables and datasets, as `hf-bones build` reads them, through the collector's queue and examiner.

An image that is added so is known as a collected one is: kept as it came under its SHA-256, refused by name where it is none, counted by
`collection status`, left in place by a second run. Its URL is "KIND:NAME/name of the image": a name that stays the same when the files
move, and no path of anybody's machine. Where bytes have changed under such a name, they are another image, whose URL ends on their hash.

The same bytes under two labels are one image with a label conflict. Nothing is asked of the network, URLs that wait for it included.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import ClassVar
from urllib.parse import quote

from hf_bones.collect import queue
from hf_bones.collect.candidate import Candidate
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.http.web import user_agent
from hf_bones.collect.licences import licence_url, spdx
from hf_bones.collect.providers.folder import credit
from hf_bones.collect.queue import Search
from hf_bones.collect.recipe import FetchSettings
from hf_bones.collect.recording import CollectResult
from hf_bones.collect.run import collect
from hf_bones.collect.upkeep.status import label_conflicts
from hf_bones.curation.splits.names import UNUSED
from hf_bones.dataset.build import resolve_labels, resolve_subtype
from hf_bones.dataset.choices import ReadingChoices
from hf_bones.dataset.command import parse_label_map
from hf_bones.dataset.reading.detect import KINDS, detect_kind, read_source
from hf_bones.dataset.reading.listed.table_rows import require_table
from hf_bones.dataset.reading.sources import LeftOut, SourceRow
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.dataset.scheme import chosen_scheme
from hf_bones.dataset.subject import DATASET_FILE
from hf_bones.manifest.store import MANIFEST_NAME, Manifest, open_manifest

ADDED_KINDS = tuple(kind for kind in KINDS if kind not in ("collection", "drawn"))
_SCHEMES = {"manifest": "table", "dataset": "dataset"}  # all other kinds are folders
_BASES = {  # of labels; others have the name of the public set
    "folder": "folder", "manifest": "table", "imagefolder": "table", "classes-csv": "table", "dataset": "dataset",
    **dict.fromkeys(("coco", "yolo", "voc", "boxes-csv"), "boxes"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Added:
    """What a run did: the collector's counts, refusals of the collection by reason, rows that the readers left out, their notes."""

    result: CollectResult
    reasons: dict[str, int]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    conflicts: int


def add_images(
    sources: Sequence[str],
    out: Path,
    *,
    choices: ReadingChoices = ReadingChoices(),  # noqa: B008 - frozen
    creator: str = "",
    show_progress: bool = False,
) -> Added:
    """Adds the images of `sources` to the collection `out`, new or there already. `creator` made the images, for their
    credits.

    Licences may be unknown: it is the user's own file. Rows without a label are added without one. Raises ValueError (of several kinds)
    before anything is written: for a source that cannot be read, labels that stand for no class (each with its count), and an `out` that
    is a dataset; `CollectError` as `collect` does. Run again, it resumes: names whose bytes are there are passed over.
    """
    if (out / DATASET_FILE).is_file():
        raise SourceError(f"{out} is a built dataset: choose another --out for the collection")
    scheme, mapping = chosen_scheme(choices.labels, sources), parse_label_map(choices.label_map)
    found: list[_LocalImages] = []
    left_out: list[LeftOut] = []
    notes: list[str] = []
    seen: Counter[str] = Counter()
    kinds = [choices.kind or detect_kind(spec, choices, scheme) for spec in sources]
    require_table(choices, kinds)
    for spec, chosen in zip(sources, kinds, strict=True):
        if chosen not in ADDED_KINDS:
            hint = "build it first and add the dataset" if chosen == "drawn" else "curate it as it is, or merge it with: collection rebuild"
            raise SourceError(f"{spec}: sources of kind {chosen!r} are not added ({hint}); added are {', '.join(ADDED_KINDS)}")
        reading = read_source(spec, replace(choices, kind=chosen), scheme)
        named = [row for row in reading.rows if row.label]
        classes = dict(zip(map(id, named), resolve_labels(named, scheme, mapping), strict=True))
        stated = [_candidate(row, classes.get(id(row), ""), resolve_subtype(row, scheme), spec, chosen, creator) for row in reading.rows]
        found.append(_LocalImages(_told_apart(stated, seen)))
        left_out += reading.left_out
        notes += reading.notes
    settings = FetchSettings()
    if (out / MANIFEST_NAME).is_file():
        with open_manifest(out) as manifest:
            sql = "SELECT url, sha256 FROM fetches WHERE host = '' AND sha256 != ''"
            known = {row["url"]: row["sha256"] for row in manifest.rows(sql)}
        for images in found:
            images.known = known
    searches = [Search(images, options=images.digest()) for images in found]
    result = collect(
        out, searches, settings, guard=AddressGuard(), agent=user_agent(""), reconsider=False, local_only=True, show_progress=show_progress
    )
    with open_manifest(out) as manifest:
        _prefer_used_copies(manifest)
        sql = "SELECT reason, count(*) FROM fetches WHERE host = '' AND state IN ('refused', 'failed') GROUP BY reason"
        reasons = {row[0]: row[1] for row in manifest.rows(sql)}
        conflicts = len(label_conflicts(manifest))
    return Added(result, reasons, tuple(left_out), tuple(notes), conflicts)


# Images that are marked as unused though another name of the same bytes is not (a second copy is often marked so), with the first such
# name: beside min() SQLite gives the other columns of the same row.
_USED_COPIES = """
SELECT i.sha256, f.url, min(f.rowid) FROM images i JOIN fetches f ON f.sha256 = i.sha256 AND f.state = 'stored' AND f.host = ''
JOIN sightings s ON s.id = f.sighting_id
WHERE i.split = ? AND i.url != f.url AND f.sha256 != '' AND coalesce(json_extract(s.details, '$.split'), '') != i.split
GROUP BY i.sha256
"""


def _prefer_used_copies(manifest: Manifest) -> None:
    """Of identical files the one counts that is not marked as unused, whichever came first."""
    with manifest.transaction():
        for row in list(manifest.rows(_USED_COPIES, (UNUSED,))):
            queue.take_provenance_from(manifest, row["sha256"], row["url"])


class _LocalImages:
    """The images of one source as a provider. `known` maps URLs that a run before this one has examined to the hash of their bytes."""

    name: ClassVar[str] = "added"
    label_basis: ClassVar[str] = "table"
    takes_queries: ClassVar[bool] = False
    options_type: ClassVar[type] = dict

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self.known: Mapping[str, str] = {}

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        for candidate in self._candidates:
            before = self.known.get(candidate.url)
            now = before and _hash(candidate)
            yield dataclasses.replace(candidate, url=f"{candidate.url}#{now[:12]}") if now and now != before else candidate

    def digest(self) -> str:
        """One text for all that the source states: a table with other labels is another search, whose labels count beside the first's."""
        stated = [dataclasses.asdict(dataclasses.replace(candidate, content=None)) for candidate in self._candidates]
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _hash(candidate: Candidate) -> str:
    """The hash of the bytes as they are now; "" where they cannot be read, which is said when they are to be kept."""
    assert candidate.content is not None
    try:
        return hashlib.sha256(candidate.content()).hexdigest()
    except OSError:
        return ""


def _told_apart(candidates: Sequence[Candidate], seen: Counter[str]) -> list[Candidate]:
    """A name that stands there several times (under two labels, say) gets a number, so that no row is lost. `seen` counts along."""
    apart = []
    for candidate in candidates:
        seen[candidate.url] += 1
        times = seen[candidate.url]
        apart.append(candidate if times == 1 else dataclasses.replace(candidate, url=f"{candidate.url}#{times}"))
    return apart


def _candidate(row: SourceRow, label: str, subtype: str, spec: str, kind: str, creator: str) -> Candidate:
    source = source_name_of(spec, kind)
    name = portable_name(row.image_id or (row.file.name if row.file else ""), Path(spec).expanduser())
    known = {
        "provider": row.source or source,
        "label_basis": (row.label_basis or _BASES.get(kind, kind)) if label else "",
        "view": row.view,
        "hardware": row.hardware,
        "boxes": [list(box) for box in row.boxes],
        "severity": None if math.isnan(row.severity) else row.severity,
        "synthetic": row.synthetic or None,
        "group": row.group,
        # The names of copies mean something within their table only.
        "copy_group": f"{source}: {row.copy_group}" if row.copy_group else "",
        "split": row.split,
    }
    licence = spdx(row.licence)
    return Candidate(
        url=f"{_SCHEMES.get(kind, 'folder')}:{quote(source)}/{quote(name)}",
        title=PurePosixPath(name).name,
        creator=creator,
        licence=licence,
        licence_text=row.licence,
        licence_url=licence_url(licence),
        attribution=credit(licence=licence, title=PurePosixPath(name).name, creator=creator),
        label=label,
        subtype=subtype,
        region=row.region,
        details={column: value for column, value in known.items() if value not in (None, "", [])},
        content=row.read,
    )


def source_name_of(spec: str, kind: str) -> str:
    """What a source is called in URLs: a folder's own name, "FOLDER/TABLE.csv" for a table, a Hub id as it is."""
    path = Path(spec).expanduser()
    if not path.exists():
        return spec
    path = path.resolve()
    return f"{path.parent.name}/{path.name}" if kind == "manifest" else path.name


def portable_name(name: str, source: Path) -> str:
    """An image's name without what only this machine knows: below the source's folder where it lies there, else the file's name alone."""
    path: PurePath = PureWindowsPath(name) if "\\" in name or PureWindowsPath(name).drive else PurePosixPath(name)
    if path.is_absolute() or path.anchor:
        folder = source if source.is_dir() else source.parent
        path = next((path.relative_to(base) for base in (folder, folder.resolve()) if path.is_relative_to(base)), PurePosixPath(path.name))
    return "/".join(part for part in path.parts if part not in ("..", "."))
