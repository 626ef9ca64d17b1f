"""`hf-bones download` as plain functions: what a name or a DOI stands for is asked of its registry, shown, and brought."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from hf_bones.collect.candidate import UNKNOWN_LICENCE, ProviderError
from hf_bones.collect.download.choices import DownloadChoices
from hf_bones.collect.download.known import REGISTRIES, KnownSet, SetList, Wanted, find_wanted, load_sets
from hf_bones.collect.download.listing import DownloadError, DownloadRefusedError, Listing, RemoteFile, told_apart
from hf_bones.collect.download.run import download, forget_missing, free_room, room_needed, size_text
from hf_bones.collect.download.state import NAME, DownloadState, begin
from hf_bones.collect.download.transfer import Patience
from hf_bones.collect.http.addresses import AddressGuard
from hf_bones.collect.http.api import Api
from hf_bones.collect.http.web import user_agent

CONTACT_VARIABLE = "HF_BONES_CONTACT"
PAUSE = 1.0  # s between two questions to a registry: figshare asks for no more than one request a second


@dataclass(frozen=True)
class Offer:
    """What a download would bring: the set, what its registry says of it, the files that are asked for, and room on the disk, in bytes."""

    wanted: Wanted
    listing: Listing
    files: tuple[RemoteFile, ...]
    folder: Path
    state: DownloadState
    needed: int
    free: int

    @property
    def size(self) -> int:
        """Bytes of the files that are asked for."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Listed:
    """A set that is known by name, and its size in bytes; None where its registry could not be asked, `problem` saying why."""

    name: str
    known: KnownSet
    size: int | None
    problem: str = ""


def offer(text: str, out: Path | None, choices: DownloadChoices) -> Offer:
    """What `text`, a name or a DOI, stands for, asked of its registry. Nothing is written.

    Raises `DownloadRefusedError` for what cannot be downloaded there, `DownloadError` where the registry does not answer as it should.
    """
    sets = load_sets(choices.sets)
    wanted = find_wanted(text, sets)
    with _api(choices) as api:
        answer = _ask(api, wanted, sets)
    listing = replace(answer, files=told_apart(answer.files, taken=(NAME, ".lock")))
    files = tuple(file for file in listing.files if _asked_for(file, choices.only))
    if not files:
        names = ", ".join(file.name for file in listing.files[:10])
        raise DownloadRefusedError(f"--only {' '.join(choices.only)}: no file of {listing.title} has such a name; it has {names or 'none'}")
    folder = out if out is not None else Path(wanted.name)
    state = begin(folder, listing, wanted.name, _citation(wanted, listing), wanted.warning, {file.name for file in files})
    forget_missing(folder, state)
    needed = room_needed(folder, state, files, unpacked=choices.unpack, keep_archives=choices.keep_archives)
    return Offer(wanted, listing, files, folder, state, needed, free_room(folder))


