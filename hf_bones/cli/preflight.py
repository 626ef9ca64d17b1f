"""What can be known before work starts: that a place can be written to, and that what is to be read is there.

Asked of every command by the names of its parameters, before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_bones.reach import require_there
from hf_bones.system import require_writable

_WRITTEN = ("out", "csv", "heatmaps", "export_npz")
_READ = {"dataset": "dataset", "datasets": "dataset", "model": "model"}
_SHIPPED = "bundled"


def check_places(values: Mapping[str, Any]) -> None:
    """Looks at the places among a command's parameters (name → value).

    Raises `NotWritableError`, FileNotFoundError or `UnreachedError`, within 3 s.
    """
    for name, kind in _READ.items():
        for place in _each(values.get(name)):
            if place != _SHIPPED:
                require_there(str(place), kind)
    if not values.get("dry_run"):
        for name in _WRITTEN:
            for place in _each(values.get(name)):
                require_writable(Path(place))


def _each(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
