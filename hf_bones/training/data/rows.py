"""The rows of a recipe: which images train, which validate, with what labels, and a fingerprint of them for the record."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_bones.config.recipe import DataConfig, RecipeError
from hf_bones.dataset.arrays.reading import DatasetArrays, SplitArrays, arrays_folder, folder_states, open_arrays
from hf_bones.dataset.card import KNOWN_SOURCES
from hf_bones.dataset.schema import image_bytes
from hf_bones.dataset.streamed.shards import find_shards
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.labels import BEYOND_REPAIR, LabelScheme
from hf_bones.preprocess import fit_to
from hf_bones.record import sha256_rows
from hf_bones.training.data.batches import Boxes
from hf_bones.training.data.broken_copies import add_broken_copies
from hf_bones.training.data.missing_classes import missing_classes, unknown_classes
from hf_bones.training.data.row_table import Rows, boxes_of
from hf_bones.training.data.source_shares import left_out
from hf_bones.training.data.streaming import add_streamed
from hf_bones.training.errors import DamagedImageError

log = logging.getLogger(__name__)

DRAWN_LICENCE = "CC0-1.0"


class StoredImages:
    """Images of a `datasets.Dataset`, opened by the project's one opener, or read from the cached `arrays` of the same rows.

    `boxes` has an entry for each row, see `boxes_of`.
    """

    def __init__(self, dataset: Any, arrays: SplitArrays | None = None, boxes: Sequence[Boxes | None] = ()) -> None:
        from datasets import Image

        self.known_boxes = boxes
        self.rows = dataset
        self.images = dataset.select_columns(["image"]).cast_column("image", Image(decode=False))
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, row: int) -> np.ndarray:
        try:
            return open_image(image_bytes(self.images[row]["image"])).pixels
        except (ImageRefusedError, OSError) as error:
            known = self.rows.select_columns(["image_id", "source", "sha256"])[row]
            raise DamagedImageError(
                f"dataset: image {known['image_id']!r} (source {known['source']}, sha256 {known['sha256'][:12]}…) cannot be read: {error}. "
                "It was whole when the dataset was built; rebuild it with hf-bones build"
            ) from error

    def boxes(self, row: int) -> Boxes | None:
        return self.known_boxes[row] if self.known_boxes else None

    def fitted(self, rows: Sequence[int], size: int) -> list[np.ndarray]:
        """The rows with their long side at `size` px. Cached ones are not fitted again: `fit_to` of its own result can add a pixel."""
        cached = self.arrays.read(rows) if self.arrays is not None and self.arrays.size == size else [None] * len(rows)
        return [fit_to(self.pixels(row), size) if image is None else image for row, image in zip(rows, cached, strict=True)]


class DrawnImages:
    """Drawn radiographs by seed, drawn when first asked for and then kept."""

    def __init__(self, count: int, seed: int, size: int, names: Sequence[str], mode: str = "hard") -> None:
        self.count, self.seed, self.size, self.names, self.mode = count, seed, size, tuple(names), mode
        self.kept: dict[int, tuple[np.ndarray, Boxes | None]] = {}

    def __len__(self) -> int:
        return self.count

    def label(self, row: int) -> str:
        return self.names[row % len(self.names)]

    def pixels(self, row: int) -> np.ndarray:
        return self._drawn(row)[0]

    def boxes(self, row: int) -> Boxes | None:
        return self._drawn(row)[1]

    def _drawn(self, row: int) -> tuple[np.ndarray, Boxes | None]:
        from hf_bones.dataset.drawn.radiograph import draw_radiograph

        if row not in self.kept:
            drawn = draw_radiograph(self.seed + row, self.label(row), size=self.size, mode=self.mode)
            self.kept[row] = drawn.pixels, boxes_of(drawn.boxes, drawn.label == "healthy")
        return self.kept[row]


def training_rows(
    config: DataConfig, scheme: LabelScheme, seed: int, size: int | None = None, shards: Mapping[str, list[str]] | None = None
) -> tuple[Rows, Rows]:
    """The training and validation rows of a recipe. Test rows are not even loaded.

    Images come from the dataset's array cache where it has one for a training size of `size` px and `use_arrays` is set; with `streaming`
    from the dataset's Parquet `shards`, by split (`streaming.run_shards`).
    Raises `RecipeError` naming the key when nothing is left to train or validate on, or a class has no training row.
    """
    train, validation = Rows(), Rows()
    if config.streaming:
        shards = shards or find_shards(config.dataset)
        for rows, split in ((train, "train"), (validation, "validation")):
            add_streamed(rows, shards, split, config, scheme)
    elif config.dataset:
        from hf_bones.dataset.build import load_bones

        states = folder_states(config.dataset)  # before it is loaded: `open_arrays` makes sure that it is the same afterwards
        splits = load_bones(config.dataset)
        arrays = _find_arrays(config, size, splits, states)
        for rows, split in ((train, "train"), (validation, "validation")):
            if split not in splits:
                raise RecipeError(f"dataset: {config.dataset!r} has no {split!r} split (found {sorted(splits)})")
            limit = config.max_train_rows if split == "train" else None
            rows.arrays = arrays
            _add_stored(rows, splits[split], config, scheme, limit, seed, arrays[split] if arrays else None)
    # Drawn rows of train and validation are numbered far apart, so that no drawing is in both.
    _add_drawn(train, config.drawn_images, 1_000_000, config, scheme)
    _add_drawn(validation, config.drawn_validation_images, 2_000_000, config, scheme)
    add_broken_copies(train, config.broken_copies, seed, scheme, size)
    for rows, split in ((train, "training"), (validation, "validation")):
        missing = [name for name, count in rows.counts(scheme).items() if count == 0]
        if missing:
            raise RecipeError(missing_classes(split, missing, config, scheme))
    shared = set(train.groups) & set(validation.groups)
    if shared:
        raise RecipeError(f"dataset: {len(shared)} groups are in both train and validation ({sorted(shared)[:3]} …); rebuild it")
    return train, validation


def _find_arrays(config: DataConfig, size: int | None, splits: Mapping[str, Any], states: Mapping[str, str]) -> DatasetArrays | None:
    """The dataset's array cache as far as it can be used; what is wrong with it is logged, once for all processes."""
    if size is None or not config.use_arrays:
        return None
    folder = arrays_folder(config.dataset, size, config.arrays_dir or None)
    wanted = {split: splits[split] for split in ("train", "validation") if split in splits}
    arrays = open_arrays(folder, size, config.dataset, wanted, states)
    if arrays is not None and arrays.problems and int(os.environ.get("RANK", "0")) == 0:
        log.warning(
            "array cache %s: %s. These images are decoded from the dataset instead; repair it with: %s",
            folder,
            "; ".join(arrays.problems),
            arrays.repair,
        )
    return arrays


