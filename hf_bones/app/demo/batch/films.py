"""The films of a batch: files as they were uploaded, and what is in the zips among them, each read when its turn comes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hf_bones.app.demo.batch.archive import ArchiveError, ArchiveLimits, is_archive, list_archive, read_entry, shown_name

MOST_FILMS = 1000  # of one batch; more are a task for `hf-bones predict`


@dataclass(frozen=True)
class Film:
    """One film: the name that is shown for it, the uploaded file, and its place in that where it is a zip."""

    name: str
    path: Path
    place: int | None = None

    def read(self) -> Path | bytes:
        """What `open_image` takes. Raises `ArchiveError` for a damaged entry, FileNotFoundError where the server has deleted the file."""
        if self.place is not None:
            return read_entry(self.path, self.place)
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.name} is no longer on this server")
        return self.path

    def keep(self) -> None:
        """Makes the file as young as if it had come now: the server deletes by age, and a film must not go while it waits for its turn."""
        os.utime(self.path)


@dataclass(frozen=True)
class Gathered:
    """The films of a batch, and what came with them and is not read, as (name, reason); reasons as in `ArchiveError`."""

    films: tuple[Film, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def gather(
    uploads: Iterable[tuple[Path, str]],
    limits: ArchiveLimits = ArchiveLimits(),
    most: int = MOST_FILMS,
) -> Gathered:
    """The films among uploaded files, given as (path, the name it had); those beyond `most` are left out.

    A zip stands for what is in it, with its own name in front; a zip that is not read is left out with its reason.
    """
    films: list[Film] = []
    left_out: list[tuple[str, str]] = []
    for path, given in uploads:
        name = shown_name(given)
        if not is_archive(path):
            films.append(Film(name, path))
            continue
        try:
            listing = list_archive(path, limits)
        except ArchiveError as error:
            left_out.append((name, error.reason))
            continue
        films += [Film(f"{name}/{entry.name}", path, entry.place) for entry in listing.entries]
        left_out += [(f"{name}/{inside}", reason) for inside, reason in listing.left_out]
        if not listing.entries and not listing.left_out:
            left_out.append((name, "empty"))
    left_out += [(film.name, "too_many_films") for film in films[most:]]
    return Gathered(tuple(films[:most]), tuple(left_out))
