"""What is asked for where images are read and a dataset is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hf_bones.config.choices import choice


@dataclass(frozen=True)
class ReadingChoices:
    """How sources are read: of which kind they are (None: detected), and what they mean or leave unsaid."""

    kind: str | None = choice(
        None,
        "folder, collection, manifest, dataset, imagefolder, coco, yolo, voc, boxes-csv, classes-csv, fracatlas, grazpedwri, mura or "
        "drawn; else detected.",
    )
    labels: str = choice("auto", "Label scheme: three-class, two-class or a YAML file; auto: a dataset's own, else three-class.")
    label_map: tuple[str, ...] = choice(
        (), "A source's word for one of our classes, or `unused` to leave its rows out; may be repeated.", metavar="WORD=CLASS"
    )
    group_from: str = choice("", "Folders of labels: `folder` keeps the films of each folder below a label (a patient) together.")
    fracatlas_rows: str | None = choice(None, "Labels and splits from a list of rows: `packaged`, or a CSV.")
    keep_uncertain: bool = choice(False, "GRAZPEDWRI-DX: keep films of uncertain diagnosis.")
    source_name: str = choice("", "Name of the source, where the input does not state it.")
    licence: str = choice("", "Licence of the images, where the input does not state it.")
    root: Path | None = choice(  # noqa: RUF009 - a field
        None, "Folder that a table's file names are relative to; by default the table's own.", metavar="FOLDER"
    )
    file_column: str = choice("", "Column of the files in a table, of the images in a dataset; else found by its name.", metavar="NAME")
    label_column: str = choice("", "Column of the labels in a table or dataset; else found by its name.", metavar="NAME")
    split_column: str = choice("", "Column of the splits in a table or dataset; else found by its name.", metavar="NAME")
    group_column: str = choice("", "Column of what must stay together (patient, study); else found by its name.", metavar="NAME")


@dataclass(frozen=True)
class BuildChoices(ReadingChoices):
    """What `hf-bones build` is asked for. `curate_recipe` says what near-duplicates and salvageable files are."""

    proportions: tuple[float, float, float] = choice((0.7, 0.15, 0.15), "Shares of train, validation and test.")
    seed: int = choice(0, "Seed of the split and of drawn images.")
    max_side: int | None = choice(None, "Shrink images to this long side, px.", least=8)
    count: int = choice(300, "How many to draw (source `drawn`).", least=1)
    drawn_size: int = choice(320, "Long side of drawn images, px.", least=32)
    drawn_mode: str = choice(
        "hard", "How they are drawn: hard (any limb and any break) or plain (a shaft close up and plainly broken).", metavar="hard|plain"
    )
    drawn_split: str = choice("", "Put all drawn images into this split.")
    skip_unlabelled: bool = choice(False, "Leave out images without a label, and list them.")
    split_anew: bool = choice(False, "Make splits anew, though the source states some.")
    leave_out_leaks: bool = choice(
        False, "Of groups and identical files in several given splits keep those in test, else in validation, and leave out the rest."
    )
    overwrite: bool = choice(False, "Replace an existing dataset folder.")
    find_near_duplicates: bool = choice(False, "Look for near-duplicates and keep them together; refuse given splits that separate them.")
    salvage_truncated: bool = choice(False, "Accept cut-off JPEGs that have nearly all of their rows, and mark them.")
    salvage_rows: float | None = choice(None, "Share of the rows they must have; 0.99 by default.", least=0)
    curate_recipe: str | Path = "radiographs"
