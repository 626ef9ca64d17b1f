"""Boxes as annotation tools write them: YOLO, PASCAL VOC, COCO. All become (cx, cy, w, h) as shares of the image."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hf_bones.dataset.reading.tables import Box, SourceError


def yolo_boxes(path: Path) -> Iterator[tuple[int, Box]]:
    """Classes and boxes of a YOLO file: "class cx cy w h" a line, or a polygon "class x y x y …", whose bounding box is taken."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        try:
            kind, values = int(float(cells[0])), [_finite(cell) for cell in cells[1:]]
        except (ValueError, OverflowError) as error:
            raise SourceError(f"{path}, line {number}: {line!r} is not 'class cx cy w h'") from error
        if len(values) == 4:
            cx, cy, width, height = values
            yield kind, clipped(cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
        elif len(values) >= 6 and len(values) % 2 == 0:
            yield kind, clipped(min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
        else:
            raise SourceError(f"{path}, line {number}: {line!r} is neither 'class cx cy w h' nor a polygon")


def voc_boxes(path: Path) -> Iterator[tuple[str, Box]]:
    """Names and boxes of a PASCAL VOC file, whose corners are in pixels of the `size` it states."""
    try:
        tree = ElementTree.parse(path).getroot()
        width, height = float(tree.findtext("size/width", "")), float(tree.findtext("size/height", ""))
        for found in tree.iterfind("object"):
            left, top, right, bottom = (_finite(found.findtext(f"bndbox/{key}", "")) for key in ("xmin", "ymin", "xmax", "ymax"))
            yield found.findtext("name", "").strip(), clipped(left / width, top / height, right / width, bottom / height)
    except (ElementTree.ParseError, ValueError, ZeroDivisionError) as error:
        raise SourceError(f"{path}: not a readable PASCAL VOC file: {error}") from error


@dataclass(frozen=True)
class CocoImage:
    """An image of a COCO file: its name there, and its boxes with the names of their categories."""

    name: str
    boxes: Sequence[tuple[str, Box]]


def coco_images(path: Path) -> list[CocoImage]:
    """The images of a COCO file, whose boxes are (left, top, width, height) in pixels. Raises `SourceError` naming what cannot be read."""
    try:
        data = json.loads(read_text(path))
        images, annotations, categories = (data[key] for key in ("images", "annotations", "categories"))
        names = {category["id"]: str(category["name"]) for category in categories}
        sizes = {image["id"]: (image.get("width"), image.get("height")) for image in images}
        boxes: dict[object, list[tuple[str, Box]]] = defaultdict(list)
        for annotation in annotations:
            boxes[annotation["image_id"]].append(_coco_box(annotation, names, sizes, path))
        return [CocoImage(str(image["file_name"]), boxes[image["id"]]) for image in images]
    except SourceError:
        raise
    except RecursionError as error:
        raise SourceError(f"{path}: nested too deeply for a COCO file") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        told = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise SourceError(f"{path}: not a readable COCO file (images, annotations, categories): {told}") from error


def _coco_box(annotation: dict[str, Any], names: dict[object, str], sizes: dict[object, tuple[Any, Any]], path: Path) -> tuple[str, Box]:
    number = annotation.get("id")
    kind, image = annotation["category_id"], annotation["image_id"]
    if kind not in names or image not in sizes:
        raise SourceError(f"{path}: annotation {number} names category {kind} of image {image}, and the file has no such one")
    try:
        width, height = (_finite(side) for side in sizes[image])
        left, top, wide, high = (_finite(value) for value in annotation["bbox"])
        return names[kind], clipped(left / width, top / height, (left + wide) / width, (top + high) / height)
    except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
        raise SourceError(
            f"{path}: annotation {number}: its bbox {annotation.get('bbox')!r} is not left, top, width, height in pixels, or its image "
            "states no width and height"
        ) from error


def read_text(path: Path) -> str:
    """A text file in UTF-8. Raises `SourceError` naming one that is not."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not a text file in UTF-8") from error


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not a number")
    return number


def clipped(left: float, top: float, right: float, bottom: float) -> Box:
    """(cx, cy, w, h) of a box given by its corners, cut at the image's edges, where hand-drawn boxes overshoot a little."""
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in (left, top, right, bottom))
    return ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
