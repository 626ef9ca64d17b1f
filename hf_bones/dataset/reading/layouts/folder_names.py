"""What the names of folders say before anybody knows a label: a split, a part of some layout, or nothing of the kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from hf_bones.curation.splits.names import split_name

# Folders that hold a set's images and say nothing of them.
_WRAPPERS = {
    "images", "image", "imgs", "img", "pictures", "photos", "pngs", "png", "jpgs", "jpg", "jpeg", "jpegs", "dicom", "dicoms", "dcm", "data",
    "dataset", "datasets", "raw", "original", "originals", "input", "inputs", "files", "all", "classes", "classification", "films", "xrays",
    "xray", "x_rays", "x_ray", "radiographs",
}  # fmt: skip
# Folders that lie beside images and hold no film of theirs.
_BESIDE = {
    "labels", "label", "annotations", "annotation", "masks", "mask", "segmentations", "bboxes", "boxes", "json", "csv", "xml", "yolo",
    "voc", "coco", "results", "result", "output", "outputs", "predictions", "runs", "run", "logs", "log", "models", "model", "checkpoints",
    "checkpoint", "weights", "plots", "plot", "figures", "figure", "graphs", "heatmaps", "docs", "doc", "code", "src", "scripts",
    "notebooks", "notebook", "metadata", "meta", "cache", "tmp", "temp", "backup",
}  # fmt: skip
_PICTURES = {
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".avif", ".heic", ".jp2", ".pgm", ".ppm", ".dcm",
    ".dicom",
}  # fmt: skip

ClassOf = Callable[[str], str]
"""The class that a folder's name stands for, a vague name itself, "" where it is no label for certain."""


@cache
def split_of_folder(name: str) -> str:
    """The split that a folder is named after, "" for none. "none" is no split here: as a folder's name it may mean "no finding"."""
    try:
        return "" if name.strip().casefold() == "none" else split_name(name)
    except ValueError:
        return ""


def split_and_label(name: str, class_of: ClassOf) -> tuple[str, str]:
    """The split and the label that one name holds both, as "train_fractured" does; two empty strings where it does not."""
    words = re.findall(r"[^\W_]+", name)
    for word in words:
        rest = " ".join(other for other in words if other is not word)
        if (split := split_of_folder(word)) and rest and class_of(rest):
            return split, rest
    return "", ""


@cache
def is_wrapper(name: str) -> bool:
    """Whether a folder's name says no more than that images are in it: "images", "x-ray data"."""
    return _key(name) in _WRAPPERS


@cache
def is_beside(name: str) -> bool:
    """Whether a folder of this name lies beside a set's films: "masks", "results"."""
    return _key(name) in _BESIDE


def names_structure(name: str) -> bool:
    """Whether a word names a part of a layout, so that nobody should take it for a label."""
    return bool(split_of_folder(name)) or is_wrapper(name) or is_beside(name)


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, in order, without hidden ones and those of macOS. None where it may not be opened: its reader says so."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX")))
    except PermissionError:
        return []


def descents(folder: Path, class_of: ClassOf) -> Iterator[Path]:
    """`folder`, then the only folder in it, and so on; it ends at a folder that names a split or label, or that images lie beside.

    A name such as "bone fractures" is none of a label where folders of two classes lie within.
    """
    while True:
        yield folder
        within = subfolders(folder)
        if len(within) != 1 or split_of_folder(within[0].name) or _holds_images(folder):
            return
        if class_of(within[0].name) and len(_classes_within(within[0], class_of)) < 2:
            return
        folder = within[0]


def _classes_within(folder: Path, class_of: ClassOf) -> set[str]:
    """The classes that folders within are named after, down to the second level."""
    inner = subfolders(folder)
    names = [path.name for path in inner] + [path.name for each in inner for path in subfolders(each)]
    return {found for name in names if not split_of_folder(name) and (found := class_of(name))}


def _holds_images(folder: Path) -> bool:
    return any(path.suffix.lower() in _PICTURES and not path.name.startswith(".") and path.is_file() for path in folder.iterdir())


def _key(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", name.casefold()).strip("_")
