"""`hf-bones collect`, `build`, `cache` and `contact-sheet`: from images elsewhere to a dataset, its arrays, and its contact sheet."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hf_bones.cli.errors import FAILED, STRICT
from hf_bones.cli.options import Dataset, Place, Sources, Strict
from hf_bones.cli.output import answer, note, wants_json
from hf_bones.collect.choices import Choices
from hf_bones.dataset.choices import BuildChoices
from hf_bones.record import command_line, typed_command

if TYPE_CHECKING:
    from hf_bones.dataset.build import BuildResult


def collect(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the collection; made, or resumed.")],
    choices: Choices,
    recipe: Annotated[str, typer.Option(help="Which providers to ask for what: a shipped recipe's name, or a YAML file.")] = "bones",
    dry_run: Annotated[bool, typer.Option(help="List the candidates and their licences; fetch and write nothing.")] = False,
) -> None:
    """Collect images with their licences: search, fetch politely, decode, store by hash. Run it again to resume."""
    from hf_bones.collect.command import collect_command

    if dry_run:
        _preview(recipe, choices)
        return
    result = collect_command(recipe, out, choices)
    lines = [f"this run: {result.stored} stored, {result.duplicates} seen before, {result.refused} refused, {result.failed} failed"]
    lines.append("collection: " + (", ".join(f"{count} {state}" for state, count in sorted(result.states.items())) or "empty"))
    answer({"collection": out, **dataclasses.asdict(result)}, lines)
    for name, query, error in result.failed_searches:
        note(f"search failed, tried again next time: {name} {query!r}: {error}")
    for host, seconds in result.held_hosts.items():
        note(f"{host} asks to wait {seconds:.0f} s: run the command again then")
    if result.failed_searches:
        raise typer.Exit(FAILED)


def _preview(recipe: str, choices: Choices) -> None:
    from hf_bones.collect.command import preview_command, preview_summary

    counts: Counter[tuple[str, str, str, bool]] = Counter()
    candidates, searches_failed = [], 0
    for found in preview_command(recipe, choices):
        if found.candidate is None:
            note(f"{found.provider}: {found.error}")
            searches_failed += 1
            continue
        url, licence = found.candidate.url, found.candidate.licence
        counts[found.provider, found.label, licence, found.accepted] += 1
        candidates.append({"provider": found.provider, "label": found.label, "licence": licence, "url": url, "accepted": found.accepted})
        if not wants_json():
            answer(None, [f"{found.provider:<11}{found.label:<15}{licence:<26}{url}"])
    answer({"candidates": candidates}, ["", *preview_summary(counts)])
    if searches_failed:
        raise typer.Exit(FAILED)


def build(
    source: Sources,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder to write.")],
    choices: BuildChoices,
    strict: Strict = False,
) -> None:
    """Build a dataset: images → train, validation and test with labels, groups and licences."""
    from hf_bones.dataset.command import build_command

    result = build_command(source, out, choices, command=command_line())
    lines = [f"{row['split']:<11}{row['source']:<13} {row['label']:<16}{row['count']:>7,}" for row in result.summary["counts"]]
    lines += [f"note: {text}" for text in result.notes]
    if result.refused:
        lines.append(f"{len(result.refused)} images refused: see {result.folder / 'refused.csv'}")
    for first, *others in result.summary["read"]:
        lines += [f"read: {first}", *(f"  {line}" for line in others)]
    advice = ""
    if result.advice is not None:
        again = typed_command(*(result.advice.options or ()), "--overwrite", without=["--overwrite"])
        command = f": {again}" if result.advice.options else f". See what the bundled model says of them: {_look(result)}"
        advice = f"not fit for training yet: {result.advice.text}{command}"
        lines.append(advice)
    lines.append(f"dataset: {result.folder}")
    answer({"dataset": result.folder, **result.summary, "refused": result.refused, "notes": result.notes, "advice": advice}, lines)
    if strict and result.refused:
        raise typer.Exit(STRICT)


def _look(result: BuildResult) -> str:
    from hf_bones.dataset.faults.advice import bundled_look

    return bundled_look(str(result.folder), next(iter(result.dataset)))


def cache(
    dataset: Dataset,
    size: Annotated[list[int] | None, typer.Option(metavar="N…", help="Training sizes, px; 224 by default.", min=8)] = None,
    out: Annotated[Path | None, typer.Option(file_okay=False, help="Folder for the array caches; DATASET/arrays by default.")] = None,
    verify: Annotated[bool, typer.Option(help="Only check every image; exit with 1 if something is wrong.")] = False,
    export_npz: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the images to one compressed .npz.")] = None,
    npz_channels: Annotated[int, typer.Option(help="Channels of its images, all equal: 1 or 3.")] = 3,
    npz_dtype: Annotated[str, typer.Option(help="float32 or float16 in [0, 1], or uint8.")] = "float32",
    npz_fit: Annotated[str, typer.Option(help="letterbox: padded as in training; squash: aspect ratio not kept.")] = "letterbox",
    workers: Annotated[int | None, typer.Option(help="Threads that decode; one per CPU core by default.", min=1)] = None,
) -> None:
    """Decode a dataset once into an array cache, which training reads. Run it again to resume, to catch up, or to repair."""
    from hf_bones.dataset.arrays.command import cache_command, report_lines, verify_command
    from hf_bones.dataset.arrays.export import NpzChoices

    sizes = size or [224]
    if verify and export_npz:
        raise ValueError("--verify and --export-npz cannot be used together: --verify writes nothing")
    if verify:
        found = verify_command(dataset, sizes, out=out)
        lines = [f"{folder}: {'; '.join(problems) or 'every image is there and as it was written'}" for folder, problems in found.items()]
        answer({"problems": found}, lines)
        raise typer.Exit(FAILED if any(found.values()) else 0)
    export = NpzChoices(export_npz, npz_channels, npz_dtype, npz_fit) if export_npz else None
    done = []
    for report in cache_command(dataset, sizes, out=out, export=export, workers=workers):
        done.append(report)
        if not wants_json():
            answer(None, report_lines(report))
    answer({"written": done}, [])


def contact_sheet(
    place: Place,
    out: Annotated[Path, typer.Option(help="Picture to write (.png, .jpg or .webp).")],
    per_label: Annotated[int, typer.Option(help="Images of each label.", min=1)] = 12,
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be repeated.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be repeated.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Only this region; may be repeated.")] = None,
    dropped: Annotated[bool, typer.Option(help="Show images that were dropped, too.")] = False,
    seed: Annotated[int, typer.Option(help="Which images are chosen.")] = 0,
    columns: Annotated[int, typer.Option(help="Images per row.", min=1)] = 6,
    cell: Annotated[int, typer.Option(help="Side of an image's square, px.", min=64)] = 220,
) -> None:
    """Make one picture of a set: some images of each label, with source, region and hash."""
    from hf_bones.curation.contact_sheet import contact_sheet as draw
    from hf_bones.curation.contact_sheet import matching
    from hf_bones.dataset.subject import open_subject

    filters = {"split": split or [], "provider": source or [], "region": region or []}
    with open_subject(place) as subject:
        records = [record for record in subject.manifest.images() if record.file and (dropped or record.decision != "drop")]
        records = matching(records, filters)
        asked = [f"{name} {' or '.join(words)}" for name, words in (("split", split), ("source", source), ("region", region)) if words]
        subtitle = "   ·   ".join([f"{len(records):,} images", *asked, f"chosen at random, seed {seed}"])
        picture = draw(
            records, subject.read, per_label=per_label, columns=columns, cell=cell, seed=seed, title=place.resolve().name, subtitle=subtitle
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        picture.save(out)
    answer(
        {"picture": out, "width": picture.width, "height": picture.height, "images": len(records)},
        [f"{out}: {picture.width} × {picture.height} px"],
    )
