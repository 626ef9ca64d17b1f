"""Hashes of a checkpoint's files, written when all else of it is there and checked before it is chosen.

A disk or a copy that flips a bit leaves a file that loads without a word. Not here: which checkpoint is chosen (`checkpoints.py`).
"""

from __future__ import annotations

from pathlib import Path

from hf_bones.record import read_json, sha256_file, write_json

HASHES = "hashes.json"  # file → SHA-256, in each checkpoint's folder


def write_hashes(folder: Path) -> None:
    """Hashes every file that lies in `folder`; call it once they are all written."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != HASHES)
    write_json(folder / HASHES, {name: sha256_file(folder / name) for name in names})


def damaged_files(folder: Path) -> list[str]:
    """The files of a checkpoint that are gone, cannot be read, or hold other bytes than were written.

    None where it has no hashes: those of earlier versions had none, and a run that is stopped while saving has none yet.
    """
    if not (folder / HASHES).is_file():
        return []
    try:
        noted = read_json(folder / HASHES)
    except ValueError:
        return [HASHES]
    return [name for name, digest in noted.items() if not _is_as_written(folder / name, digest)]


def _is_as_written(path: Path, digest: str) -> bool:
    try:
        return sha256_file(path) == digest
    except OSError:
        return False
