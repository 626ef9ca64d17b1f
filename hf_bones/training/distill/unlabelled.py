"""Radiographs without labels, for distillation: opened, told apart from validation and test images, counted for the record.

A folder holds images of any names; a dataset's folder stands for its training rows, whose labels are not looked at. A picture that is a
near-duplicate of a validation or test image of the run's dataset is kept out (the search of `curation/duplicates/find.py`), and so is one
that trains with its label already. Files that cannot be opened are listed in `unlabelled.json`, in the run's folder, and left out.

Not told apart: other films of a patient whose films are validated or tested on. Only whoever made the folder can know them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hf_bones.config.recipe import DataConfig, DistillConfig, RecipeError
from hf_bones.curation.duplicates.find import find_links, groups
from hf_bones.curation.duplicates.fingerprints import FingerprintStore, make_fingerprints
from hf_bones.curation.recipe import load_curate_recipe
from hf_bones.curation.subject import DATASET_KIND, Subject
from hf_bones.dataset.build import load_bones
from hf_bones.dataset.schema import image_bytes
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.manifest.store import FINGERPRINTS_NAME, ImageRecord, open_manifest
from hf_bones.record import public_name, read_json, sha256_rows, write_json
from hf_bones.training.data.batches import PixelSource
from hf_bones.training.data.rows import StoredImages
from hf_bones.training.errors import DamagedImageError

LIST_NAME = "unlabelled.json"
_WORKPLACE = "unlabelled_search"
_HELD_OUT = ("validation", "test")
_DATASET_FILE = "dataset_dict.json"

Read = Callable[[], bytes]


class FolderImages:
    """Image files of a folder, opened by the project's one opener."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)

    def __len__(self) -> int:
        return len(self.files)

    def pixels(self, row: int) -> np.ndarray:
        try:
            return open_image(self.files[row]).pixels
        except ImageRefusedError as error:
            raise DamagedImageError(f"unlabelled: {error}. Remove the file, or fix it") from error


@dataclass
class Unlabelled:
    """Images to learn from without their label; one source a folder. `report` is what the record says of each folder."""

    sources: list[PixelSource] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    licences: list[str] = field(default_factory=list)
    report: list[dict[str, Any]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True, eq=False)
class _Found:
    """The images of one folder as they lie there, by name: how to read each, its licence, and a fingerprint of the listing.

    `hashes` are those of a dataset's rows, of the bytes that they were built from; those of files are made when they are read.
    """

    folder: str
    reads: dict[str, Read]
    hashes: dict[str, str]
    licences: dict[str, str]
    listing: str
    other_licence: int  # rows of a dataset that `train_licences` leaves out
    source: Callable[[Sequence[str]], PixelSource]


def unlabelled_rows(config: DistillConfig, data: DataConfig, labelled: Sequence[str], output: Path, *, progress: bool = True) -> Unlabelled:
    """The images of `config.unlabelled` that may teach, `labelled` being the hashes of the rows that train with their label.

    What was found is written to `unlabelled.json` in `output`, and read from it again while the folders hold the same files.
    Raises `RecipeError` naming `unlabelled` for a folder that is not there or has nothing to give, and `unlabelled_licences` where
    `train_licences` asks for a licence that is not stated or not among them.
    """
    if not config.unlabelled:
        return Unlabelled()
    found = [_look_into(place, number, config, data) for number, place in enumerate(config.unlabelled)]
    key = sha256_rows([(one.folder, one.listing) for one in found] + [("labelled", *sorted(labelled)), ("held out", data.dataset)])
    path = output / LIST_NAME
    known = read_json(path) if path.is_file() else {}
    if known.get("key") != key:
        known = {"key": key, "folders": _choose(found, data, set(labelled), output, progress)}
        write_json(path, known)
    rows = Unlabelled()
    for one, chosen in zip(found, known["folders"], strict=True):
        kept: Mapping[str, str] = chosen["kept"]
        if not kept:
            raise RecipeError(f"unlabelled: nothing in {one.folder} can be learnt from ({_counts(chosen)}); see {path}")
        rows.sources.append(one.source(list(kept)))
        rows.hashes += kept.values()
        rows.origins += [f"{public_name(one.folder)}: {name}" for name in kept]
        rows.licences += [one.licences[name] for name in kept]
        rows.report.append(_report(one, chosen))
    return rows


def _look_into(place: str, number: int, config: DistillConfig, data: DataConfig) -> _Found:
    folder = Path(place).expanduser()
    if not folder.is_dir():
        raise RecipeError(f"unlabelled: {place!r} is not a folder")
    if (folder / _DATASET_FILE).is_file():
        return _dataset_rows(folder, data)
    licence = config.unlabelled_licences[number] if config.unlabelled_licences else ""
    if data.train_licences and licence not in data.train_licences:
        stated = f"has licence {licence!r}" if licence else "has no licence in unlabelled_licences"
        raise RecipeError(
            f"unlabelled: {place!r} {stated}, but train_licences allows {', '.join(data.train_licences)}; state its licence, or drop it"
        )
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    states = [(name, (stat := path.stat()).st_size, stat.st_mtime_ns) for name, path in files.items()]
    return _Found(
        str(folder),
        {name: path.read_bytes for name, path in files.items()},
        {},
        dict.fromkeys(files, licence),
        sha256_rows(states),
        0,
        lambda names: FolderImages([files[name] for name in names]),
    )


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder, in order; hidden ones and hidden folders are left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _dataset_rows(folder: Path, data: DataConfig) -> _Found:
    """The training rows of a dataset's folder, by number."""
    from datasets import Image

    splits = load_bones(str(folder))
    if "train" not in splits:
        raise RecipeError(f"unlabelled: dataset {str(folder)!r} has no train split (found {sorted(splits)})")
    rows = splits["train"]
    licences = rows["licence"] if "licence" in rows.features else [""] * len(rows)
    chosen = [row for row, licence in enumerate(licences) if not data.train_licences or licence in data.train_licences]
    images, hashes = rows.select_columns(["image"]).cast_column("image", Image(decode=False)), rows["sha256"]
    return _Found(
        str(folder),
        {f"row {row}": (lambda row=row: image_bytes(images[row]["image"])) for row in chosen},  # type: ignore[misc]
        {f"row {row}": str(hashes[row]) for row in chosen},
        {f"row {row}": str(licences[row]) for row in chosen},
        sha256_rows(enumerate(hashes)),
        len(rows) - len(chosen),
        lambda names: StoredImages(rows.select([int(name.removeprefix("row ")) for name in names])),
    )


