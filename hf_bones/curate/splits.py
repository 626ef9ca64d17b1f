"""Which split each image belongs to: train, validation or test, with no group in two of them.

A group is whatever must stay together: a patient, a study, a run of image numbers where patient ids are missing, copies of one picture.
Given splits are kept; where there are none, whole groups are dealt out so that each (label, source) pair comes close to the proportions
asked for, and every label is in every split where its groups allow it. The same input and seed give the same splits.

Not here: finding near-duplicates. Whoever finds them hands their keys to `merge_groups`.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
UNUSED = "unused"
DEFAULT_PROPORTIONS: Mapping[str, float] = {TRAIN: 0.7, VALIDATION: 0.15, TEST: 0.15}

_ALIASES = {
    TRAIN: (TRAIN, "training"),
    VALIDATION: (VALIDATION, "val", "valid", "dev", "development"),
    TEST: (TEST, "testing", "heldout", "held_out"),
    UNUSED: (UNUSED, "none", "excluded", "ignore"),
}
_KNOWN = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}

# Each label looks for its guaranteed groups among this many of the smallest that hold it: enough for any real scheme, and it keeps
# the search small on sets with tens of thousands of patients.
_CANDIDATES = 64
_SEARCH_STEPS = 20_000


class GroupLeakError(ValueError):
    """A group stands in more than one split."""


def split_name(word: str) -> str:
    """The split that `word` names: "val", "valid" and "dev" are validation; empty stays empty (no split given).

    Raises ValueError for a word that names no split.
    """
    key = word.strip().casefold().replace(" ", "_").replace("-", "_")
    if not key:
        return ""
    if key not in _KNOWN:
        raise ValueError(f"{word!r} names no split; known: {', '.join(_KNOWN)} (or leave it empty)")
    return _KNOWN[key]


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
    """Groups that stand in more than one split, each with its splits in alphabetical order. Rows without a split do not count."""
    seen: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        if split:
            seen[group].add(split)
    return {group: tuple(sorted(names)) for group, names in seen.items() if len(names) > 1}


def require_no_leaks(groups: Sequence[str], splits: Sequence[str]) -> None:
    """Raises `GroupLeakError` naming the groups (ten of them at most) that stand in more than one split."""
    leaks = find_leaks(groups, splits)
    if leaks:
        shown = "; ".join(f"{group!r} in {' and '.join(names)}" for group, names in sorted(leaks.items())[:10])
        more = f"; and {len(leaks) - 10} more" if len(leaks) > 10 else ""
        raise GroupLeakError(
            f"{len(leaks)} group(s) stand in more than one split: {shown}{more}. Give all rows of a group the same split, "
            "mark rows as 'unused', or leave the split out to have it made anew"
        )


def assign_splits(
    groups: Sequence[str],
    labels: Sequence[str],
    sources: Sequence[str],
    given: Sequence[str],
    *,
    proportions: Mapping[str, float] = DEFAULT_PROPORTIONS,
    seed: int = 0,
) -> tuple[list[str], list[str]]:
    """The split of each row, and notes on what was decided. All sequences have one value a row.

    `given` holds `train`, `validation`, `test` or "". Given splits are kept, and rows without one follow their group or are dealt out.
    Where all rows have one but validation or test is missing beside train, it is taken from train by whole groups.
    Raises `GroupLeakError` where given splits tear a group, ValueError for bad proportions.
    """
    require_no_leaks(groups, given)
    shares = check_proportions(proportions)
    present = {split for split in given if split}
    if not present:
        return split_groups(groups, labels, sources, proportions=shares, seed=seed), []
    notes: list[str] = []
    fixed = list(given)
    if all(given):
        missing = [split for split in SPLITS if split not in present and shares[split] > 0]
        if not missing or TRAIN not in present:
            return fixed, notes
        notes.append(f"no {' and no '.join(missing)} split was given: taken from train by whole groups")
        fixed = ["" if split == TRAIN else split for split in fixed]
        taken = {split: shares[split] for split in missing}
        shares = check_proportions({TRAIN: 1.0 - sum(taken.values()), **taken})
        # Only train's groups are dealt out; what was given for the others must not count towards their share.
        rows = [index for index, split in enumerate(fixed) if not split]
        dealt = split_groups(
            [groups[i] for i in rows], [labels[i] for i in rows], [sources[i] for i in rows], proportions=shares, seed=seed
        )
        for index, split in zip(rows, dealt, strict=True):
            fixed[index] = split
    else:
        notes.append(f"{sum(not split for split in given)} of {len(given)} rows had no split given: dealt out by whole groups")
        fixed = split_groups(groups, labels, sources, proportions=shares, seed=seed, given=given)
    require_no_leaks(groups, fixed)
    return fixed, notes


def check_proportions(proportions: Mapping[str, float]) -> dict[str, float]:
    """The share of each split. Raises ValueError unless they are known splits, not negative, sum to 1 and leave some for train."""
    unknown = set(proportions) - set(SPLITS)
    if unknown:
        raise ValueError(f"proportions name unknown splits {sorted(unknown)}; known: {', '.join(SPLITS)}")
    shares = {split: float(proportions.get(split, 0.0)) for split in SPLITS}
    if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6 or shares[TRAIN] <= 0:
        raise ValueError(f"proportions {shares} must not be negative, must sum to 1, and train's must be above 0")
    return shares


def split_groups(
    groups: Sequence[str],
    labels: Sequence[str],
    sources: Sequence[str] | None = None,
    *,
    proportions: Mapping[str, float] = DEFAULT_PROPORTIONS,
    seed: int = 0,
    given: Sequence[str] | None = None,
) -> list[str]:
    """Deals whole groups out to the splits, stratified by (label, source). One value a row in and out.

    First every (label, split) pair gets one group of that label, by a search with backtracking: a label with three groups or more is in
    every split unless its groups are shared with other labels in a way that rules it out. Then the rest, the largest first, each to the
    split that is furthest below its share. `given` fixes the split of some groups.
    """
    shares = check_proportions(proportions)
    open_splits = [split for split in SPLITS if shares[split] > 0]
    strata = list(zip(labels, sources or [""] * len(labels), strict=True))
    counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for group, stratum in zip(groups, strata, strict=True):
        counts[group][stratum] += 1
    chosen = {group: split for group, split in zip(groups, given or [""] * len(groups), strict=True) if split}

    order = sorted(counts)
    random.Random(seed).shuffle(order)
    chosen |= _cover(order, counts, chosen, open_splits)

    totals = Counter(strata)
    filled: dict[str, Counter[tuple[str, str]]] = {split: Counter() for split in SPLITS}
    for group, split in chosen.items():
        filled[split].update(counts[group])
    rest = [group for group in order if group not in chosen]
    rest.sort(key=lambda group: -sum(counts[group].values()))
    for group in rest:
        chosen[group] = min(open_splits, key=lambda split: _overfill(counts[group], filled[split], totals, shares[split]))
        filled[chosen[group]].update(counts[group])
    return [chosen[group] for group in groups]


def _overfill(group: Counter[tuple[str, str]], filled: Counter[tuple[str, str]], totals: Counter[tuple[str, str]], share: float) -> float:
    """How much a split's squared distance from its targets, relative to them, grows with the group; all strata weigh the same."""
    growth = 0.0
    for stratum, count in group.items():
        target = share * totals[stratum]
        before = filled[stratum] - target
        growth += ((before + count) ** 2 - before**2) / (target * totals[stratum])
    return growth


