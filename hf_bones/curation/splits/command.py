"""Splits of a collection or a built dataset: whole groups dealt out, written to the manifest in one step, and proved.

Only images that a build would take are dealt out. Those that it leaves out for now (no label yet, contradictory labels) follow their
group, so that they stand on the right side once somebody has decided; what was dropped or is marked unused is left alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hf_bones.curation.recipe import SplitSettings
from hf_bones.curation.splits.dealing import assign_splits
from hf_bones.curation.splits.group_keys import HASH, Key, group_keys, left_out_reasons, merged_groups
from hf_bones.curation.splits.names import TEST, TRAIN, UNUSED, VALIDATION, GroupLeakError, check_proportions, split_name
from hf_bones.curation.splits.proof import SplitProof, prove
from hf_bones.curation.subject import Subject
from hf_bones.manifest.store import ImageRecord
from hf_bones.record import now

SPLITS_FACT = "splits"  # how the splits in the manifest were made, as JSON


@dataclass(frozen=True, eq=False)
class SplitResult:
    """What was done: the proof, how many images had no split and how many have another one now, notes, and the images that are split
    with their groups (one name an image)."""

    proof: SplitProof
    dealt: int
    changed: int
    notes: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    keys: tuple[Key, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]


def split_subject(subject: Subject, settings: SplitSettings, *, anew: bool = False, dry_run: bool = False) -> SplitResult:
    """Deals the images of `subject` out to train, validation and test and writes that, unless `dry_run`.

    Splits that are there are kept, and only images without one are dealt out; `anew` deals out all. `unused` stays. Raises
    `GroupLeakError` where the existing splits break up a group, naming what is torn, and ValueError for an unknown split, for bad
    proportions, and where there is no image to split.
    """
    targets = check_proportions({TRAIN: settings.train, VALIDATION: settings.validation, TEST: settings.test})
    manifest = subject.manifest
    with manifest.transaction():
        records = list(manifest.images())
        before = {record.sha256: _split_of(record) for record in records}
        reasons = left_out_reasons(manifest, records)
        keys = group_keys(manifest, records, subject.kind)
        groups = merged_groups(keys)
        used = [record for record in records if not reasons[record.sha256] and before[record.sha256] != UNUSED]
        if not used:
            raise ValueError(f"{subject.folder}: no image to split: all are dropped, unused or without a label")
        given = ["" if anew else before[record.sha256] for record in used]
        names = [groups[record.sha256] for record in used]
        _require_whole(used, given, keys, targets, subject)
        splits, notes = assign_splits(
            names,
            [record.final_label for record in used],
            [record.provider for record in used],
            given,
            regions=[record.region for record in used],
            region_weight=settings.region_weight,
            proportions=targets,
            seed=settings.seed,
        )
        after = dict(zip((record.sha256 for record in used), splits, strict=True))
        of_group = dict(zip(names, splits, strict=True))
        waiting = [record for record in records if record.sha256 in groups and record.sha256 not in after]
        after |= {record.sha256: of_group.get(groups[record.sha256], before[record.sha256]) for record in waiting}
        changed = [sha256 for sha256, split in after.items() if split != before[sha256]]
        left_out = Counter(reason.partition(":")[0] for reason in reasons.values() if reason)
        left_out.update("marked unused" for sha256, split in before.items() if split == UNUSED and not reasons[sha256])
        proof = prove(used, after, keys, targets, left_out)
        if not dry_run:
            for record in records:
                if after.get(record.sha256, record.split) != record.split:  # "val" is written anew as "validation"
                    manifest.set_columns(record.sha256, {"split": after[record.sha256]})
            made = {"at": now(), "seed": settings.seed, "proportions": targets, "anew": anew, "split_sha256": proof.split_sha256}
            manifest.set_fact(SPLITS_FACT, json.dumps(made))
    if waiting:
        notes.append(f"{len(waiting):,} images that a build leaves out for now follow their group")
    sharing = {key.sha256 for key in keys if key.kind != HASH}
    if alone := sum(record.sha256 not in sharing for record in used):
        notes.append(
            f"{alone:,} of {len(used):,} images have no patient, group, page or near-duplicates that anybody knows of: each stands alone"
        )
    dealt = sum(not split for split in given) if not anew else len(used)
    return SplitResult(proof, dealt, len(changed), tuple(notes), tuple(used), tuple(keys), tuple(names), tuple(splits))


def _split_of(record: ImageRecord) -> str:
    try:
        return split_name(record.split)
    except ValueError as error:
        raise ValueError(f"image {record.sha256[:12]}: {error}") from error


def _require_whole(
    records: Sequence[ImageRecord], given: Sequence[str], keys: Sequence[Key], targets: dict[str, float], subject: Subject
) -> None:
    """Raises `GroupLeakError` saying what the given splits tear, by kind of key."""
    split = [record for record, name in zip(records, given, strict=True) if name]
    if not split:
        return
    proof = prove(split, dict(zip((record.sha256 for record in records), given, strict=True)), keys, targets)
    if proof.holds:
        return
    torn = [f"{kind.in_two_splits:,} of {kind.kind} (such as {kind.examples[0]})" for kind in proof.kinds if kind.in_two_splits]
    chained = [] if torn else ["no single key, but chains of them"]
    raise GroupLeakError(
        f"{subject.folder}: the existing splits break up {proof.groups_in_two_splits:,} groups: {'; '.join(torn + chained)}. "
        "Drop the images that are in the wrong split or mark them 'unused', or deal all images out again with --anew"
    )
