"""How often a held-out split was looked at, kept beside the checkpoint.

Each look at a test split is a chance to choose by it. The count cannot prevent that; it can show it.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from hf_bones.inference.checkpoint import BUNDLED
from hf_bones.record import now, read_json, write_json

if TYPE_CHECKING:
    from hf_bones.inference.predictor import BonePredictor


def count_look(record_path: Path, split: str, dataset_sha256: str = "") -> int:
    """Adds a look at `split` to `test_looks` of the JSON file `record_path` (made if missing) and returns how many it now has.

    Each entry is {date, split, dataset_sha256}; the count is of entries with this split, whatever the dataset. Everything else in
    the file is kept; the write is one rename. Raises OSError where the file cannot be written and ValueError, naming it, where it
    holds no JSON object or `test_looks` is not a list.
    """
    record = read_json(record_path) if record_path.exists() else {}
    looks = record.setdefault("test_looks", [])
    if not isinstance(looks, list):
        raise ValueError(f"{record_path}: 'test_looks' must be a list of looks, not {type(looks).__name__}")
    looks.append({"date": now(), "split": split, "dataset_sha256": dataset_sha256})
    write_json(record_path, record)
    return sum(1 for look in looks if isinstance(look, dict) and look.get("split") == split)


def count_look_somewhere(checkpoint: Path | None, fallback: Path, split: str, dataset_sha256: str) -> tuple[int, Path]:
    """Counts the look in `checkpoint`/record.json, or in `fallback` where there is no such folder or it cannot be written.

    Returns the count and the file that holds it. The bundled model and a Hub model in its cache pass None: they are not ours to change.
    """
    if checkpoint is not None and checkpoint.is_dir():
        record = checkpoint / "record.json"
        try:
            return count_look(record, split, dataset_sha256), record
        except OSError as error:
            # A read-only checkpoint: the look is still counted, beside the report, and the report says so.
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
    return count_look(fallback, split, dataset_sha256), fallback


def own_folder(model: str | Path | BonePredictor) -> Path | None:
    """The checkpoint's folder where the caller named one; "bundled" is the package's own and is never written to."""
    if not isinstance(model, (str, Path)) or str(model) == BUNDLED:
        return None
    folder = Path(model).expanduser()
    return folder if folder.is_dir() else None
