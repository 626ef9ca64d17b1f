"""The sets that are known by name, and what a name or a DOI on the command line stands for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_bones.collect.download.listing import DownloadRefusedError, Listing
from hf_bones.collect.download.registries import figshare, mendeley, zenodo
from hf_bones.collect.http.api import Api
from hf_bones.config.fields import Reader, RecipeError, checked_mapping, dataclass_from_dict, nearest, text_of
from hf_bones.config.loading import read_recipe

REGISTRIES: Mapping[str, tuple[str, Callable[[Api, str, str, str], Listing]]] = {
    "figshare": (figshare.DOI, figshare.listing),
    "zenodo": (zenodo.DOI, zenodo.listing),
    "mendeley": (mendeley.DOI, mendeley.listing),
}
"""Registry → the DOIs that it gives out, as a pattern, and how it is asked."""

_DOI_FORMS = "10.6084/m9.figshare.N (figshare), 10.5281/zenodo.N (Zenodo), 10.17632/ID (Mendeley Data)"


@dataclass(frozen=True)
class KnownSet:
    """A public set that can be downloaded by name. `lacks` says which class it has no films of; `build` what a build of it is given."""

    title: str
    doi: str
    labels: str
    films: int = 0
    shows: str = ""
    lacks: str = ""
    licence: str = ""
    citation: str = ""
    build: str = ""


@dataclass(frozen=True)
class SetList:
    """What `sets.yaml` holds. `registries` are the addresses of their APIs, `warnings` what is wrong with a set, by DOI."""

    registries: dict[str, str] = field(default_factory=dict)
    sets: dict[str, KnownSet] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What is to be downloaded: an article of a registry. `name` is what its folder is called; `known` is there for a set with a name."""

    name: str
    registry: str
    article: str
    version: str
    known: KnownSet | None = None
    warning: str = ""


def load_sets(own: str | Path = "") -> SetList:
    """The shipped list; what a list of one's `own` names wins over it. Raises `RecipeError` naming the file, the key and what is wanted."""
    shipped = _set_list(*read_recipe("sets", "download")[:2])
    if not own:
        return shipped
    added = _set_list(*read_recipe(own, "download")[:2])
    return SetList(shipped.registries | added.registries, shipped.sets | added.sets, shipped.warnings | added.warnings)


def find_wanted(text: str, sets: SetList) -> Wanted:
    """The set of a name in the list, or of a DOI ("doi:10.…", "10.…", "https://doi.org/10.…").

    Raises `DownloadRefusedError` naming the nearest known name, or the forms of DOIs that are understood.
    """
    if known := sets.sets.get(text):
        registry, article, version = read_doi(known.doi)
        return Wanted(text, registry, article, version, known, _warning(known.doi, sets))
    if not re.match(r"(doi:|https?://|10\.)", text, re.IGNORECASE):
        names = ", ".join(sets.sets)
        raise DownloadRefusedError(f"{text!r} is no set that is known by name{nearest(text, sets.sets)}; known: {names}; or give doi:10.…")
    registry, article, version = read_doi(text)
    named = next(((name, each) for name, each in sets.sets.items() if read_doi(each.doi)[:2] == (registry, article)), None)
    name, known = named or (f"{registry}-{article}", None)
    return Wanted(name, registry, article, version, known, _warning(text, sets))


def read_doi(text: str) -> tuple[str, str, str]:
    """Registry, article and version ("" for the newest) of a DOI. Raises `DownloadRefusedError` where no known registry gave it out."""
    doi = re.sub(r"^(?:doi:|https?://(?:dx\.)?doi\.org/)\s*", "", text.strip(), flags=re.IGNORECASE).rstrip("/").lower()
    for registry, (pattern, _) in REGISTRIES.items():
        if match := re.fullmatch(pattern, doi):
            return registry, match["article"], match.groupdict().get("version") or ""
    raise DownloadRefusedError(f"{text!r}: no DOI of a registry that can be asked; understood: {_DOI_FORMS}")


def _warning(doi: str, sets: SetList) -> str:
    """What is wrong with a set, whichever version of it is asked for."""
    asked = read_doi(doi)[:2]
    return next((text for about, text in sets.warnings.items() if read_doi(about)[:2] == asked), "")


def _set_list(data: object, source: str) -> SetList:
    read: dict[str, Reader] = {"registries": _registries, "sets": _sets, "warnings": _warnings}
    return dataclass_from_dict(SetList, data, source, ": ", read)


def _registries(data: object, where: str) -> dict[str, str]:
    found = checked_mapping(data, where, "registries to addresses")
    for name, address in found.items():
        if name not in REGISTRIES:
            raise RecipeError(f"{where}: {name!r} is no registry that can be asked; known: {', '.join(REGISTRIES)}")
        if not re.match(r"https?://", str(address)):
            raise RecipeError(f"{where}.{name}: expected the address of an API, got {address!r}")
    return {str(name): str(address).rstrip("/") for name, address in found.items()}


def _sets(data: object, where: str) -> dict[str, KnownSet]:
    read: dict[str, Reader] = {**dict.fromkeys(("title", "shows", "labels", "lacks", "licence", "citation", "build"), text_of), "doi": _doi}
    entries = checked_mapping(data, where, "names to sets")
    return {str(name): dataclass_from_dict(KnownSet, entry, f"{where}.{name}", read=read) for name, entry in entries.items()}


def _doi(data: Any, where: str) -> str:
    try:
        read_doi(str(data))
    except DownloadRefusedError as error:
        raise RecipeError(f"{where}: {error}") from error
    return str(data)


def _warnings(data: object, where: str) -> dict[str, str]:
    return {_doi(doi, where): text_of(text, where) for doi, text in checked_mapping(data, where, "DOIs to sentences").items()}
