"""What a registry says of a set: its title, version, licence, how to cite it, and its files with sizes and checksums.

A registry's module (`registries/`) makes a `Listing` of its answer, and nothing else knows the registry's format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from hf_bones.collect.licences import licence_url, spdx


class DownloadError(OSError):
    """A download that cannot go on: the registry, the network, the disk or an archive is at fault. What had come is kept."""


class DownloadRefusedError(ValueError):
    """A download that is not begun: an unknown name, a DOI of no known registry, a folder in the way."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a set. `name` may hold folders ("a/b.png"). `checksum` is "md5:…" or "sha256:…", "" where the registry has none.

    `urls` are where it lies, the best first. `size` is in bytes.
    """

    name: str
    size: int
    urls: tuple[str, ...]
    checksum: str = ""


@dataclass(frozen=True)
class Listing:
    """A set as its registry states it. `licence` is an SPDX identifier or "unknown"; `licence_text` the registry's own words.

    `left_out` names files that the registry lists but does not hold, and why.
    """

    registry: str
    article: str
    version: str
    doi: str
    page: str
    title: str
    citation: str
    licence: str
    licence_text: str
    licence_url: str
    files: tuple[RemoteFile, ...]
    left_out: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


def stated_licence(name: object, url: object) -> dict[str, Any]:
    """`licence`, `licence_text` and `licence_url` of a listing, from the registry's name of the licence and its link to it."""
    words, link = _text(name), _text(url)
    found = spdx(words, link)
    return {"licence": found, "licence_text": words, "licence_url": link or licence_url(found)}


def cite(authors: Iterable[str], year: str, title: str, version: str, publisher: str, doi: str) -> str:
    """A citation in DataCite's order: creators (year): title, version, publisher, DOI. What is empty is left out."""
    names = [name for name in authors if name]
    shown = "; ".join(names[:10]) + (" et al." if len(names) > 10 else "")
    parts = [title, f"version {version}" if version else "", publisher, f"https://doi.org/{doi}" if doi else ""]
    head = " ".join(filter(None, [shown, f"({year})" if year else ""]))
    return ": ".join(filter(None, [head, ", ".join(filter(None, parts))]))


def one_file(registry: str, entry: Mapping[str, Any], name: object, size: object, checksum: str, urls: Sequence[object]) -> RemoteFile:
    """A file of a registry's answer. Raises `DownloadError` where name, size or address are missing, or the name leaves the folder."""
    links = tuple(link for link in map(_text, urls) if link)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not links:
        raise DownloadError(f"{registry}: its answer names the file {name!r} without size or address: {str(dict(entry))[:200]}")
    return RemoteFile(safe_name(_text(name), f"{registry}: its answer"), size, links, checksum.lower())


def told_apart(files: Iterable[RemoteFile], taken: Iterable[str] = ()) -> tuple[RemoteFile, ...]:
    """Files whose names differ from each other's and from those `taken`; the later of two becomes "a-2.csv" (figshare allows such)."""
    found: dict[str, RemoteFile] = {}
    used = set(taken)
    for file in files:
        path, name, count = PurePosixPath(file.name), file.name, 1
        while name in used:
            count += 1
            name = path.with_name(f"{path.stem}-{count}{path.suffix}").as_posix()
        used.add(name)
        found[name] = replace(file, name=name)
    return tuple(found.values())


def safe_name(name: str, where: str) -> str:
    """`name` with plain slashes, if it stays in the folder that it is put into. Raises `DownloadError`, naming `where` it stood, if not."""
    text = name.replace("\\", "/")
    parts = PurePosixPath(text).parts
    if not parts or text.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", text) or any(ord(sign) < 32 for sign in text):
        raise DownloadError(f"{where} has a file called {name!r}, which would not stay in its folder: nothing of it is taken")
    return PurePosixPath(text).as_posix()


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
