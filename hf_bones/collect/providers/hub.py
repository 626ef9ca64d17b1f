"""An image dataset that `datasets` reads: from the Hub, saved with `save_to_disk`, a folder or file of Parquet.

Documentation: https://huggingface.co/docs/datasets/loading. Images are taken as encoded bytes, undecoded, so that the file keeps its hash;
the label is a ClassLabel's name, or the word or number of the column. Beside them the columns that `urls.COLUMN_NAMES` knows are read where
they are there, but not `sha256`, which in datasets is that of some original file, and a `url` only as the page it came from. The licence
is the row's, else the option's, else that of the dataset's information; one that stands only on the Hub's card must be given as option.

A candidate's URL is "hub:ID@REVISION/SPLIT/INDEX". REVISION is the option's, else the commit that `datasets` resolved on the Hub, or the
fingerprint of local data: when the data changes, its rows are new candidates. Requests to the Hub are made by `datasets` itself, with its
own client, cache and token, not through our address guard. With `streaming` nothing is cached, a second run downloads again, and only
datasets that hold their images' bytes (Parquet) can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.collect.providers.folder import scheme_of, split_of
from hf_bones.collect.providers.urls import candidate_of, find_columns
from hf_bones.config.fields import Checked
from hf_bones.config.recipe import nearest, option
from hf_bones.reach import UnreachedError, from_hub


@dataclass
class HubOptions(Checked):
    """Which dataset, and which of its columns."""

    dataset: str = option("", "Hub id, or folder or Parquet file of a dataset on disk.")
    config: str = option("", "Configuration (subset) of the dataset; empty: its only or default one.")
    split: str = option("", "Split, such as `train` or `train[:100]`; empty: all of them.")
    revision: str = option("", "Branch, tag or commit on the Hub; empty: the newest commit.")
    image_column: str = option("", "Column of images; empty: the first one.")
    label_column: str = option("", "Column of labels; empty: the first ClassLabel, else a column called label, class or the like.")
    licence: str = option("", "Licence of rows that state none: an SPDX identifier, the licence's name or its address.")
    streaming: bool = option(False, "Read over the network row by row, without a copy in the cache.")
    labels: str = option("three-class", "Scheme that labels are looked up in: `three-class`, `two-class` or a YAML file.")


class Hub:
    """A dataset of images; see the module."""

    name: ClassVar[str] = "hub"
    label_basis: ClassVar[str] = "dataset"
    takes_queries: ClassVar[bool] = False
    options_type: ClassVar[type] = HubOptions

    def __init__(self, options: HubOptions, api: Api | None = None) -> None:
        if not options.dataset:
            raise ProviderError("hub: give the dataset: `dataset: HUB_ID` or a folder, under providers.hub")
        self._options = options
        self._scheme = scheme_of(options.labels, "hub")
        self._place = Path(options.dataset).expanduser()
        if not self._place.exists() and (options.dataset.startswith((".", "/", "~")) or options.dataset.count("/") > 1):
            raise ProviderError(f"hub: {options.dataset}: no such folder or file")

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """The rows split by split, at most `limit`; `query` says nothing here.

        Raises `ProviderError` where the dataset cannot be had, or lacks a column (naming those there), or a row cannot be read.
        """
        yield from islice(self._candidates(), limit)

    def _candidates(self) -> Iterator[Candidate]:
        name = self._options.dataset
        try:
            with from_hub(name, "dataset"):
                parts, revision = self._load()
        except ProviderError:
            raise
        except (FileNotFoundError, UnreachedError) as error:
            raise ProviderError(f"hub: {name}: cannot be loaded ({error})") from error
        except Exception as error:  # datasets and the Hub's client raise dozens of kinds
            raise ProviderError(f"hub: {name}: cannot be loaded ({type(error).__name__}: {error})") from error
        for split, part in parts.items():
            yield from self._rows(split, part, revision, alone=len(parts) == 1)

    def _load(self) -> tuple[Mapping[str, Any], str]:
        """The dataset's splits and its revision."""
        import datasets

        options, place = self._options, self._place
        wanted = options.split or None
        if (place / "dataset_dict.json").is_file() or (place / "state.json").is_file():
            loaded = datasets.load_from_disk(str(place))
            parts = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
            if wanted is not None:
                if wanted not in parts:
                    raise ProviderError(f"hub: {place}: no split {wanted!r}{nearest(wanted, parts)}; it has {', '.join(parts)}")
                parts = {wanted: parts[wanted]}
            return parts, options.revision
        if place.is_file():
            builder = datasets.load_dataset_builder("parquet", data_files={"train": str(place)})
        elif place.is_dir():
            builder = datasets.load_dataset_builder(str(place), name=options.config or None)
        else:
            builder = datasets.load_dataset_builder(options.dataset, name=options.config or None, revision=options.revision or None)
        if options.streaming:
            found = builder.as_streaming_dataset(split=wanted)
        else:
            builder.download_and_prepare()
            found = builder.as_dataset(split=wanted)
        return (found if isinstance(found, dict) else {wanted or "train": found}), options.revision or str(builder.hash)

    def _rows(self, split: str, part: Any, revision: str, *, alone: bool) -> Iterator[Candidate]:
        import datasets

        options = self._options
        features: Mapping[str, Any] = part.features or {}
        where = f"hub: {options.dataset} ({split})"
        images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
        image = self._column(options.image_column, features, where) or next(iter(images), "")
        if image not in images:
            wanted = f"column {image!r} holds no images" if image else "no column of images"
            raise ProviderError(f"{where}: {wanted}; columns found: {', '.join(features)}")
        revision = revision or str(part._fingerprint)  # the only name that saved data has for its state
        columns = {name: column for name, column in find_columns(tuple(features)).items() if name != "sha256" and column not in images}
        classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
        label = self._column(options.label_column, features, where) or next(iter(classes), columns.get("label", ""))
        if label:
            columns["label"] = label
        names = getattr(features.get(label), "names", None)
        licence = options.licence or str(getattr(part.info, "license", "") or "")
        shown = self._place.resolve().name if self._place.exists() else options.dataset
        part = part.cast_column(image, datasets.Image(decode=False))
        for index, row, content in _contents(part, image, list(columns.values()), options.streaming, self._place.exists()):
            cells = {name: row[column] for name, column in columns.items()}
            cells["label"] = _class_name(cells.get("label"), names)
            cells["page"] = cells.get("page") or cells.get("url")
            if not (alone and split == "train"):
                cells.setdefault("split", split_of(split))
            try:
                url = f"hub:{quote(shown)}@{quote(revision, safe='')}/{quote(split, safe='')}/{index}"
                yield candidate_of(cells, url=url, licence=licence, scheme=self._scheme, content=content)
            except ValueError as error:
                raise ProviderError(f"{where}, row {index}: {error}") from error

    @staticmethod
    def _column(name: str, features: Mapping[str, Any], where: str) -> str:
        if name and name not in features:
            raise ProviderError(f"{where}: no column {name!r}{nearest(name, features)}; columns found: {', '.join(features)}")
        return name


