"""Where annotation tools put their files, and by what a file is known to be one of theirs: names differ, keys and folders do not.

Not here: what the files say (`annotations.py`).
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from hf_bones.dataset.reading.layouts.annotations import read_text
from hf_bones.dataset.reading.layouts.folder_names import split_of_folder

_YAMLS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_YAML_NAMES, _YAML_PLACES = re.compile(r"^names\s*:", re.MULTILINE), re.compile(r"^(?:train|val|test|path|nc)\s*:", re.MULTILINE)
_NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels", "*/_darknet.labels", "*/classes.txt", "*/obj.names")
_COCO_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_LARGEST_LIST = 1 << 26  # bytes
_JSONS, _LARGEST_JSON = 12, 1 << 29  # of a folder: more are one for each image, and larger ones none of a set of films
_ANNOTATIONS = re.compile(
    r"(?:pascal[ _-]?)?(?:voc|xmls?|annotations?|labels?|bboxes|boxes)(?:[ _-]?(?:voc|xmls?|annotations?))?", re.IGNORECASE
)


def files_within(root: Path, pattern: str) -> Iterator[Path]:
    """Files of a pattern in a folder, in its folders and in theirs."""
    for depth in ("", "*/", "*/*/"):
        yield from sorted(root.glob(f"{depth}{pattern}"))


def coco_files(root: Path) -> list[Path]:
    """The COCO files of a folder: by the names that tools give them, else by what is in them."""
    found = [*files_within(root, "*.coco.json"), *files_within(root, "instances_*.json"), *root.glob("annotations/*.json")]
    found = sorted({path for path in found if not path.name.startswith(".")})
    if found:
        return found
    for pattern in ("*.json", "*/*.json"):
        there = sorted(path for path in root.glob(pattern) if not path.name.startswith("."))
        if len(there) <= _JSONS and (found := [path for path in there if _is_coco(path)]):
            return found
    return []


def split_of_coco(table: Path) -> str:
    """The split that the name of a COCO file states: "instances_val2017.json", "train_annotations.coco.json"."""
    words = re.sub(r"instances|annotations?|coco|labels?", " ", table.name.partition(".")[0], flags=re.IGNORECASE)
    return split_of_folder(re.sub(r"[\W_]+", " ", words).strip())


def _is_coco(path: Path) -> bool:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            return False
        data = path.read_bytes()
    except OSError:  # told of when its folder is read
        return False
    return all(key in data for key in _COCO_KEYS)


def yolo_yaml(root: Path, *, places: bool = True) -> Path | None:
    """The YAML of a YOLO export: `data.yaml`, or another that has names of classes and, unless `places` is false, says where images are."""
    for path in (root / name for name in _YAMLS):
        if path.is_file() and "names" in read_text(path):
            return path
    for path in sorted([*root.glob("*.yaml"), *root.glob("*.yml")]):
        text = _text(path)
        if _YAML_NAMES.search(text) and (_YAML_PLACES.search(text) or not places):
            return path
    return None


def _text(path: Path) -> str:
    """A text file; "" for one that is none, is too large for a list or may not be opened."""
    try:
        return path.read_text(encoding="utf-8-sig") if path.is_file() and path.stat().st_size < _LARGEST_LIST else ""
    except (UnicodeDecodeError, OSError):
        return ""


def yolo_name_list(root: Path) -> Path | None:
    """A list of class names, one a line."""
    return next((path for pattern in _NAME_LISTS for path in sorted(root.glob(pattern)) if path.is_file()), None)


class VocFiles:
    """The PASCAL VOC files below a folder: beside the images, or in folders of their own (`Annotations/` beside `JPEGImages/`)."""

    def __init__(self, root: Path) -> None:
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if _ANNOTATIONS.fullmatch(Path(folder).name):
                for name in sorted(files):
                    if name.lower().endswith(".xml"):
                        self._by_stem[name[:-4]].append(Path(folder, name))

    def find(self, image: Path) -> Path | None:
        """The file of an image: beside it, else the nearest of its name; None where there is none, or two are as near."""
        if (beside := image.with_suffix(".xml")).is_file():
            return beside
        found = sorted(self._by_stem.get(image.stem, []), key=lambda path: -_shared(path, image))
        if len(found) > 1 and _shared(found[0], image) == _shared(found[1], image):
            return None
        return found[0] if found else None


def _shared(one: Path, other: Path) -> int:
    return len(os.path.commonpath([one, other]))


def listed_splits(root: Path) -> dict[str, str]:
    """Image name without suffix → split, as lists of names state it (`ImageSets/Main/train.txt`, `train.txt`); none that two name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted([*root.glob("*.txt"), *root.glob("ImageSets/Main/*.txt"), *root.glob("*/ImageSets/Main/*.txt")]):
        if split := split_of_folder(path.stem):
            for line in _text(path).splitlines():
                if name := line.strip():
                    place = re.sub(r"\s+-?[01]$", "", name).replace("\\", "/").rsplit("/", 1)[-1]
                    found[re.sub(r"\.[A-Za-z0-9]{2,5}$", "", place)].add(split)
    return {name: splits.pop() for name, splits in found.items() if len(splits) == 1}
