"""Links in a table: CSV, TSV, JSON Lines or Parquet, with a column of URLs and whatever else is known of the images.

Columns are recognised under the names of `ImageRecord` and under those that people use (`COLUMN_NAMES`; case does not matter), so that
exports of this project, tables for img2dataset and lists typed by hand can be read as they are. Others are left alone. Rows are read one
at a time (Parquet by batches), so a table may be larger than memory. A row that cannot be read ends the search with file and line; the
rows before it count. Links are followed as those of any provider: robots.txt, limits and the licence policy hold for them too.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.http.api import Api
from hf_bones.collect.licences import licence_url, spdx
from hf_bones.collect.providers.folder import credit, label_and_subtype, scheme_of, split_of
from hf_bones.config.fields import Checked
from hf_bones.config.loading import parse_json
from hf_bones.config.recipe import option
from hf_bones.labels import LabelScheme
from hf_bones.pages.tables import stated

# The names under which each column is recognised, in lower case; the first that is there wins.
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "url": ("url", "image_url", "img_url", "imageurl", "img_src", "contenturl", "link"),
    "page": ("page", "page_url", "foreign_landing_url", "landing_url", "source_page", "webpage"),
    "title": ("title", "caption", "text", "description", "alt", "alt_text"),
    "creator": ("creator", "author", "artist", "photographer"),
    "creator_url": ("creator_url", "author_url"),
    "licence": ("licence", "license", "spdx"),
    "licence_text": ("licence_text", "license_text", "rights"),
    "licence_url": ("licence_url", "license_url"),
    "attribution": ("attribution", "credit"),
    "label": ("label", "class", "class_name", "category", "diagnosis", "target"),
    "subtype": ("subtype", "break_type", "fracture_type"),
    "region": ("region", "body_part", "anatomy", "bone"),
    "sha256": ("sha256",),
    "view": ("view", "projection"),
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id"),
    "group": ("group", "study", "study_id"),
    "split": ("split", "partition", "subset"),
    "boxes": ("boxes",),
    "severity": ("severity",),
    "hardware": ("hardware",),
    "synthetic": ("synthetic", "is_synthetic"),
}
_BATCH = 1000  # rows of a Parquet file in memory
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass
class UrlsOptions(Checked):
    """Which table, and what holds where it says nothing."""

    path: str = option("", "Table of links: .csv, .tsv, .jsonl, .ndjson or .parquet.")
    licence: str = option("", "Licence of rows that state none: an SPDX identifier, the licence's name or its address.")
    labels: str = option("three-class", "Scheme that labels are looked up in: `three-class`, `two-class` or a YAML file.")


class Urls:
    """A table of links; see the module."""

    name: ClassVar[str] = "urls"
    label_basis: ClassVar[str] = "table"
    takes_queries: ClassVar[bool] = False
    options_type: ClassVar[type] = UrlsOptions

    def __init__(self, options: UrlsOptions, api: Api | None = None) -> None:
        if not options.path:
            raise ProviderError("urls: give the table of links: `path: FILE` under providers.urls")
        self._path = Path(options.path).expanduser()
        if self._path.suffix.lower() not in _READERS:
            raise ProviderError(f"urls: {self._path}: expected one of {', '.join(_READERS)} by the name's end")
        self._licence = options.licence
        self._scheme = scheme_of(options.labels, "urls")

    def search(self, query: str, limit: int | None) -> Iterator[Candidate]:
        """The rows in order, at most `limit`; `query` says nothing here.

        Raises `ProviderError` naming the file, with the line (Parquet: the row) that cannot be read, or the columns where none holds URLs.
        """
        if not self._path.is_file():
            raise ProviderError(f"urls: {self._path}: no such file; it should be a table with a column of links")
        yield from islice(self._candidates(), limit)

    def _candidates(self) -> Iterator[Candidate]:
        try:
            for place, row in _READERS[self._path.suffix.lower()](self._path):
                try:
                    candidate = self._candidate(row)
                except ValueError as error:
                    raise ValueError(f"{place}: {error}") from error
                yield candidate
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise ProviderError(f"urls: {self._path}: {error}") from error

    def _candidate(self, row: Mapping[str, Any]) -> Candidate:
        cells = known_cells(row)
        if "url" not in cells:
            names = ", ".join(COLUMN_NAMES["url"])
            raise ValueError(f"no column for the link ({names}); columns found: {', '.join(map(str, row)) or 'none'}")
        url = cell_text(cells["url"])
        if url.startswith("//"):
            url = f"https:{url}"
        if not url.lower().startswith(("http://", "https://")):
            raise ValueError(f"the link is {url!r}; expected one that starts with http:// or https://")
        return candidate_of(cells, url=url, licence=self._licence, scheme=self._scheme)


def known_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a row under our names."""
    return {name: row[column] for name, column in find_columns(tuple(row)).items()}