def arrays_line(train: Rows, validation: Rows, config: DataConfig, size: int) -> str:
    """Where the stored images of a run come from, for its announcement."""
    if not config.use_arrays:
        return "not used (use_arrays: false)"
    stored = sum(len(source) for rows in (train, validation) for source in rows.sources if isinstance(source, StoredImages))
    if train.arrays is None:
        return f"none at {size} px: each epoch decodes the images again (hf-bones cache {config.dataset} --size {size} writes them once)"
    matched = ", each matched by its hash" if train.arrays.hashed else ""
    return f"{train.from_arrays + validation.from_arrays:,} of {stored:,} images from the array cache {train.arrays.folder}{matched}"


def _add_stored(
    rows: Rows,
    dataset: Any,
    config: DataConfig,
    scheme: LabelScheme,
    limit: int | None,
    seed: int,
    arrays: SplitArrays | None = None,
) -> None:
    names = dataset.features["label"].names
    unknown = sorted(set(names) - set(scheme.names))
    columns = ["label", "group", "licence", "source", "sha256", "synthetic", "boxes", "subtype", "region"]
    table = dataset.select_columns([column for column in columns if column in dataset.features]).to_pandas()
    if config.train_licences:
        table = table[table["licence"].isin(config.train_licences)]
    if config.without_sources:
        table = table[~left_out(table["source"].tolist(), config.without_sources)]
    used = {names[label] for label in table["label"].unique()}
    if used & set(unknown):
        raise RecipeError(unknown_classes(sorted(used & set(unknown)), repr(config.dataset), scheme))
    if limit is not None and limit < len(table):
        share = limit / len(table)
        table = table.groupby("label", group_keys=False).sample(frac=share, random_state=seed).sort_index()
    chosen = table.index.to_list()
    cached = arrays.select(chosen) if arrays is not None else None
    boxes = [
        boxes_of([[float(number) for number in box] for box in drawn], names[label] == scheme.normal)
        for drawn, label in zip(table.get("boxes", [[]] * len(table)), table["label"], strict=True)
    ]
    rows.sources.append(StoredImages(dataset.select(chosen), cached, boxes))
    rows.from_arrays += cached.there if cached is not None else 0
    rows.labels += [scheme.label2id[names[label]] for label in table["label"]]
    rows.groups += table["group"].tolist()
    rows.licences += table["licence"].tolist()
    rows.origins += table["source"].tolist()
    rows.hashes += table["sha256"].tolist()
    rows.synthetic += table["synthetic"].tolist()
    for kept, column in ((rows.subtypes, "subtype"), (rows.regions, "region")):
        kept += table[column].fillna("").tolist() if column in table else [""] * len(table)


