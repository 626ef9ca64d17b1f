"""Probabilities that a teacher gave before the run, by image: out-of-fold ones of a cross-validated teacher, say, or of an ensemble.

A file is npz with `sha256` (N,), `probabilities` (N, C) and `names` (C,), or parquet with a column `sha256` and one `p_CLASS` a class.
The hash is that of the image's source bytes, as in a dataset's column of that name. Rows of a file are in no order; its classes are
matched by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hf_bones.config.recipe import RecipeError
from hf_bones.labels import LabelScheme
from hf_bones.record import sha256_file

_PREFIX = "p_"
_SUM_TOLERANCE = 5e-3  # of a row's sum from 1: what half precision leaves


@dataclass(frozen=True, eq=False)
class ProbabilityFile:
    """The probabilities (N, C) float32 that `path` holds, columns in the scheme's order; `rows` is hash → row, `sha256` the file's own."""

    path: Path
    sha256: str
    rows: dict[str, int]
    probabilities: npt.NDArray[np.float32]


def write_probabilities(path: str | Path, hashes: Sequence[str], probabilities: npt.ArrayLike, names: Sequence[str]) -> None:
    """Writes what a teacher says, (N, C) for images of `hashes` (N,) and classes `names` (C,); the suffix says how: .npz or .parquet."""
    path, values = Path(path), np.asarray(probabilities, dtype=np.float32)
    if values.shape != (len(hashes), len(names)):
        raise ValueError(f"probabilities have shape {values.shape}; expected ({len(hashes)}, {len(names)}) for hashes and names")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez_compressed(path, sha256=np.array(hashes, dtype=str), probabilities=values, names=np.array(names, dtype=str))
    elif path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({"sha256": list(hashes)} | {f"{_PREFIX}{n}": values[:, i] for i, n in enumerate(names)}), path)
    else:
        raise ValueError(f"{path}: expected a name that ends in .npz or .parquet")


def probability_file(name: str | Path) -> Path:
    """The file called `name`: one that ships with the package (`fracatlas-out-of-fold`), else a path."""
    shipped = Path(str(resources.files("hf_bones") / "recipes" / "teachers" / f"{name}.npz"))
    return shipped if shipped.is_file() else Path(name).expanduser()


def read_probabilities(path: str | Path, scheme: LabelScheme) -> ProbabilityFile:
    """The file's probabilities with its columns in the order of the scheme.

    Raises `RecipeError` naming `teacher_probabilities`, the file and the first hash at fault: no such file, other classes than the
    scheme's, no probabilities, an image twice.
    """
    path = probability_file(path)
    where = f"teacher_probabilities: {path}"
    hashes, values, names = _content(path, where)
    if sorted(names) != sorted(scheme.names):
        raise RecipeError(f"{where}: has classes {names}, but label_scheme {scheme.name!r} has {list(scheme.names)}")
    if values.shape != (len(hashes), len(names)):
        raise RecipeError(f"{where}: probabilities have shape {values.shape}; expected ({len(hashes)}, {len(names)})")
    values = values[:, [names.index(name) for name in scheme.names]]
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1) | (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > _SUM_TOLERANCE))
    if bad.size:
        raise RecipeError(f"{where}: image {hashes[bad[0]]} has {values[bad[0]].tolist()}; expected numbers from 0 to 1 whose sum is 1")
    rows = {digest: row for row, digest in enumerate(hashes)}
    if len(rows) < len(hashes):
        twice = next(digest for row, digest in enumerate(hashes) if rows[digest] != row)
        raise RecipeError(f"{where}: image {twice} is in it twice; leave one of its rows out")
    return ProbabilityFile(path, sha256_file(path), rows, values)


def _content(path: Path, where: str) -> tuple[list[str], npt.NDArray[np.float32], list[str]]:
    if not path.is_file():
        raise RecipeError(f"{where}: no such file")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as stored:
            missing = [key for key in ("sha256", "probabilities", "names") if key not in stored]
            if missing:
                raise RecipeError(f"{where}: has no array {', '.join(missing)} (found {', '.join(stored)}); see write_probabilities")
            try:
                names, hashes = [str(name) for name in stored["names"]], [str(digest) for digest in stored["sha256"]]
            except ValueError as error:  # arrays of objects, which are pickled
                raise RecipeError(f"{where}: {error}; store sha256 and names as text, numpy.array(..., dtype=str)") from error
            return hashes, np.asarray(stored["probabilities"], dtype=np.float32), names
    if path.suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(path)
        columns = [column for column in table.column_names if column.startswith(_PREFIX)]
        if "sha256" not in table.column_names or not columns:
            raise RecipeError(f"{where}: expected columns sha256 and {_PREFIX}CLASS, found {table.column_names}")
        values = np.stack([table[column].to_numpy().astype(np.float32) for column in columns], axis=1)
        return table["sha256"].to_pylist(), values, [column.removeprefix(_PREFIX) for column in columns]
    raise RecipeError(f"{where}: expected a .npz or .parquet file")


def targets_of(
    hashes: Sequence[str], origins: Sequence[str], files: Sequence[ProbabilityFile], classes: int, may_lack: bool
) -> npt.NDArray[np.float32]:
    """The mean of the files' probabilities for each image, (N, `classes`); rows of NaN where no file has it.

    Raises `RecipeError` naming files, image and its origin unless images `may_lack` probabilities.
    """
    totals, counts = np.zeros((len(hashes), classes), dtype=np.float32), np.zeros(len(hashes), dtype=np.int64)
    for file in files:
        found = [(row, file.rows[digest]) for row, digest in enumerate(hashes) if digest in file.rows]
        if found:
            here, there = np.array(found).T
            totals[here] += file.probabilities[there]
            counts[here] += 1
    lacking = np.flatnonzero(counts == 0)
    if files and lacking.size and not may_lack:
        names = ", ".join(str(file.path) for file in files)
        first = int(lacking[0])
        raise RecipeError(
            f"teacher_probabilities: {names}: no probabilities of {lacking.size:,} of {len(hashes):,} training images; the first is "
            f"{hashes[first]} ({origins[first]}). Add them, or set missing_probabilities to teacher or labels"
        )
    with np.errstate(invalid="ignore"):
        mean: npt.NDArray[np.float32] = np.where(counts[:, None] > 0, totals / counts[:, None], np.nan).astype(np.float32)
    return mean