def _contents(
    part: Any, image: str, columns: list[str], streaming: bool, local: bool
) -> Iterator[tuple[int, Mapping[str, Any], Callable[[], bytes]]]:
    """Index, the other columns, and a way to the bytes of every row; images stay on disk until then, unless they are streamed."""
    if streaming:
        for index, row in enumerate(part):
            yield index, row, partial(_image_bytes, row[image], local)
    else:
        rows = part.select_columns(columns) if columns else ({} for _ in range(len(part)))
        for index, row in enumerate(rows):
            yield index, row, partial(_stored_bytes, part, index, image, local)


def _stored_bytes(part: Any, index: int, image: str, local: bool) -> bytes:
    return _image_bytes(part[index][image], local)


def _image_bytes(cell: Mapping[str, Any] | None, local: bool) -> bytes:
    """Bytes of an undecoded image. A dataset from elsewhere may name any file of this machine: only those in its cache are read."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    if cell is None:
        raise FileNotFoundError("the row has no image")
    data = cell["bytes"]
    if data is None:
        path = Path(cell["path"]).resolve()
        caches = [Path(folder).resolve() for folder in (datasets.config.HF_DATASETS_CACHE, HF_HUB_CACHE)]
        if not local and not any(path.is_relative_to(folder) for folder in caches):
            raise PermissionError(f"the row names the file {path}, which is not part of the dataset")
        data = path.read_bytes()
    return bytes(data)


def _class_name(value: object, names: list[str] | None) -> object:
    if names is None or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else ""
