"""Local images, one folder a label: `PATH/LABEL/…/image`, DICOM files too.

Nothing is asked of the network. Hidden files and the sidecars of downloaded sets are left out; every other file is a candidate, whatever
its name: what is no image is refused by name when it is opened. Where every folder in PATH is named after a split (train, val, test), the
labels are looked for one level below. Files that lie in no label's folder have no label. Linked folders below a label are not followed.

A candidate's URL is "folder:NAME/relative/path", percent-encoded, NAME being the option `name` or the folder's own: it stays the same when
the folder moves, and no path of anybody's machine gets into the manifest. A folder states no licence: the options do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from hf_bones.collect.candidate import UNKNOWN_LICENCE, Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.collect.licences import attribution_text, licence_url, spdx
from hf_bones.config.fields import Checked
from hf_bones.config.recipe import option
from hf_bones.labels import LabelScheme, UnknownLabelError, load_scheme

# Files that lie beside images in downloaded sets; whatever else lies there is opened, and refused by name where it is no image.
SIDECARS = {
    ".txt", ".csv", ".json", ".xml", ".md", ".yaml", ".yml", ".html", ".pdf", ".db", ".ini", ".zip", ".npz", ".tsv", ".jsonl",
    ".parquet", ".names", ".data", ".labels", ".cfg",
}  # fmt: skip
_SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass
class FolderOptions(Checked):
    """Which folder, and what is true of all of its images."""

    path: str = option("", "Folder with one folder of images for each label.")
    name: str = option("", "Name of the source in the manifest; empty: the folder's own.")
    licence: str = option("", "Licence of every image: an SPDX identifier, the licence's name or its address. Empty: unknown.")
    creator: str = option("", "Who made the images.")
    attribution: str = option("", "Sentence of credit that the licence asks for; empty: made from creator and licence.")
    labels: str = option("three-class", "Scheme that the folders' names are looked up in: `three-class`, `two-class` or a YAML file.")


class Folder:
    """A folder of local images; see the module."""

    name: ClassVar[str] = "folder"
    label_basis: ClassVar[str] = "folder"
    takes_queries: ClassVar[bool] = False
    options_type: ClassVar[type] = FolderOptions

    def __init__(self, options: FolderOptions, api: Api | None = None) -> None:
        if not options.path:
            raise ProviderError("folder: give the folder with the images: `path: FOLDER` under providers.folder")
        self._options = options
        self._root = Path(options.path).expanduser()
        self._scheme = scheme_of(options.labels, "folder")

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """Every file in label order, at most `limit`; `query` says nothing here. Raises `ProviderError` where the folder is missing."""
        try:
            yield from islice(self._candidates(), limit)
        except OSError as error:
            raise ProviderError(f"folder: {self._root}: cannot be read ({error})") from error

    def _candidates(self) -> Iterator[Candidate]:
        root = self._root
        if not root.is_dir():
            raise ProviderError(f"folder: {root}: no such folder; it should hold a folder of images for each label")
        empty = True
        for labelled, word, split in _label_folders(root):
            for path in image_files(labelled) if word else sorted(p for p in labelled.iterdir() if _may_be_image(p)):
                empty = False
                yield self._candidate(path, word, split)
        if empty:
            raise ProviderError(f"folder: {root}: holds no image files; it should hold a folder of images for each label")

    def _candidate(self, path: Path, word: str, split: str) -> Candidate:
        options = self._options
        name = options.name or self._root.resolve().name
        licence = spdx(options.licence)
        label, subtype = label_and_subtype(word, self._scheme)
        return Candidate(
            url=f"folder:{quote(name, safe='')}/{quote(os.fsencode(path.relative_to(self._root).as_posix()))}",
            creator=options.creator,
            licence=licence,
            licence_text=options.licence,
            licence_url=licence_url(licence),
            attribution=options.attribution or credit(creator=options.creator, licence=licence),
            label=label,
            subtype=subtype,
            details={"split": split} if split else None,
            content=path.read_bytes,
        )


def image_files(folder: Path) -> Iterator[Path]:
    """All files under `folder` that may be images, in order: no hidden files (macOS's `._x.png` too), no sidecars, no linked folders.

    A folder below that may not be opened comes itself, in place of its files, and so does a link that leads nowhere: whoever opens them is
    refused, and says so by name. Raises PermissionError where `folder` itself may not be opened.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            is_folder = path.is_dir()
            if is_folder and not path.is_symlink() and not _is_hidden(path):
                yield from image_files(path)
            elif not is_folder and _may_be_image(path):
                yield path
        except OSError:
            yield path


def label_and_subtype(word: str, scheme: LabelScheme) -> tuple[str, str]:
    """The class that a source's word stands for, and the subtype where it is one.

    A word that the scheme does not know, or refuses as too vague, stays as it is: it is mapped by hand when the dataset is built.
    """
    try:
        return (scheme.resolve(word), scheme.subtype(word) or "") if word else ("", "")
    except UnknownLabelError:
        return word, ""


def scheme_of(name_or_path: str, provider: str) -> LabelScheme:
    """The scheme that a provider's option `labels` names. Raises `ProviderError` where there is none."""
    try:
        return load_scheme(name_or_path)
    except ValueError as error:
        raise ProviderError(f"{provider}: labels: {error}") from error


def split_of(word: str) -> str:
    """The split that a source's word names ("val" is validation); other words stay as they are."""
    return _SPLITS.get(word.casefold(), word)


def credit(*, licence: str, title: str = "", creator: str = "", url: str = "", page: str = "") -> str:
    """The attribution of an image whose source gives none; "" where the licence is unknown, since there is nothing to attribute under."""
    if licence == UNKNOWN_LICENCE:
        return ""
    return attribution_text(title=title, creator=creator, licence=licence, licence_url=url or licence_url(licence), page=page)


def _label_folders(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Folders with the label's word and the split that they stand for; those without a label come with "", for the files right in them."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not _is_hidden(path))
    by_split = bool(folders) and all(path.name.casefold() in _SPLITS for path in folders)
    yield root, "", ""
    for outer in folders:
        if not by_split:
            yield outer, outer.name, ""
            continue
        split = _SPLITS[outer.name.casefold()]
        yield outer, "", split
        for labelled in sorted(path for path in outer.iterdir() if path.is_dir() and not _is_hidden(path)):
            yield labelled, labelled.name, split


def _is_hidden(path: Path) -> bool:
    return path.name.startswith((".", "__MACOSX"))


def _may_be_image(path: Path) -> bool:
    if _is_hidden(path) or path.suffix.lower() in SIDECARS or path.name == "Thumbs.db":
        return False
    return path.is_file() or (path.is_symlink() and not path.exists())  # a link that leads nowhere is refused by name
