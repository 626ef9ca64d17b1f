"""Exports of annotation tools, Roboflow's among them: COCO, YOLO and PASCAL VOC, each with or without splits.

What is boxed gives the label: of an image's boxes the word of the gravest class, and the scheme's normal class where there is no box.
An image that has only boxes of words which stand for no class keeps such a word, which the build refuses until it is mapped.

Not here: CSVs of boxes and classes (`export_tables.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath

from hf_bones.collect.providers.folder import image_files
from hf_bones.config.loading import parse_yaml
from hf_bones.dataset.reading.layouts.annotation_files import (
    VocFiles,
    coco_files,
    files_within,
    listed_splits,
    split_of_coco,
    yolo_name_list,
    yolo_yaml,
)
from hf_bones.dataset.reading.layouts.annotations import coco_images, read_text, voc_boxes, yolo_boxes
from hf_bones.dataset.reading.layouts.folder_names import split_of_folder
from hf_bones.dataset.reading.layouts.said import left_out_notes
from hf_bones.dataset.reading.sources import LeftOut, Reading, SourceRow
from hf_bones.dataset.reading.tables import Box, SourceError
from hf_bones.labels import LabelScheme, UnknownLabelError

COCO_NAME, CLASSES_NAME, BOXES_CSV = "_annotations.coco.json", "_classes.csv", "_annotations.csv"
_LOOKED_AT = 20  # images by which an export without a name of its own is known
_EXPORTED = ".rf."  # between the name of an original and the hash of one exported copy of it

Boxes = Sequence[tuple[str, Box]]


@dataclass(frozen=True)
class BoxedFilm:
    """An image with its boxes and the split that is stated for it."""

    path: Path
    boxes: Boxes
    split: str


@dataclass(frozen=True)
class Terms:
    """What is true of all rows of a source, and what its words mean."""

    source: str
    licence: str
    scheme: LabelScheme
    label_map: Mapping[str, str]

    def class_of(self, word: str) -> str:
        """The class that a word stands for, "" for none."""
        try:
            return self.scheme.resolve(word, self.label_map)
        except UnknownLabelError:
            return ""


def boxed_kind(root: Path) -> str:
    """Which export `root` is: "coco", "yolo", "voc", "boxes-csv", "classes-csv", or "" for none of them."""
    if coco_files(root):
        return "coco"
    if any(files_within(root, CLASSES_NAME)):
        return "classes-csv"
    if any(files_within(root, BOXES_CSV)):
        return "boxes-csv"
    if yolo_yaml(root) is not None or any(_is_labels_of_images(folder) for folder in (root, *root.glob("*/"))):
        return "yolo"
    try:
        first = list(islice(image_files(root), _LOOKED_AT))
    except PermissionError:  # told of when its images are read
        return ""
    if yolo_name_list(root) is not None and any(path.with_suffix(".txt").is_file() for path in first):
        return "yolo"
    files = VocFiles(root)
    return "voc" if any(files.find(path) for path in first) else ""


def coco_rows(root: Path, terms: Terms) -> Reading:
    """Rows of COCO files, `SPLIT/_annotations.coco.json` or `annotations/instances_SPLIT.json`. Raises `SourceError` as the readers do."""
    files = FilesWithin(root)
    films = []
    for table in coco_files(root):
        stated = split_of_path(table, root) or split_of_coco(table)
        for image in coco_images(table):
            path = files.find(image.name, table.parent, stated)
            films.append(BoxedFilm(path, image.boxes, stated or split_of_path(path, root)))
    return boxed_reading(root, _together(films), terms, "COCO", absent="in no annotation file")


def _together(films: Sequence[BoxedFilm]) -> list[BoxedFilm]:
    """Each film once with all its boxes, where several files name it, as they do that have one for each class; twice if in two splits."""
    places: dict[tuple[Path, str], list[tuple[str, Box]]] = {}
    for film in films:
        boxes = places.setdefault((film.path, film.split), [])
        boxes += [box for box in film.boxes if box not in boxes]
    return [BoxedFilm(path, boxes, split) for (path, split), boxes in places.items()]


def yolo_rows(root: Path, terms: Terms) -> Reading:
    """Rows of a YOLO export: `images/` beside `labels/`, or text files beside the images; classes as its YAML or list names them."""
    names = _yolo_names(root)
    films: list[BoxedFilm] = []
    there, listed = list(image_files(root)), listed_splits(root)
    inside = any(_place_of_images(path, root) is not None for path in there)
    bare = 0
    for path in there:
        depth, parts = _place_of_images(path, root), path.relative_to(root).parts
        places = [path] if depth is None else [root.joinpath(*parts[:depth], "labels", *parts[depth + 1 :]), path]
        text = next((text for place in places if (text := place.with_suffix(".txt")).is_file()), None)
        if text is None and inside and depth is None:
            continue  # it lies beside the images of the set
        bare += text is None
        boxes = [(names.get(kind, f"class {kind}"), box) for kind, box in yolo_boxes(text)] if text else []
        films.append(BoxedFilm(path, boxes, split_of_path(path, root) or listed.get(path.stem, "")))
    if bare == len(films):
        raise SourceError(f"{root}: a YOLO export, but none of its {len(there)} images has a file in labels/")
    reading = boxed_reading(root, films, terms, "YOLO", absent="beside images/, without a file in labels/")
    if bare:
        reading.notes.append(f"{bare} of {len(films)} images have no file in labels/, which in YOLO means no box")
    return reading


def voc_rows(root: Path, terms: Terms) -> Reading:
    """Rows of a PASCAL VOC export: XML files beside the images or in `Annotations/`; an image without one is left out."""
    files, listed = VocFiles(root), listed_splits(root)
    annotated = [(path, xml) for path in image_files(root) if (xml := files.find(path)) is not None]
    films = [BoxedFilm(path, list(voc_boxes(xml)), split_of_path(path, root) or listed.get(path.stem, "")) for path, xml in annotated]
    return boxed_reading(root, films, terms, "PASCAL VOC", absent="without an annotation file")


def boxed_reading(root: Path, films: Sequence[BoxedFilm], terms: Terms, form: str, *, absent: str = "") -> Reading:
    """Rows of images with their boxes. Images of the folder that are not among them are left out, with `absent` as why."""
    if not films:
        raise SourceError(f"{root}: a {form} export without images")
    class_of = cache(terms.class_of)
    rows = [film_row(film.path, root, *_label(film.boxes, class_of, terms.scheme), film.split, terms) for film in films]
    there = {film.path for film in films}
    left_out = [LeftOut(relative_name(path, root), absent) for path in image_files(root) if path not in there]
    counts = Counter(word for film in films for word, _ in film.boxes)
    normal = sum(not film.boxes for film in films)
    said = ", ".join(f"{word!r} ({count:,})" for word, count in counts.most_common(12)) or "none"
    notes = [
        f"{form} boxes of {said}: an image takes the label of its gravest box, and the {normal:,} images without any box were read as "
        f"{terms.scheme.normal}; check that every fracture was boxed",
        *left_out_notes(left_out),
    ]
    return Reading(rows, left_out, notes, layout=f"images with boxes ({form})")


def _label(boxes: Boxes, class_of: Callable[[str], str], scheme: LabelScheme) -> tuple[str, tuple[Box, ...]]:
    """The word that labels an image, and its boxes of something abnormal."""
    order, normal = scheme.label2id, scheme.normal
    classes = [(class_of(word), word, box) for word, box in boxes]
    abnormal = [(order[name], word, box) for name, word, box in classes if name and name != normal]
    if abnormal:
        return max(abnormal)[1], tuple(box for _, _, box in abnormal)
    strange = Counter(word for name, word, _ in classes if not name)
    return (strange.most_common(1)[0][0] if strange else normal), ()


def film_row(path: Path, root: Path, label: str, boxes: tuple[Box, ...], split: str, terms: Terms) -> SourceRow:
    # Copies of one original are exported into one split; those of two splits may be of two originals that had one name.
    original, mark, _ = path.name.partition(_EXPORTED)
    return SourceRow(
        label=label,
        file=path,
        group=f"{split or 'all'}/{original}" if mark else "",
        source=terms.source or root.name,
        licence=terms.licence or "unknown",
        boxes=boxes,
        split=split,
        image_id=relative_name(path, root),
    )


class FilesWithin:
    """The images below a folder, to be found by what an annotation file calls them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._there = set(image_files(root))
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path in self._there:
            self._by_name[path.name].append(path)

    def find(self, name: str, beside: Path, split: str) -> Path:
        """The file that `name` means in an annotation file of `split` in `beside`; where there is none, the path at which it should be.

        A name that leads out of the folder means the file of that name within it.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        inner = [part for part in parts if part not in ("..", "/", ".")] or ["unnamed"]
        for folder in (beside, self._root, self._root / "images"):
            if (path := folder.joinpath(*inner)) in self._there:
                return path
        named = self._by_name[inner[-1]]
        if len(named) > 1:
            named = [path for path in named if split and split_of_path(path, self._root) == split]
        return named[0] if len(named) == 1 else beside.joinpath(*inner)


def _is_labels_of_images(folder: Path) -> bool:
    try:
        return (folder / "images").is_dir() and (folder / "labels").is_dir() and any((folder / "labels").rglob("*.txt"))
    except PermissionError:  # told of when its images are read
        return False


def _yolo_names(root: Path) -> dict[int, str]:
    """Names of classes by number; none where nothing names them."""
    table = yolo_yaml(root, places=False)
    if table is not None:
        try:
            names = parse_yaml(read_text(table), str(table))["names"]
            pairs = names.items() if isinstance(names, Mapping) else enumerate(names)
            return {int(number): str(name) for number, name in pairs}
        except RecursionError as error:
            raise SourceError(f"{table}: nested too deeply") from error
        except (TypeError, KeyError, ValueError) as error:
            raise SourceError(f"{table}: 'names' is no list of class names: {error}") from error
    names_listed = yolo_name_list(root)
    return dict(enumerate(line.strip() for line in read_text(names_listed).split("\n"))) if names_listed else {}


def _place_of_images(path: Path, root: Path) -> int | None:
    """Where in an image's path, from `root` on, its innermost folder "images" stands; None where it is in none."""
    folders = [part.casefold() for part in path.relative_to(root).parts[:-1]]
    return len(folders) - 1 - folders[::-1].index("images") if "images" in folders else None


def split_of_path(path: Path, root: Path) -> str:
    """The split that the folders of a file name."""
    return next((split for part in path.relative_to(root).parts[:-1] if (split := split_of_folder(part))), "")


def relative_name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
