"""What `hf-bones build` does with its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hf_bones.curation.recipe import load_curate_recipe
from hf_bones.curation.splits.names import SPLITS, UNUSED
from hf_bones.dataset.build import BuildResult, build_dataset, require_free
from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.reading import sources
from hf_bones.dataset.reading.curated import decisions_kept
from hf_bones.dataset.reading.detect import KINDS, detect_kind, merge_readings, read_source
from hf_bones.dataset.reading.listed.table_rows import require_table
from hf_bones.dataset.reading.sources import LeftOut
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.dataset.scheme import chosen_scheme
from hf_bones.dataset.what_was_read import what_was_read
from hf_bones.dataset.writing import restore_interrupted
from hf_bones.labels import normalise_name
from hf_bones.pages.text import printable_text


def build_command(
    source: Sequence[str],
    output: Path,
    choices: BuildChoices = BuildChoices(),  # noqa: B008 - frozen
    *,
    command: str = "",
    progress: bool = True,
) -> BuildResult:
    """One dataset in `output` of one or more sources: `drawn`, or a path or Hub id.

    `command` is what the dataset's card says was run. Raises ValueError (of several kinds) saying what to do.
    """
    restored = restore_interrupted(output)
    if not source:
        raise SourceError(f"no source given: name a folder, a CSV or Parquet file, a dataset, or 'drawn' (kinds: {', '.join(KINDS)})")
    require_free(output, choices.overwrite)
    mapping = parse_label_map(choices.label_map)
    if len(choices.proportions) != len(SPLITS):
        raise ValueError(f"proportions {list(choices.proportions)} must be three numbers: {', '.join(SPLITS)}")
    scheme = chosen_scheme(choices.labels, source)
    readings, read = [], []
    kinds = [choices.kind or detect_kind(spec, choices, scheme) for spec in source]
    require_table(choices, kinds)
    for spec, chosen in zip(source, kinds, strict=True):
        if chosen == "drawn":
            drawn = sources.drawn_rows(
                choices.count,
                seed=choices.seed,
                size=choices.drawn_size,
                mode=choices.drawn_mode,
                split=choices.drawn_split,
                progress=progress,
            )
            if Path(spec).exists():
                drawn.notes.append("'drawn' means radiographs that are drawn; the folder of that name here would be './drawn'")
            readings.append(drawn)
        else:
            readings.append(read_source(spec, replace(choices, kind=chosen), scheme))
        read.append([printable_text(line) for line in what_was_read(spec, chosen, readings[-1], scheme, mapping)])
    merged = merge_readings(readings)
    rows, left_out = merged.rows, merged.left_out
    if choices.skip_unlabelled:
        left_out = [*left_out, *(LeftOut(row.name, "no label") for row in rows if not row.label)]
        rows = [row for row in rows if row.label]
    if choices.split_anew:
        rows = [row if row.split == UNUSED else replace(row, split="") for row in rows]
    notes = [*merged.notes, *decisions_kept(output, source)]
    copies = None
    if choices.find_near_duplicates:
        from hf_bones.dataset.reading.find_near_duplicates import with_near_duplicates

        copies = partial(
            with_near_duplicates,
            settings=load_curate_recipe(choices.curate_recipe).dedup,
            workplace=output.parent,
            torn=choices.leave_out_leaks,
            progress=progress,
        )
    least_rows = None
    if choices.salvage_truncated:
        asked = choices.salvage_rows
        least_rows = asked if asked is not None else load_curate_recipe(choices.curate_recipe).checks.salvage_rows
    elif choices.salvage_rows is not None:
        raise ValueError("--salvage-rows says how much a cut-off file must have: give --salvage-truncated with it")
    if restored:
        notes.append(f"{output.name} was restored first: a build that was replacing it had been interrupted")
    return build_dataset(
        rows,
        output,
        scheme=scheme,
        label_map=mapping,
        proportions=dict(zip(SPLITS, choices.proportions, strict=True)),
        seed=choices.seed,
        max_side=choices.max_side,
        overwrite=choices.overwrite,
        find_near_duplicates=copies,
        salvage_rows=least_rows,
        leave_out_leaks=choices.leave_out_leaks,
        left_out=left_out,
        contradictions=merged.contradictions,
        notes=notes,
        read=read,
        made_with=printable_text(command),
        progress=progress,
    )


def parse_label_map(pairs: Sequence[str]) -> Mapping[str, str]:
    """{"their word": "our class"} from "their word=our class". Raises ValueError for a pair without "=" and for two at odds."""
    mapping: dict[str, str] = {}
    read: dict[str, tuple[str, str]] = {}
    for pair in pairs:
        word, equals, name = pair.rpartition("=")
        if not equals or not word.strip() or not name.strip():
            raise ValueError(f"label map {pair!r} must read 'their word=our class', as in positive=fractured")
        other, name_there = read.setdefault(normalise_name(word), (word.strip(), name.strip()))
        if name_there != name.strip():
            raise ValueError(f"label map sends {other!r} to {name_there!r} and {word.strip()!r}, which reads the same, to {name.strip()!r}")
        mapping[word.strip()] = name.strip()
    return mapping
