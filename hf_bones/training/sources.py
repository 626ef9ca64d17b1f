"""The rows of a recipe: which images train, which validate, with what labels, and a fingerprint of them for the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_bones.config import DataConfig, RecipeError
from hf_bones.imaging import open_image
from hf_bones.labels import LabelScheme
from hf_bones.record import sha256_rows
from hf_bones.training.data import PixelSource

DRAWN_LICENCE = "CC0-1.0"


@dataclass
class Rows:
    """Images with labels (ids in the scheme), their groups, and what the record says of them."""

    sources: list[PixelSource] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    licences: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    synthetic: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self, scheme: LabelScheme) -> dict[str, int]:
        """Rows of each class, in the scheme's order."""
        found = Counter(self.labels)
        return {name: found[index] for index, name in enumerate(scheme.names)}


class StoredImages:
    """Images of a `datasets.Dataset`, opened by the project's one opener."""

    def __init__(self, dataset: Any) -> None:
        from datasets import Image

        self.images = dataset.select_columns(["image"]).cast_column("image", Image(decode=False))

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, row: int) -> np.ndarray:
        image = self.images[row]["image"]
        return open_image(image["bytes"] if image["bytes"] is not None else image["path"]).pixels


class DrawnImages:
    """Drawn radiographs by seed, drawn when first asked for and then kept."""

    def __init__(self, count: int, seed: int, size: int, names: Sequence[str]) -> None:
        self.count, self.seed, self.size, self.names = count, seed, size, tuple(names)
        self.kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self.count

    def label(self, row: int) -> str:
        return self.names[row % len(self.names)]

    def pixels(self, row: int) -> np.ndarray:
        from hf_bones.dataset.synthetic import draw_radiograph

        if row not in self.kept:
            self.kept[row] = draw_radiograph(self.seed + row, self.label(row), size=self.size).pixels
        return self.kept[row]


def training_rows(config: DataConfig, scheme: LabelScheme, seed: int) -> tuple[Rows, Rows]:
    """The training and validation rows of a recipe. Test rows are not even loaded.

    Raises `RecipeError` naming the key when nothing is left to train or validate on, or a class has no training row.
    """
    train, validation = Rows(), Rows()
    if config.dataset:
        from hf_bones.dataset.build import load_bones

        splits = load_bones(config.dataset)
        for rows, split in ((train, "train"), (validation, "validation")):
            if split not in splits:
                raise RecipeError(f"dataset: {config.dataset!r} has no {split!r} split (found {sorted(splits)})")
            limit = config.max_train_rows if split == "train" else None
            _add_stored(rows, splits[split], config, scheme, limit, seed)
    # Drawn rows of train and validation are numbered far apart, so that no drawing is in both.
    _add_drawn(train, config.drawn_images, 1_000_000, config, scheme)
    _add_drawn(validation, config.drawn_validation_images, 2_000_000, config, scheme)
    for rows, split in ((train, "training"), (validation, "validation")):
        missing = [name for name, count in rows.counts(scheme).items() if count == 0]
        if missing:
            licences = f" with licences {config.train_licences}" if config.train_licences else ""
            raise RecipeError(
                f"data: no {split} row of {', '.join(missing)} in {config.dataset or 'drawn images'!r}{licences}; "
                "check dataset, train_licences, drawn_images and drawn_validation_images"
            )
    shared = set(train.groups) & set(validation.groups)
    if shared:
        raise RecipeError(f"dataset: {len(shared)} groups are in both train and validation ({sorted(shared)[:3]} …); build it anew")
    return train, validation


def _add_stored(rows: Rows, dataset: Any, config: DataConfig, scheme: LabelScheme, limit: int | None, seed: int) -> None:
    names = dataset.features["label"].names
    unknown = sorted(set(names) - set(scheme.names))
    table = dataset.select_columns(["label", "group", "licence", "source", "sha256", "synthetic"]).to_pandas()
    if config.train_licences:
        table = table[table["licence"].isin(config.train_licences)]
    used = {names[label] for label in table["label"].unique()}
    if used & set(unknown):
        raise RecipeError(f"label_scheme: {scheme.name!r} has no class {sorted(used & set(unknown))}, which {config.dataset!r} holds")
    if limit is not None and limit < len(table):
        share = limit / len(table)
        table = table.groupby("label", group_keys=False).sample(frac=share, random_state=seed).sort_index()
    rows.sources.append(StoredImages(dataset.select(table.index.to_list())))
    rows.labels += [scheme.label2id[names[label]] for label in table["label"]]
    rows.groups += table["group"].tolist()
    rows.licences += table["licence"].tolist()
    rows.origins += table["source"].tolist()
    rows.hashes += table["sha256"].tolist()
    rows.synthetic += table["synthetic"].tolist()


def _add_drawn(rows: Rows, count: int, seed: int, config: DataConfig, scheme: LabelScheme) -> None:
    if count == 0:
        return
    drawn = DrawnImages(count, seed, config.drawn_size, scheme.names)
    rows.sources.append(drawn)
    for row in range(count):
        rows.labels.append(scheme.label2id[drawn.label(row)])
        rows.groups.append(f"drawn-{seed + row}")
        rows.licences.append(DRAWN_LICENCE)
        rows.origins.append("drawn")
        rows.hashes.append(f"drawn-{seed + row}-{config.drawn_size}")
        rows.synthetic.append(True)


def describe_rows(train: Rows, validation: Rows, config: DataConfig, scheme: LabelScheme) -> dict[str, Any]:
    """What record.json says of the data: hashes, counts, licences, and whether all training images were drawn."""
    both = [*zip(train.hashes, train.labels, strict=True), *zip(validation.hashes, validation.labels, strict=True)]
    splits = [(h, "train") for h in train.hashes] + [(h, "validation") for h in validation.hashes]
    return {
        "dataset": Path(config.dataset).name or "drawn",
        "dataset_id": config.dataset_id,
        "attribution": config.attribution,
        "label_noise": config.label_noise,
        "sha256": sha256_rows(both),
        "split_sha256": sha256_rows(splits),
        "counts": {"train": train.counts(scheme), "validation": validation.counts(scheme)},
        "licences": dict(sorted(Counter(train.licences).items())),
        "sources": dict(sorted(Counter(train.origins).items())),
        "drawn": sum(train.synthetic),
        "synthetic_only": all(train.synthetic),
    }
