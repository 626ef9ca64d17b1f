"""Rows in, a dataset folder out: opened, labelled, split by whole groups, written with its card.

The folder is what `save_to_disk` writes (so `load_from_disk` reads it) with a card whose front matter points at the same Arrow files
(so `load_dataset` reads it too), `summary.json` and `refused.csv`. It appears in one step: an interrupted build leaves no folder.

Not here: reading sources (`reading/sources.py`, `reading/importers.py`), which image is which copy (`curation/`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_bones.curation.splits.dealing import assign_splits
from hf_bones.curation.splits.names import DEFAULT_PROPORTIONS, SPLITS, UNUSED, check_proportions, merge_groups
from hf_bones.dataset.burnt_in import burnt_in_notes, write_burnt_in
from hf_bones.dataset.card import write_card
from hf_bones.dataset.encode import RefusedImage
from hf_bones.dataset.faults.advice import Advice, Films, class_advice
from hf_bones.dataset.faults.contradictions import CONTRADICTIONS_NAME, contradiction_notes, kept_of_identical, write_contradictions
from hf_bones.dataset.faults.leaks import stop_at_identical_files, without_leaks
from hf_bones.dataset.notes import class_notes, group_notes, source_notes, twin_notes
from hf_bones.dataset.reading.contradiction import Contradiction
from hf_bones.dataset.reading.layouts.folder_names import names_structure
from hf_bones.dataset.reading.sources import LeftOut, SourceRow
from hf_bones.dataset.salvaged import salvage_notes, write_salvaged
from hf_bones.dataset.schema import load_bones
from hf_bones.dataset.writing import STAGED_NAME, put_in_place, stage_images, write_refused, write_splits
from hf_bones.labels import THREE_CLASS, LabelScheme, UnknownLabelError, normalise_name
from hf_bones.record import sha256_rows, typed_command, write_json

if TYPE_CHECKING:
    from datasets import DatasetDict

__all__ = ["BuildError", "BuildResult", "build_dataset", "load_bones"]


# Rows → the same rows with the near-duplicates that were found among them as `copy_group`, and notes.
NearDuplicateFinder = Callable[[Sequence[SourceRow]], tuple[list[SourceRow], list[str]]]


class BuildError(ValueError):
    """The rows cannot become a dataset: unknown labels, nothing readable, or an output folder in the way."""


@dataclass(frozen=True, eq=False)
class BuildResult:
    """What was built.

    Attributes:
        folder: Where the dataset lies.
        dataset: Its splits, as loaded from there.
        refused: The images that could not be taken, with reason and detail.
        notes: Sentences to read.
        summary: Counts, hashes and settings, as in summary.json.
        advice: What hinders training on it, with the options of a build that mends it; None where nothing does.
    """

    folder: Path
    dataset: DatasetDict
    refused: list[RefusedImage]
    notes: list[str]
    summary: dict[str, Any]
    advice: Advice | None = None


def build_dataset(
    rows: Iterable[SourceRow],
    output: Path,
    *,
    scheme: LabelScheme = THREE_CLASS,
    label_map: Mapping[str, str] | None = None,
    proportions: Mapping[str, float] = DEFAULT_PROPORTIONS,
    seed: int = 0,
    max_side: int | None = None,
    overwrite: bool = False,
    find_near_duplicates: NearDuplicateFinder | None = None,
    salvage_rows: float | None = None,
    leave_out_leaks: bool = False,
    left_out: Sequence[LeftOut] = (),
    contradictions: Sequence[Contradiction] = (),
    notes: Sequence[str] = (),
    read: Sequence[Sequence[str]] = (),
    made_with: str = "",
    progress: bool = True,
) -> BuildResult:
    """Builds the dataset of `rows` in the folder `output`.

    Rows whose split is `unused` are left out and counted. Given splits are kept; where there are none, whole groups are dealt out by
    `proportions` and `seed`. Rows without a group stand alone, together with byte-identical files; `find_near_duplicates` finds what else
    stays together. `max_side` shrinks images to that long side in pixels. JPEGs that were cut off are taken where they have
    `salvage_rows` of their rows (a share; None: never), and listed in salvaged.csv. Identical files under two labels are left out. Films on
    which writing was found stay, and are listed in burnt_in_text.csv.
    `leave_out_leaks` leaves out rows whose group or bytes are in test or validation too. `left_out`, `notes`, `contradictions`, `read` (of
    each source what was read, see `what_was_read.py`) and `made_with` (the command) go into summary, card and CSV files.

    Raises `BuildError` for unknown labels (each with its count, before any image is opened), for a folder in the way, and where every
    image of a class is refused; `curation.splits.GroupLeakError` where a group stands in two given splits.
    """
    check_proportions(proportions)
    require_free(output, overwrite)
    every = list(rows)
    used = [row for row in every if row.split != UNUSED]
    if not used:
        raise BuildError(f"no rows to build from: {len(every)} rows, all marked {UNUSED!r}" if every else "no rows to build from")
    unused = len(every) - len(used)
    labels = resolve_labels(used, scheme, label_map)
    every_note = list(notes)
    if find_near_duplicates is not None:
        used, told = find_near_duplicates(used)
        every_note += told
    # Checked before any image is opened, so that hours of decoding do not end in an error that was there from the start.
    alone = [f"row {index}" for index in range(len(used))]
    stated = merge_groups([row.group for row in used], [row.copy_group for row in used], alone)
    leaking, leaks = without_leaks(used, stated, labels, leave_out=leave_out_leaks)
    found = [*contradictions, *leaks]
    gone = [*left_out, *(LeftOut(used[index].name, "its group is in another split") for index in sorted(leaking))]
    used, labels = (
        [row for index, row in enumerate(used) if index not in leaking],
        [label for index, label in enumerate(labels) if index not in leaking],
    )

    output.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        staged = workspace / "all.arrow"
        subtypes = [resolve_subtype(row, scheme) for row in used]
        kept, refused, salvaged, burnt_in = stage_images(
            used,
            labels,
            subtypes,
            scheme.names,
            staged,
            max_side=max_side,
            progress=progress,
            salvage_rows=salvage_rows,
        )
        _require_classes(labels, kept, refused)
        opened, hashes = [used[index] for index in kept], list(kept.values())
        stays, reported = kept_of_identical(opened, hashes, [labels[index] for index in kept], leave_out_leaks=leave_out_leaks)
        found += reported
        gone += [LeftOut(opened[place].name, why) for place, why in enumerate(stays) if why]
        at = [place for place, why in enumerate(stays) if not why]
        table, digests = [opened[place] for place in at], [hashes[place] for place in at]
        names = [labels[index] for place, index in enumerate(kept) if not stays[place]]
        stop_at_identical_files(table, digests, names, output)
        groups = merge_groups([row.group for row in table], [row.copy_group for row in table], digests)
        sources, given, regions = ([getattr(row, column) for row in table] for column in ("source", "split", "region"))
        splits, decided = assign_splits(groups, names, sources, given, regions=regions, proportions=proportions, seed=seed)
        every_note += [
            *salvage_notes(salvaged),
            *burnt_in_notes(burnt_in),
            *decided,
            *contradiction_notes(found),
            *group_notes(table),
            *twin_notes(digests),
            *class_notes(names, splits, scheme),
            *source_notes(names, sources, splits, scheme),
        ]
        # A folder of its own inside the workspace: the staged file must not end up in the dataset.
        folder = workspace / STAGED_NAME
        dealt = dict(zip(at, zip(groups, splits, strict=True), strict=True))
        everywhere = [dealt.get(place, ("", UNUSED)) for place in range(len(opened))]
        write_splits(staged, [group for group, _ in everywhere], [split for _, split in everywhere], folder)
        staged.unlink()
        summary = {
            "schema_version": 1,
            "made_with": made_with,
            "labels": scheme.as_dict(),
            "seed": seed,
            "proportions": dict(proportions),
            "max_side": max_side,
            "counts": _count(splits, names, table, scheme.names),
            "groups": {split: len({g for g, s in zip(groups, splits, strict=True) if s == split}) for split in SPLITS if split in splits},
            "refused": dict(Counter(image.reason for image in refused)),
            "salvaged": len(salvaged),
            "burnt_in_text": len(burnt_in),
            "left_out": dict(Counter(["marked unused"] * unused + [row.reason for row in gone])),
            "synthetic": {"all": all(row.synthetic for row in table), "rows": sum(row.synthetic for row in table)},
            "read": [list(lines) for lines in read],
            "notes": every_note,
            "data_sha256": sha256_rows(zip(digests, names, (row.image_id for row in table), strict=True)),
            "split_sha256": sha256_rows(zip(digests, (row.image_id for row in table), splits, strict=True)),
        }
        write_json(folder / "summary.json", summary)
        write_refused(folder / "refused.csv", refused, gone)
        write_contradictions(folder / CONTRADICTIONS_NAME, found)
        write_salvaged(folder, salvaged)
        write_burnt_in(folder, burnt_in)
        write_card(folder / "README.md", summary, title=output.name)
        put_in_place(folder, output)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    advice = class_advice(Films(names, groups, splits, [row.label for row in table]), scheme)
    return BuildResult(output, load_bones(output), refused, every_note, summary, advice)


def resolve_labels(rows: Sequence[SourceRow], scheme: LabelScheme, label_map: Mapping[str, str] | None = None) -> list[str]:
    """The class of each row. Raises `BuildError` listing every word that stands for no class, with its count and why."""
    known: dict[str, str] = {}
    problems: dict[str, str] = {}
    for word in dict.fromkeys(row.label for row in rows):
        try:
            known[word] = scheme.resolve(word, label_map)
        except UnknownLabelError as error:
            problems[word] = str(error)
            if names_structure(word):  # to map it would hide that the wrong folder was given
                problems[word] = f"{word!r} names a part of a layout, and no label: give the folder in which the folders of labels lie"
    if "" in problems:
        problems[""] = f"leave such rows out with: {typed_command('--skip-unlabelled') or '--skip-unlabelled'}"
    if problems:
        counts = Counter(row.label for row in rows)
        first = {word: next(row.place or row.name for row in rows if row.label == word) for word in problems}
        lines = "\n".join(
            f"  {counts[word]:>6} × {repr(word) if word else 'no label'} (first: {first[word]}): {why}"
            for word, why in sorted(problems.items(), key=lambda p: -counts[p[0]])
        )
        raise BuildError(f"{sum(counts[word] for word in problems)} of {len(rows)} rows have labels that stand for no class:\n{lines}")
    return [known[row.label] for row in rows]


def resolve_subtype(row: SourceRow, scheme: LabelScheme) -> str:
    """The subtype as the scheme spells it, from the row's subtype or else its label; a word unknown to the scheme stays as it is."""
    # Without separators, so that "nonunion", "non-union" and "Non union" are one.
    known = {_squeezed(subtype): normalise_name(subtype) for label in scheme.classes for subtype in label.subtypes}
    for word in (row.subtype, row.label):
        if _squeezed(word) in known:
            return known[_squeezed(word)]
    try:
        scheme.resolve(row.subtype)
    except UnknownLabelError:
        return normalise_name(row.subtype)
    return ""  # it only repeats the class


