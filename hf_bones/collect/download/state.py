"""`hf_bones_download.json`: what was downloaded, from where, under which licence, and how far a download has got.

It lies in the folder of the files from before the first byte, and is written anew after each file. A build reads the licence from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_bones.collect.download.listing import DownloadRefusedError, Listing
from hf_bones.record import now, read_json, write_json

NAME = "hf_bones_download.json"
SCHEMA = 1
WAITING, WHOLE, PLACING, UNPACKED = "waiting", "whole", "placing", "unpacked"
"""What a file is: not there yet; there and checked; being put where its members belong; unpacked, and deleted unless it is kept."""


@dataclass
class FileState:
    """A file of the set: its `state`, and once it is there its SHA-256, its address, and the folder of its members."""

    name: str
    size: int
    checksum: str
    state: str = WAITING
    sha256: str = ""
    url: str = ""
    verified: bool = False
    unpacked_to: str = ""
    members: int = 0


@dataclass
class DownloadState:
    """The record of a download. `licence` is SPDX or "unknown"; `citation` has the registry's line first, then the paper's."""

    name: str
    registry: str
    article: str
    version: str
    doi: str
    page: str
    title: str
    licence: str
    licence_text: str
    licence_url: str
    citation: list[str]
    warning: str = ""
    started: str = ""
    finished: str = ""
    files: list[FileState] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Writes it into `folder`, in one step."""
        write_json(folder / NAME, {"schema": SCHEMA, **vars(self)})


def read_state(folder: Path) -> DownloadState | None:
    """The record in a folder; None where there is none. Raises ValueError naming the file where it is none of ours."""
    path = folder / NAME
    if not path.is_file():
        return None
    data: dict[str, Any] = read_json(path)
    try:
        files = [FileState(**entry) for entry in data.pop("files")]
        if data.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        return DownloadState(files=files, **data)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: not a record of hf-bones download ({error})") from error


def begin(folder: Path, listing: Listing, name: str, citation: list[str], warning: str, wanted: set[str]) -> DownloadState:
    """The record to go on with: that of an earlier run of the same download, else a new one.

    Raises `DownloadRefusedError` where the folder holds something else, another set, or another version of this one.
    """
    if folder.exists() and not folder.is_dir():
        raise DownloadRefusedError(f"{folder} is a file: choose another --out")
    earlier = read_state(folder)
    if earlier is None:
        if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise DownloadRefusedError(f"{folder} is not empty, and holds no download: choose another --out")
        earlier = DownloadState(
            name=name,
            registry=listing.registry,
            article=listing.article,
            version=listing.version,
            doi=listing.doi,
            page=listing.page,
            title=listing.title,
            licence=listing.licence,
            licence_text=listing.licence_text,
            licence_url=listing.licence_url,
            citation=citation,
            warning=warning,
            started=now(),
        )
    if (earlier.registry, earlier.article) != (listing.registry, listing.article):
        raise DownloadRefusedError(f"{folder} holds {earlier.registry} {earlier.article} ({earlier.title}): choose another --out")
    if earlier.version != listing.version:
        raise DownloadRefusedError(
            f"{folder} holds version {earlier.version} of {earlier.title}, and {listing.registry} has version {listing.version} now: "
            "choose another --out, or ask for the DOI of the version that was begun"
        )
    there = {state.name: state for state in earlier.files}
    for file in listing.files:
        if file.name not in there and file.name in wanted:
            earlier.files.append(FileState(file.name, file.size, file.checksum))
        elif file.name in there and (there[file.name].size, there[file.name].checksum) != (file.size, file.checksum):
            raise DownloadRefusedError(f"{folder}: {file.name} is another file at {listing.registry} now: choose another --out")
    return earlier
