"""`hf_bones.build`: images → a dataset, as `hf-bones build` makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hf_bones.api.keywords import names_nearest
from hf_bones.dataset.build import BuildResult
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command
from hf_bones.record import command_line


@names_nearest
def build(
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    kind: str | None = None,
    labels: str = "auto",
    label_map: Mapping[str, str] | None = None,
    group_from: str = "",
    fracatlas_rows: str | None = None,
    keep_uncertain: bool = False,
    source_name: str = "",
    licence: str = "",
    root: str | Path | None = None,
    file_column: str = "",
    label_column: str = "",
    split_column: str = "",
    group_column: str = "",
    skip_unlabelled: bool = False,
    split_anew: bool = False,
    leave_out_leaks: bool = False,
    proportions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    max_side: int | None = None,
    count: int = 300,
    drawn_size: int = 320,
    drawn_mode: str = "hard",
    drawn_split: str = "",
    overwrite: bool = False,
    find_near_duplicates: bool = False,
    salvage_truncated: bool = False,
    salvage_rows: float | None = None,
    curate_recipe: str | Path = "radiographs",
    progress: bool = True,
) -> BuildResult:
    """Builds a dataset of train, validation and test with labels, groups and licences, as `hf-bones build` does.

    The folder appears in one step: a build that was interrupted leaves none. No group stands in two splits.

    Args:
        sources: One source or several: a folder with a folder a label, an export of an annotation tool, a ZIP of either, a
            collection, a CSV or Parquet table, a dataset folder or Hub id, or "drawn".
        out: Folder to write.
        kind: What the sources are: folder, collection, manifest, dataset, imagefolder, coco, yolo, voc, boxes-csv, classes-csv, fracatlas,
            grazpedwri, mura or drawn. None: detected.
        labels: Label scheme: "three-class", "two-class" or a YAML file; "auto": that of the sources where all are datasets, else three.
        label_map: A source's word for a label → one of our classes, or "unused" to leave its rows out.
        group_from: "folder": of folders of labels, the films of each folder below a label (a patient) stay together.
        fracatlas_rows: Labels and splits of FracAtlas from a list of rows: "packaged", or a CSV.
        keep_uncertain: Keep the films of GRAZPEDWRI-DX whose diagnosis is uncertain.
        source_name: Name of the source, where the input does not state it.
        licence: Licence of the images (SPDX), where the input does not state it.
        root: Folder that a table's file names are relative to. None: the table's own.
        file_column: Column of the files in a table, of the images in a dataset. "": found by its name, as the next three are.
        label_column: Column of the labels.
        split_column: Column of the splits.
        group_column: Column of what must stay together, such as patients.
        skip_unlabelled: Leave out images without a label, and list them.
        split_anew: Make splits anew, though the source states some.
        leave_out_leaks: Of groups and identical files in several given splits keep those in test, else in validation.
        proportions: Shares of train, validation and test, where no splits are given.
        seed: Seed of the split and of drawn radiographs.
        max_side: Shrink images to this long side, in px. None: keep their size.
        count: How many radiographs to draw (source "drawn").
        drawn_size: Long side of drawn radiographs, in px.
        drawn_mode: "hard": any limb and any break; "plain": a shaft close up, plainly broken or whole.
        drawn_split: Put all drawn radiographs into this split. "": deal them out.
        overwrite: Replace a dataset that is in `out`. What is there and is no dataset is never replaced.
        find_near_duplicates: Look for near-duplicates and keep them in one split.
        salvage_truncated: Accept truncated JPEGs that have nearly all of their rows, and mark them.
        salvage_rows: The share of their rows that they must have, 0 to 1. None: the recipe's.
        curate_recipe: Recipe of curation, by name or file: what near-duplicates and salvageable files are.
        progress: Show progress bars.

    Returns:
        The folder, the dataset as loaded from it, what was refused and why, notes to read, and the summary.

    Raises:
        ValueError: A source that is not there or cannot be read, labels that stand for no class, a folder in the way, a group in two
            given splits, or nothing left to build from. The message says what to do.

    Examples:
        `films/` has one folder for each label: `healthy`, `fractured`, `beyond_repair`.

        >>> from hf_bones import build
        >>> built = build("films", out="data/mine", licence="CC-BY-4.0", progress=False)
        >>> built.dataset["train"].features["label"].names
        ['healthy', 'fractured', 'beyond_repair']
        >>> len(built.refused)
        0
    """
    choices = BuildChoices(
        kind=kind,
        labels=labels,
        label_map=tuple(f"{word}={name}" for word, name in (label_map or {}).items()),
        group_from=group_from,
        fracatlas_rows=fracatlas_rows,
        keep_uncertain=keep_uncertain,
        source_name=source_name,
        licence=licence,
        root=Path(root) if root is not None else None,
        file_column=file_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        skip_unlabelled=skip_unlabelled,
        split_anew=split_anew,
        leave_out_leaks=leave_out_leaks,
        proportions=proportions,
        seed=seed,
        max_side=max_side,
        count=count,
        drawn_size=drawn_size,
        drawn_mode=drawn_mode,
        drawn_split=drawn_split,
        overwrite=overwrite,
        find_near_duplicates=find_near_duplicates,
        salvage_truncated=salvage_truncated,
        salvage_rows=salvage_rows,
        curate_recipe=curate_recipe,
    )
    named = [sources] if isinstance(sources, (str, Path)) else sources
    return build_command([str(source) for source in named], Path(out), choices, command=command_line(), progress=progress)
