"""Arrays kept on disk from one run to the next, so that nothing is computed twice."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read_arrays(path: Path, *names: str) -> list[npt.NDArray[Any]] | None:
    """The named arrays of an .npz file; None where it is not there, or is half a file of a machine that went down."""
    try:
        with np.load(path) as stored:
            return [stored[name] for name in names]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def write_arrays(path: Path, **arrays: Any) -> None:
    """Writes an .npz file in one step: a run that is killed leaves the whole of it or nothing under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as stream:
        np.savez(stream, **arrays)
        stream.flush()
        os.fsync(stream.fileno())
    Path(stream.name).replace(path)
