"""The columns of a bone dataset, and loading one: what `build.py` writes and what training and evaluation read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_bones.config.fields import nearest
from hf_bones.reach import from_hub

if TYPE_CHECKING:
    from datasets import DatasetDict, Features

SEEN_ON_FILM = ("hardware", "cast")  # whether metal, whether a cast is seen: null where nobody says, and absent in older datasets
COLUMNS = (
    "image", "label", "subtype", "group", "source", "region", "view", "licence", "sha256", "boxes", "severity", "synthetic", "image_id",
    *SEEN_ON_FILM,
)  # fmt: skip


class DatasetSchemaError(ValueError):
    """A dataset lacks columns, or its labels are not classes."""


def require_split(splits: Iterable[str], split: str, place: str) -> None:
    """Raises ValueError naming the splits that `place` has, and the nearest one, where `split` is none of them."""
    there = list(splits)
    if split not in there:
        raise ValueError(f"{place}: no split {split!r}; it has {', '.join(there)}{nearest(split, there)}")


def bone_features(names: Sequence[str]) -> Features:
    """The features of a bone dataset whose classes are `names`, in the order of the model's outputs.

    `image` is 8-bit grey; `boxes` are lists of (cx, cy, w, h) in [0, 1]; `severity` is in [0, 1], NaN where unknown; `sha256` is that of
    the source's bytes, of the pixels for drawn images; `hardware` and `cast` are null where unknown.
    """
    from datasets import ClassLabel, Features, Image, List, Value

    others = {"image": Image(), "label": ClassLabel(names=list(names)), "boxes": List(List(Value("float32")))}
    others |= {"severity": Value("float32"), **{name: Value("bool") for name in ("synthetic", *SEEN_ON_FILM)}}
    return Features({name: others.get(name, Value("string")) for name in COLUMNS})


def image_bytes(cell: Mapping[str, Any]) -> bytes:
    """The encoded image of a cell of an undecoded image column, whether it lies in the dataset or in a file that the cell names."""
    data: bytes = cell["bytes"] if cell["bytes"] is not None else Path(cell["path"]).read_bytes()
    return data


def load_any(path_or_id: str, revision: str | None = None) -> DatasetDict:
    """Any saved, local or Hub dataset as a DatasetDict; a single saved Dataset becomes its train split.

    Raises FileNotFoundError naming the path where it is neither a folder nor looks like a Hub id.
    """
    import datasets

    folder = Path(path_or_id).expanduser()
    if folder.is_dir():
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            loaded = datasets.load_from_disk(str(folder))
        else:
            try:
                loaded = datasets.load_dataset(str(folder))
            except (FileNotFoundError, datasets.exceptions.DatasetsError) as error:
                said = str(error).splitlines()[0]
                raise FileNotFoundError(
                    f"{path_or_id}: no dataset there ({said}). Make one with: hf-bones build {path_or_id} --out FOLDER"
                ) from error
    elif folder.exists() or path_or_id.startswith((".", "/", "~")) or path_or_id.count("/") > 1:
        raise FileNotFoundError(f"{path_or_id}: no such dataset folder (write one with: hf-bones build SOURCE --out {path_or_id})")
    else:
        with from_hub(path_or_id, "dataset"):
            loaded = datasets.load_dataset(path_or_id, revision=revision)
    return loaded if isinstance(loaded, datasets.DatasetDict) else datasets.DatasetDict(train=loaded)


def load_bones(path_or_id: str | Path, revision: str | None = None) -> DatasetDict:
    """A bone dataset from the folder that `hf-bones build` wrote, or from the Hub (`revision` pins it).

    Raises `DatasetSchemaError` naming missing columns, and FileNotFoundError for a folder that is not there.
    """
    loaded = load_any(str(path_or_id), revision)
    for split, part in loaded.items():
        missing = [name for name in COLUMNS if name not in part.features and name not in SEEN_ON_FILM]
        if missing:
            raise DatasetSchemaError(
                f"{path_or_id} ({split}) lacks the columns {', '.join(missing)}; it has {', '.join(part.features)}. "
                f"Bring it into the form that training reads with: hf-bones build {path_or_id} --out FOLDER"
            )
        if not getattr(part.features["label"], "names", None):
            raise DatasetSchemaError(
                f"{path_or_id} ({split}): column 'label' holds {part.features['label']}, not classes by name. "
                f"Rebuild it with: hf-bones build {path_or_id} --out FOLDER"
            )
    return loaded