def _choose(found: Sequence[_Found], data: DataConfig, labelled: set[str], output: Path, progress: bool) -> list[dict[str, Any]]:
    """For each folder: `kept` (name → hash), `refused` (name → why), and the names of `repeated`, `labelled` and `held_out` images."""
    chosen: list[dict[str, Any]] = []
    seen: dict[str, Read] = {}
    where: dict[str, tuple[int, str]] = {}
    for number, one in enumerate(found):
        lists: dict[str, Any] = {"kept": {}, "refused": {}, "repeated": [], "labelled": [], "held_out": []}
        for name, read in tqdm(
            one.reads.items(), desc=f"hashes of {public_name(one.folder)}", unit="img", disable=None if progress else True
        ):
            try:
                digest = one.hashes.get(name) or hashlib.sha256(read()).hexdigest()
            except OSError as error:
                lists["refused"][name] = f"unreadable_file: {error.strerror or error}"
                continue
            if digest in labelled or digest in seen:
                lists["labelled" if digest in labelled else "repeated"].append(name)
                continue
            seen[digest], where[digest] = read, (number, name)
            lists["kept"][name] = digest
        chosen.append(lists)
    unreadable, copies = _held_out_copies(seen, data, output, progress)
    for digest, why in unreadable.items():
        number, name = where[digest]
        del chosen[number]["kept"][name]
        chosen[number]["refused"][name] = why
    for digest in copies:
        number, name = where[digest]
        del chosen[number]["kept"][name]
        chosen[number]["held_out"].append(name)
    return chosen


def _held_out_copies(reads: Mapping[str, Read], data: DataConfig, output: Path, progress: bool) -> tuple[dict[str, str], set[str]]:
    """Of images by hash: why some cannot be opened, and those that are copies of validation or test images of the run's dataset.

    Fingerprints are kept in `output` while the search is on, so that one that was stopped resumes.
    """
    held_out = dict(_held_out_reads(data))
    every = {**reads, **held_out}
    records = [ImageRecord(digest, digest, 0) for digest in every]
    workplace = output / _WORKPLACE
    workplace.mkdir(parents=True, exist_ok=True)
    with (
        open_manifest(workplace, create=True) as manifest,
        FingerprintStore(workplace / FINGERPRINTS_NAME) as store,
    ):
        subject = Subject(manifest, lambda record: every[record.sha256](), DATASET_KIND)
        unreadable = make_fingerprints(subject, records, store, progress=progress)
        table = store.table([digest for digest in every if digest not in unreadable])
        joined = groups(find_links(table, store, load_curate_recipe().dedup, progress=progress).links)
    shutil.rmtree(workplace)
    copies: set[str] = {digest for digest in reads if digest in held_out}
    for members in joined:
        if any(digest in held_out for digest in members):
            copies |= {digest for digest in members if digest in reads}
    return {digest: why for digest, why in unreadable.items() if digest in reads}, copies


def _held_out_reads(data: DataConfig) -> Iterator[tuple[str, Read]]:
    """Hash and reader of each validation and test image of the run's dataset, whatever its licence."""
    if not data.dataset:
        return
    from datasets import Image

    splits = load_bones(data.dataset)
    for split in _HELD_OUT:
        if split in splits:
            images = splits[split].select_columns(["image"]).cast_column("image", Image(decode=False))
            for row, digest in enumerate(splits[split]["sha256"]):
                read: Read = lambda images=images, row=row: image_bytes(images[row]["image"])  # type: ignore[misc]  # noqa: E731
                yield digest, read


def _report(one: _Found, chosen: Mapping[str, Any]) -> dict[str, Any]:
    kept = chosen["kept"]
    return {
        "name": public_name(one.folder),
        "images": len(kept),
        "sha256": sha256_rows([(digest,) for digest in kept.values()]),
        "licences": dict(sorted(Counter(one.licences[name] or "not stated" for name in kept).items())),
        "refused": len(chosen["refused"]),
        "copies_of_held_out": len(chosen["held_out"]),
        "repeated": len(chosen["repeated"]),
        "labelled_already": len(chosen["labelled"]),
        "other_licence": one.other_licence,
    }


def _counts(chosen: Mapping[str, Any]) -> str:
    return ", ".join(f"{len(chosen[key])} {key.replace('_', ' ')}" for key in ("refused", "held_out", "repeated", "labelled"))
