"""A manifest that somebody else may have made: what must hold of its rows before anything is shown or opened by them.

SQLite keeps any value in any column, and a file's name may lead out of its folder: by `..`, from the root, or by a link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from hf_bones.config.loading import parse_json
from hf_bones.manifest.connecting import ManifestError
from hf_bones.manifest.store import IMAGE_COLUMNS, Manifest

_TEXT, _WHOLE, _NUMBER = ("text",), ("integer",), ("real", "integer")
_OTHER_IMAGE_COLUMNS = {
    **dict.fromkeys(("bytes", "synthetic"), _WHOLE),
    **dict.fromkeys(("width", "height", "hardware"), (*_WHOLE, "null")),
    "severity": (*_NUMBER, "null"),
    **dict.fromkeys(("boxes", "hashes"), (*_TEXT, "null")),
}
# Table → column → what SQLite says of a value that may stand there.
_KINDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "images": {name: _OTHER_IMAGE_COLUMNS.get(name, _TEXT) for name in IMAGE_COLUMNS},
    "decisions": dict.fromkeys(("sha256", "decision", "reason", "decided_by", "decided_at", "label", "subtype"), _TEXT),
    "checks": {
        **dict.fromkeys(("sha256", "reason", "detail"), _TEXT),
        **dict.fromkeys(("value", "threshold"), (*_NUMBER, "null")),
        "flagged": _WHOLE,
    },
    "links": {**dict.fromkeys(("first", "second", "change"), _TEXT), "score": _NUMBER},
    "opinions": {**dict.fromkeys(("sha256", "model", "label", "probabilities"), _TEXT), "suspicion": (*_NUMBER, "null")},
}


class ForeignFileError(OSError):
    """A file that a manifest names and that is none of its own; its text says why."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why)
        self.why = why


def require_sound(manifest: Manifest) -> None:
    """Raises `ManifestError` unless each image's hash is 64 hexadecimal digits and each value of the kind that its column holds."""
    for table, columns in _KINDS.items():
        wrong = [f"CASE WHEN typeof(\"{name}\") NOT IN ({_listed(kinds)}) THEN '{name}' END" for name, kinds in columns.items()]
        if table == "images":
            wrong.append("CASE WHEN length(sha256) != 64 OR sha256 GLOB '*[^0-9a-f]*' THEN 'sha256' END")
        first = f"coalesce({', '.join(wrong)})"
        row = manifest.connection.execute(f"SELECT {first} AS wrong FROM {table} WHERE {first} IS NOT NULL LIMIT 1").fetchone()
        if row is not None:
            name = row["wrong"]
            what = "a hash that is not 64 hexadecimal digits" if name == "sha256" else f"a value of the wrong kind in {name!r}"
            raise ManifestError(
                f"{manifest.path}: its table {table!r} has {what}: it is damaged, or another program changed it; put back a copy of it"
            )


def _listed(kinds: tuple[str, ...]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)


def shares_of(text: str) -> dict[str, float]:
    """Class → probability, as an opinion holds it in JSON. Raises `ManifestError` for anything else."""
    try:
        return {str(name): float(share) for name, share in parse_json(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ManifestError(f"an opinion in the manifest holds no probabilities: {text[:80]!r}") from error


def file_inside(folder: Path, name: str) -> Path:
    """The file `name` below `folder`, links followed. Raises `ForeignFileError` for one that lies elsewhere."""
    path, inside = folder / name, folder.resolve()
    try:
        found = path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a zero byte
        raise ForeignFileError("its name cannot be followed") from error
    if found == inside or not found.is_relative_to(inside):
        raise ForeignFileError("it lies outside of the collection's folder, and is not opened")
    return path


def read_own(folder: Path, name: str, sha256: str) -> bytes:
    """The bytes of an image's file. Raises `ForeignFileError` where it lies elsewhere or holds other bytes, OSError where it is missing."""
    data = file_inside(folder, name).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ForeignFileError("it does not hold the bytes that the manifest's hash says")
    return data
