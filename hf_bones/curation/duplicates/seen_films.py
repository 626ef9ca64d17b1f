"""Which films a checkpoint learnt from: a small file beside its weights, so that whoever scores it can tell them from films it never had.

Of each film the file holds the last 8 bytes of the SHA-256 of its source, whether it was validated on, and its codes (`film_code.py`), in
the order of the hashes. It holds no pixel, name, label or group. Whoever has a film can find out by it whether the film was among these;
that is what it is for.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hf_bones.curation.duplicates.film_code import NEAR, VERSION, WORDS, Codes, differing_bits

SEEN_FILE = "seen.npz"
LEARNT, CHOSEN = (
    "learnt",
    "chosen",
)  # in what way a film was seen: in training, or in validation, by which checkpoint and settings were chosen
_MAX_BYTES = 2**28  # unpacked: millions of films
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class SeenFilms:
    """N films: `hashes` (N,) uint64, ascending; `validation` (N,) bool; `codes` (M, 4) uint64, `owner` (M,) whose each is.

    A film has up to two codes, and none where its pixels were not at hand: it is then known by its hash alone.
    """

    hashes: npt.NDArray[np.uint64]
    validation: npt.NDArray[np.bool_]
    codes: Codes
    owner: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.hashes)

    def how(self, row: int) -> str:
        """`LEARNT` or `CHOSEN`."""
        return CHOSEN if self.validation[row] else LEARNT

    def find(self, sha256: str, every_way: Callable[[], Codes]) -> str:
        """How a film was seen: `LEARNT`, `CHOSEN` or "". `every_way` gives its codes (`film_codes_every_way`) where its hash is not among
        these; a near-duplicate of both kinds was learnt from."""
        if _SHA256.fullmatch(sha256):
            word = short_hash(sha256)
            place = int(np.searchsorted(self.hashes, word))
            if place < len(self) and self.hashes[place] == word:
                return self.how(place)
        if not len(self.codes):
            return ""
        near = self.owner[differing_bits(self.codes, every_way()) <= NEAR]
        return LEARNT if (~self.validation[near]).any() else CHOSEN if len(near) else ""


def short_hash(sha256: str) -> np.uint64:
    """The last 8 bytes of a SHA-256 in hex."""
    return np.uint64(int(sha256[-16:], 16))


def seen_films(hashes: Sequence[str], validation: Sequence[bool], codes: Sequence[Codes | None]) -> SeenFilms:
    """The films of N SHA-256, each with its codes (`film_codes`) where there are any. Of one that is there twice, the one that was learnt
    from is kept. A name that is no SHA-256 (of a row of a dataset without hashes) would find nothing and is left out."""
    kept: dict[int, tuple[bool, Codes]] = {}
    for digest, validated, own in zip(hashes, validation, codes, strict=True):
        if not _SHA256.fullmatch(digest):
            continue
        word = int(short_hash(digest))
        if word not in kept or not validated:
            kept[word] = validated, own if own is not None else np.zeros((0, WORDS), np.uint64)
    words = sorted(kept)
    owner = np.repeat(np.arange(len(words)), [len(kept[word][1]) for word in words])
    every = [kept[word][1] for word in words]
    return SeenFilms(
        np.array(words, np.uint64),
        np.array([kept[word][0] for word in words], np.bool_),
        np.concatenate(every) if every else np.zeros((0, WORDS), np.uint64),
        owner,
    )


def merged(first: SeenFilms, second: SeenFilms) -> SeenFilms:
    """The films of both, such as those of a run and those of the checkpoint that it started from."""
    hashes = np.concatenate([first.hashes, second.hashes])
    validation = np.concatenate([first.validation, second.validation])
    # Learnt from before validated on, so that `unique` keeps the former of a film that is there as both.
    order = np.lexsort((validation, hashes))
    words, place = np.unique(hashes[order], return_index=True)
    rows = order[place]
    codes, owner = np.concatenate([first.codes, second.codes]), np.concatenate([first.owner, second.owner + len(first)])
    number = np.full(len(hashes), -1)
    number[rows] = np.arange(len(rows))
    kept = number[owner] >= 0
    by_owner = np.argsort(number[owner[kept]], kind="stable")
    return SeenFilms(words, validation[rows], codes[kept][by_owner], number[owner[kept]][by_owner])


def write_seen_films(seen: SeenFilms, path: Path) -> None:
    """Writes the file; the same films give the same bytes."""
    with path.open("wb") as stream:
        np.savez(
            stream,
            version=np.int64(VERSION),
            hashes=seen.hashes.astype("<u8"),
            validation=seen.validation,
            codes=seen.codes.astype("<u8"),
            owner=seen.owner.astype("<u4"),
        )


def read_seen_films(path: Path) -> SeenFilms:
    """The films of a file, without their codes where these are of another version. Raises ValueError naming it where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > _MAX_BYTES:
            raise ValueError(f"it would unpack to {size:,} bytes")
        with np.load(path, allow_pickle=False) as stored:
            version = int(stored["version"])
            seen = SeenFilms(*(stored[name] for name in ("hashes", "validation", "codes", "owner")))
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: it cannot be read as the list of films that a checkpoint learnt from: {error}") from error
    return seen if version == VERSION else SeenFilms(seen.hashes, seen.validation, seen.codes[:0], seen.owner[:0])
