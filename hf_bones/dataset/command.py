"""What `hf-bones build` does with its options."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from hf_bones.curate.recipe import DEFAULT_RECIPE, load_curate_recipe
from hf_bones.curate.splits.names import DEFAULT_PROPORTIONS, SPLITS
from hf_bones.dataset.build import BuildResult, build_dataset
from hf_bones.dataset.reading import sources
from hf_bones.dataset.reading.curated import decisions_kept
from hf_bones.dataset.reading.detect import KINDS, detect_kind, merge_readings, read_source
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.dataset.writing import restore_interrupted
from hf_bones.images.opening import Limits
from hf_bones.labels import load_scheme


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
        from hf_bones.dataset.reading.find_copies import with_copies

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


def parse_label_map(pairs: Sequence[str]) -> Mapping[str, str]:
    """{"their word": "our class"} from "their word=our class". Raises ValueError naming a pair without "="."""
    mapping = {}
    for pair in pairs:
        word, equals, name = pair.rpartition("=")
        if not equals or not word.strip() or not name.strip():
            raise ValueError(f"label map {pair!r} must read 'their word=our class', as in positive=fractured")
        mapping[word.strip()] = name.strip()
    return mapping