def download_command(
    found: Offer,
    choices: DownloadChoices,
    *,
    show_progress: bool = True,
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> DownloadState:
    """Downloads what an offer names, and returns the record that lies beside it. Raises as `run.download`."""
    download(
        found.folder,
        found.state,
        found.files,
        guard=_guard(choices),
        agent=_agent(choices),
        unpacked=choices.unpack,
        keep_archives=choices.keep_archives,
        patience=patience,
        progress=show_progress,
    )
    return found.state


def known_sets(choices: DownloadChoices) -> list[Listed]:
    """Every set that has a name, with its size where its registry answers at once."""
    sets = load_sets(choices.sets)
    found = []
    with _api(choices, attempts=1, timeout=15.0) as api:
        for name, known in sets.sets.items():
            try:
                found.append(Listed(name, known, _ask(api, find_wanted(name, sets), sets).size))
            except (DownloadError, DownloadRefusedError) as error:
                found.append(Listed(name, known, None, str(error)))
    return found


def offer_lines(found: Offer) -> list[str]:
    """What is to be known before the first byte: title, version, licence, citation, warnings, size and room."""
    listing, known = found.listing, found.wanted.known
    version = f", version {listing.version}" if listing.version else ""
    lines = [f"{listing.title}{version} ({listing.page})", f"licence: {_licence(listing)}"]
    lines += [f"  {remark}" for remark in licence_remarks(listing, known)]
    lines += [f"cite: {text}" for text in found.state.citation]
    if known is not None:
        films = f"{known.films:,} films: " if known.films else ""
        lines.append(f"labels: {films}{known.labels}" + (f". {known.lacks}" if known.lacks else ""))
    if found.wanted.warning:
        lines.append(f"warning: {found.wanted.warning}")
    lines += [f"left out: {text}" for text in listing.left_out]
    without = [file.name for file in found.files if not file.checksum]
    if without:
        lines.append(f"no checksum at the registry for {len(without)} files, {without[0]} the first: only their size can be checked")
    lines.append(f"{len(found.files):,} files, {size_text(found.size)}, into {found.folder}")
    short = "" if found.needed <= found.free else ": not enough, so nothing would be downloaded"
    lines.append(f"room needed on the disk: {size_text(found.needed)}; free: {size_text(found.free)}{short}")
    return lines


def licence_remarks(listing: Listing, known: KnownSet | None) -> list[str]:
    """What a licence forbids or leaves open, and whether it is another one than the authors' paper states."""
    licence, remarks = listing.licence, []
    if licence == UNKNOWN_LICENCE:
        remarks.append("no licence that is known by name: pass nothing on before its authors have said what is allowed")
    if "-NC" in licence:
        remarks.append("NC: not for commercial use")
    if "-ND" in licence:
        remarks.append("ND: changed copies, cropped and scaled ones too, are not to be passed on")
    if known is not None and known.licence and known.licence != licence:
        remarks.append(f"the authors' paper states {known.licence}: ask before you rely on either")
    return remarks


def next_lines(found: Offer) -> list[str]:
    """What to do with a set that is there."""
    known = found.wanted.known
    options = f" {known.build}" if known is not None and known.build else ""
    return [f"record: {found.folder / NAME}", f"next: hf-bones build {found.folder}{options} --out data/{found.wanted.name}"]


def _ask(api: Api, wanted: Wanted, sets: SetList) -> Listing:
    if wanted.registry not in sets.registries:
        raise DownloadRefusedError(f"{wanted.registry}: no address of its API in the list of sets; add it under registries:")
    ask: Callable[[Api, str, str, str], Listing] = REGISTRIES[wanted.registry][1]
    try:
        return ask(api, sets.registries[wanted.registry], wanted.article, wanted.version)
    except ProviderError as error:
        if error.status == 404:
            raise DownloadRefusedError(f"{wanted.registry} has no public {wanted.article}: {error}") from error
        raise DownloadError(f"{wanted.registry} cannot be asked: {error}") from error


def _citation(wanted: Wanted, listing: Listing) -> list[str]:
    paper = wanted.known.citation if wanted.known is not None else ""
    return [text for text in (listing.citation, paper) if text]


def _licence(listing: Listing) -> str:
    stated = f"in the registry's words {listing.licence_text!r}" if listing.licence_text else "the registry states none"
    return ", ".join(filter(None, [listing.licence, stated, listing.licence_url]))


def _asked_for(file: RemoteFile, patterns: tuple[str, ...]) -> bool:
    names = (file.name, PurePosixPath(file.name).name)
    return not patterns or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _guard(choices: DownloadChoices) -> AddressGuard:
    return AddressGuard(choices.allow_private)


def _agent(choices: DownloadChoices) -> str:
    return user_agent((choices.contact or os.environ.get(CONTACT_VARIABLE) or "no contact given").strip())


@contextmanager
def _api(choices: DownloadChoices, attempts: int = 4, timeout: float = 60.0) -> Iterator[Api]:
    with Api(_agent(choices), _guard(choices), attempts=attempts, timeout=timeout, pause=PAUSE) as api:
        yield api