def _cover(
    order: Iterable[str],
    counts: Mapping[str, Counter[tuple[str, str]]],
    chosen: Mapping[str, str],
    open_splits: Sequence[str],
) -> dict[str, str]:
    """Groups to place so that each label is in each split; empty-handed needs are dropped one by one until the rest can be met."""
    holders: dict[str, list[str]] = defaultdict(list)
    for group in sorted(order, key=lambda group: sum(counts[group].values())):
        for label in sorted({label for label, _ in counts[group]}):
            holders[label].append(group)
    needs = [
        (label, split)
        for label in sorted(holders, key=lambda label: (len(holders[label]), label))
        for split in open_splits
        if len(holders[label]) >= len(open_splits) and all(chosen.get(group) != split for group in holders[label])
    ]
    free = {label: [group for group in members if group not in chosen][:_CANDIDATES] for label, members in holders.items()}
    labels_of = {group: {label for label, _ in counts[group]} for members in free.values() for group in members}
    while needs:
        steps = [_SEARCH_STEPS]
        placed: dict[str, str] = {}
        if _search(needs, free, labels_of, placed, steps):
            return placed
        needs.pop()
    return {}


def _search(
    needs: list[tuple[str, str]], free: Mapping[str, list[str]], labels_of: Mapping[str, set[str]], placed: dict[str, str], steps: list[int]
) -> bool:
    """Depth-first: the need with the fewest candidates left first. Fills `placed`; False when there is no way, or no step, left."""
    open_needs = [
        (label, split) for label, split in needs if not any(home == split and label in labels_of[group] for group, home in placed.items())
    ]
    if not open_needs:
        return True
    candidates = {need: [group for group in free[need[0]] if group not in placed] for need in open_needs}
    need = min(open_needs, key=lambda need: len(candidates[need]))
    for group in candidates[need]:
        if steps[0] <= 0:
            return False
        steps[0] -= 1
        placed[group] = need[1]
        if _search(needs, free, labels_of, placed, steps):
            return True
        del placed[group]
    return False
