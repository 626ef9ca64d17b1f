"""Which file a cell of a table names: backslashes, folders of another machine, names without suffix, names in other letters.

Folders that a name begins with are dropped where the table's names are found without them: how many, is decided once for a table, so that
no single name is looked for in a place of its own.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from hf_bones.collect.providers.folder import SIDECARS

_TRIED = 200  # names by which it is decided how many folders are dropped
_SEARCHED = 2_000  # folders that are looked through, at most, to say where the files are


class NamedFiles:
    """The files below `root` that the `names` of a table mean."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self._listings: dict[Path, _Listing] = {}
        self._folders: dict[tuple[str, ...], Path | None] = {}
        spread = names[:: max(len(names) // _TRIED, 1)]
        deepest = max((len(_parts(name)) for name in spread), default=1)
        found = [sum(self._look(name, dropped) is not None for name in spread) for dropped in range(deepest)]
        self.dropped = found.index(max(found)) if found else 0
        """How many parts are taken from the front of each name (a drive or the root counts as one)."""

    def find(self, name: str) -> Path | None:
        """The file that `name` means; None where there is none, or where two files would do."""
        return self._look(name, self.dropped)

    def place(self, name: str) -> Path:
        """Where the file should be, for whoever wants to say that it is not there."""
        return self.root.joinpath(*_kept(_parts(name), self.dropped))

    def elsewhere(self, name: str) -> Path | None:
        """Another folder in which `name` is found: one above the root, or one below it, three levels at most."""
        for folder in islice(self.root.absolute().parents, 3):
            if self._found_in(folder.joinpath(*_parts(name)[:-1]), _parts(name)[-1]):
                return folder
        for place, folders, _ in islice(os.walk(self.root), _SEARCHED):
            below = Path(place).relative_to(self.root)
            folders[:] = sorted(each for each in folders if not each.startswith(".")) if len(below.parts) < 3 else []
            if below.parts and self._found_in(Path(place), _parts(name)[-1]):
                return Path(place)
        return None

    def _look(self, name: str, dropped: int) -> Path | None:
        whole = self.root / name
        if dropped == 0 and whole.is_file():
            return whole
        parts = _kept(_parts(name), dropped)
        folder = self._folder(parts[:-1]) if parts else None
        return self._found_in(folder, parts[-1]) if folder is not None else None

    def _folder(self, parts: tuple[str, ...]) -> Path | None:
        """The folder below the root that `parts` mean; None where there is none, or where two would do."""
        if not parts:
            return self.root
        if parts not in self._folders:
            self._folders[parts] = None
            above = self._folder(parts[:-1])
            if above is not None and (above / parts[-1]).is_dir():
                self._folders[parts] = above / parts[-1]
            elif above is not None:
                alike = self._listed(above).folders.get(_folded(parts[-1]), [])
                self._folders[parts] = above / alike[0] if len(alike) == 1 else None
        return self._folders[parts]

    def _listed(self, folder: Path) -> _Listing:
        if folder not in self._listings:
            self._listings[folder] = _listing(folder)
        return self._listings[folder]

    def _found_in(self, folder: Path, name: str) -> Path | None:
        listing = self._listed(folder)
        for files in (listing.by_name.get(_folded(name)), listing.by_stem.get(_folded(name))):
            if files:
                exact = [file for file in files if name in (file, Path(file).stem)]
                return folder / (exact or files)[0] if len(exact or files) == 1 else None
        # A spreadsheet takes the zeros from the front of a number.
        same = listing.by_number.get(int(name), []) if name.isdecimal() else []
        return folder / same[0] if len(same) == 1 else None


def _parts(name: str) -> tuple[str, ...]:
    windows = "\\" in name or PureWindowsPath(name).drive
    path: PurePath = PureWindowsPath(name) if windows else PurePosixPath(name)
    return path.parts


def _kept(parts: tuple[str, ...], dropped: int) -> tuple[str, ...]:
    return parts[min(dropped, len(parts) - 1) :] if parts else ()


@dataclass(frozen=True)
class _Listing:
    """The files and folders of a folder by name, and of the files those that may be images by name without suffix, and by the number
    that this is."""

    by_name: dict[str, list[str]]
    by_stem: dict[str, list[str]]
    by_number: dict[int, list[str]]
    folders: dict[str, list[str]]


def _listing(folder: Path) -> _Listing:
    """Empty for a folder that cannot be read: what is in it counts as not found."""
    found = _Listing(defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(list))
    try:
        with os.scandir(folder) as entries:
            shown = sorted((entry.name, entry.is_dir(), entry.is_file()) for entry in entries if not entry.name.startswith("."))
    except OSError:
        shown = []
    for name, is_folder, _ in shown:
        if is_folder:
            found.folders[_folded(name)].append(name)
    for file in (name for name, _, is_file in shown if is_file):
        found.by_name[_folded(file)].append(file)
        stem, suffix = Path(file).stem, Path(file).suffix
        if suffix and suffix.lower() not in SIDECARS:
            found.by_stem[_folded(stem)].append(file)
            if stem.isdecimal():
                found.by_number[int(stem)].append(file)
    return found


def _folded(name: str) -> str:
    """Letters as they are compared: file systems differ in case, and in how they write an accent."""
    return unicodedata.normalize("NFC", name).casefold()