def _squeezed(word: str) -> str:
    return normalise_name(word).replace("_", "")


def require_free(output: Path, overwrite: bool) -> None:
    """Raises `BuildError` where a dataset cannot be put into `output`, since something else is there."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / "dataset_dict.json").is_file():
        raise BuildError(
            f"{output} already exists and is not a dataset folder (no dataset_dict.json), so it is not replaced: choose another --out"
        )
    if not overwrite:
        raise BuildError(f"{output} already exists: choose another --out, or replace it with --overwrite")


def _require_classes(labels: Sequence[str], kept: Mapping[int, str], refused: Sequence[RefusedImage]) -> None:
    before, after = Counter(labels), Counter(labels[index] for index in kept)
    lost = sorted(set(before) - set(after))
    if lost:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in Counter(image.reason for image in refused).most_common())
        which = "every image was" if not kept else f"every image of {' and '.join(f'{name!r} ({before[name]})' for name in lost)} was"
        raise BuildError(f"{which} refused ({reasons}); the first: {refused[0].name}: {refused[0].detail}")


def _count(splits: Sequence[str], labels: Sequence[str], rows: Sequence[SourceRow], names: Sequence[str]) -> list[dict[str, Any]]:
    counts = Counter(zip(splits, labels, (row.source for row in rows), (row.licence for row in rows), strict=True))
    order = {name: place for place, name in enumerate([*SPLITS, *names])}
    return [
        {"split": split, "label": label, "source": source, "licence": licence, "count": count}
        for (split, label, source, licence), count in sorted(
            counts.items(), key=lambda c: (order[c[0][0]], c[0][2], order[c[0][1]], c[0][3])
        )
    ]
