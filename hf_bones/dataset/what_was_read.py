"""What a build saw in each source and how it read it: layout, splits, labels, groups, boxes, what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from hf_bones.curation.splits.names import UNUSED
from hf_bones.dataset.reading.sources import Reading
from hf_bones.labels import LabelScheme, UnknownLabelError

_WORDS = 12  # that are told apart


def what_was_read(spec: str, kind: str, reading: Reading, scheme: LabelScheme, label_map: Mapping[str, str]) -> list[str]:
    """A line on the source and its layout, and one each on splits, labels, groups and, where there are any, boxes and what was left out."""
    rows = [row for row in reading.rows if row.split != UNUSED]
    name = spec if kind == "drawn" or not Path(spec).expanduser().exists() else Path(spec).expanduser().resolve().name
    lines = [f"{name} ({kind}): {len(rows):,} images" + (f", {reading.layout}" if reading.layout else "")]
    splits = Counter(row.split for row in rows)
    given = ", ".join(f"{split or 'none'} {count:,}" for split, count in splits.most_common())
    lines.append(f"splits: {given}" if set(splits) - {""} else "splits: none given, so whole groups are dealt out")
    words = Counter(row.label for row in rows)
    read = [(word, _class_of(word, scheme, label_map), count) for word, count in words.most_common(_WORDS)]
    told = ", ".join(_told(word, label, count) for word, label, count in read)
    lines.append(f"labels: {told}" + (f", and {len(words) - _WORDS} more words" if len(words) > _WORDS else ""))
    groups = len({row.group for row in rows if row.group})
    alone = sum(not row.group for row in rows)
    if not groups:
        lines.append("groups: none stated, so each image stands alone")
    else:
        lines.append(f"groups: {groups:,}" + (f", and {alone:,} images without one" if alone else ""))
    if boxed := sum(bool(row.boxes) for row in rows):
        lines.append(f"boxes: on {boxed:,} images")
    unused = len(reading.rows) - len(rows)
    if reading.left_out or unused:
        lines.append(
            f"left out: {len(reading.left_out) + unused:,}, each with its reason in refused.csv"
            if not unused
            else f"left out: {len(reading.left_out):,}, each with its reason in refused.csv, and {unused:,} marked unused"
        )
    return lines


def _told(word: str, label: str, count: int) -> str:
    if not word:
        return f"none {count:,}"
    return f"{word} {count:,}" if word == label else f"{word!r} as {label} {count:,}"


def _class_of(word: str, scheme: LabelScheme, label_map: Mapping[str, str]) -> str:
    try:
        return scheme.resolve(word, label_map)
    except UnknownLabelError:
        return "no class"
