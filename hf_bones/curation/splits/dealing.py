"""Dealing groups out to train, validation and test: whole, in the proportions asked for, every label in every split.

Given splits are kept; where there are none, whole groups are dealt out so that each (label, source) pair comes close to the proportions
asked for, and each of its regions too, which weigh less. Every label is in every split where its groups allow it, and so is every source
that has groups enough for its share there. The same input and seed give the same splits.

Not here: what makes a group (`group_keys.py`, and whoever builds a dataset).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hf_bones.curation.splits.names import DEFAULT_PROPORTIONS, SPLITS, TRAIN, check_proportions, require_no_leaks

# What a (label, source, region) stratum weighs beside its (label, source). Recipes of curation set their own.
REGION_WEIGHT = 0.25

# Each label looks for its guaranteed groups among this many of the smallest that hold it: enough for any real scheme, and it keeps
# the search small on sets with tens of thousands of patients.
_CANDIDATES = 64
_SEARCH_STEPS = 20_000

# (label, source), or (label, source, region).
Stratum = tuple[str, ...]


def assign_splits(
    groups: Sequence[str],
    labels: Sequence[str],
    sources: Sequence[str],
    given: Sequence[str],
    *,
    regions: Sequence[str] | None = None,
    region_weight: float = REGION_WEIGHT,
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
    regions = regions or [""] * len(groups)
    present = {split for split in given if split}
    if not present:
        return split_groups(groups, labels, sources, regions, region_weight=region_weight, proportions=shares, seed=seed), []
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
        columns = [[column[i] for i in rows] for column in (groups, labels, sources, regions)]
        dealt = split_groups(*columns, region_weight=region_weight, proportions=shares, seed=seed)
        for index, split in zip(rows, dealt, strict=True):
            fixed[index] = split
    else:
        notes.append(f"{sum(not split for split in given)} of {len(given)} rows had no split given: dealt out by whole groups")
        fixed = split_groups(groups, labels, sources, regions, region_weight=region_weight, proportions=shares, seed=seed, given=given)
    require_no_leaks(groups, fixed)
    return fixed, notes


def split_groups(
    groups: Sequence[str],
    labels: Sequence[str],
    sources: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    *,
    region_weight: float = REGION_WEIGHT,
    proportions: Mapping[str, float] = DEFAULT_PROPORTIONS,
    seed: int = 0,
    given: Sequence[str] | None = None,
) -> list[str]:
    """Deals whole groups out to the splits, stratified by (label, source) and by (label, source, region). One value a row in and out.

    First every (label, split) pair gets one group of that label, by a search with backtracking: a label with three groups or more is in
    every split unless its groups are shared with other labels in a way that rules it out. Of several sources, each then gets a group into
    every split whose share of its groups rounds to one or more. Then the rest, the largest first, each to the split that is furthest below
    its share. `given` fixes the split of some groups; `region_weight` is what a region weighs beside its label
    and source, 0 for not at all.
    """
    shares = check_proportions(proportions)
    open_splits = [split for split in SPLITS if shares[split] > 0]
    empty = [""] * len(labels)
    totals: Counter[Stratum] = Counter()
    counts: dict[str, Counter[Stratum]] = defaultdict(Counter)
    sizes = Counter(groups)
    for group, label, source, region in zip(groups, labels, sources or empty, regions or empty, strict=True):
        for stratum in ((label, source), (label, source, region)):
            counts[group][stratum] += 1
            totals[stratum] += 1
    chosen = {group: split for group, split in zip(groups, given or [""] * len(groups), strict=True) if split}

    order = sorted(counts)
    random.Random(seed).shuffle(order)
    chosen |= _cover(order, sizes, counts, chosen, open_splits)
    chosen |= _cover_sources(order, sizes, counts, chosen, shares)

    filled: dict[str, Counter[Stratum]] = {split: Counter() for split in SPLITS}
    for group, split in chosen.items():
        filled[split].update(counts[group])
    rest = [group for group in order if group not in chosen]
    rest.sort(key=lambda group: -sizes[group])
    for group in rest:
        chosen[group] = min(open_splits, key=lambda split: _overfill(counts[group], filled[split], totals, shares[split], region_weight))
        filled[chosen[group]].update(counts[group])
    return [chosen[group] for group in groups]


def _overfill(group: Counter[Stratum], filled: Counter[Stratum], totals: Counter[Stratum], share: float, region_weight: float) -> float:
    """How much a split's squared distance from its targets, relative to them, grows with the group.

    All strata of one kind weigh the same, however small they are.
    """
    growth = 0.0
    for stratum, count in group.items():
        target = share * totals[stratum]
        before = filled[stratum] - target
        weight = 1.0 if len(stratum) == 2 else region_weight
        growth += weight * ((before + count) ** 2 - before**2) / (target * totals[stratum])
    return growth


def _cover(
    order: Iterable[str],
    sizes: Mapping[str, int],
    counts: Mapping[str, Counter[Stratum]],
    chosen: Mapping[str, str],
    open_splits: Sequence[str],
) -> dict[str, str]:
    """Groups to place so that each label is in each split; empty-handed needs are dropped one by one until the rest can be met."""
    holders: dict[str, list[str]] = defaultdict(list)
    for group in sorted(order, key=lambda group: sizes[group]):
        for label in sorted({stratum[0] for stratum in counts[group]}):
            holders[label].append(group)
    needs = [
        (label, split)
        for label in sorted(holders, key=lambda label: (len(holders[label]), label))
        for split in open_splits
        if len(holders[label]) >= len(open_splits) and all(chosen.get(group) != split for group in holders[label])
    ]
    free = {label: [group for group in members if group not in chosen][:_CANDIDATES] for label, members in holders.items()}
    labels_of = {group: {stratum[0] for stratum in counts[group]} for members in free.values() for group in members}
    while needs:
        steps = [_SEARCH_STEPS]
        placed: dict[str, str] = {}
        if _search(needs, free, labels_of, placed, steps):
            return placed
        needs.pop()
    return {}


def _cover_sources(
    order: Iterable[str],
    sizes: Mapping[str, int],
    counts: Mapping[str, Counter[Stratum]],
    chosen: Mapping[str, str],
    shares: Mapping[str, float],
) -> dict[str, str]:
    """Groups to place so that each of several sources is in each split whose share of its groups rounds to one or more.

    Source by source, the one with the fewest groups first; its smallest free group goes to the split that lacks it.
    """
    holders: dict[str, list[str]] = defaultdict(list)
    for group in sorted(order, key=lambda group: sizes[group]):
        for source in sorted({stratum[1] for stratum in counts[group]}):
            holders[source].append(group)
    placed: dict[str, str] = {}
    for source in sorted(holders, key=lambda source: (len(holders[source]), source)) if len(holders) > 1 else ():
        members = holders[source]
        for split in SPLITS:
            there = any((chosen.get(group) or placed.get(group)) == split for group in members)
            if there or shares[split] * len(members) < 0.5:
                continue
            free = next((group for group in members if group not in chosen and group not in placed), None)
            if free is not None:
                placed[free] = split
    return placed


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
