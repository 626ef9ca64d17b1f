"""The proof of a split: that nothing which belongs together stands in two splits, and how near each label comes to its share.

Not here: making the splits (`command.py`).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from hf_bones.curation.splits.group_keys import KINDS, Key, images_by_key, merged_groups
from hf_bones.curation.splits.names import SPLITS
from hf_bones.manifest.store import ImageRecord
from hf_bones.pages.tables import rich_table
from hf_bones.record import sha256_rows

_EXAMPLES = 5


@dataclass(frozen=True)
class KindProof:
    """Keys of one kind: how many there are, how many several images share, and how many have images in two splits; a few of these by
    name, with their splits."""

    kind: str
    keys: int
    shared: int
    in_two_splits: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class StratumCounts:
    """Images of one label and source (and region, "" where all are meant) by split."""

    label: str
    source: str
    region: str
    counts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def share(self, split: str) -> float:
        """Of its images, the share in this split, in [0, 1]."""
        return self.counts.get(split, 0) / self.total


@dataclass(frozen=True)
class SplitProof:
    """How a set is split. `groups` counts whole groups, merged over all kinds of keys, and `groups_in_two_splits` those that are torn.

    `targets` are the shares asked for; `left_out` counts images that no build takes, by reason; `split_sha256` is a hash of every image's
    split: the same splits have the same one.
    """

    images: int
    groups: int
    groups_in_two_splits: int
    kinds: tuple[KindProof, ...]
    strata: tuple[StratumCounts, ...]
    regions: tuple[StratumCounts, ...]
    images_by_split: dict[str, int]
    groups_by_split: dict[str, int]
    targets: dict[str, float]
    left_out: dict[str, int]
    split_sha256: str

    @property
    def holds(self) -> bool:
        """Whether no group, and no key of any kind, stands in two splits."""
        return not self.groups_in_two_splits and not any(kind.in_two_splits for kind in self.kinds)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"holds": self.holds, **dataclasses.asdict(self)}


def prove(
    records: Sequence[ImageRecord],
    splits: Mapping[str, str],
    keys: Sequence[Key],
    targets: Mapping[str, float],
    left_out: Mapping[str, int] | None = None,
) -> SplitProof:
    """The proof for `records`, whose splits are given by their hashes. `keys` of other images than these do not count for torn ones."""
    own = {record.sha256: splits[record.sha256] for record in records}
    groups = merged_groups(keys)
    members: dict[str, list[str]] = {}
    for record in records:
        members.setdefault(groups.get(record.sha256, record.sha256), []).append(record.sha256)
    # Images that are not among the records may join others, but stand in no split themselves.
    kinds = tuple(_kind_proof(kind, images_by_key([key for key in keys if key.sha256 in own], kind), own) for kind in KINDS)
    strata = Counter((record.final_label, record.provider, "", own[record.sha256]) for record in records)
    regions = Counter((record.final_label, record.provider, record.region, own[record.sha256]) for record in records)
    homes = [{own[sha256] for sha256 in hashes} for hashes in members.values()]
    return SplitProof(
        images=len(own),
        groups=len(members),
        groups_in_two_splits=sum(len(home) > 1 for home in homes),
        kinds=kinds,
        strata=_strata(strata),
        regions=_strata(regions),
        images_by_split={split: count for split in SPLITS if (count := sum(home == split for home in own.values()))},
        groups_by_split={split: count for split in SPLITS if (count := sum(split in home for home in homes))},
        targets=dict(targets),
        left_out=dict(left_out or {}),
        split_sha256=sha256_rows(sorted(own.items())),
    )


def _kind_proof(kind: str, images: Mapping[str, Sequence[str]], splits: Mapping[str, str]) -> KindProof:
    torn = {name: homes for name, hashes in images.items() if len(homes := {splits[sha256] for sha256 in hashes}) > 1}
    examples = tuple(f"{name}: {' and '.join(sorted(homes))}" for name, homes in sorted(torn.items())[:_EXAMPLES])
    return KindProof(kind, len(images), sum(len(hashes) > 1 for hashes in images.values()), len(torn), examples)


def _strata(counts: Counter[tuple[str, str, str, str]]) -> tuple[StratumCounts, ...]:
    by_stratum: dict[tuple[str, str, str], dict[str, int]] = {}
    for (label, source, region, split), count in counts.items():
        by_stratum.setdefault((label, source, region), {})[split] = count
    made = [StratumCounts(*stratum, {split: found[split] for split in SPLITS if split in found}) for stratum, found in by_stratum.items()]
    return tuple(sorted(made, key=lambda stratum: (stratum.source, -stratum.total, stratum.label, stratum.region)))


def kinds_table(proof: SplitProof) -> Table:
    """The keys of each kind for the terminal, and how many of them stand in two splits."""
    rows = [[kind.kind, f"{kind.keys:,}", f"{kind.shared:,}", _alarm(kind.in_two_splits)] for kind in proof.kinds]
    total = ["groups, all of these merged", f"{proof.groups:,}", "", _alarm(proof.groups_in_two_splits)]
    return rich_table(["kept together by", "keys", "shared by several images", "in two splits"], rows, total=total)


def strata_table(proof: SplitProof, *, regions: bool = False) -> Table:
    """Images by label and source (and region) for the terminal: count and share in each split, below its target."""
    digits = 0 if regions else 1  # a region has few images, and its table many columns

    def cells(stratum: StratumCounts, where: str) -> list[str]:
        shares = [f"{stratum.counts.get(split, 0):,} {stratum.share(split):>4.{digits}%}" for split in SPLITS]
        return [*([where] if regions else []), f"{stratum.total:,}", *shares]

    head = ["source", "label", *(["region"] if regions else []), "images"]
    head += [f"{split}\n{proof.targets.get(split, 0):.{digits}%}" for split in SPLITS]
    rows = [[row.source or "–", row.label, *cells(row, row.region or "–")] for row in (proof.regions if regions else proof.strata)]
    everywhere = StratumCounts("", "", "", proof.images_by_split)
    return rich_table(head, rows, left=range(3 if regions else 2), total=["all", "", *cells(everywhere, "")])


def proof_lines(proof: SplitProof) -> list[str]:
    """The proof in words, a line each."""
    torn = [f"  {kind.kind}: {example}" for kind in proof.kinds for example in kind.examples]
    lines = [f"{proof.groups_in_two_splits:,} of {proof.groups:,} groups are in two splits ({proof.images:,} images)", *torn]
    if proof.left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(proof.left_out.items(), key=lambda item: -item[1]))
        lines.append(f"not dealt out: {reasons}")
    return lines


def _alarm(count: int) -> str:
    return "0" if not count else f"[bold red]{count:,}[/]"