def _add_drawn(rows: Rows, count: int, seed: int, config: DataConfig, scheme: LabelScheme) -> None:
    if count == 0:
        return
    drawn = DrawnImages(count, seed, config.drawn_size, scheme.names, config.drawn_mode)
    rows.sources.append(drawn)
    for row in range(count):
        rows.labels.append(scheme.label2id[drawn.label(row)])
        rows.groups.append(f"drawn-{seed + row}")
        rows.licences.append(DRAWN_LICENCE)
        rows.origins.append("drawn")
        rows.hashes.append(f"drawn-{seed + row}-{config.drawn_size}{'-plain' if config.drawn_mode == 'plain' else ''}")
        rows.synthetic.append(True)
        rows.subtypes.append("")  # not known before it is drawn
        rows.regions.append("")


def describe_rows(train: Rows, validation: Rows, config: DataConfig, scheme: LabelScheme) -> dict[str, Any]:
    """What record.json says of the data: hashes, counts, licences, and whether all training images were drawn."""
    both = [*zip(train.hashes, train.labels, strict=True), *zip(validation.hashes, validation.labels, strict=True)]
    splits = [(h, "train") for h in train.hashes] + [(h, "validation") for h in validation.hashes]
    attribution, label_noise = said_of_sources(train, scheme)
    own = [row for row in range(len(train)) if row not in train.copies_of]
    return {
        "dataset": Path(config.dataset).name or "drawn",
        "dataset_id": config.dataset_id,
        "attribution": list(dict.fromkeys([*attribution, *config.attribution])),
        "label_noise": " ".join(dict.fromkeys(text for text in (*label_noise, config.label_noise) if text)),
        "sha256": sha256_rows(both),
        "split_sha256": sha256_rows(splits),
        "counts": {"train": train.counts(scheme), "validation": validation.counts(scheme)},
        "licences": dict(sorted(Counter(train.licences).items())),
        "sources": dict(sorted(Counter(train.origins[row] for row in own).items())),
        "drawn": sum(train.synthetic[row] for row in own),
        "broken_copies": len(train.copies_of),
        "synthetic_only": all(train.synthetic),
        "arrays": {
            "images": train.from_arrays + validation.from_arrays,
            "preprocessing": dict(train.arrays.preprocessing) if train.arrays is not None else {},
        },
        **(train.stream.described() if train.stream is not None else {}),
    }


def said_of_sources(rows: Rows, scheme: LabelScheme) -> tuple[list[str], list[str]]:
    """Sentences on attribution and on label noise of the known sources that the rows come from, in the order of that table.

    What is said of severity stands there only where rows of the source carry it: FracAtlas as published has no such label.
    """
    found = set(zip(rows.origins, (scheme.names[label] for label in rows.labels), strict=True))
    attribution, label_noise = [], []
    for name, known in KNOWN_SOURCES.items():
        labels = {label for origin, label in found if origin == name}
        graded = BEYOND_REPAIR in labels
        if labels and known.credit:
            attribution.append(f"{known.credit} {known.graded}" if graded and known.graded else known.credit)
        if graded and known.label_noise:
            label_noise.append(known.label_noise)
    return attribution, label_noise