@lru_cache(maxsize=64)
def find_columns(columns: tuple[str, ...]) -> dict[str, str]:
    """Our name → the table's column, for each of `COLUMN_NAMES` that is there."""
    by_key = {str(column).strip().casefold(): column for column in columns}
    found = {name: next((by_key[alias] for alias in aliases if alias in by_key), None) for name, aliases in COLUMN_NAMES.items()}
    return {name: column for name, column in found.items() if column is not None}


def candidate_of(
    cells: Mapping[str, Any], *, url: str, licence: str, scheme: LabelScheme, content: Callable[[], bytes] | None = None
) -> Candidate:
    """A candidate from a row's cells; `licence` holds where the row states none. Raises ValueError for a cell that cannot be read."""
    text = {name: cell_text(cells.get(name)) for name in COLUMN_NAMES if name not in ("boxes", "url")}
    stated = text["licence"] or text["licence_text"]
    if not stated and not text["licence_url"]:
        stated = licence
    spdx_id = spdx(stated, text["licence_url"])
    label, subtype = label_and_subtype(text["label"], scheme)
    details = {name: text[name] for name in ("view", "patient", "group") if text[name]} | _measured(cells, text)
    return Candidate(
        url=url,
        page=text["page"],
        title=text["title"],
        creator=text["creator"],
        creator_url=text["creator_url"],
        licence=spdx_id,
        licence_text=text["licence_text"] or stated,
        licence_url=text["licence_url"] or licence_url(spdx_id),
        attribution=text["attribution"]
        or credit(licence=spdx_id, title=text["title"], creator=text["creator"], url=text["licence_url"], page=text["page"]),
        label=label,
        subtype=text["subtype"] or subtype,
        region=text["region"],
        sha256=text["sha256"].lower(),
        details=details or None,
        content=content,
    )


def cell_text(value: object) -> str:
    """A cell as stripped text; empty for None and NaN. Raises ValueError for a list or mapping."""
    if isinstance(value, (list, tuple, dict)):
        raise ValueError(f"expected text, got {str(value)[:80]}")
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value).strip()


def _measured(cells: Mapping[str, Any], text: Mapping[str, str]) -> dict[str, Any]:
    """The cells that are more than text, as `ImageRecord` has them."""
    values: dict[str, Any] = {}
    if text["split"]:
        values["split"] = split_of(text["split"])
    if boxes := _boxes(cells.get("boxes")):
        values["boxes"] = boxes
    if text["severity"]:
        values["severity"] = float(text["severity"])
        if not 0 <= values["severity"] <= 1:
            raise ValueError(f"severity {text['severity']} is not in [0, 1]")
    for name in ("hardware", "synthetic"):
        if text[name]:
            if text[name].casefold() not in _TRUTH:
                raise ValueError(f"{name} {text[name]!r} is neither true nor false")
            values[name] = _TRUTH[text[name].casefold()]
    return values


def _boxes(value: object) -> list[list[float]]:
    """Boxes from "cx cy w h;cx cy w h", the same as JSON, or a list of lists."""
    if isinstance(value, str):
        value = parse_json(value) if value.strip().startswith("[") else [part.split() for part in value.split(";") if part.strip()]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if not isinstance(value, Sequence) or not all(isinstance(box, Sequence) for box in value):
        raise ValueError(f"boxes {value!r} are neither 'cx cy w h;…' nor a list of lists")
    boxes = [[float(number) for number in box] for box in value]
    for box in boxes:
        if len(box) != 4 or not all(0 <= number <= 1 for number in box):
            raise ValueError(f"box {box} is not cx, cy, w, h with each in [0, 1]")
    return boxes


def _delimited(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as stream:
        # Decoded line by line: a text stream reads ahead, and could not say in which line a byte is wrong.
        lines = (line.decode("utf-8-sig" if number == 0 else "utf-8") for number, line in enumerate(stream))
        reader = csv.reader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        header: list[str] | None = None
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except UnicodeDecodeError as error:
                raise ValueError(f"line {reader.line_num + 1}: {error}") from error
            except csv.Error as error:
                raise ValueError(f"line {reader.line_num}: {error}") from error
            if header is None:
                header = cells
            elif cells:
                if len(cells) != len(header):
                    raise ValueError(f"line {reader.line_num}: {len(cells)} cells under {len(header)} columns")
                yield f"line {reader.line_num}", dict(zip(header, map(stated, cells), strict=True))


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON Lines and where each stands ("line 3"). Raises ValueError naming the line that is none."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number}: expected a JSON object, got {str(row)[:80]}")
            yield f"line {number}", row


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as table:
        names = table.schema_arrow.names
        wanted = list(find_columns(tuple(names)).values())  # an embedding or thumbnail beside the links is not read
        number = 0
        for batch in table.iter_batches(batch_size=_BATCH, columns=wanted or names):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row


_READERS: Mapping[str, Callable[[Path], Iterable[tuple[str, dict[str, Any]]]]] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".parquet": _parquet,
}
