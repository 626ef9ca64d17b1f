"""Which classes a dataset has: as its build wrote them down, else by the names of its labels; and which scheme fits films at hand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hf_bones.labels import HEALTHY, SHIPPED_SCHEMES, THREE_CLASS, LabelClass, LabelScheme, load_scheme, scheme_from_dict
from hf_bones.record import read_json

AUTO = "auto"
SUMMARY_FILE = "summary.json"


def chosen_scheme(labels: str, sources: Sequence[str] = ()) -> LabelScheme:
    """The scheme that is asked for by name or file; with `auto` that of the sources where all of them are datasets of one scheme, else the
    one of three classes. Raises ValueError for an unknown name or a malformed file."""
    if labels != AUTO:
        return load_scheme(labels)
    own = [written_scheme(source) for source in sources]
    return own[0] if own and own[0] is not None and all(each == own[0] for each in own) else THREE_CLASS


def written_scheme(dataset: str | Path) -> LabelScheme | None:
    """The scheme that the build of a dataset folder wrote down; None where there is no such folder or note."""
    summary = Path(dataset).expanduser() / SUMMARY_FILE
    if not summary.is_file():
        return None
    labels = read_json(summary).get("labels")
    return _shipped(scheme_from_dict(labels, str(summary))) if isinstance(labels, dict) else None


def scheme_of_names(names: Sequence[str], where: str) -> LabelScheme:
    """The scheme of classes that are known by their names alone: a shipped one, else these names.

    Raises ValueError, naming the dataset `where`, for names among which nobody says which is the normal one.
    """
    for scheme in SHIPPED_SCHEMES.values():
        if set(scheme.names) == set(names):
            return scheme
    if HEALTHY not in names:
        raise ValueError(
            f"{where}: its classes are {', '.join(names)}, and none is {HEALTHY!r}; say in a YAML file which one is normal, and give it as "
            "--label-scheme FILE"
        )
    return LabelScheme("dataset", tuple(LabelClass(name, "No definition came with this dataset.") for name in names))


def fitting_scheme(there: Collection[str], scheme: LabelScheme) -> LabelScheme | None:
    """The smallest shipped scheme with all classes that are `there` and fewer than `scheme` has; None where none fits."""
    smaller = [each for each in SHIPPED_SCHEMES.values() if set(there) <= set(each.names) < set(scheme.names)]
    return min(smaller, key=lambda each: len(each.names)) if smaller and len(set(there)) > 1 else None


def _shipped(scheme: LabelScheme) -> LabelScheme:
    known: Any = SHIPPED_SCHEMES.get(scheme.name)
    return known if known is not None and known.names == scheme.names else scheme
