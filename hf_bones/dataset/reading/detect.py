"""Which reader fits a source, and `hf-bones build` as a plain function."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hf_bones.curate.recipe import DEFAULT_RECIPE, load_curate_recipe
from hf_bones.curate.splits.names import DEFAULT_PROPORTIONS, SPLITS
from hf_bones.dataset.build import BuildResult, build_dataset
from hf_bones.dataset.reading import importers, sources
from hf_bones.dataset.reading.collection import collection_rows
from hf_bones.dataset.reading.curated import decisions_kept, is_curated, with_decisions
from hf_bones.dataset.reading.sources import Reading
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.dataset.writing import restore_interrupted
from hf_bones.images.opening import Limits
from hf_bones.labels import load_scheme
from hf_bones.manifest.store import MANIFEST_NAME

KINDS = ("folder", "manifest", "dataset", "collection", "fracatlas", "grazpedwri", "mura", "drawn")


def build_command(
    source: Sequence[str],
    output: Path,
    *,
    kind: str | None = None,
    labels: str = "three-class",
    label_map: Sequence[str] = (),
    proportions: Sequence[float] = tuple(DEFAULT_PROPORTIONS.values()),
    seed: int = 0,
    max_side: int | None = None,
    count: int = 300,
    drawn_size: int = 320,
    drawn_split: str = "",
    fracatlas_rows: str | None = None,
    keep_uncertain: bool = False,
    source_name: str = "",
    licence: str = "",
    overwrite: bool = False,
    find_copies: bool = False,
    salvage_truncated: bool = False,
    salvage_rows: float | None = None,
    curate_recipe: str | Path = DEFAULT_RECIPE,
    progress: bool = True,
) -> BuildResult:
    """`hf-bones build SOURCE… --output FOLDER`: one dataset of one or more sources.

    A source is `drawn`, or a path or Hub id, whose kind is detected unless `kind` (one of `KINDS`) names it for all. `labels` is a scheme's
    name or YAML file; `label_map` holds "their word=our class". `proportions` are those of train, validation and test. `source_name`
    and `licence` fill in what a folder or table does not state. `count`, `drawn_size` (px) and `drawn_split` are for `drawn`;
    `fracatlas_rows` ("packaged" or a file) and `keep_uncertain` for the importers. `find_copies` looks for near-duplicates
    by the `dedup` of `curate_recipe`; `salvage_truncated` takes JPEGs that were cut off and have `salvage_rows` of their rows (None: what
    the recipe's `checks` ask for). Raises ValueError (of several kinds) saying what to do.
    """
    restored = restore_interrupted(output)
    if not source:
        raise SourceError(f"no source given: name a folder, a CSV or Parquet file, a dataset, or 'drawn' (kinds: {', '.join(KINDS)})")
    mapping = parse_label_map(label_map)
    if len(proportions) != len(SPLITS):
        raise ValueError(f"proportions {list(proportions)} must be three numbers: {', '.join(SPLITS)}")
    readings = []
    for spec in source:
        chosen = kind or detect_kind(spec)
        if chosen == "drawn":
            readings.append(sources.drawn_rows(count, seed=seed, size=drawn_size, split=drawn_split, progress=progress))
        else:
            readings.append(
                read_source(
                    spec, chosen, fracatlas_rows=fracatlas_rows, keep_uncertain=keep_uncertain, source_name=source_name, licence=licence
                )
            )
    merged = merge_readings(readings)
    notes = [*merged.notes, *decisions_kept(output, source)]
    copies = None
    if find_copies:
        try:
            from hf_bones.dataset.reading.find_copies import with_copies
        except ModuleNotFoundError as error:
            raise SourceError(f"finding copies needs {error.name}: pip install -e '.[curate]'") from error

        copies = partial(with_copies, settings=load_curate_recipe(curate_recipe).dedup, workplace=output.parent, progress=progress)
    least_rows = None
    if salvage_truncated:
        least_rows = salvage_rows if salvage_rows is not None else load_curate_recipe(curate_recipe).checks.salvage_rows
    elif salvage_rows is not None:
        raise ValueError("--salvage-rows says how much a cut-off file must have: give --salvage-truncated with it")
    if restored:
        notes.append(f"{output.name} was put back first: a build that was to replace it had been cut short")
    made_with = ["hf-bones", "build", *(spec if spec == "drawn" else Path(spec).name for spec in source)]
    made_with += (
        [f"--label-map={pair}" for pair in label_map]
        + (["--max-side", str(max_side)] if max_side else [])
        + ["--find-copies"] * find_copies
        + (["--salvage-truncated", "--salvage-rows", f"{least_rows:g}"] if least_rows is not None else [])
    )
    return build_dataset(
        merged.rows,
        output,
        scheme=load_scheme(labels),
        label_map=mapping,
        proportions=dict(zip(SPLITS, proportions, strict=True)),
        seed=seed,
        max_side=max_side,
        limits=Limits(),
        overwrite=overwrite,
        find_copies=copies,
        salvage_rows=least_rows,
        left_out=merged.left_out,
        notes=notes,
        made_with=shlex.join(made_with),
        progress=progress,
    )


def read_source(
    spec: str,
    kind: str | None = None,
    *,
    fracatlas_rows: str | None = None,
    keep_uncertain: bool = False,
    source_name: str = "",
    licence: str = "",
) -> Reading:
    """The rows of one source that is not `drawn`. Raises `SourceError` where it cannot be read as `kind` (detected when None)."""
    chosen = kind or detect_kind(spec)
    path = Path(spec).expanduser()
    if chosen in ("folder", "collection", "fracatlas", "grazpedwri", "mura") and not path.is_dir():
        raise SourceError(f"{spec}: no such folder")
    if chosen == "manifest" and not path.is_file():
        raise SourceError(f"{spec}: no such file")
    if chosen == "folder":
        return sources.folder_rows(path, source=source_name, licence=licence)
    if chosen == "manifest":
        return sources.manifest_rows(path, source=source_name, licence=licence)
    if chosen == "collection":
        return collection_rows(path, source=source_name, licence=licence)
    if chosen == "dataset":
        reading = sources.dataset_rows(spec, source=source_name, licence=licence)
        return with_decisions(reading, path) if is_curated(path) else reading
    if chosen == "fracatlas":
        return importers.fracatlas_rows(path, rows=fracatlas_rows)
    if chosen == "grazpedwri":
        return importers.grazpedwri_rows(path, keep_uncertain=keep_uncertain)
    if chosen == "mura":
        return importers.mura_rows(path)
    raise SourceError(f"kind {chosen!r} is not one of {', '.join(KINDS)}")


def detect_kind(spec: str) -> str:
    """The kind of a source, by what lies at the path: one of `KINDS`. Raises `SourceError` saying what was looked for."""
    path = Path(spec).expanduser()
    if spec == "drawn" and not path.exists():
        return "drawn"
    if path.is_file():
        if path.suffix.lower() in (".csv", ".tsv", ".parquet"):
            return "manifest"
        raise SourceError(f"{spec}: a file must be a .csv, .tsv or .parquet manifest")
    if path.is_dir():
        return _detect_folder(path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", spec) and not spec.startswith("."):
        return "dataset"
    raise SourceError(f"{spec}: no such file or folder, and not a Hub id (owner/name) or 'drawn'")


def _detect_folder(path: Path) -> str:
    if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return "dataset"
    if (path / MANIFEST_NAME).is_file():
        return "collection"
    columns = _header(path / "dataset.csv")
    if "filestem" in columns:
        return "grazpedwri"
    if "image_id" in columns and (path / "images").is_dir():
        return "fracatlas"
    if (path / "MURA-v1.1").is_dir() or any(path.glob("train/XR_*")):
        return "mura"
    if any(path.glob("*.parquet")) or any(path.glob("data/*.parquet")):
        return "dataset"
    if any(child.is_dir() and not child.name.startswith(".") for child in path.iterdir()):
        return "folder"
    raise SourceError(f"{path}: holds neither folders of images nor a dataset; name the manifest file itself if there is one")


def _header(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return [column.strip() for column in next(csv.reader(stream), [])]


def merge_readings(readings: Sequence[Reading]) -> Reading:
    """Several sources as one. Image ids that two sources share get the source's name in front."""
    if len(readings) == 1:
        return readings[0]
    seen: set[str] = set()
    rows = []
    for reading in readings:
        fresh = {row.image_id for row in reading.rows}
        rows += [replace(row, image_id=f"{row.source}/{row.image_id}") if row.image_id in seen else row for row in reading.rows]
        seen |= fresh
    return Reading(rows, [row for r in readings for row in r.left_out], [note for r in readings for note in r.notes])


def parse_label_map(pairs: Sequence[str]) -> Mapping[str, str]:
    """{"their word": "our class"} from "their word=our class". Raises ValueError naming a pair without "="."""
    mapping = {}
    for pair in pairs:
        word, equals, name = pair.rpartition("=")
        if not equals or not word.strip() or not name.strip():
            raise ValueError(f"label map {pair!r} must read 'their word=our class', as in positive=fractured")
        mapping[word.strip()] = name.strip()
    return mapping
