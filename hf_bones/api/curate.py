"""`hf_bones.curate`: what is suspect and what is there twice, as `hf-bones curate checks`, `dedup` and `split` find it."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_bones.api.keywords import names_nearest
from hf_bones.curation.checks.command import CheckChoices, CheckOutcome, checks_command
from hf_bones.curation.checks.reasons import reasons_named
from hf_bones.curation.duplicates.decide import Deduplicated, deduplicate
from hf_bones.curation.duplicates.report import write_report
from hf_bones.curation.recipe import load_curate_recipe
from hf_bones.curation.splits.command import split_subject
from hf_bones.curation.subject import Subject
from hf_bones.dataset.subject import open_subject


@dataclass(frozen=True)
class Curation:
    """What `curate` found in a collection or dataset. Images go by their names, as in the manifest.

    Attributes:
        images: How many images were looked at.
        flagged: Reason (`blurry`, `burnt_in_marks`, …) → the images past its threshold; reasons that flag nothing are left out.
        near_duplicates: Groups of images that show one film, the best of each first.
        contradictory: Those of the groups whose labels differ; a person has to settle them, and nothing of them is dropped.
        unreadable: Image → why it cannot be opened.
        dropped: How many images were dropped now. 0 unless you asked for it.
        splits: Split → how many images it has. Empty unless you asked for a split.
        written: Pages and tables of the report.
    """

    images: int
    flagged: Mapping[str, tuple[str, ...]]
    near_duplicates: tuple[tuple[str, ...], ...]
    contradictory: tuple[tuple[str, ...], ...]
    unreadable: Mapping[str, str]
    dropped: int
    splits: Mapping[str, int]
    written: tuple[Path, ...]


@names_nearest
def curate(
    place: str | Path,
    *,
    recipe: str | Path = "radiographs",
    report: str | Path | None = None,
    drop: Sequence[str] = (),
    drop_near_duplicates: bool = False,
    split: bool = False,
    anew: bool = False,
    seed: int | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Curation:
    """Measures every image for reasons to suspect it, finds near-duplicates and, where asked, deals whole groups out to splits.

    What is found goes into the manifest beside the images, where `hf-bones review` shows it. Nothing is deleted; nothing is dropped
    unless you ask for it, and a drop can be undone. To have a dataset without what was dropped, build it again from its own folder:
    `build("data/mine", out="data/mine", overwrite=True)`.

    Args:
        place: Folder of a collection or of a dataset that `build` wrote.
        recipe: Recipe of curation, by name or file: thresholds, and what near-duplicates are.
        report: Folder for pages with the worst images of each kind and near-duplicates side by side, and tables.
        drop: Reasons to drop for, as in `Curation.flagged`: what is flagged for one of them is dropped.
        drop_near_duplicates: Drop all but the best of each group, unless its labels differ.
        split: Deal the images without a split out to train, validation and test, no group in two.
        anew: Deal all images out again. Needs `split`.
        seed: Seed of the deal. None: the recipe's. Needs `split`.
        workers: Processes that open images. None: as many as there are CPU cores.
        progress: Show progress bars.

    Returns:
        What is flagged, what is there twice, and what was done.

    Raises:
        ValueError: No collection or dataset in `place`, an unknown reason to drop for, or `anew` or `seed` without `split`.
        GroupLeakError: The splits that are there put one group into two. A ValueError.
        RecipeError: A recipe that cannot be read. A ValueError.

    Examples:
        >>> from hf_bones import curate
        >>> found = curate("data/mine", report="runs/curation", progress=False)
        >>> found.images
        36
        >>> found.dropped
        0
        >>> [path.name for path in found.written]
        ['checks.html', 'checks.csv', 'near_duplicates.html', 'near_duplicates.csv']
    """
    if not split and (anew or seed is not None):
        raise ValueError(f"{'anew' if anew else 'seed'} says how images are split: give split=True with it")
    folder = None if report is None else Path(report)
    processes = workers or os.cpu_count() or 1
    settings = load_curate_recipe(recipe)
    choices = CheckChoices(report=folder, drop=reasons_named(drop), workers=processes)
    with open_subject(Path(place)) as subject:
        checked = checks_command(subject, settings.checks, choices, show_progress=progress)
        alike = deduplicate(subject, settings.dedup, drop=drop_near_duplicates, workers=processes, progress=progress)
        written = (*checked.written, *(write_report(subject, alike, folder) if folder else ()))
        splits: Mapping[str, int] = {}
        if split:
            dealing = settings.split if seed is None else dataclasses.replace(settings.split, seed=seed)
            splits = split_subject(subject, dealing, anew=anew).proof.images_by_split
        return _told(subject, checked, alike, splits, written)


def _told(subject: Subject, checked: CheckOutcome, alike: Deduplicated, splits: Mapping[str, int], written: tuple[Path, ...]) -> Curation:
    names = {record.sha256: record.title or record.file for record in subject.manifest.images()}
    flagged: dict[str, list[str]] = defaultdict(list)
    for row in subject.manifest.rows("SELECT sha256, reason FROM checks WHERE flagged ORDER BY reason, sha256"):
        flagged[row["reason"]].append(names.get(row["sha256"], row["sha256"]))
    groups = [(tuple(names[record.sha256] for record in group.members), group.is_contradictory) for group in alike.groups]
    return Curation(
        images=checked.run.measured + checked.run.known,
        flagged={reason: tuple(images) for reason, images in flagged.items()},
        near_duplicates=tuple(group for group, _ in groups),
        contradictory=tuple(group for group, is_contradictory in groups if is_contradictory),
        unreadable={names[sha256]: why for sha256, why in alike.unreadable.items()},
        dropped=checked.dropped + alike.dropped,
        splits=splits,
        written=written,
    )
