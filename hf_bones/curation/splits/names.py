"""The splits by name, groups made of shared keys, and the check that no group is in two splits.

A group is whatever must stay together: a patient, a study, a run of image numbers where patient ids are missing, copies of one picture.

Not here: dealing groups out (`dealing.py`), reading the keys of a manifest (`group_keys.py`), finding near-duplicates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
UNUSED = "unused"
DEFAULT_PROPORTIONS: Mapping[str, float] = {TRAIN: 0.7, VALIDATION: 0.15, TEST: 0.15}

_ALIASES = {
    TRAIN: (TRAIN, "training"),
    VALIDATION: (VALIDATION, "val", "valid", "dev", "development", "eval", "evaluation"),
    TEST: (TEST, "testing", "heldout", "held_out", "holdout", "hold_out"),
    UNUSED: (UNUSED, "none", "excluded", "ignore"),
}
_KNOWN = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}
# What stands beside a split's word in the names of folders, and says nothing of which split it is.
_DECORATION = {
    "set", "sets", "data", "dataset", "datasets", "images", "image", "imgs", "img", "pictures", "films", "files", "folder", "dir", "split",
    "subset", "part", "final", "new", "the", "bone", "bones", "x", "ray", "rays", "xray", "xrays", "radiographs",
}  # fmt: skip
_GLUED = re.compile(r"(train|training|val|valid|validation|dev|test|testing)(sets?|data|dataset|images?|imgs?)")


class GroupLeakError(ValueError):
    """A group stands in more than one split."""


def split_name(word: str) -> str:
    """The split that `word` names: "val", "valid" and "dev" are validation, "Training_data" is train; empty stays empty (no split given).

    Raises ValueError for a word that names no split.
    """
    key = word.strip().casefold().replace(" ", "_").replace("-", "_")
    if not key:
        return ""
    if key in _KNOWN:
        return _KNOWN[key]
    parts = [part.casefold() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+", word)]  # "TrainSet" is two, numbers none
    left = [glued[1] if (glued := _GLUED.fullmatch(part)) else part for part in parts if part not in _DECORATION]
    if len(left) == 1 and left[0] in _KNOWN:
        return _KNOWN[left[0]]
    raise ValueError(f"{word!r} names no split; known: {', '.join(_KNOWN)} (or leave it empty)")


def merge_groups(*columns: Sequence[str]) -> list[str]:
    """Groups under which rows that share a key in any column stand together, however long the chain.

    Columns have one key a row; an empty key links nothing. A group is named by its smallest key of the first column that has one.
    Raises ValueError for columns of different lengths, or a row without any key.
    """
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"group columns have different lengths: {[len(column) for column in columns]}")
    parent: dict[tuple[int, str], tuple[int, str]] = {}

    def root(node: tuple[int, str]) -> tuple[int, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    first_nodes: list[tuple[int, str]] = []
    for index, keys in enumerate(zip(*columns, strict=True)):
        nodes = [(column, key) for column, key in enumerate(keys) if key]
        if not nodes:
            raise ValueError(f"row {index} has no group key in any column")
        first_nodes.append(nodes[0])
        for node in nodes:
            # The smaller node stays root, so that the name does not depend on the order of rows.
            small, large = sorted((root(nodes[0]), root(node)))
            parent[large] = small
    return [root(node)[1] for node in first_nodes]


def find_leaks(groups: Sequence[str], splits: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Groups that are in more than one split, each with its splits in alphabetical order. Rows without a split do not count."""
    seen: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        if split:
            seen[group].add(split)
    return {group: tuple(sorted(names)) for group, names in seen.items() if len(names) > 1}


def require_no_leaks(groups: Sequence[str], splits: Sequence[str]) -> None:
    """Raises `GroupLeakError` naming the groups (ten of them at most) that are in more than one split."""
    leaks = find_leaks(groups, splits)
    if leaks:
        shown = "; ".join(f"{group!r} in {' and '.join(names)}" for group, names in sorted(leaks.items())[:10])
        more = f"; and {len(leaks) - 10} more" if len(leaks) > 10 else ""
        raise GroupLeakError(
            f"{len(leaks)} group(s) are in more than one split: {shown}{more}. Give all rows of a group the same split, "
            "mark rows as 'unused' or drop them, or have the split made again (hf-bones build --split-anew, hf-bones curate split --anew)"
        )


def check_proportions(proportions: Mapping[str, float]) -> dict[str, float]:
    """The share of each split. Raises ValueError unless they are known splits, not negative, sum to 1 and leave some for train."""
    unknown = set(proportions) - set(SPLITS)
    if unknown:
        raise ValueError(f"proportions name unknown splits {sorted(unknown)}; known: {', '.join(SPLITS)}")
    shares = {split: float(proportions.get(split, 0.0)) for split in SPLITS}
    if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6 or shares[TRAIN] <= 0:
        raise ValueError(f"proportions {shares} must not be negative, must sum to 1, and train's must be above 0")
    return shares
